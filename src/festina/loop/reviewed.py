"""What stands in the record of reviews, made again: sizes, bindings, right answers, and which requests were planted.

``check`` is for everybody who has the ledger; ``audit`` needs what opens the sealed fields.  # L-1, R-1, R-3
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.ledger.seeds import catch_coin
from festina.loop import admitting
from festina.loop.state import State
from festina.review.binding import binding
from festina.review.catch import catch_of
from festina.review.questions import answer_digest, question, read_diff

LISTED = 5  # steps without effect that are named one by one


def check(s: State, body: e.Body, blob: Callable[[str], bytes]) -> list[tuple[str, str, str]]:
    """(field, what it says, what follows) of one entry that is about to be folded into ``s``."""
    if isinstance(body, e.ReviewRequested):
        return _requested(s, body, blob)
    review = s.reviews.get(body.review) if isinstance(body, e.ReviewSettled) else None
    if review is None or not isinstance(body, e.ReviewSettled):
        return []
    right = question(blob(review.terms.patch), review.terms.binding).right
    return [] if right == body.answer else [("answer", str(body.answer), str(right))]


def _requested(s: State, b: e.ReviewRequested, blob: Callable[[str], bytes]) -> list[tuple[str, str, str]]:
    bound = binding(patch=b.patch, evidence=b.evidence, evaluator=b.evaluator, commit=b.commit)
    if not b.protocol:
        return []  # of records before there were steps
    wrong = [("binding", b.binding, bound)] if b.binding != bound else []
    diff = read_diff(blob(b.patch))
    approved = [n for n in s.line if s.generations[n].approved is not None and n < b.generation]
    base = s.generations[approved[-1] if approved else s.line[0]].commit if s.line else None
    lines = diff.amount if b.protocol > 1 else diff.lines
    made: dict[str, tuple[object, object]] = {
        "lines": (b.lines, lines), "files": (b.files, len(diff.files)), "base": (b.base, base)
    }  # fmt: skip
    if b.protocol > 1:
        made["answer"] = (b.answer, answer_digest(bound, question(blob(b.patch), bound).right))
    return wrong + [(name, str(said), str(true)) for name, (said, true) in made.items() if said != true]


def without_effect(s: State) -> list[str]:
    """People's steps that are recorded and do not count, in words. Empty where there are none."""
    if not s.ignored:
        return []
    named = ", ".join(f"entry {seq} ({kind}: {why})" for seq, kind, why in s.ignored[:LISTED])
    more = f" and {len(s.ignored) - LISTED} more" if len(s.ignored) > LISTED else ""
    what = "Steps of reviews that came too early, out of order or from somebody who may not, without effect"
    return [f"{what}: {named}{more}."]


@dataclass(frozen=True, slots=True)
class Audit:
    """Sealed requests of the epoch in force: how many, planted, drawn and left real, and those that do not follow."""

    requests: int
    planted: int
    left: int
    wrong: tuple[int, ...]


def audit(ledger: Ledger) -> Audit:
    """Recompute the coin of every sealed request of the epoch in force.  # R-3, L-5

    One that was drawn and not planted is counted, not blamed: not every change has a line that carries a defect.
    """
    s, secret = State(), ""
    requests = planted = left = 0
    wrong: list[int] = []
    for record in ledger.records():
        b = record.body
        if isinstance(b, e.EpochOpened):
            found = ledger.opening(record, "catch_secret")
            secret, requests, planted, left, wrong = found[1] if found is not None else "", 0, 0, 0, []
        if isinstance(b, e.ReviewRequested) and b.sealed and secret:
            opening = ledger.opening(record, "origin")
            if opening is None:
                raise IntegrityError("no-opening", f"what review {b.review} sealed cannot be opened here")
            chance, _, salt = catch_coin(secret, b.evidence, b.review)
            said, _, origin = opening[1].partition(":")
            is_one, drawn = catch_of(origin) is not None, chance < admitting.catch_rate(s)
            requests, planted, left = requests + 1, planted + is_one, left + (drawn and not is_one)
            if (is_one and not drawn) or said != salt.hex():
                wrong.append(b.review)
        s.apply(record)
    return Audit(requests, planted, left, tuple(wrong))
