"""Places in source text that the built-in search may change, as byte spans.  # P-3

A ``Knob`` is one value: a number, a truth value, or a string that is one of several choices seen elsewhere
in the file. An ``Edit`` is a structural change, already worked out as replacements of spans. Since every
change replaces spans, all other bytes of a file stay as they are.

Never offered, so that the search does not chase luck or soften its own measure: anything that looks like a
seed, a metric, an evaluation or a held-out split, and whatever stands in ``print``, ``assert`` or ``raise``.
That is a courtesy and no defence: the gate is the defence.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Edit", "Knob", "Span", "config_knobs", "knob_key", "literals", "measures", "replace", "weight_of"]

Span = tuple[int, int, bytes]  # start, end, replacement
Key = tuple[str, str, int]  # path, line with its literals blanked out, which literal in the line
Value = bool | int | float | str

LITERAL = re.compile(
    rb"""(?P<comment>\#.*)
    | (?P<string>[A-Za-z]{0,2}(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    | (?P<number>(?<![\w.])(?:(?<![\w)\]}"'.])(?<![\w)\]}"'.]\ )-)?  # a sign, unless it subtracts
        (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<truth>\b(?:True|False|true|false)\b)
    | (?P<word>[A-Za-z_]\w*)""",
    re.VERBOSE,
)
_MEASURES = re.compile(
    r"seed|(^|_)(eval|evaluate|evaluation|metric|metrics|score|scorer|scoring|scores|grade|grader|judge|benchmark|accuracy|acc|test|tests|val|valid|"
    r"validation|holdout|heldout|report|verbose|debug|log|logging|print|version|port|timeout|device|path|precision)(_|$)"
)
_TUNABLE = re.compile(
    r"(^|_)(lr|eta|rate|learning|momentum|epochs?|steps?|iters?|iterations?|rounds?|batch|hidden|width|depth|layers?|"
    r"heads?|dims?|units|dropout|decay|l1|l2|reg|lam|lambda|alpha|beta\d?|gamma|rho|tau|temp|temperature|warmup|clip|init|"
    r"scale|std|sigma|noise|eps|epsilon|threshold|tol|trees|estimators|leaf|neighbors|neighbours|k|c|penalty|population|"
    r"mutation|restarts|schedule|optimizer|activation|window|order|degree|features)(_|$)"
)


@dataclass(frozen=True, slots=True)
class Knob:
    """One value that may be changed. ``weight``: how promising its place and name are."""

    path: str
    start: int
    end: int
    name: str
    value: Value
    weight: float
    key: Key
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """A structural change of one file. ``what`` is shown to people."""

    path: str
    spans: tuple[Span, ...]
    what: str


def measures(name: str) -> bool:
    """Whether a name looks like a seed or a part of the measurement."""
    return _MEASURES.search(_snake(name)) is not None


def weight_of(name: str, place: float) -> float:
    """``place`` is the weight of where the value stands; well-known names count double."""
    return place * (2.0 if _TUNABLE.search(_snake(name)) else 1.0)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def replace(data: bytes, spans: tuple[Span, ...]) -> bytes:
    """``data`` with every span replaced; spans must not overlap."""
    out: list[bytes] = []
    at = 0
    for start, end, new in sorted(spans):
        if start < at:
            raise ValueError("overlapping spans")
        out += (data[at:start], new)
        at = end
    return b"".join((*out, data[at:]))


def literals(line: bytes) -> tuple[str, list[tuple[int, bytes]]]:
    """A line's skeleton with literals blanked out, and (offset, text) of each literal."""
    found: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    at = 0
    for match in LITERAL.finditer(line):
        if match.lastgroup in ("comment", "word"):
            continue
        found.append((match.start(), match[0]))
        parts += (line[at : match.start()], b"\0")
        at = match.end()
    skeleton = b"".join((*parts, line[at:])).strip()
    return skeleton.decode("utf-8", "replace"), found


def knob_key(path: str, data: bytes, start: int) -> Key | None:
    """A name for the value at ``start`` that survives changes of value and of line number."""
    left = data.rfind(b"\n", 0, start) + 1
    right = data.find(b"\n", start)
    skeleton, found = literals(data[left : right if right >= 0 else len(data)])
    for index, (offset, _) in enumerate(found):
        if left + offset == start:
            return path, skeleton, index
    return None


def config_knobs(path: str, data: bytes) -> Iterator[Knob]:
    """Numbers and truth values that are leaves of a JSON or TOML file."""
    try:
        before = parse_config(path, data)
    except ValueError:
        return
    name = ""
    for match in LITERAL.finditer(data):
        text = match[0]
        following = data[match.end() : match.end() + 40].lstrip(b" \t")[:1]
        if match.lastgroup in ("word", "string") and following in (b":", b"="):
            name = text.decode("utf-8", "replace").strip("\"'")
        if match.lastgroup not in ("number", "truth") or measures(name):
            continue
        value = _config_value(text)
        key = knob_key(path, data, match.start())
        if value is None or key is None or not _is_leaf(path, data, match.span(), text, before):
            continue
        yield Knob(path, *match.span(), name, value, weight_of(name, 3.0), key)


def _config_value(text: bytes) -> Value | None:
    if text in (b"true", b"false"):
        return text == b"true"
    try:
        return int(text) if re.fullmatch(rb"-?\d+", text) else float(text)
    except ValueError:
        return None


def _is_leaf(path: str, data: bytes, span: tuple[int, int], text: bytes, before: object) -> bool:
    """Whether replacing the token changes the parsed value (dates, keys and comments do not pass)."""
    other = {b"true": b"false", b"false": b"true"}.get(text, b"1" + text.lstrip(b"-"))
    try:
        after = parse_config(path, replace(data, ((*span, other),)))
    except ValueError:
        return False
    return after != before and _shape(after) == _shape(before)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__


def parse_config(path: str, data: bytes) -> object:
    """Raises ``ValueError`` for a file that cannot be read."""
    try:
        text = data.decode("utf-8")
        value: object = tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value
