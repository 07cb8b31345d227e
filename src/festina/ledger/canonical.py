"""Canonical JSON: one value, one sequence of bytes.

Keys sorted by code point, no spaces, UTF-8 without escapes that are not needed, no NaN or infinity, floats as
their shortest exact decimal. Two readers that agree on a value agree on its bytes, so a hash names the value.

``parse_strict`` reads hostile JSON; ``parse_canonical`` reads JSON that must have been written by
``canonical`` and refuses every other spelling of the same value. Both raise ``IntegrityError``.
Not covered: RFC 8785 number formatting (``1e16`` and friends differ from JavaScript's); only Festina reads it back.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from festina.errors import IntegrityError

MAX_INT_DIGITS = 40  # no field of ours is longer; longer ones are attacks on int()


# check_circular off: a cycle ends in RecursionError instead of ValueError, and each call is a third cheaper
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def canonical(obj: object) -> bytes:
    """The bytes of ``obj``. Raises ``ValueError`` or ``TypeError`` for what JSON cannot say exactly."""
    return _ENCODER.encode(obj).encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, a ValueError


def _refuse(what: str) -> NoReturn:
    raise IntegrityError("bad-json", f"this is not acceptable JSON: {what}")


def _int(text: str) -> int:
    if len(text) > MAX_INT_DIGITS:
        _refuse(f"an integer of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0.0:  # 1e999 reads as infinity, and inf - inf is nan
        _refuse("a number beyond the range of a float")
    return value


def _constant(text: str) -> NoReturn:
    _refuse(text)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("a key that stands twice in one object")
    return found


_STRICT = json.JSONDecoder(
    parse_int=_int, parse_float=_float, parse_constant=_constant, object_pairs_hook=_pairs, strict=True
)


def _depth(text: str, limit: int) -> None:
    """Refuse nesting beyond ``limit`` before the parser recurses into it."""
    level, quoted, escaped = 0, False, False
    for char in text:
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char in "[{":
            level += 1
            if level > limit:
                _refuse(f"nesting deeper than {limit}")
        elif char in "]}":
            level -= 1


def parse_strict(data: bytes, *, max_bytes: int, max_depth: int) -> object:
    """Parse hostile JSON.  # T-3

    Refuses: more than ``max_bytes`` or ``max_depth``, invalid UTF-8, a byte order mark, NaN and infinities,
    numbers beyond a float, integers of more than 40 digits, a key twice, lone surrogates, trailing data.
    """
    if len(data) > max_bytes:
        _refuse(f"{len(data)} bytes where {max_bytes} are the most")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(f"byte {error.start} is not UTF-8")
    if data.count(b"[") + data.count(b"{") > max_depth:  # the exact count is slow: only where it can matter
        _depth(text, max_depth)
    try:
        value: object = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"{error.msg} at character {error.pos}")
    except RecursionError:
        _refuse("nesting deeper than the parser")
    if "\\u" in text:
        _no_surrogates(value)
    return value


def _no_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _refuse("half of a surrogate pair")


def parse_canonical(data: bytes) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Parse bytes that ``canonical`` must have written; any other spelling is refused as a forgery.  # L-2"""
    try:
        value = json.loads(data)
        same = canonical(value) == data
    except (ValueError, RecursionError) as error:
        raise IntegrityError("not-canonical", f"not readable as canonical JSON ({type(error).__name__})") from None
    if not same:
        raise IntegrityError("not-canonical", "JSON that is not written in the one canonical way")
    return value
