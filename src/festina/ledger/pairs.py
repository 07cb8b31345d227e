"""Intent before effect, plan before result: a fold over the entries.  # L-3, L-4

An effect without its intent, or other than its intent, raises: no crash explains it. An intent without
its end is a finding: a killed engine leaves one. An intent still open at the end, in a run that has
not ended, is in flight. Not covered: whether the effect (a moved git reference) really happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from festina.ledger.statement import bad


class Finding(NamedTuple):
    """Something to know that does not make the ledger wrong. ``seq`` is -1 when it is about no one entry."""

    seq: int
    what: str


class Pair(NamedTuple):
    end: str
    key: tuple[str, ...]  # fields that tie an end to its intent
    same: tuple[tuple[str, str], ...]  # (field of the end, field of the intent) that must agree


PAIRS: dict[str, Pair] = {
    "run-started": Pair("run-ended", ("run",), ()),
    "proposal-requested": Pair("proposal-received", ("proposal",), ()),
    "test-opened": Pair(
        "verdict", ("test",), (("proposal", "proposal"), ("tree", "tree"), ("base_commit", "base_commit"))
    ),
    "batch-started": Pair("batch-ended", ("test", "batch"), ()),
    "control-started": Pair("control-ended", ("control",), ()),
    "model-asked": Pair("model-answered", ("call",), ()),
    "measure-started": Pair("measure-ended", ("measure",), (("purpose", "purpose"),)),
    "try-started": Pair("try-ended", ("number",), ()),
    "training-started": Pair("training-ended", ("tree",), ()),
    "crossplay-planned": Pair("crossplay-ended", ("crossplay",), ()),
    "arm-started": Pair("arm-ended", ("arm",), ()),
    "line-intent": Pair("line-moved", ("move",), (("commit", "new_commit"), ("generation", "generation"))),
    "release-intent": Pair("released", ("release",), (("commit", "new_commit"), ("generation", "generation"))),
}
ENDS = {pair.end: start for start, pair in PAIRS.items()}

Key = tuple[Any, ...]
Fields = Mapping[str, Any]


@dataclass(slots=True)
class Pairs:
    """Open intents so far, and what was found."""

    findings: list[Finding] = field(default_factory=list)
    _open: dict[Key, tuple[int, Fields]] = field(default_factory=dict)
    _tests: set[int] = field(default_factory=set)  # every test that ever had a plan
    _run_since: int = -1  # entry that opened the run now open

    def see(self, seq: int, kind: str, body: Fields) -> None:
        """The next entry. Raises IntegrityError for an effect without its intent."""
        if kind in PAIRS:
            self._intent(seq, kind, body)
        elif kind in ENDS:
            self._end(seq, kind, body)

    def _key(self, start: str, body: Fields) -> Key:
        return (start, *(body[name] for name in PAIRS[start].key))

    def _say(self, key: Key) -> str:
        names = PAIRS[key[0]].key
        return f"{key[0]} ({', '.join(f'{n} {v}' for n, v in zip(names, key[1:], strict=True))})"

    def _intent(self, seq: int, kind: str, body: Fields) -> None:
        key = self._key(kind, body)
        if kind == "run-started":
            self._cut_off_runs(seq)
        if kind == "batch-started" and ("test-opened", body["test"]) not in self._open:  # L-4
            bad(f"evidence was drawn for test {body['test']}, which has no open plan", "no-plan")
        if kind == "test-opened" and body["test"] in self._tests:  # L-4
            bad(f"test {body['test']} was planned before: a plan stands once", "second-plan")
        if key in self._open:
            self.findings.append(Finding(self._open[key][0], f"{self._say(key)} was cut off and tried again at {seq}"))
        if kind == "test-opened":
            self._tests.add(body["test"])
        self._open[key] = (seq, body)

    def _cut_off_runs(self, seq: int) -> None:
        for key in [k for k in self._open if k[0] == "run-started"]:
            at, _ = self._open.pop(key)
            self.findings.append(Finding(at, f"{self._say(key)} has no end: it was cut off before entry {seq}"))
        self._run_since = seq

    def _end(self, seq: int, kind: str, body: Fields) -> None:
        start = ENDS[kind]
        key = self._key(start, body)
        if key not in self._open:
            bad(f"an effect without its intent: no open {self._say(key)} stands before it", "no-intent")  # L-3
        _, intent = self._open.pop(key)
        for mine, theirs in PAIRS[start].same:
            if body[mine] != intent[theirs]:
                bad(f"its {mine} is not the one that its {start} named", "other-effect")
        if kind == "run-ended":
            self._run_since = -1

    def close(self) -> list[Finding]:
        """All findings, with the intents still open."""
        found = list(self.findings)
        for key, (seq, _) in self._open.items():
            flying = 0 <= self._run_since <= seq or key[0] == "test-opened"
            word = "is in flight" if flying else "has no end: it was cut off"
            found.append(Finding(seq, f"{self._say(key)} {word}"))
        return sorted(found)
