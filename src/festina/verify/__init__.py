"""Verify: vault, hidden items, scorers in a process of their own, controls.  # V-1, V-2, V-3, T-1, T-3"""

from festina.verify.client import RemoteSigner, Verifier
from festina.verify.types import Controls, Issued, Source, UnitScore
from festina.verify.vault import Vault

__all__ = ["Controls", "Issued", "RemoteSigner", "Source", "UnitScore", "Vault", "Verifier"]
