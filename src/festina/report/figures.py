"""The plots of a report as SVG text. The only module that imports matplotlib.  # C-4

The same data give the same bytes with the same matplotlib: ids come from a fixed salt, no dates, no version
string, text stays text, coordinates are rounded. Colours leave here as class names, so that the page's own
style (light, dark, print) paints them and no element carries a style of its own: the page's content policy
forbids those. Everything drawn is a number or a word of Festina's own, never a proposer's text.  # C-2, T-5
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from math import ceil, isfinite, log
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from festina.report.data import FinalRow, ReportData, TestRow
from festina.report.markup import Html, raw
from festina.report.numerals import count, percent

INK, MUTED, GRID, GOOD, POOR, OTHER = "#000011", "#000012", "#000013", "#000014", "#000015", "#000016"
_CLASS = {INK: "ink", MUTED: "muted", GRID: "grid", GOOD: "good", POOR: "poor", OTHER: "other"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "festina", "text.parse_math": False, "font.size": 10.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GRID, "axes.labelcolor": MUTED,
    "axes.titlesize": 10.5, "axes.titlelocation": "left", "axes.titlecolor": INK, "text.color": INK,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.major.size": 0, "ytick.major.size": 0,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "axes.linewidth": 0.8, "lines.solid_capstyle": "round", "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip
WIDTH_IN = 9.6
PATHS_SHOWN = 12
CHANGES_SHOWN = 3
NAMED = 6  # more generations than this are numbered without the word
LN10 = log(10)


def progress(data: ReportData) -> Html | None:
    """Score of every judged candidate in order; the working line as steps; held-out scores as diamonds."""
    judged = [t for t in data.judged if t.candidate_mean is not None]
    epoch = data.epoch
    if not judged or epoch is None:
        return None
    first, last = min(t.proposal for t in judged) - 1.0, max(t.proposal for t in judged) + 0.6
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas(3.7)
        start = next((t.incumbent_mean for t in judged if t.base_generation == 0), judged[0].incumbent_mean)
        accepted = {g.proposal: g.generation for g in data.line if g.proposal is not None}
        xs, ys = ([first], [start]) if start is not None else ([], [])
        for test in judged:
            number = accepted.get(test.proposal)
            label = "" if number is None else f"generation {number}" if len(accepted) <= NAMED else str(number)
            _candidate(axes, test, label, _sign(data))
            if test.proposal in accepted:
                xs.append(float(test.proposal))
                ys.append(test.candidate_mean or 0.0)
        axes.step([*xs, last], [*ys, ys[-1] if ys else 0.0], where="post", color=GOOD, linewidth=1.4)
        axes.plot(xs, ys, "o", color=GOOD, markersize=6)
        place = {g.generation: first if g.proposal is None else float(g.proposal) for g in data.line}
        _held_out(axes, data, place, (last - first) / 90)
        axes.set_xlim(first - 0.5, last + 0.2)
        axes.margins(y=0.16)
        axes.set_xlabel("proposal, in order; the starting point comes first")
        axes.set_ylabel(f"{epoch.suite.name} score ({epoch.suite.direction} is better)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xticks([tick for tick in axes.get_xticks() if first < tick < last])
        title = "Score of each candidate by proposal number; accepted generations form a step line"
        return _svg(figure, "progress", title)


def _candidate(axes: Axes, test: TestRow, label: str, sign: int) -> None:
    """An accepted candidate has a label and an interval; any other one is a cross."""
    x, y = float(test.proposal), test.candidate_mean or 0.0
    if not label:
        axes.plot([x], [y], "x", color=MUTED, markersize=5, markeredgewidth=1.1)
        return
    if test.interval is not None and test.estimate is not None:
        low, high = (y + sign * (bound - test.estimate) for bound in test.interval)
        axes.plot([x, x], [low, high], "-", color=GOOD, linewidth=2, alpha=0.55)
    axes.annotate(label, (x, y), (-6, 5), textcoords="offset points", ha="right", fontsize=9)


def _sign(data: ReportData) -> int:
    """Differences are oriented (positive is better), scores are not."""
    return -1 if data.epoch and data.epoch.suite.direction == "lower" else 1


def _held_out(axes: Axes, data: ReportData, place: dict[int, float], aside: float) -> None:
    for final in data.finals:
        for generation, mean in ((final.generation_a, final.mean_a), (final.generation_b, final.mean_b)):
            if generation in place:
                x = place[generation] + aside
                axes.plot([x], [mean], "D", color=OTHER, markersize=5.5)
                if generation == final.generation_a:
                    low, high = (final.mean_b + _sign(data) * bound for bound in final.interval)
                    axes.plot([x, x], [low, high], "-", color=OTHER, linewidth=1.2)


def evidence(data: ReportData) -> Html | None:
    """One small picture a test: how the evidence for "better" grew, and how much was needed."""
    chosen = chosen_paths(data)
    if not chosen:
        return None
    columns = min(4, len(chosen))
    rows = ceil(len(chosen) / columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, 0.25 + 1.75 * rows), layout="constrained")
        for i, test in enumerate(chosen):
            axes = figure.add_subplot(rows, 4, i // columns * 4 + i % columns + 1)
            _one_path(axes, test, first=i % columns == 0)
            if i // columns == rows - 1:
                axes.set_xlabel("units of evidence", fontsize=9)
        return _svg(figure, "evidence", "Evidence against what was needed, one panel a test")


def chosen_paths(data: ReportData) -> Sequence[TestRow]:
    """Every accepted test and the newest others, at most ``PATHS_SHOWN``, in order."""
    judged = [t for t in data.judged if t.path]
    accepted = [t for t in judged if t.verdict == "accept"][-PATHS_SHOWN:]
    others = [t for t in judged if t.verdict != "accept"]
    room = PATHS_SHOWN - len(accepted)
    return sorted([*accepted, *(others[-room:] if room else [])], key=lambda t: t.test)


def _one_path(axes: Axes, test: TestRow, *, first: bool) -> None:
    accepted = test.verdict == "accept"
    xs = list(range(len(test.path) + 1))
    ys = [0.0, *(value / LN10 if isfinite(value) else 0.0 for value in test.path)]
    needed = test.log_threshold / LN10 if isfinite(test.log_threshold) else 0.0
    axes.axhline(needed, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "needed", (0.02, needed), (0, 2.5), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8.5
    )
    axes.plot(xs, ys, color=GOOD if accepted else POOR, linewidth=1.7)
    axes.plot(xs[-1:], ys[-1:], "o" if accepted else "X", color=GOOD if accepted else POOR, markersize=5)
    bottom = max(min(ys), -3.0)
    axes.set_ylim(bottom - 0.25, max(needed, *ys) + 0.65)
    ticks = [t for t in range(ceil(bottom), int(max(needed, *ys)) + 1) if t % 2 == 0 or needed < 2.5]
    axes.set_yticks(ticks, [_factor(t) for t in ticks], fontsize=8.5)
    axes.tick_params(axis="x", labelsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_title(
        {"accept": "accepted", "reject": "rejected"}.get(test.verdict or "", "inconclusive")
        + f", proposal {test.proposal}",
        fontsize=9.5,
    )
    if first:
        axes.set_ylabel("evidence", fontsize=9)


def _factor(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"1/{10**-power:,}"


def budget(data: ReportData) -> Html | None:
    """The error budget after each verdict: what is left, and what tests have used up for good."""
    epoch = data.epoch
    tests = [t for t in data.judged if epoch and t.epoch == epoch.epoch and t.alpha_left is not None]
    if epoch is None or not tests:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas(2.1)
        xs = [*(float(i) for i in range(len(tests) + 1)), len(tests) + 0.4]
        left = [epoch.alpha, *(t.alpha_left or 0.0 for t in tests), tests[-1].alpha_left or 0.0]
        gone = [epoch.alpha - value for value in left]
        axes.fill_between(xs, gone, step="post", color=POOR, alpha=0.35, linewidth=0)
        axes.fill_between(xs, gone, [epoch.alpha] * len(xs), step="post", color=GOOD, alpha=0.18, linewidth=0)
        axes.step(xs, gone, where="post", color=POOR, linewidth=1.6)
        for y, word, value in ((gone[-1] / 2, "spent", gone[-1]), ((gone[-1] + epoch.alpha) / 2, "left", left[-1])):
            axes.annotate(
                f"{word} {percent(value)}",
                (xs[-1], y),
                (6, 0),
                textcoords="offset points",
                va="center",
                annotation_clip=False,
            )
        axes.set_xticks([tick for tick in MaxNLocator(integer=True).tick_values(0, xs[-1]) if tick < xs[-1]])
        axes.set_xlim(0, xs[-1] * 1.16)  # room for the words
        axes.set_ylim(0, epoch.alpha)
        axes.grid(visible=False)  # it would run through the words
        axes.set_yticks([0, epoch.alpha / 2, epoch.alpha], [percent(v) for v in (0, epoch.alpha / 2, epoch.alpha)])
        axes.set_xlabel("verdicts, in order")
        axes.set_ylabel("error budget")
        return _svg(
            figure,
            "budget",
            f"Error budget of {percent(epoch.alpha)}: spent {percent(gone[-1])}, left {percent(left[-1])}",
        )


def outcomes(data: ReportData) -> Html | None:
    """How many proposals ended how."""
    counts = data.outcomes()
    if not counts:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas(0.3 + 0.25 * len(counts))
        names = list(counts)[::-1]
        values = [counts[name] for name in names]
        axes.barh(
            range(len(names)),
            values,
            height=0.5,
            color=[GOOD if n == "accepted" else POOR if n == "rejected" else MUTED for n in names],
        )
        axes.set_yticks(range(len(names)), names)
        for i, value in enumerate(values):
            axes.annotate(f"{value:,}", (value, i), (5, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, max(values) * 1.6)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        total = count(len(data.proposals), "proposal")
        return _svg(figure, "outcomes", f"{total} by outcome")


def arms(rows: Sequence[tuple[str, FinalRow]]) -> Html | None:
    """Held-out differences of several arms, each with its interval, on one scale."""
    if not rows:
        return None
    with matplotlib.rc_context({**_STYLE, "axes.grid.axis": "x"}):
        figure, axes = _canvas(0.75 + 0.42 * len(rows))
        for i, (_, final) in enumerate(reversed(rows)):
            axes.plot(list(final.interval), [i, i], "-", color=GOOD if i == len(rows) - 1 else MUTED, linewidth=2.4)
            axes.plot([final.estimate], [i], "o", color=GOOD if i == len(rows) - 1 else MUTED, markersize=7)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("difference on held-out items, positive is better")
        return _svg(figure, "arms", "Held-out difference of each arm with its interval")


def growth(data: ReportData) -> Html | None:
    """Capability by generation, in doublings since the start, with its limits."""
    if len(data.growth) < 2:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas(2.9)
        xs = [float(each.generation) for each in data.growth]
        low, high = [each.low for each in data.growth], [each.high for each in data.growth]
        axes.fill_between(xs, low, high, color=GOOD, alpha=0.18, linewidth=0)
        axes.plot(xs, [each.level for each in data.growth], "o-", color=GOOD, linewidth=1.6, markersize=4.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("generation")
        axes.set_ylabel("doublings since the start")
        last = data.growth[-1]
        label = f"{last.level:.2f} doublings up to generation {last.generation} ({last.low:.2f} to {last.high:.2f})"
        return _svg(figure, "growth", label)


def reviewers(data: ReportData) -> Html | None:
    """The share of planted mistakes that each person saw through, with its interval."""
    rows = data.calibrated
    if not rows:
        return None
    with matplotlib.rc_context({**_STYLE, "axes.grid.axis": "x"}):
        figure, axes = _canvas(0.8 + 0.36 * len(rows))
        for y, each in enumerate(rows):
            colour = GOOD if each.authority else POOR
            axes.plot([each.low, each.high], [y, y], "-", color=colour, linewidth=2, alpha=0.6)
            axes.plot([each.hits / each.trials], [y], "o", color=colour, markersize=5)
        axes.set_yticks(range(len(rows)), [f"{each.reviewer} ({each.hits} of {each.trials})" for each in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        return _svg(figure, "reviewers", f"Planted mistakes seen through by {count(len(rows), 'person', 'people')}")


# -- canvas and clean-up ------------------------------------------------------------------------------


def attribution(data: ReportData) -> Html | None:
    """The effect of every hunk of the newest attributed changes; hunks by number, their names are a proposer's."""
    shown = [(a, i, h) for a in data.attributions[-CHANGES_SHOWN:] for i, h in enumerate(a.hunks, 1)]
    if not shown:
        return None
    with matplotlib.rc_context(_STYLE | {"axes.grid.axis": "x"}):
        figure, axes = _canvas(0.7 + 0.27 * len(shown))
        axes.axvline(0.0, color=INK, linewidth=1)
        colours = {"helps": GOOD, "harms": POOR}
        for y, (_, _, hunk) in enumerate(shown):
            colour = colours.get(hunk.verdict, MUTED)
            if hunk.effect is None:
                axes.annotate("needed", (0.0, y), (6, 0), textcoords="offset points", va="center", color=MUTED)
                continue
            axes.plot(hunk.effect[1:], [y, y], "-", color=colour, linewidth=2, alpha=0.6)
            axes.plot([hunk.effect[0]], [y], "o", color=colour, markersize=5)
        axes.set_yticks(range(len(shown)), [f"generation {a.generation}, hunk {i}" for a, i, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel("better by")
        return _svg(figure, "attribution", f"Effect of {count(len(shown), 'hunk')} with intervals")


def _canvas(height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str, label: str) -> Html:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    root = ET.fromstring(out.getvalue())
    _clean(root, name, frozenset(_USED.findall(out.getvalue())))
    for unwanted in ("width", "height", "version"):
        root.attrib.pop(unwanted, None)
    root.set("class", "plot")
    root.set("role", "img")
    root.set("aria-label", label)
    return raw(ET.tostring(root, encoding="unicode"))


_NUMBER = re.compile(r"-?\d+\.\d+")
_USED = re.compile(r'(?:href="|url\()#([\w.-]+)')
_REFERENCE = re.compile(r"#([\w.-]+)")
_PLACES = frozenset({"d", "x", "y", "width", "height", "transform", "points", "viewBox"})


def _clean(element: ET.Element, figure: str, used: frozenset[str]) -> None:
    """No namespaces, colours as classes, two decimals, and only ids that are used, marked with the figure's name."""
    element.tag = element.tag.rpartition("}")[2]
    for child in list(element):
        if child.tag.rpartition("}")[2] in {"metadata", "style"}:
            element.remove(child)
        else:
            _clean(child, figure, used)
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        plain = key.rpartition("}")[2]
        if plain == "style":
            _unstyle(element, value)
        elif plain == "id":
            if value in used:
                element.set("id", f"{figure}-{value}")
        elif plain in {"href", "clip-path"}:
            element.set(plain, _REFERENCE.sub(rf"#{figure}-\1", value))
        else:
            element.set(plain, _NUMBER.sub(_rounded, " ".join(value.split())) if plain in _PLACES else value)
    element.text = element.text.strip() if element.text else None
    element.tail = None


def _unstyle(element: ET.Element, style: str) -> None:
    """A style attribute as presentation attributes, its colours as classes for the page's own style."""
    classes = []
    for part in style.split(";"):
        key, _, value = (word.strip() for word in part.partition(":"))
        if key in {"fill", "stroke"} and value in _CLASS:
            classes.append(f"{key[0]}-{_CLASS[value]}")
        elif key and key != "font-family":
            element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))


def _rounded(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
