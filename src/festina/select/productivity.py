"""Whether one improver improves more than another, from paired improvement problems.  # W-1, W-2

A problem is one fresh request: both improvers start from the same tree, with the same seed and budget, and what they
make is scored on the same fresh items as the start. The gain of an improver is its product's score minus the start's.
Gains are told in the suite's unit; they are compared on the log-odds scale, on which generations of different strength
compare: a score in a declared range is the chance to beat a bar drawn evenly from that range, and its log-odds are
those of that paired comparison. Pooled over the problems first, so that no single problem has infinite odds.

The ratio of two gains has an interval after Fieller. Where the right gain cannot be told from nothing, the ratio has
no bounds, and none is given: never a ratio of point estimates by itself. Intervals are 95 %, Student's t over problems:
approximate, and no acceptance hangs on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

from festina.errors import Fault
from festina.select.student import Spread, quantile, spread
from festina.select.told import size
from festina.select.words import number

Answer = Literal["paid", "did not pay", "cannot tell"]
Row = tuple[float, float, float]  # scores of the left product, of the right one, and of the start; more is better
LEAST_PROBLEMS = 3
LEAST_ALIKE = 6  # problems that all give the same difference say something: by luck its sign is the same in one of 32


@dataclass(frozen=True, slots=True)
class Productivity:
    """Gains of two improvers from one start. ``ratio``: left over right; None where it is not identified."""

    problems: int
    left: Spread
    right: Spread
    ahead: Spread  # left minus right
    ratio: Spread | None
    odds: bool  # the ratio is one of log-odds

    @property
    def answer(self) -> Answer:
        """Whether the left improver improves more. The difference decides: it has an interval always.

        That interval trusts the spread that was seen; where a few problems gave one and the same difference, there was
        none to see.
        """
        alike = self.ahead[2] - self.ahead[1] <= 1e-9 * abs(self.ahead[0])
        if alike and self.problems < LEAST_ALIKE:
            return "cannot tell"
        return "paid" if self.ahead[1] > 0.0 else "did not pay" if self.ahead[2] < 0.0 else "cannot tell"


def productivity(rows: Sequence[Row], *, width: float = 1.0, odds: bool = True) -> Productivity:
    """From scores in [0, 1] (``odds``) or of any size; ``width`` turns differences into the suite's unit."""
    if len(rows) < LEAST_PROBLEMS:
        raise Fault("too-few-problems", f"an interval needs {LEAST_PROBLEMS} problems at least")
    left, right = [a - s for a, _, s in rows], [b - s for _, b, s in rows]
    ahead = [a - b for a, b, _ in rows]
    return Productivity(
        len(rows), spread(left, width), spread(right, width), spread(ahead, width), _ratio(rows, odds=odds), odds
    )


def _ratio(rows: Sequence[Row], *, odds: bool) -> Spread | None:
    """Fieller's interval for the ratio of the mean gains."""
    n = len(rows)
    means = [sum(row[k] for row in rows) / n for k in range(3)]
    if odds:
        floor = 0.5 / (n + 1)
        means = [min(1 - floor, max(floor, mean)) for mean in means]
        points, slopes = [log(m / (1 - m)) for m in means], [1 / (m * (1 - m)) for m in means]
    else:
        points, slopes = means, [1.0, 1.0, 1.0]
    a, b = points[0] - points[2], points[1] - points[2]
    moved = [[slope * (value - mean) for value, mean, slope in zip(row, means, slopes, strict=True)] for row in rows]
    pairs = [(x - s, y - s) for x, y, s in moved]  # what each problem moves the two gains by, to first order
    v_a, v_b, v_ab = (sum(p[i] * p[j] for p in pairs) / (n - 1) / n for i, j in ((0, 0), (1, 1), (0, 1)))
    t2 = quantile(n - 1) ** 2
    lead, middle, last = b * b - t2 * v_b, a * b - t2 * v_ab, a * a - t2 * v_a
    if lead <= 0.0 or b <= 0.0:
        return None  # the right gain is not shown to be above nothing
    root = sqrt(max(0.0, middle * middle - lead * last))
    return a / b, (middle - root) / lead, (middle + root) / lead


def sentence(found: Productivity, left: int, right: int, start: int) -> str:
    """The finding in words. ``left``, ``right``: whose improver; ``start``: from which generation."""
    gains = (
        f"From generation {start}, generation {left}'s improver gains {size(found.left)} and generation {right}'s "
        f"{size(found.right)}, over {found.problems} fresh problems each with the same budget; the difference is "
        f"{size(found.ahead)}"
    )
    if found.ratio is None:
        ratio = f"no ratio can be given, because generation {right}'s gain is not told apart from nothing"
    else:
        ratio = f"the productivity ratio is {found.ratio[0]:.2f} ({found.ratio[1]:.2f} to {found.ratio[2]:.2f})"
    word = {
        "paid": f"Generation {left}'s improver improves more",
        "did not pay": f"Generation {left}'s improver improves LESS",
        "cannot tell": "Neither improver is shown to improve more",
    }[found.answer]
    return f"{gains}; {ratio}. {word}."


def author(improver: str, first: bool) -> str:
    """What kind of author an improver is. ``first``: it ran from the generation that the line started from."""
    if improver == "own":
        return "the improver of the start" if first else "changed improvers"
    kind = improver.partition(":")[0]
    return {"search": "the built-in search", "person": "people"}.get(kind, improver)


@dataclass(frozen=True, slots=True)
class Share:
    """What one kind of author has added to the line: accepted generations, and the sum of their estimates."""

    author: str
    generations: int
    estimate: float
    part: float | None  # of the sum over all authors; None where that sum is not above 0


def authorship(steps: Sequence[tuple[str, float]]) -> tuple[Share, ...]:
    """Shares of the gain by author, the largest first. ``steps``: (author, estimated gain) of each generation."""
    names = dict.fromkeys(author for author, _ in steps)
    total = sum(gain for _, gain in steps)
    shares = []
    for name in names:
        gains = [gain for author, gain in steps if author == name]
        shares.append(Share(name, len(gains), sum(gains), sum(gains) / total if total > 0 else None))
    return tuple(sorted(shares, key=lambda share: (-share.estimate, share.author)))


def shared_out(shares: Sequence[Share]) -> str:
    """Who made the gain, in one sentence; empty before the first acceptance."""
    if not shares:
        return ""
    size = sum(abs(share.estimate) for share in shares) or 1.0
    rows = [
        f"{share.author} {number(share.estimate, size / 50)}"
        + (f" ({share.part:.0%})" if share.part is not None and len(shares) > 1 else "")
        + f" in {share.generations} generation{'' if share.generations == 1 else 's'}"
        for share in shares
    ]
    return f"Gain by author (sums of estimates): {'; '.join(rows)}."
