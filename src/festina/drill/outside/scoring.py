"""Read an evaluator's score the way a plain loop would: a JSON object, the last ``name: number`` line, or exit status.

How it is read is decided once, from honest runs, and printed; afterwards every candidate is read in the same way, so
that a forged line counts here exactly when it would count in that loop.

Pure: text in, numbers out. Non-finite numbers are kept, for a drill wants to see them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from festina.propose.guess import direction_of, rank_of

Source = Literal["json", "line", "last number", "verdict", "exit"]
Direction = Literal["higher", "lower"]
_NUMBER = r"[+-]?(?:(?:[0-9][0-9_,]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?|nan|inf(?:inity)?)"
_LINE = re.compile(
    r"[\s>*#|=-]*(?P<name>[A-Za-z][\w ./@()-]{0,60}?)[\s*]*[:=]\s*(?P<value>" + _NUMBER + r")(?![\w.])", re.I
)
_BARE = re.compile(r"\s*(?P<value>" + _NUMBER + r")\s*%?\s*", re.I)
_WORDS = {
    "pass": 1.0, "passed": 1.0, "ok": 1.0, "success": 1.0, "accepted": 1.0, "accept": 1.0, "correct": 1.0, "true": 1.0,
    "fail": 0.0, "failed": 0.0, "failure": 0.0, "error": 0.0, "rejected": 0.0, "reject": 0.0, "wrong": 0.0,
    "incorrect": 0.0, "false": 0.0, "invalid": 0.0,
}  # fmt: skip
_FIRST = ("combined_score", "combined score", "final_score", "final score", "score", "total_score", "overall")


@dataclass(frozen=True)
class Reading:
    """How the score is read: where, under which name, which way is better."""

    source: Source
    name: str
    direction: Direction
    why: str

    @property
    def sign(self) -> float:
        return 1.0 if self.direction == "higher" else -1.0

    def sentence(self) -> str:
        where = {
            "json": f"'{self.name}' of the JSON object that is printed" if self.name else "mean of the JSON numbers",
            "line": f"the last line '{self.name}: number'",
            "last number": "the number on the last line",
            "verdict": "the word on the last line (pass or fail)",
            "exit": "the exit status: 0 passes",
        }[self.source]
        return f"score: {where}, {self.direction} is better ({self.why})"


def choose(text: str, metric: str | None) -> Reading:
    """How to read the score, from what an honest run printed. ``metric``: NAME, NAME:higher or NAME:lower as given."""
    name, way = _given(metric)
    values = last_json(text)
    if values and (not name or name in values):
        chosen = name or pick(values)
        return _reading("json", chosen, way, "as given" if name else "the object names a result")
    lines = named(text)
    if name:
        return _reading("line", name, way, "as given")
    if lines:
        chosen = pick(lines) or list(lines)[-1]
        return _reading("line", chosen, way, "the last line of that form that names a result")
    last = _last(text)
    if _BARE.fullmatch(last):
        return _reading("last number", "", way, "the last line is a bare number")
    if _word(last) is not None:
        return Reading("verdict", "", "higher", "the last line says so")
    return Reading("exit", "", "higher", "no number was printed")


def _given(metric: str | None) -> tuple[str, Direction | None]:
    if not metric:
        return "", None
    name, sep, way = metric.rpartition(":")
    if sep and way in ("higher", "lower"):
        return name, "higher" if way == "higher" else "lower"
    return metric, None


def _reading(source: Source, name: str, way: Direction | None, why: str) -> Reading:
    guessed = direction_of(name) if name else None
    direction: Direction = way or guessed or "higher"
    if not way:
        why += f"; that {direction} is better is " + ("a guess from the name" if guessed else "assumed: --metric")
    return Reading(source, name, direction, why)


def pick(values: Mapping[str, float]) -> str:
    """Which of several numbers is the score; empty when none says so (then their mean is)."""
    lowered = {name.lower(): name for name in values}
    for name in _FIRST:
        if name in lowered:
            return lowered[name]
    told = [name for name in values if direction_of(name)]
    if told:
        return max(enumerate(told), key=lambda each: (*rank_of(each[1]), each[0]))[1]
    return next(iter(values)) if len(values) == 1 else ""


def read(text: str, status: int, reading: Reading, honest_status: int = 0) -> float | None:
    """The score of one run, or ``None``. A failed exit (where honest runs exit with 0) has no score."""
    if reading.source == "exit":
        return 1.0 if status == 0 else 0.0
    if status != honest_status and status != 0:
        return None
    if reading.source == "json":
        return of(last_json(text), reading.name)
    if reading.source == "line":
        return named(text).get(reading.name)
    if reading.source == "verdict":
        return _word(_last(text))
    found = _BARE.fullmatch(_last(text))
    return _float(found["value"]) if found else None


def of(values: Mapping[str, float], name: str) -> float | None:
    if name:
        return values.get(name)
    return sum(values.values()) / len(values) if values else None


def named(text: str) -> dict[str, float]:
    """Numbers of lines ``name: number``, the last of each name, in the order of their last lines."""
    seen: dict[str, float] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found:
            name = found["name"].strip()
            seen.pop(name, None)
            seen[name] = _float(found["value"])
    return seen


def last_json(text: str) -> dict[str, float]:
    """The numbers of the last JSON object in ``text`` that has any: a whole text, a line, or a block at the end."""
    for start in _starts(text):
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start:])
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and (values := flat(found)):
            return values
    return {}


def _starts(text: str) -> list[int]:
    """Where an object may begin: at a line's first brace, the last first."""
    at = [match.start(1) for match in re.finditer(r"^[^\S\n]*(?:[\w .-]+[:=]\s*)?(\{)", text, re.M)]
    return at[::-1][:200]


def flat(found: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    values: dict[str, float] = {}
    for key, value in found.items():
        if isinstance(value, bool | int | float):
            values[prefix + str(key)] = _safe(value)
        elif isinstance(value, dict) and not prefix:
            values |= flat(value, f"{key}.")
    return values


def _safe(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _float(text: str) -> float:
    return _safe(float(text.replace(",", "").replace("_", "")))


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _word(line: str) -> float | None:
    found = [_WORDS[word] for word in re.findall(r"[a-z]+", line.lower()) if word in _WORDS]
    return min(found) if found else None
