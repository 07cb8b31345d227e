"""Who may be released, and the way back.  # D-1, D-2, D-5

``check`` is pure apart from reading the ledger and the repository: it raises unless the ledger proves, for exactly
this content, a verdict that accepted it and an approval that has not expired. ``rollback`` takes effect first and
is explained afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from festina.errors import IntegrityError, UsageError
from festina.ledger.log import Ledger
from festina.ledger.merkle import verify_inclusion
from festina.ledger.statement import commitment
from festina.review.binding import binding, stamp
from festina.review.catch import real_origin
from festina.system.repo import Repo


@dataclass(frozen=True, slots=True)
class Claim:
    """What the ledger must prove before a generation leaves the loop."""

    generation: int
    commit: str
    tree: str  # that the verdict accepted
    provisional: bool
    verdict_seq: int
    verdict_leaf: str
    approval_seq: int
    approved_binding: str
    evaluator: str
    patch: str
    expires: str
    sealed: str = ""  # what the request wrote for the commit where it was sealed, and the salt that opens it  # L-5
    salt: str = ""
    votes: tuple[int, ...] = ()  # every decision that it rests on


def check(repo: Repo, ledger: Ledger, claim: Claim, *, now: Callable[[], datetime] | None = None) -> None:
    """Raise unless verdict and approval are proven for exactly this commit's content.  # D-2"""
    if claim.provisional:
        raise UsageError(
            "provisional", f"generation {claim.generation} was tested below the sandbox level that release needs",
            fix="festina doctor; then test it again at that level",
        )  # T-2  # fmt: skip
    _same_content(repo, claim.commit, claim.tree, claim.verdict_seq)
    if stamp((now or (lambda: datetime.now(UTC)))()) > claim.expires:
        raise UsageError("approval-expired", f"the approval expired at {claim.expires}", fix="festina review")
    if claim.sealed and _opens_to(claim) != claim.sealed:
        raise IntegrityError(
            "approval-for-something-else", "what was reviewed is not this commit: a planted change, or another one",
            where=f"entry {claim.approval_seq}",
        )  # R-3  # fmt: skip
    expected = binding(
        patch=claim.patch, evidence=claim.verdict_leaf, evaluator=claim.evaluator, commit=claim.sealed or claim.commit
    )
    if expected != claim.approved_binding:
        raise IntegrityError(
            "approval-for-something-else", "the approval is bound to another patch, verdict or scorer",
            where=f"entry {claim.approval_seq}",
        )  # fmt: skip
    for seq in (claim.verdict_seq, claim.approval_seq, *claim.votes):
        prove(ledger, seq)


def check_alone(repo: Repo, ledger: Ledger, *, commit: str, tree: str, verdict: int, steps: tuple[int, ...]) -> None:
    """Raise unless the verdict on exactly this content, and every signature under the step, are proven.  # D-2, G-7"""
    _same_content(repo, commit, tree, verdict)
    for seq in (verdict, *steps):
        prove(ledger, seq)


def _same_content(repo: Repo, commit: str, tree: str, verdict_seq: int) -> None:
    if repo.tree_of(commit) != tree:
        raise IntegrityError(
            "released-content-differs", f"commit {commit[:12]} does not hold the tree that was accepted",
            where=f"entry {verdict_seq}",
        )  # fmt: skip


def _opens_to(claim: Claim) -> str:
    """What a sealed request for exactly this commit would have written."""
    return commitment(bytes.fromhex(claim.salt), real_origin(claim.commit)) if claim.salt else ""


def prove(ledger: Ledger, seq: int) -> None:
    """The entry is under the ledger's root. Raises ``IntegrityError`` when the proof fails."""
    proof = ledger.inclusion(seq, ledger.size)  # a person's entry may be newer than the engine's last checkpoint
    leaf = bytes.fromhex(ledger.record(seq).leaf)
    if not verify_inclusion(leaf, seq, proof.size, proof.hashes, proof.root):
        raise IntegrityError("no-proof", f"entry {seq} is not provably in the ledger", where=f"entry {seq}")
