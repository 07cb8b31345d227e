"""The report's reading of reviews: who approved what, and how well each person reviews.  # R-1, R-3, C-4

People's steps count as the loop's own fold says; where the ledger does not fold, what came before still stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from festina.errors import FestinaError
from festina.ledger import entries as e
from festina.loop import outlook, reviews
from festina.loop.state import State
from festina.report.data import GenerationRow, Level, Remark, ReportData, ReviewerRow
from festina.report.growth import levels
from festina.report.markup import Html, el, join
from festina.report.sections import Figure, plot
from festina.review import catch

if TYPE_CHECKING:
    from festina.ledger.base import Entered
    from festina.ledger.log import Record
    from festina.report.rows import Rows


class People:
    """The loop's state beside the report's rows, as far as it goes. ``state``: one that somebody else folds already."""

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state
        self.broken, self.shared = False, state is not None
        self.asked: dict[int, e.ReviewRequested] = {}

    def evidence(self, body: object) -> float | None:
        """Log evidence of the test that this verdict ends, from the differences that the state has seen."""
        if not isinstance(body, e.Verdict) or self.broken or body.test not in self.state.open:
            return None
        from festina.select import gate

        return gate.log_evidence(self.state.open[body.test].progress)

    def take(self, record: Entered) -> None:
        body = record.body
        if isinstance(body, e.ReviewRequested):
            self.asked[body.review] = body
        if self.broken or self.shared:
            return
        try:
            self.state.apply(cast("Record", record))  # the report's own protocol names less of it
        except FestinaError:
            self.broken = True

    def levels(self) -> tuple[Level, ...]:
        """How the line grew; empty where the ledger does not fold, or no gain is on a scale that compares."""
        return levels(outlook.gains(self.state)) if self.state.line and not self.broken else ()

    def calibrated(self) -> tuple[ReviewerRow, ...]:
        """Whoever had a planted mistake before them."""
        rows = [each for each in reviews.calibration(self.state) if each.trials and not each.demo]
        return tuple(ReviewerRow(c.reviewer, c.hits, c.trials, c.low, c.high, c.authority) for c in rows)

    def sentences(self) -> tuple[str, ...]:
        """Each person's record in one line. Empty before anybody was enrolled."""
        return tuple(each.sentence for each in reviews.calibration(self.state) if not each.demo)


def _enrolled(s: Rows, r: Entered, b: e.ReviewerEnrolled) -> None:
    key = "a demonstration key, which speaks for no person" if b.demo else "a person's own key"
    s.remarks.append(Remark(r.seq, "reviewer enrolled", f"{b.reviewer}: {key}"))


def _decided(s: Rows, r: Entered, b: e.ReviewDecided) -> None:
    review = s.people.asked.get(b.review)
    if review is None or review.binding != b.binding:
        s.finding(r.seq, f"a decision on review {b.review} that binds something else than what was asked")
        return
    if review.protocol:
        return  # it counts when it is settled
    if r.at > review.expires:
        s.remarks.append(Remark(r.seq, "review expired", f"the decision on review {b.review} came too late to count"))
        return
    if b.decision == "deny" or review.generation not in s.generations:
        s.remarks.append(Remark(r.seq, "review denied", f"{b.reviewer} denied generation {review.generation}"))
        return
    _approve(s, review.generation, r.seq, b.reviewer, without_person=b.without_person)


def _settled(s: Rows, r: Entered, b: e.ReviewSettled) -> None:
    review, state = s.people.asked.get(b.review), s.people.state
    if review is None:
        s.finding(r.seq, f"review {b.review} was settled and never asked for")
        return
    votes = state.reviews[b.review].votes if b.review in state.reviews else ()
    names = ", ".join(vote.decision.reviewer for vote in votes) or "somebody"
    if b.outcome == "approve":
        demo = any(vote.decision.without_person for vote in votes)
        _approve(s, review.generation, r.seq, names, without_person=demo)
    elif b.outcome == "deny":
        s.remarks.append(Remark(r.seq, "review denied", f"{names} denied generation {review.generation}"))
    elif b.outcome == "catch":
        told = [f"{v.decision.reviewer} {'missed it' if v.approved else 'saw through it'}" for v in votes]
        what = catch.words(catch.catch_of(b.origin) or "")
        s.remarks.append(Remark(r.seq, "catch trial", f"{what}: {', '.join(told)}"))
    else:
        s.remarks.append(Remark(r.seq, "review set aside", f"{names}: an approval that does not count for now"))


def _approve(s: Rows, generation: int, seq: int, by: str, *, without_person: bool) -> None:
    """This generation, and with it the earlier ones that its patch holds."""
    if generation not in s.generations:
        return
    s.generations[generation] = _approved(s.generations[generation], seq, by, without_person, None)
    on_line = s.line[: s.line.index(generation)] if generation in s.line else []
    for number in reversed(on_line):  # the patch under review runs from the last approved generation
        earlier = s.generations[number]
        if earlier.approved_seq is not None or earlier.proposal is None:
            break
        s.generations[number] = _approved(earlier, seq, by, without_person, generation)


def _approved(row: GenerationRow, seq: int, by: str, without_person: bool, together_with: int | None) -> GenerationRow:
    return replace(row, approved_by=by, approved_seq=seq, without_person=without_person, approved_with=together_with)


def rungs(state: State) -> list[Remark]:
    """Every step along the ladder of autonomy, the falls that have no entry of their own among them.  # G-7

    A fall is dated by the entry before which it was seen, which may be later than what caused it.
    """
    return [
        Remark(m.seq, "autonomy", f"{m.before} -> {m.rung} by {m.at[:16]}Z: {m.why}")
        for m in state.govern.autonomy.moves
    ]


def section(data: ReportData, figure: Figure) -> Html:
    """How well people review; empty where nobody is enrolled."""
    if not data.reviewers:
        return Html("")
    return join(
        el("h2", "How well do people review?", id="reviewers"),
        el("p", "About every fifth change that a person is asked about has a planted defect, which nobody can tell "
                "beforehand. The interval is of the share that this person sees through, exact, 95 %.", cls="note"),
        el("ul", *(el("li", sentence) for sentence in data.reviewers)),
        plot(figure("reviewers"), "Planted mistakes seen through, by person, with 95 % intervals."),
    )  # fmt: skip


HANDLERS: dict[str, Callable[[Rows, Entered, Any], None]] = {
    "reviewer-enrolled": _enrolled, "review-decided": _decided, "review-settled": _settled,
}  # fmt: skip
