"""Seeds that nobody can choose: derived from the entry that registered the candidate.  # E-3

The leaf hash of a ``test-opened`` entry covers the candidate's tree, the time and a signature, so it exists
only after the candidate does; and since every seed follows from it, an auditor can recompute all of them,
and a crash cannot be used to draw again.
"""

from __future__ import annotations

import hashlib
import hmac


def unit_seed(leaf: str, batch: int, unit: int) -> int:
    """The seed of one unit, in [0, 2**63). ``leaf`` is the hex leaf hash of the test's opening entry."""
    digest = hashlib.sha256(f"festina-unit-seed:{leaf}:{batch}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def control_seed(leaf: str, unit: int) -> int:
    """The seed of one unit of the incumbent against itself. ``leaf``: of the control's first intent."""
    digest = hashlib.sha256(f"festina-control-seed:{leaf}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plant_coin(secret: str, leaf: str) -> tuple[float, int]:
    """(a number in [0, 1) that decides whether a slot is planted, a seed for what is planted).  # V-7

    ``secret`` is the epoch's, sealed in its opening entry; ``leaf`` that of the slot's first request. Nobody without
    the secret can tell before the reveal, and an auditor who has the openings can recompute every slot.
    """
    digest = hmac.digest(secret.encode(), f"festina-plant:{leaf}".encode(), "sha256")
    return int.from_bytes(digest[:7], "big") / (1 << 56), int.from_bytes(digest[8:16], "big") >> 1


def catch_coin(secret: str, leaf: str, review: int) -> tuple[float, int, bytes]:
    """(a number in [0, 1) that decides whether a request is planted, a seed for what is planted, a salt).  # R-3

    ``secret`` is the epoch's, sealed in its opening entry; ``leaf`` that of the verdict behind the request.
    """
    digest = hmac.digest(secret.encode(), f"festina-catch:{leaf}:{review}".encode(), "sha256")
    salt = hmac.digest(secret.encode(), f"festina-catch-salt:{leaf}:{review}".encode(), "sha256")
    return int.from_bytes(digest[:7], "big") / (1 << 56), int.from_bytes(digest[8:16], "big") >> 1, salt


def proposal_seed(leaf: str, proposal: int) -> int:
    """The seed handed to the improver for one proposal, in [0, 2**31)."""
    digest = hashlib.sha256(f"festina-proposal-seed:{leaf}:{proposal}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def problem_seed(seed: int) -> int:
    """What both improvers of one problem are given, in [0, 2**31); ``seed``: of the unit.  # S-6

    Their products are run under the unit's seed, of which nobody may know a bit before the products are made.
    """
    digest = hashlib.sha256(f"festina-problem-seed:{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def scratch_seed(leaf: str, run: int) -> int:
    """The seed of the archive's run number ``run``, the same for every tree. ``leaf``: of the epoch's entry.  # P-7"""
    digest = hashlib.sha256(f"festina-scratch-seed:{leaf}:{run}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def try_seed(leaf: str, number: int) -> int:
    """The seed of one try: of the choice of its parent, and handed to the improver, in [0, 2**31)."""
    digest = hashlib.sha256(f"festina-try-seed:{leaf}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def training_seed(leaf: str) -> int:
    """The seed of every training that is kept, in [0, 2**63). ``leaf``: of the record's first epoch.  # S-7"""
    digest = hashlib.sha256(f"festina-training-seed:{leaf}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
