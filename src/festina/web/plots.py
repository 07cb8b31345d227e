"""Small plots as SVG, made on the server: they need no script, and each says in words what it shows.

A script of ours may lay a plot with a cursor over one (``data-`` attributes hold the numbers); without it nothing is
lost but the cursor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, isfinite, log, log10

from festina.report.markup import Html, el
from festina.report.numerals import MINUS, between, count, num, signed, times

WIDTH, HEIGHT = 640, 170
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 14, 30
LN10 = log(10.0)
Scale = Callable[[float], float]
POINTS = 600  # of a path on a page


def _odds(log: float) -> str:
    """Evidence in words, as the page's own plot has it: 20 to 1, or 1 to 3."""
    return f"{times(log)} to 1" if log >= 0.0 else f"1 to {times(-log)}"


def evidence(path: Sequence[float], needed: float, *, accepted: bool | None) -> Html | None:
    """How the evidence for "better" grew with each pair of runs, and how much acceptance needs."""
    finite = [value if isfinite(value) else 0.0 for value in path]
    if not finite or not isfinite(needed):
        return None
    every = max(1, len(finite) // POINTS)
    xs = [0, *range(every, len(finite) + 1, every)]
    ys = [0.0 if x == 0 else finite[x - 1] / LN10 for x in xs]
    goal = needed / LN10
    low, high = min(0.0, max(min(ys), -3.0)), max(goal, *ys) * 1.08 + 0.05
    x, y = _scales(0, max(xs), low, high)
    points = " ".join(f"{x(a):.1f},{y(max(b, low)):.1f}" for a, b in zip(xs, ys, strict=True))
    tone = {True: "good", False: "poor", None: "other"}[accepted]
    ticks = [t for t in range(int(low), int(high) + 1) if high - low < 5 or t % 2 == 0]
    said = (
        f"Evidence that it is better, after each of {count(len(finite), 'pair')} of runs: now {_odds(finite[-1])}; "
        f"acceptance needs {_odds(needed)}."
    )
    svg = _svg(
        said,
        *(_rule(y(t), f"{10**t:,}" if t >= 0 else f"1/{10**-t:,}") for t in ticks),
        el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_r(y(goal)), y2=_r(y(goal)), cls="needed"),
        el("text", "needed", x=LEFT + 6, y=_r(y(goal) - 5), cls="said"),
        el("polyline", points=points, cls=f"curve s-{tone}"),
        el("circle", cx=_r(x(xs[-1])), cy=_r(y(max(ys[-1], low))), r=4, cls=f"f-{tone}"),
        *_axis(x, max(xs), "pairs of runs"),
    )
    data = {"tone": tone, "x": xs, "y": [round(v, 4) for v in ys], "needed": round(goal, 4)}
    return el("figure", el("div", svg, cls="plot", data_evidence=json.dumps(data)), el("figcaption", said))


def steps(rows: Sequence[tuple[int, float, tuple[float, float] | None]]) -> Html | None:
    """What each accepted generation gained over the one before it, with its interval."""
    if not rows:
        return None
    ends = [v for _, e, i in rows for v in (e, *(i or ()))]
    low, high = min(0.0, *ends), max(0.0, *ends)
    pad = (high - low or 1.0) * 0.08
    x, y = _scales(rows[0][0] - 0.5, rows[-1][0] + 0.5, low - pad, high + pad)
    marks = []
    for number, estimate, interval in rows:
        at = _r(x(number))
        if interval is not None:
            marks.append(el("line", x1=at, x2=at, y1=_r(y(interval[0])), y2=_r(y(interval[1])), cls="bar s-good"))
        marks.append(el("circle", cx=at, cy=_r(y(estimate)), r="4.5" if len(rows) < 40 else "2.5", cls="f-good"))
    last = rows[-1]
    said = (
        f"Gain of each of {count(len(rows), 'accepted generation')} over the one before it, with 95 % intervals; the "
        f"last, generation {last[0]}: {signed(last[1])}" + (f" ({between(last[2])})." if last[2] else ".")
    )
    ticks = sorted({low, 0.0, high})
    names = [n for n, *_ in rows][:: max(1, len(rows) // 12)]
    svg = _svg(
        said,
        *(_rule(y(t), num(t, 2)) for t in ticks),
        *marks,
        *(el("text", str(n), x=_r(x(n)), y=HEIGHT - BOTTOM + 16, cls="tick mid") for n in names),
    )
    return el("figure", el("div", svg, cls="plot"), el("figcaption", said))


Row = Mapping[str, float]  # generation, level, low, high


def growth(measured: Sequence[Row], ahead: Sequence[Row]) -> Html:
    """Doublings since the start by generation with 95 % limits, and the forecast as a fan (5 to 95 %)."""
    every = max(1, len(measured) // POINTS)
    rows = [*measured[:-1:every], measured[-1]]
    fan = [{**measured[-1], "low": measured[-1]["level"], "high": measured[-1]["level"]}, *ahead] if ahead else []
    drawn = [*rows, *fan]
    last = drawn[-1]["generation"]
    low, high = min(0.0, *(r["low"] for r in drawn)), max(0.1, *(r["high"] for r in drawn))
    x, y = _scales(0, last, low, high + 0.05 * (high - low))
    now = measured[-1]
    said = (
        f"Doublings since the start, over {count(len(measured) - 1, 'measured generation')}: "
        f"{_two(now['level'])} ({_two(now['low'])} to {_two(now['high'])}, 95 %)"
    )
    if ahead:
        end = ahead[-1]
        said += (
            f"; foreseen for generation {end['generation']:.0f}: {_two(end['level'])} ({_two(end['low'])} to "
            f"{_two(end['high'])}, 90 %)"
        )
    svg = _svg(
        f"{said}.",
        *(_rule(y(t), num(t, 0 if high >= 4 else 1)) for t in _ticks(low, high)),
        el("polygon", points=_band(rows, x, y), cls="band f-good"),
        el("polygon", points=_band(fan, x, y), cls="band f-other") if fan else None,
        el("polyline", points=_line(rows, x, y), cls="curve s-good"),
        el("polyline", points=_line(fan, x, y), cls="curve s-other needed") if fan else None,
        *_axis(x, int(last), "generation"),
    )
    names = ("generation", "level", "low", "high")
    parts = {"measured": rows, "ahead": fan}
    data = {part: {n: [round(r[n], 4) for r in found] for n in names} for part, found in parts.items()}
    return el("figure", el("div", svg, cls="plot", data_growth=json.dumps(data)), el("figcaption", f"{said}."))


def _two(value: float) -> str:
    return f"{value + 0.0:.2f}".replace("-", MINUS)


def _band(rows: Sequence[Row], x: Scale, y: Scale) -> str:
    edge = [*((r["generation"], r["high"]) for r in rows), *((r["generation"], r["low"]) for r in reversed(rows))]
    return " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in edge)


def _line(rows: Sequence[Row], x: Scale, y: Scale) -> str:
    return " ".join(f"{x(r['generation']):.1f},{y(r['level']):.1f}" for r in rows)


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers from ``low`` to ``high``."""
    wide = (high - low) / 4
    unit = 10.0 ** floor(log10(wide))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= wide)
    return [step * n for n in range(ceil(low / step), floor(high / step) + 1)]


def meter(share: float, words: str) -> Html:
    """A bar for a share from 0 to 1, with what it means in words."""
    used = _r(max(0.0, min(1.0, share)) * 100)
    return el(
        "svg",
        el("rect", x=0, y=0, width=100, height=6, cls="rail"),
        el("rect", x=0, y=0, width=used, height=6, cls="full" if share >= 1 else "fill"),
        cls="meter", viewbox="0 0 100 6", preserveaspectratio="none", role="img", aria_label=words,
    )  # fmt: skip


def interval(low: float, high: float, at: float | None, words: str) -> Html:
    """A share between 0 and 1 with its interval on a rail."""
    dot = el("rect", x=_r(at * 100 - 1), y=0, width=2, height=6, cls="full") if at is not None else None
    bar = el("rect", x=_r(low * 100), y=1, width=_r((high - low) * 100), height=4, cls="fill")
    return el(
        "svg", el("rect", x=0, y=2, width=100, height=2, cls="rail"), bar, dot, cls="meter", viewbox="0 0 100 6",
        preserveaspectratio="none", role="img", aria_label=words,
    )  # fmt: skip


def _scales(x0: float, x1: float, y0: float, y1: float) -> tuple[Scale, Scale]:
    """From values to places in the picture."""
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return (
        lambda v: LEFT + wide * (v - x0) / ((x1 - x0) or 1),
        lambda v: TOP + tall * (1 - (v - y0) / ((y1 - y0) or 1)),
    )


def _r(value: float) -> str:
    return f"{value:.1f}"


def _svg(said: str, *parts: Html | None) -> Html:
    return el("svg", *parts, viewbox=f"0 0 {WIDTH} {HEIGHT}", cls="chart", role="img", aria_label=said)


def _rule(at: float, words: str) -> Html:
    line = el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_r(at), y2=_r(at), cls="grid")
    return Html(line + el("text", words, x=LEFT - 7, y=_r(at + 4), cls="tick end"))


def _axis(x: Scale, most: int, words: str) -> list[Html]:
    base = HEIGHT - BOTTOM + 16
    ends = [
        el("text", "0", x=_r(x(0)), y=base, cls="tick mid"),
        el("text", f"{most:,}", x=_r(x(most)), y=base, cls="tick end"),
    ]
    return [*ends, el("text", words, x=_r(x(most / 2)), y=base, cls="tick mid")]
