"""What people have not understood of the working line, and how far it may run ahead of them. Pure.  # G-3

Counted since a person last approved: generations, changed lines, and the share of the gain that no hunk's own effect
explains (V-8). An approval whose every answer to the question about the diff was wrong shows that it was signed, not
that it was understood: until somebody answers rightly, the line may run ahead half as far.

``unexplained``: each change's share of its gain, weighted by the gain; a change of a single hunk explains itself, and
one that was not taken apart explains nothing. A hunk without which nothing runs explains what it does alone, not
whatever the change does: else a line that all others call would make any change explained. None: no gain
there, or nobody takes changes apart in this epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.select.attribution import SINGLE

if TYPE_CHECKING:
    from festina.ledger.measures import HunkEffect
    from festina.loop.rows import Generation
    from festina.loop.state import State


@dataclass(frozen=True, slots=True)
class Debt:
    """What is owed, and what may be. ``most_unexplained`` None: no limit."""

    generations: int
    lines: int
    unexplained: float | None
    most_generations: int
    most_lines: int
    most_unexplained: float | None = None
    wrong: bool = False  # nobody who approved last answered rightly

    @property
    def over(self) -> bool:
        """Whether nothing new may be begun before somebody has looked."""
        counted = self.generations >= self.most_generations or self.lines >= self.most_lines
        return counted or (
            self.most_unexplained is not None
            and self.unexplained is not None
            and self.unexplained > self.most_unexplained
        )

    @property
    def sentence(self) -> str:
        """What is owed, in words; the same everywhere."""
        said = (
            f"{self.generations} of {self.most_generations} generations with {self.lines:,} of {self.most_lines:,} "
            "changed lines were accepted since a person last looked"
        )
        if self.unexplained is not None:
            most = "" if self.most_unexplained is None else f" ({self.most_unexplained:.0%} may be)"
            said += f"; {self.unexplained:.0%} of their gain is explained by no part of a change{most}"
        return f"{said}{WRONG if self.wrong else ''}."


WRONG = "; who approved last answered the question about the diff wrongly, which halves both"


def of(s: State) -> Debt:
    """The debt of a line whose epoch is open."""
    epoch = s.epoch
    assert epoch is not None
    generations, lines = s.debt
    later = [s.generations[n] for n in s.line[len(s.line) - generations :]]
    wrong = _wrong(s)
    return Debt(
        generations, lines, _unexplained(later) if epoch.attribution_share > 0.0 else None,
        _most(epoch.debt_generations, wrong), _most(epoch.debt_lines, wrong), epoch.debt_unexplained, wrong,
    )  # fmt: skip


def _most(limit: int, wrong: bool) -> int:
    return max(1, limit // 2) if wrong else limit


def _wrong(s: State) -> bool:
    """Whether every answer behind the newest approval that a person answered for was wrong.

    A demo's key answers nothing, so what it approves later makes no wrong answer right.
    """
    for number in reversed(s.line):
        review = s.reviews.get(-1 if (found := s.generations[number].approved) is None else found)
        votes = review.votes if review is not None else ()
        answers = [v.right for v in votes if v.approved and v.right is not None and not v.decision.without_person]
        if answers:
            return not any(answers)
    return False


def _unexplained(later: list[Generation]) -> float | None:
    rows = [
        (max(0.0, g.verdict.estimate or 0.0), _share(g)) for g in later if g.verdict is not None and g.target == "gain"
    ]
    total = sum(gain for gain, _ in rows)
    return sum(gain * share for gain, share in rows) / total if total > 0.0 else None


def _share(g: Generation) -> float:
    """The part of its whole effect that the effects shown of single hunks do not add up to, from 0 to 1."""
    body = g.attribution
    if isinstance(body, e.MeasureSkipped):
        return 0.0 if body.reason == SINGLE else 1.0
    if body is None or body.total[0] <= 0.0:
        return 1.0
    effects = [hunk.share or hunk.leave_out for hunk in body.hunks if hunk.verdict in ("helps", "harms")]
    left = body.total[0] - sum(effect[0] for effect in effects if effect is not None)
    if left > 0.0:
        left -= min(left, _by_needed(body.hunks, left))
    return min(1.0, abs(left) / body.total[0])


def _by_needed(hunks: tuple[HunkEffect, ...], left: float) -> float:
    """What hunks without which nothing runs explain of an effect that the others' leave over.

    What they are shown to do alone; all of it where not even they run alone and every other hunk is shown to do
    nothing, with the rest and without it: then they are one change in several places.
    """
    needed = [hunk for hunk in hunks if hunk.verdict == "needed"]
    others = [hunk for hunk in hunks if hunk.verdict != "needed"]
    if any(hunk.alone is None for hunk in needed) and all(_inert(hunk) for hunk in others):
        return left
    return sum(hunk.alone[0] for hunk in needed if hunk.alone is not None and hunk.alone[1] > 0.0)


def _inert(hunk: HunkEffect) -> bool:
    """Two hunks that do the same each do nothing beside the other, so what it does alone counts, too."""
    return hunk.verdict == "nothing" and hunk.alone is not None and hunk.alone[1] <= 0.0
