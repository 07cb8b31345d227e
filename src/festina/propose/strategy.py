"""Which change the built-in search proposes next: a pure function of files, history and seed.

Explore widely first, then refine: measured on training scripts, single timid edits are the bottleneck and a
jump of several settings at once is worth more than sixty of them. Four kinds, mixed by what the history says:

- ``wide``: several settings at once, by factors of 2 to 20;
- ``step``: one setting, with a step that shrinks where it failed and grows where it was accepted;
- ``follow``: on in the direction of an accepted change, all of it or one coordinate;
- ``edit``: one structural change (operator, condition, statement, function name), at times with a step.

Every candidate differs from every tree and every change in the history, and passes ``valid``. When draws find
nothing new, single moves and edits are gone through one by one; then the search is exhausted.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from festina.propose.moves import direction_of, new_text
from festina.propose.past import Past, Row, change_of, digest
from festina.propose.source import Edit, Key, Knob, Span, replace

__all__ = ["Candidate", "Space", "near", "suggest"]

DRAWS = 80
KINDS = ("wide", "step", "follow", "edit")
# Shares of the kinds: before anything was accepted, soon after an acceptance, and when that has dried up.
EXPLORE, PURSUE, REFINE = (0.55, 0.35, 0.0, 0.10), (0.20, 0.30, 0.45, 0.05), (0.30, 0.40, 0.15, 0.15)
DRY_AFTER = 5  # proposals without an acceptance
WIDE_FLOAT, WIDE_INT = (0.7, 3.0), (0.6, 2.1)
STEP_SIZE = 1.6
NEAR_SIZE = 0.2  # of a change made only to see how results vary: a fifth up or down
_JUDGED = frozenset({"accepted", "better", "rejected", "inconclusive", "not accepted", "failed", "worse"})


@dataclass(frozen=True, slots=True)
class Space:
    """What may be changed: the editable files, and their knobs and edits."""

    files: Mapping[str, bytes]
    knobs: Sequence[Knob]
    edits: Sequence[Edit]


@dataclass(frozen=True, slots=True)
class Candidate:
    """New contents of the changed files, and what was done."""

    files: dict[str, bytes]
    kind: str
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    path: str
    spans: tuple[Span, ...]
    what: str


class _Beliefs:
    """What the history says about each setting: which way helps, and how large a step still makes sense."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.slope: dict[Key, float] = defaultdict(float)  # > 0: going up has helped
        self.step: dict[Key, float] = defaultdict(lambda: STEP_SIZE)
        self.fatigue: dict[Key, int] = defaultdict(int)
        for row in rows:
            for move in row.moves:
                self._learn(move.key, direction_of(move.old, move.new), row, len(row.moves))

    def _learn(self, key: Key, direction: int, row: Row, together: int) -> None:
        if row.helped:
            self.slope[key] += 1.5 * direction
            self.step[key] = min(self.step[key] * 1.3, 3.0)
            self.fatigue[key] = 0
        elif row.word in _JUDGED:
            self.slope[key] -= direction / together
            if together == 1:
                self.step[key] = max(self.step[key] * 0.75, 0.15)
                self.fatigue[key] += 1

    def direction(self, key: Key, rng: random.Random) -> int:
        up = 1 / (1 + math.exp(-max(-4.0, min(4.0, 1.2 * self.slope[key]))))
        return 1 if rng.random() < up else -1


def suggest(
    space: Space, past: Past, *, seed: int, max_changed_lines: int, valid: Callable[[str, bytes], bool]
) -> Candidate | None:
    """The next candidate, or ``None`` when there is nothing new within the scope."""
    rng = random.Random(seed)
    beliefs = _Beliefs(past.rows)

    def finish(kind: str, changes: Sequence[_Change]) -> Candidate | None:
        return _finish(space, past, kind, changes, max_changed_lines, valid)

    most = max(1, max_changed_lines // 2)
    for _ in range(DRAWS):
        kind = _kind(space, past, rng)
        found = finish(kind, _draw(kind, space, past, beliefs, rng)[:most])
        if found is not None:
            return found
    singles = list(_singles(space))
    rng.shuffle(singles)
    for kind, change in singles:
        found = finish(kind, [change])
        if found is not None:
            return found
    return None


def near(
    space: Space, *, count: int, seed: int, max_changed_lines: int, valid: Callable[[str, bytes], bool]
) -> list[Candidate]:
    """Up to ``count`` candidates that each differ from the incumbent in one small thing, the promising places first.

    One number moved a little each; structural edits only where there are too few numbers.
    """
    rng = random.Random(seed)
    numbers = [knob for knob in space.knobs if isinstance(knob.value, int | float) and not isinstance(knob.value, bool)]
    changes: list[tuple[str, _Change]] = []
    for knob in sorted(numbers, key=lambda knob: -(rng.random() ** (1 / knob.weight))):
        changes += [("step", change) for change in _moved(knob, rng.choice((1, -1)), NEAR_SIZE, rng)]
    changes += [("edit", _Change(edit.path, edit.spans, edit.what)) for edit in space.edits]
    found: list[Candidate] = []
    untried = Past((), frozenset(), frozenset())
    for kind, change in changes:
        candidate = _finish(space, untried, kind, [change], max_changed_lines, valid)
        if candidate is not None:
            found.append(candidate)
        if len(found) == count:
            break
    return found


def _kind(space: Space, past: Past, rng: random.Random) -> str:
    if not space.knobs:
        return "edit"
    words = [row.word for row in past.rows]
    if "accepted" not in words:
        shares = EXPLORE
    else:
        since = words[::-1].index("accepted")
        shares = PURSUE if since < DRY_AFTER else REFINE
    kind = rng.choices(KINDS, shares)[0]
    return "step" if kind == "edit" and not space.edits else kind


def _draw(kind: str, space: Space, past: Past, beliefs: _Beliefs, rng: random.Random) -> list[_Change]:
    if kind == "edit":
        edit = rng.choice(space.edits) if space.edits else None
        changes = [_Change(edit.path, edit.spans, edit.what)] if edit else []
        if space.knobs and rng.random() < 0.3:
            changes += _step(space.knobs, beliefs, rng)
        return changes
    if kind == "follow":
        return _follow(space.knobs, past, beliefs, rng) or _step(space.knobs, beliefs, rng)
    return _wide(space.knobs, beliefs, rng) if kind == "wide" else _step(space.knobs, beliefs, rng)


def _moved(knob: Knob, direction: int, size: float, rng: random.Random) -> list[_Change]:
    text = new_text(knob, direction, size, rng.random())
    if text is None:  # a wall (a count of 1, a share of 0): the other way
        text = new_text(knob, -direction, size)
    return [_set(knob, text)] if text is not None else []


def _set(knob: Knob, text: bytes) -> _Change:
    old = knob.value if isinstance(knob.value, str) else f"{knob.value!r}"
    return _Change(knob.path, ((knob.start, knob.end, text),), f"{knob.name or 'a value'} {old} → {text.decode()}")


def _wide(knobs: Sequence[Knob], beliefs: _Beliefs, rng: random.Random) -> list[_Change]:
    strong = [knob for knob in knobs if knob.weight >= 1.0] or list(knobs)
    count = min(len(strong), rng.choice((2, 2, 3, 3, 4, 6)))
    # Weighted sampling without replacement (Efraimidis and Spirakis 2006).
    order = sorted(strong, key=lambda knob: -(rng.random() ** (1 / knob.weight)))
    changes: list[_Change] = []
    for knob in order[:count]:
        span = WIDE_INT if isinstance(knob.value, int) else WIDE_FLOAT
        changes += _moved(knob, beliefs.direction(knob.key, rng), rng.uniform(*span), rng)
    return changes


def _step(knobs: Sequence[Knob], beliefs: _Beliefs, rng: random.Random) -> list[_Change]:
    weights = [knob.weight / (1 + beliefs.fatigue[knob.key]) for knob in knobs]
    knob = rng.choices(knobs, weights)[0]
    size = beliefs.step[knob.key] * rng.uniform(0.5, 1.3)
    return _moved(knob, beliefs.direction(knob.key, rng), size, rng)


def _follow(knobs: Sequence[Knob], past: Past, beliefs: _Beliefs, rng: random.Random) -> list[_Change]:
    accepted = [row for row in past.rows if row.helped and row.moves]
    if not accepted:
        return []
    moves = list((accepted[-1] if rng.random() < 0.7 else rng.choice(accepted)).moves)
    if len(moves) > 1 and rng.random() < 0.6:
        moves = [rng.choice(moves)]
    known = {knob.key: knob for knob in knobs}
    changes: list[_Change] = []
    for move in moves:
        knob = known.get(move.key)
        if knob is None:
            continue
        direction = direction_of(move.old, move.new) or 1
        if beliefs.slope[move.key] * direction < 0:  # it has failed since: turn round
            direction = -direction
        changes += _moved(knob, direction, beliefs.step[move.key] * rng.uniform(0.3, 1.0), rng)
    return changes


def _singles(space: Space) -> Iterator[tuple[str, _Change]]:
    for knob in space.knobs:
        for size in (0.3, 0.7, 1.2, 2.0):
            for direction in (1, -1):
                for pick in range(max(1, len(knob.choices))):
                    text = new_text(knob, direction, size, pick / max(1, len(knob.choices)))
                    if text is not None:
                        yield "step", _set(knob, text)
    for edit in space.edits:
        yield "edit", _Change(edit.path, edit.spans, edit.what)


def _finish(
    space: Space, past: Past, kind: str, changes: Sequence[_Change], max_lines: int, valid: Callable[[str, bytes], bool]
) -> Candidate | None:
    """The candidate these changes give, if it is new, small enough and well-formed."""
    spans: dict[str, list[Span]] = defaultdict(list)
    what: list[str] = []
    for change in changes:
        if not any(_overlap(a, b) for a in change.spans for b in spans[change.path]):
            spans[change.path] += change.spans
            what.append(change.what)
    new = {path: replace(space.files[path], tuple(found)) for path, found in spans.items() if found}
    new = {path: data for path, data in new.items() if data != space.files[path]}
    after = {**space.files, **new}
    if not new or digest(after) in past.trees:
        return None
    lines = change_of(space.files, after)
    if lines in past.changes or len(lines) > max_lines or not all(valid(path, data) for path, data in new.items()):
        return None
    return Candidate(new, kind, tuple(what))


def _overlap(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]
