"""How numbers are written in a report: one rule for all pages."""

from __future__ import annotations

from math import isfinite

MINUS = "−"


def num(value: float | None, digits: int = 3) -> str:
    """``value`` with ``digits`` decimals where it is small, fewer where it is large, thousands set apart."""
    if value is None:
        return "–"
    if not isfinite(value):
        return "not finite"
    size = abs(value)
    decimals = digits if size < 100 else 1 if size < 10_000 else 0
    if 0 < size < 10**-digits or size >= 1e9:
        return f"{value:.1e}".replace("-", MINUS)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else ("+" if value > 0 else "") + num(value, digits)


def between(interval: tuple[float, float] | None, digits: int = 3) -> str:
    """``0.034 to 0.088``"""
    return "" if interval is None else f"{num(interval[0], digits)} to {num(interval[1], digits)}"


def percent(share: float | None, digits: int = 2) -> str:
    if share is None:
        return "–"
    text = f"{share * 100:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def times(log_value: float | None) -> str:
    """A natural logarithm of evidence as the factor that it is: ``1,240`` or, beyond a million, ``10^9``."""
    if log_value is None or not isfinite(log_value):
        return "–"
    if log_value > 13.8:
        return f"10^{log_value / 2.302585092994046:.0f}"
    factor = pow(2.718281828459045, log_value)
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def short(oid: str) -> str:
    return oid[:10]


def count(number: int, one: str, many: str = "") -> str:
    """``1 step``, ``4 steps``, ``1,200 items``"""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def plain(value: float) -> str:
    """A declared constant as it was declared: ``0.05``, ``8``."""
    return f"{value:,.6g}".replace("-", MINUS)


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
