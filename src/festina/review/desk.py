"""The reviewer's desk: what waits, what is shown, and how a decision becomes an entry.  # R-1

The decision is signed with the reviewer's own key, which never lies in the engine's home (T-1), and bound to
what the reviewer was shown: patch and binding are recomputed from the repository at that moment, and a
difference from what the engine asked for is refused. There is no default and no bulk approval.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.ledger.signing import LocalKey
from festina.review.binding import binding, stamp
from festina.system.characters import odd_character
from festina.system.repo import Repo

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")
MIN_REASON = 10  # characters: a decision without a reason is none
MAX_CITATION = 300
MAX_REASON = 4_000  # and this is what others can be expected to read


def keys_directory() -> Path:
    """Where reviewers' private keys lie: with the person, not with the engine."""
    explicit = os.environ.get("FESTINA_REVIEWER_KEYS")
    if explicit:
        return Path(explicit).expanduser().absolute()
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "festina" / "reviewers"


def reviewer_key(name: str, *, create: bool = False, home: Path | None = None) -> LocalKey:
    """The person's key. Raises ``UsageError`` when it is missing, exists already, or would lie in ``home``."""
    if not _NAME.match(name):
        shown = ascii(name[:80])
        raise UsageError("bad-reviewer-name", f"{shown} cannot be a reviewer's name", fix="letters, digits, . _ @ -")
    directory = keys_directory()
    if home is not None and directory.resolve().is_relative_to(home.resolve()):
        raise UsageError(
            "reviewer-key-in-home", f"the reviewers' keys would lie in the engine's home {home}",  # T-1
            fix="set FESTINA_REVIEWER_KEYS to a place that only the reviewer can read",
        )  # fmt: skip
    path = directory / f"{name}.pem"
    if create:
        if path.exists():
            return LocalKey.load(path, "reviewer")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalKey.create(path, "reviewer")
    if not path.exists():
        raise UsageError(
            "no-reviewer-key", f"there is no key of reviewer '{name}' in {directory}",
            fix=f"festina reviewer add {name}",
        )  # fmt: skip
    return LocalKey.load(path, "reviewer")


def shown(repo: Repo, terms: e.ReviewRequested, base_commit: str) -> bytes:
    """The patch as a reviewer sees it, checked against what the engine asked to be reviewed."""
    patch = repo.diff(repo.tree_of(base_commit), repo.tree_of(terms.commit))
    if hashlib.sha256(patch).hexdigest() != terms.patch:
        raise IntegrityError(
            "review-patch-differs", "the repository no longer holds what this review was requested for",
            fix="do not approve; look at the line's references and at `festina ledger verify`",
        )  # fmt: skip
    return patch


def decision(
    terms: e.ReviewRequested, *, authors: Sequence[str], reviewer: e.ReviewerEnrolled, key: LocalKey, approve: bool,
    reason: str,
    now: datetime | None = None,
    classification: e.Classification | None = None,
) -> Draft:  # fmt: skip
    """The signed entry for one decision. Raises ``UsageError`` for a missing reason, expiry or the author's own."""
    _check_reason(reason)
    if own(authors, reviewer.reviewer):
        raise UsageError(
            "own-change", f"{reviewer.reviewer} proposed this change and cannot decide about it",
            fix="ask somebody else",
        )  # fmt: skip
    if stamp(now or datetime.now(UTC)) > terms.expires:
        raise UsageError("review-expired", f"this review expired at {terms.expires}", fix="run the loop to ask again")
    text = reason.strip().encode()
    more = {"classification": classification} if classification is not None else {}
    body = e.ReviewDecided(
        review=terms.review, binding=_bound(terms), reviewer=reviewer.reviewer,
        decision="approve" if approve else "deny", reason=hashlib.sha256(text).hexdigest(),
        without_person=reviewer.demo, **more,
    )  # fmt: skip
    return Draft(body, blobs=(text,), signer=key)


def own(authors: Sequence[str], name: str) -> bool:
    """Whether a person of this name is among the authors, whose names are written shorter.  # R-1"""
    return any(author.startswith(f"person:{author_name(name)}:") for author in authors)


def author_name(text: str) -> str:
    """A name as the record of proposals writes it."""
    return re.sub(r"[^A-Za-z0-9._@+-]+", "-", text).strip("-")[:40] or "unnamed"


def _bound(terms: e.ReviewRequested) -> str:
    """The binding, made again from its parts."""
    expected = binding(
        patch=terms.patch, evidence=terms.evidence, evaluator=terms.evaluator, commit=terms.commit
    )
    if expected != terms.binding:
        raise IntegrityError("binding-differs", "the review is bound to something else than its own parts")
    return expected


def classification(
    terms: e.ReviewRequested, *, reviewer: e.ReviewerEnrolled, classification: e.Classification, cite: str, answer: int,
    predicted: float,
) -> tuple[e.ReviewClassified, bytes]:  # fmt: skip
    """A first judgement and the text that it points at. Raises ``UsageError`` where one of them cannot be.  # R-2"""
    cited = cite.strip()
    if not 1 <= len(cited) <= MAX_CITATION or odd_character(cited.replace("\n", " ")) is not None:
        raise UsageError(
            "bad-citation", f"a classification points at a line of the diff, in 1 to {MAX_CITATION} plain characters",
            fix='e.g. --cite "train.py:12"',
        )  # fmt: skip
    if not 0.0 <= predicted <= 1.0:
        raise UsageError("bad-prediction", f"{predicted} is no probability", fix="a number from 0 to 1")
    text = cited.encode()
    body = e.ReviewClassified(
        review=terms.review, binding=_bound(terms), reviewer=reviewer.reviewer, classification=classification,
        cite=hashlib.sha256(text).hexdigest(), answer=answer, predicted=float(predicted), without_person=reviewer.demo,
    )  # fmt: skip
    return body, text


def withdrawal(
    terms: e.ReviewRequested, *, reviewer: e.ReviewerEnrolled, decided: int, reason: str
) -> tuple[e.ReviewWithdrawn, bytes]:
    """A decision taken back, with the reason."""
    _check_reason(reason)
    if decided < 0:
        raise UsageError("nothing-to-withdraw", f"{reviewer.reviewer} has no decision here", fix="festina review")
    text = reason.strip().encode()
    body = e.ReviewWithdrawn(
        review=terms.review, binding=_bound(terms), reviewer=reviewer.reviewer, decided=decided,
        reason=hashlib.sha256(text).hexdigest(),
    )  # fmt: skip
    return body, text


def _check_reason(reason: str) -> None:
    """A reason is read by others, in terminals and reports: plain text of a readable size.  # T-5"""
    if len(reason.strip()) < MIN_REASON:
        raise UsageError(
            "no-reason", "a decision needs a reason that somebody else can follow",
            fix=f"--reason TEXT, of {MIN_REASON} characters at least",
        )  # fmt: skip
    if len(reason) > MAX_REASON:
        raise UsageError(
            "reason-too-long", f"the reason has {len(reason):,} characters, {MAX_REASON:,} are read at most",
            fix="say in a few sentences what decided, and keep the rest elsewhere",
        )  # fmt: skip
    for line in reason.strip().split("\n"):
        odd = odd_character(line)
        if odd is not None:
            raise UsageError("reason-unreadable", f"the reason holds {odd}", fix="write it in plain text")


def attested(safeguard: str, expires: str, *, reviewer: e.ReviewerEnrolled, key: LocalKey, reason: str) -> Draft:
    """The signed entry with which a person states that a safeguard is in place.  # G-1"""
    _check_reason(reason)
    text = reason.strip().encode()
    body = e.Attested(
        safeguard=safeguard, expires=expires, reviewer=reviewer.reviewer, reason=hashlib.sha256(text).hexdigest(),
        without_person=reviewer.demo,
    )  # fmt: skip
    return Draft(body, blobs=(text,), signer=key)


def autonomy_stepped(
    before: e.Rung, rung: e.Rung, *, expires: str | None, trust: str, cites: Sequence[int],
    reviewer: e.ReviewerEnrolled, key: LocalKey, reason: str,
) -> Draft:  # fmt: skip
    """The signed entry with which a person moves the loop along the ladder of autonomy.  # G-7"""
    _check_reason(reason)
    text = reason.strip().encode()
    body = e.AutonomyStepped(
        before=before, rung=rung, expires=expires, trust=trust,  # type: ignore[arg-type]  # the model checks the word
        cites=tuple(cites), reviewer=reviewer.reviewer, reason=hashlib.sha256(text).hexdigest(),
        without_person=reviewer.demo,
    )  # fmt: skip
    return Draft(body, blobs=(text,), signer=key)


def resumed(halts: Sequence[str], *, reviewer: e.ReviewerEnrolled, key: LocalKey, reason: str) -> Draft:
    """The signed entry with which a person ends halts.  # G-5"""
    _check_reason(reason)
    text = reason.strip().encode()
    body = e.Resumed(
        halts=tuple(halts), reviewer=reviewer.reviewer, reason=hashlib.sha256(text).hexdigest(),
        without_person=reviewer.demo,
    )  # fmt: skip
    return Draft(body, blobs=(text,), signer=key)


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def public_keys(reviewers: Mapping[str, e.ReviewerEnrolled]) -> dict[str, bytes]:
    """Enrolled people's public keys by name."""
    return {name: base64.b64decode(who.key) for name, who in reviewers.items()}


def control_resolved(alarm: int, *, reviewer: e.ReviewerEnrolled, key: LocalKey, reason: str) -> Draft:
    """The signed entry with which a person lets a run go on after its control broke.  # V-2"""
    _check_reason(reason)
    text = reason.strip().encode()
    body = e.ControlResolved(
        alarm=alarm, reviewer=reviewer.reviewer, reason=hashlib.sha256(text).hexdigest(), without_person=reviewer.demo
    )
    return Draft(body, blobs=(text,), signer=key)
