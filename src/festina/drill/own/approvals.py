"""Attacks on approvals and on the record, on a scratch ledger with real keys.  # R-1, D-2, L-2, T-1

Each attack is tried against the real check and must end in the named error, or leave the ledger's check with a named
first bad entry. Its positive control is the same act without the check: the honest counterpart passes, the
reference moves, or the altered bytes read well to somebody who verifies nothing.

Not covered: a person who can be persuaded, and whoever holds the engine's key.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from festina.drill.model import Finding, Verdict
from festina.drill.own import reviewing
from festina.drill.own.scratch import Own
from festina.drill.own.staged import Act, Case, Staged, made_up, open_test, stage
from festina.errors import FestinaError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey, Signer
from festina.ledger.statement import unseal
from festina.loop.state import fold
from festina.release import refs
from festina.release.releaser import Claim, check
from festina.review import desk

LATER = timedelta(days=400)


def attack(own: Own, only: Callable[[str], bool]) -> list[Finding]:
    if not only("approval/"):
        return []
    staged = stage(own)
    cases = CASES + reviewing.CASES + (SIGNED if own.verifier is not None else ())
    return [_acted(staged, case) for case in cases] + [_tampered(staged, name, make) for name, make in TAMPERS.items()]


def _acted(staged: Staged, case: Case) -> Finding:
    control = _error(case.control, staged) == ""
    said = _error(case.act, staged)
    made = partial(
        Finding, attack=f"approval/{case.attack}", kind="approval", title=case.title, runs=1,
              control=float(control), did="It was tried on a scratch ledger with real keys.")  # fmt: skip
    fix = "report it to Festina: releasing or recording accepted what it must refuse"
    if not said:
        return made(verdict=Verdict.HOLE, why="nothing refused it", fix=fix)
    if said not in case.names:
        why = f"refused as '{said}', not as '{case.names[0]}'"
        return made(verdict=Verdict.HOLE, why=why, fix=fix)
    if not control:
        why = "its honest counterpart does not work here"
        return made(verdict=Verdict.NOT_TESTED, caught=1, why=why)
    return made(verdict=Verdict.CAUGHT, caught=1, why=f"refused: {said}")


def _error(act: Act, staged: Staged) -> str:
    try:
        act(staged)
    except FestinaError as error:
        return error.name
    return ""


# -- approvals --------------------------------------------------------------------------------------------


def _copy(s: Staged) -> Path:
    """A fresh copy of the staged ledger."""
    target = s.path.with_name(f"copy-{len(list(s.path.parent.glob('copy-*.db')))}.db")
    shutil.copyfile(s.path, target)
    return target


def _approved(s: Staged) -> tuple[Ledger, Claim]:
    """The ledger with the honest approval, and the claim that it supports."""
    ledger = s.open(_copy(s))
    records = ledger.append([s.decision()])
    state = fold(ledger.records())
    review = state.reviews[0]
    generation = state.generations[1]
    decided = review.decision
    assert decided is not None  # the honest decision counts
    claim = Claim(
        generation=1, commit=s.good, tree=s.own.repo.tree_of(s.good), provisional=False, verdict_seq=s.verdict_seq,
        verdict_leaf=generation.verdict_leaf, approval_seq=records[0].seq, approved_binding=decided.binding,
        evaluator=s.terms.evaluator, patch=s.terms.patch, expires=s.terms.expires,
    )  # fmt: skip
    return ledger, claim


def _release(s: Staged, *, now: datetime | None = None, **changes: object) -> None:
    ledger, claim = _approved(s)
    try:
        check(s.own.repo, ledger, replace(claim, **changes), now=(lambda: now) if now else None)  # type: ignore[arg-type]  # forged
    finally:
        ledger.close()


def _append(s: Staged, *drafts: Draft) -> Ledger:
    ledger = s.open(_copy(s))
    try:
        ledger.append(drafts)
    finally:
        ledger.close()
    return ledger


def _decide(s: Staged, **changes: object) -> None:
    _append(s, s.decision(**changes))


def _stranger(s: Staged, role: e.Role) -> LocalKey:
    path = s.path.with_name(f"stranger-{role}.pem")
    return LocalKey.load(path, role) if path.exists() else LocalKey.create(path, role)


def _decided_by_stranger(s: Staged) -> None:
    _append(s, replace(s.decision(), signer=_stranger(s, "reviewer")))


def _decided_after_enrolment(s: Staged) -> None:
    key = _stranger(s, "reviewer")
    body = e.ReviewerEnrolled(reviewer="eve", key=base64.b64encode(key.public).decode(), demo=False)
    draft = desk.decision(s.terms, authors=[s.author], reviewer=body, key=key, approve=True, reason="I looked at it")
    _append(s, Draft(body), draft)


def _in_anothers_name(s: Staged) -> None:
    key = _stranger(s, "reviewer")
    body = e.ReviewerEnrolled(reviewer="eve", key=base64.b64encode(key.public).decode(), demo=False)
    _append(s, Draft(body), replace(s.decision(), signer=key))


def _demo_key(s: Staged, *, counts: bool) -> None:
    """A demo key's approval on a real ledger is recorded and must have no effect."""
    key = _stranger(s, "reviewer")
    body = e.ReviewerEnrolled(reviewer="eve", key=base64.b64encode(key.public).decode(), demo=not counts)
    draft = desk.decision(s.terms, authors=[s.author], reviewer=body, key=key, approve=True, reason="without a person")
    path = _copy(s)
    with s.open(path) as ledger:
        ledger.append([Draft(body), draft])
        approved = fold(ledger.records()).generations[1].approved
    if approved is None:
        raise _NoEffect


class _NoEffect(FestinaError):
    """What was recorded did not count."""

    def __init__(self) -> None:
        super().__init__("no-effect", "it was recorded, and it did not count")


def _engine_signs_verdict(s: Staged, *, signer: str) -> None:
    seq = s.verdict_seq
    with s.open(_copy(s)) as ledger:
        old = ledger.record(seq).body
    assert isinstance(old, e.Verdict)
    key = _stranger(s, "verifier") if signer == "stranger" else s.verifier
    _append(s, Draft(old.model_copy(update={"verdict": "reject", "reason": "futile"}), signer=key))


def _moved(s: Staged, *, behind: bool) -> None:
    """The released reference is moved to an untested commit behind the ledger's back, then by the ledger."""
    name = "refs/festina/drill"
    at = s.own.repo.ref(name)
    s.own.repo.cas_ref(name, s.other if behind else s.own.commit, at)
    refs.settle(s.own.repo, name, s.own.commit, s.good)


def _patch_swapped(s: Staged, *, commit: str) -> None:
    desk.shown(s.own.repo, s.terms.model_copy(update={"commit": commit}), s.own.commit)


CASES = (
    Case("approve-one-release-another", "approve one commit, release another",
         lambda s: _release(s, commit=s.other), ("released-content-differs",), _release),
    Case("another-tree-with-its-commit", "release an untested tree under the approval of a tested one",
         lambda s: _release(s, commit=s.other, tree=s.own.repo.tree_of(s.other)), ("approval-for-something-else",),
         _release),
    Case("another-verdict", "release on the approval of other evidence",
         lambda s: _release(s, verdict_leaf="0" * 64), ("approval-for-something-else",), _release),
    Case("another-scorer", "release after the scorer was changed",
         lambda s: _release(s, evaluator="0" * 64), ("approval-for-something-else",), _release),
    Case("expired-approval", "replay an approval that has expired",
         lambda s: _release(s, now=datetime.now(UTC) + LATER), ("approval-expired",), _release),
    Case("provisional", "release what was tested below the level that release needs",
         lambda s: _release(s, provisional=True), ("provisional",), _release),
    Case("proof-of-nothing", "release with an entry that is not there",
         lambda s: _release(s, approval_seq=10_000), ("no-proof", "no-entry"), _release),
    Case("decision-after-expiry", "decide about a review that has expired",
         lambda s: _decide(s, now=datetime.now(UTC) + LATER), ("review-expired",), _decide),
    Case("own-change", "approve a change of one's own",
         lambda s: _decide(s, authors=["person:ann:change"]), ("own-change",), _decide),
    Case("no-reason", "decide without a reason", lambda s: _decide(s, reason=" "), ("no-reason",), _decide),
    Case("rebound-review", "decide about a review whose parts were exchanged",
         lambda s: _decide(s, terms=s.terms.model_copy(update={"patch": "0" * 64})), ("binding-differs",), _decide),
    Case("not-enrolled", "decide with a key that nobody enrolled", _decided_by_stranger,
         ("bad-draft", "unknown-key"), _decided_after_enrolment),
    Case("anothers-name", "decide in the name of another reviewer", _in_anothers_name, ("bad-draft", "wrong-key"),
         _decided_after_enrolment),
    Case("demo-key", "approve with a demo key on a real ledger", lambda s: _demo_key(s, counts=False),
         ("no-effect",), lambda s: _demo_key(s, counts=True)),
    Case("shown-another-patch", "show a reviewer another patch than the one that was tested",
         lambda s: _patch_swapped(s, commit=s.other), ("review-patch-differs",),
         lambda s: _patch_swapped(s, commit=s.good)),
    Case("forged-verdict", "record a verdict with a key that is not the verifier's",
         lambda s: _engine_signs_verdict(s, signer="stranger"), ("bad-draft", "wrong-key", "bad-signature"),
         lambda s: _engine_signs_verdict(s, signer="verifier")),
    Case("reference-moved", "move the released reference behind the ledger's back",
         lambda s: _moved(s, behind=True), ("reference-moved",), lambda s: _moved(s, behind=False)),
)  # fmt: skip


# -- what the verifier's process signs --------------------------------------------------------------------


def _signing(s: Staged, ledger: Ledger, *, process: bool) -> Signer:
    """The verifier's process, on this ledger; or its key without the process: the control."""
    verifier = s.own.verifier
    if not process or verifier is None:
        return s.verifier
    verifier.follow(lambda start: (record.envelope for record in ledger.records(start)))
    return verifier.signer


def _numbers_made_up(s: Staged, *, process: bool) -> None:
    with s.open(_copy(s)) as ledger:
        test = open_test(ledger, fold(ledger.records()), s.own, s.other, 1)
        signer = _signing(s, ledger, process=process)
        ledger.append([Draft(made_up(s.own, test), blobs=(b"",), signer=signer)])


def _verdict_again(s: Staged, *, process: bool) -> None:
    """The old verdict for a tree that was never tested."""
    with s.open(_copy(s)) as ledger:
        old = ledger.record(s.verdict_seq).body
        test = open_test(ledger, fold(ledger.records()), s.own, s.other, 1)
        body = old.model_copy(update={"test": test.test, "proposal": test.proposal, "tree": test.tree})
        ledger.append([Draft(body, signer=_signing(s, ledger, process=process))])


SIGNED = (
    Case("numbers-made-up", "have the verifier sign numbers that it never measured",
         lambda s: _numbers_made_up(s, process=True), ("not-signed",), lambda s: _numbers_made_up(s, process=False)),
    Case("verdict-again", "have the verifier sign an old verdict for another tree",
         lambda s: _verdict_again(s, process=True), ("not-signed",), lambda s: _verdict_again(s, process=False)),
)  # fmt: skip


# -- the record -------------------------------------------------------------------------------------------


def _sql(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    with sqlite3.connect(path) as db:
        for text, values in statements:
            db.execute(text, values)
    db.close()


def _row(path: Path, seq: int) -> bytes:
    db = sqlite3.connect(path)
    try:
        return bytes(db.execute("SELECT envelope FROM entry WHERE seq = ?", (seq,)).fetchone()[0])
    finally:
        db.close()


def _count(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("SELECT count(*) FROM entry").fetchone()[0])
    finally:
        db.close()


def _put(path: Path, seq: int, envelope: bytes) -> None:
    _sql(path, ("UPDATE entry SET envelope = ? WHERE seq = ?", (envelope, seq)))


def _flip(s: Staged, path: Path) -> int:
    data = bytearray(_row(path, s.verdict_seq))
    at = data.rindex(b'"payload"') + 40
    data[at] = data[at] ^ 1 if chr(data[at] ^ 1).isalnum() else data[at] ^ 2
    _put(path, s.verdict_seq, bytes(data))
    return s.verdict_seq


def _rewrite(s: Staged, path: Path) -> int:
    """The estimate of a verdict changed, everything else left as it is."""
    envelope = _row(path, s.verdict_seq)
    payload = unseal(envelope)[0]
    changed = payload.replace(b'"estimate":1', b'"estimate":9', 1)
    _put(path, s.verdict_seq, envelope.replace(base64.b64encode(payload), base64.b64encode(changed)))
    return s.verdict_seq


def _drop(s: Staged, path: Path) -> int:
    _sql(path, ("DELETE FROM entry WHERE seq = ?", (s.verdict_seq,)))
    return s.verdict_seq


def _truncate(s: Staged, path: Path) -> int:
    _sql(path, ("DELETE FROM entry WHERE seq >= ?", (s.verdict_seq,)))
    return s.verdict_seq


def _swap(s: Staged, path: Path) -> int:
    one, two = _row(path, s.verdict_seq - 1), _row(path, s.verdict_seq)
    _put(path, s.verdict_seq - 1, two)
    _put(path, s.verdict_seq, one)
    return s.verdict_seq - 1


def _repeat(s: Staged, path: Path) -> int:
    last = _count(path)
    _sql(path, ("INSERT INTO entry VALUES (?, ?)", (last, _row(path, s.verdict_seq))))
    return last


def _content(s: Staged, path: Path) -> int:
    _sql(path, ("UPDATE blob SET data = ? WHERE digest = ?", (b"another patch", bytes.fromhex(s.terms.patch))))
    with s.open() as ledger:
        return next(record.seq for record in ledger.records() if s.terms.patch in record.body.model_dump_json())


TAMPERS: dict[str, tuple[str, Callable[[Staged, Path], int]]] = {
    "flipped-byte": ("flip one byte of a verdict", _flip),
    "rewritten-number": ("rewrite a number in a verdict", _rewrite),
    "dropped-entry": ("drop a verdict from the record", _drop),
    "truncated-record": ("cut the record off before a verdict", _truncate),
    "swapped-entries": ("swap two entries", _swap),
    "repeated-entry": ("append an old verdict again", _repeat),
    "exchanged-content": ("exchange a patch in the content store", _content),
}


def _tampered(staged: Staged, name: str, what: tuple[str, Callable[[Staged, Path], int]]) -> Finding:
    title, make = what
    path = _copy(staged)
    expected = make(staged, path)
    report = verify(path)
    named = report.first_bad
    made = partial(
        Finding, attack=f"approval/{name}", kind="approval", title=title, runs=1, control=float(_reads_well(path)),
              did="It was done to a copy of a scratch ledger's file.")  # fmt: skip
    if report.ok or named is None or named[0] != expected:
        where = "nothing" if named is None else f"entry {named[0]}"
        why = f"the check names {where}, and entry {expected} was touched"
        return made(verdict=Verdict.HOLE, why=why, fix="report it to Festina")
    return made(verdict=Verdict.CAUGHT, caught=1, why=f"named: entry {named[0]} {named[1][:100]}")


def _reads_well(path: Path) -> bool:
    """Control: whoever checks no hash and no signature reads every entry without a complaint."""
    db = sqlite3.connect(path)
    try:
        rows = [json.loads(bytes(envelope)) for (envelope,) in db.execute("SELECT envelope FROM entry ORDER BY seq")]
    except ValueError:
        return False
    finally:
        db.close()
    return len(rows) > 0
