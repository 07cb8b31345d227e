"""What can be made again of the entries about outside loops: sums, contradictions, and whether a claim came out.

Not made again: what was read from files that are not in the record (its findings stand on the engine's word), and the
scores of runs here (their answers are not stored).
"""

from __future__ import annotations

from collections.abc import Callable

from festina.ledger import entries as e
from festina.ledger.outside import Word
from festina.loop.foreign.examining import Before, within
from festina.loop.foreign.folding import Loop, details, tell
from festina.loop.state import State
from festina.select.reproduced import reproduced

Row = tuple[str, str, str]  # field, recorded, recomputed


def check(s: State, body: object, blob: Callable[[str], bytes], at: str) -> list[Row]:
    """What does not follow from the entries before it. ``s`` is the state before this entry."""
    if isinstance(body, e.HistoryRead):
        return _reading(s, body, blob, at)
    if isinstance(body, e.HistoryChecked):
        return _checked(s, body, blob)
    return []


def _reading(s: State, b: e.HistoryRead, blob: Callable[[str], bytes], at: str) -> list[Row]:
    rows, findings = details(blob(b.details))
    loop = s.foreign.loops.get(b.loop, Loop(b.loop))
    before = tell(loop, blob)
    counts = tuple((kind, sum(f.kind == kind for f in findings)) for kind in sorted({f.kind for f in findings}))
    known = len({row.key for row in rows} | set(before.rows))
    gone = sum(f.kind == "withdrawn" for f in findings)
    told = Before(before.rows, loop.last.at if loop.readings else "")
    again = within(rows, told, at, b.metric.rpartition(":")[2])
    recorded = {(each.kind, each.key) for each in (*findings, *(each for _, each in before.findings))}
    missing = [f for f in again if (f.kind, f.key) not in recorded]
    pairs = (
        ("rows", b.rows, len(rows)), ("known", b.known, known), ("gone", b.gone, gone),
        ("findings", b.findings, counts),
    )  # fmt: skip
    found = [(name, str(said), str(made)) for name, said, made in pairs if said != made]
    return found + [("findings", f"without {f.kind} of {f.key!a}", f.words) for f in missing[:20]]


def _checked(s: State, b: e.HistoryChecked, blob: Callable[[str], bytes]) -> list[Row]:
    loop = s.foreign.loops.get(b.loop)
    if loop is None:
        return []  # the fold refuses it
    row = next((r for told in tell(loop, blob).rows.values() for r in told if r.digest == b.generation), None)
    word: Word = reproduced(b.claimed, b.decimals, b.values)
    found: list[Row] = [] if word == b.word else [("word", b.word, word)]
    if row is None:
        return [*found, ("generation", b.generation, "none of the claims that were read")]
    claim = (row.score, row.decimals)
    return found if claim == (b.claimed, b.decimals) else [*found, ("claimed", str(b.claimed), str(row.score))]
