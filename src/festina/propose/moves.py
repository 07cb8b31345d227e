"""New values for knobs: how far and in which direction a setting may jump. Pure.

A positive number is moved by a factor (its scale is what is unknown), a share between 0 and 1 on the log-odds
scale, a power of two to another power of two. ``size`` is in natural logarithms: 0.7 doubles, 2.3 is tenfold.
New numbers have two significant digits, so that diffs stay readable.
"""

from __future__ import annotations

import math
import re

from festina.propose.source import Knob

__all__ = ["direction_of", "new_text"]

_SHARE = re.compile(r"(?i)momentum|beta|dropout|gamma|rho|smooth|ema|prob|frac|ratio|mix|keep|share|subsample")
_SMALL = re.compile(r"decay|l1|l2|reg|lam|penalty|eps|noise", re.IGNORECASE)
_LARGEST = 1e12


def new_text(knob: Knob, direction: int, size: float, pick: float = 0.0) -> bytes | None:
    """The literal that replaces ``knob``'s, or ``None`` if this move leads nowhere.

    ``pick`` in [0, 1) chooses among the alternatives of a string.
    """
    value = knob.value
    if isinstance(value, bool):
        lower = knob.path.endswith((".json", ".toml"))
        text = str(not value)
        return (text.lower() if lower else text).encode()
    if isinstance(value, str):
        other = knob.choices[int(pick * len(knob.choices))] if knob.choices else ""
        return b'"' + other.encode() + b'"' if other else None
    new = _integer(value, direction, size) if isinstance(value, int) else _float(knob.name, value, direction, size)
    if new is None or new == value or not abs(new) < _LARGEST:
        return None
    return (str(new) if isinstance(new, int) else _float_text(new)).encode()


def direction_of(old: bytes, new: bytes) -> int:
    """Whether a literal went up (1) or down (-1); 0 where that has no meaning."""
    try:
        before, after = (float(text.replace(b"_", b"")) for text in (old, new))
    except ValueError:
        return 0
    return (after > before) - (after < before)


def _integer(value: int, direction: int, size: float) -> int | None:
    magnitude = abs(value)
    if magnitude == 0:
        return max(1, round(math.expm1(size))) if direction > 0 else None
    outward = direction if value > 0 else -direction
    if magnitude >= 8 and magnitude & (magnitude - 1) == 0:
        exponent = magnitude.bit_length() - 1 + outward * max(1, round(size / math.log(2)))
        return int(math.copysign(2 ** min(max(exponent, 0), 40), value))
    new = round(magnitude * math.exp(outward * size))
    if new == magnitude:
        new += outward
    if new < 1:
        return None
    if new >= 100:
        unit = 10 ** (len(str(new)) - 2)
        new = round(new / unit) * unit
    return int(math.copysign(new, value))


def _float(name: str, value: float, direction: int, size: float) -> float | None:
    if not math.isfinite(value):
        return None
    share = _SHARE.search(name) is not None
    if value == 0.0:
        if share:
            return _two_digits(1 / (1 + math.exp(2.5 - size))) if direction > 0 else None
        if _SMALL.search(name):
            return _two_digits(1e-4 * math.exp(2 * size)) if direction > 0 else None
        return direction * _two_digits(0.01 * math.exp(1.5 * size))
    if 0.0 < value < 1.0 and (share or value > 0.5):
        odds = math.log(value / (1 - value)) + direction * size
        new = 1 / (1 + math.exp(-odds))
        return 1 - _two_digits(1 - new) if new > 0.5 else _two_digits(new)
    outward = direction if value > 0 else -direction
    return math.copysign(_two_digits(abs(value) * math.exp(outward * size)), value)


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def _float_text(value: float) -> str:
    text = f"{value:.10g}"
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}e{int(exponent)}"
    return text if "." in text else f"{text}.0"
