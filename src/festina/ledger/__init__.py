"""The ledger: append-only, signed, provable.

Names are looked up when first used, so that importing the room costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from festina.ledger.audit import Report, verify
    from festina.ledger.copies import export
    from festina.ledger.entries import Body, Genesis, Role
    from festina.ledger.log import Ledger
    from festina.ledger.merkle import Tree, verify_consistency, verify_inclusion
    from festina.ledger.pairs import Finding
    from festina.ledger.proof import check_proof, prove
    from festina.ledger.record import Draft, Proof, Record
    from festina.ledger.signing import LocalKey, Signer

_HOME = {
    "Body": "entries",
    "Draft": "record",
    "Finding": "pairs",
    "Genesis": "entries",
    "Ledger": "log",
    "LocalKey": "signing",
    "Proof": "record",
    "Record": "record",
    "Report": "audit",
    "Role": "entries",
    "Signer": "signing",
    "Tree": "merkle",
    "check_proof": "proof",
    "export": "copies",
    "prove": "proof",
    "verify": "audit",
    "verify_consistency": "merkle",
    "verify_inclusion": "merkle",
}

__all__ = [
    "Body", "Draft", "Finding", "Genesis", "Ledger", "LocalKey", "Proof", "Record", "Report", "Role", "Signer", "Tree",
    "check_proof", "export", "prove", "verify", "verify_consistency", "verify_inclusion",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(name)
    return getattr(import_module(f"festina.ledger.{_HOME[name]}"), name)
