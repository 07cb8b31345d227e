"""The plots of the page, as SVG: the same results give the same bytes with the same matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from acceptance.document import PLOTTED
from acceptance.frame import ALPHA, Tables, numbers

matplotlib.use("Agg")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "festina", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.axisbelow": True, "figure.facecolor": "white", "savefig.facecolor": "white",
}  # fmt: skip
OURS, OTHER, WRONG, GRID = "#1f6f8b", "#8a8a8a", "#b3423a", "#dddddd"


def validity(tables: Tables) -> Figure:
    """Rate and 99 % limit of each row, with alpha as a line; mistakes run off the scale."""
    rows = list(tables["validity"])
    figure, axes = _canvas(0.24 * len(rows) + 1.0)
    for y, row in enumerate(reversed(rows)):
        rate, limit = numbers([row], "final")[0], numbers([row], "worst")[0]
        if row["breaks"]:
            axes.plot([min(rate, 0.098)], [y], ">", color=WRONG)
            axes.annotate(
                f"{rate:.2f}", (min(rate, 0.098), y), xytext=(-24, -3), textcoords="offset points", color=WRONG
            )
        else:
            axes.plot([rate, limit], [y, y], color=OURS, linewidth=1.5)
            axes.plot([rate], [y], "o", color=OURS, markersize=4)
    axes.axvline(ALPHA, color=WRONG, linewidth=1)
    axes.set_yticks(range(len(rows)), [str(row["case"]) for row in reversed(rows)])
    axes.set_xlim(-0.001, 0.1)
    axes.set_xlabel("runs with a wrong acceptance, up to the 99 % limit; the line is alpha")
    return figure


def single(tables: Tables) -> Figure:
    """Cost over the bound, by law."""
    rows = list(tables["single"])
    figure, axes = _canvas(0.32 * len(rows) + 1.0)
    for key, mark, color, label in (
        ("first_ratio", "o", OURS, "accept at 0.05/51"), ("last_ratio", "s", OTHER, "accept at 0.0001"),
        ("null_ratio", "D", WRONG, "give up on a change of nothing"),
    ):  # fmt: skip
        axes.plot(numbers(rows, key)[::-1], range(len(rows)), mark, color=color, markersize=5, label=label)
    axes.set_yticks(
        range(len(rows)), [f"{r['law']}, detect {r['detect']:g}, gain {r['gain']:g}" for r in reversed(rows)]
    )
    axes.set_xlim(left=1.0)
    axes.set_xlabel("units over the information bound")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.3, 1.12), ncols=3)
    return figure


def contest(tables: Tables) -> Figure:
    """What a run costs, with what it gains and errs; first stream. Filled: wrong in at most alpha of the runs."""
    name = tables["contest"][0]["stream"]
    rows = [row for row in tables["contest"] if row["stream"] == name]
    figure, axes = _canvas(0.26 * len(rows) + 1.0)
    for y, row in enumerate(reversed(rows)):
        color = OURS if row["source"] == rows[0]["source"] else OTHER
        held = numbers([row], "wrong")[0] <= ALPHA
        axes.plot([numbers([row], "units")[0]], [y], "o", color=color, markerfacecolor=color if held else "none")
        text = f"gain {numbers([row], 'gain')[0]:.2f}, wrong {numbers([row], 'false')[0]:.2f}"
        axes.annotate(text, (1.0, y), xycoords=("axes fraction", "data"), xytext=(6, -3), textcoords="offset points",
                      fontsize=8, color=color if held else WRONG)  # fmt: skip
    axes.set_yticks(range(len(rows)), [str(row["rule"]) for row in reversed(rows)])
    axes.set_xscale("log")
    axes.set_xlabel(f"evaluations a run ({name}); filled: runs with a wrong acceptance are at most 5 %")
    return figure


def attack(tables: Tables) -> Figure:
    """True final gain under boosting, with what the gate's own scores add up to where that fits the scale."""
    rows = [row for row in tables["attack"] if row["attack"] == "boost"]
    main = 2000 if any(row["n"] == 2000 for row in rows) else rows[0]["n"]
    rows = [row for row in rows if row["n"] in (main, None)]
    figure, axes = _canvas(0.3 * len(rows) + 1.0)
    for y, row in enumerate(reversed(rows)):
        gain, seems = numbers([row], "gain")[0], numbers([row], "seems")[0]
        axes.barh(y, gain, color=OURS if row["holds"] else OTHER, height=0.6)
        axes.plot([min(seems, 1.15)], [y], ">" if seems > 1.15 else "|", color=WRONG)
        if seems > 1.15:
            axes.annotate(f"{seems:.1f}", (1.15, y), xytext=(6, -3), textcoords="offset points", color=WRONG)
    axes.axvline(0.8, color=GRID, linewidth=1)
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_yticks(range(len(rows)), [str(row["gate"]) for row in reversed(rows)])
    axes.set_xlim(-0.4, 1.3)
    axes.set_xlabel(
        f"true final gain of .80 under boosting, holdout of {main:,} items; red: as the gate's own scores say"
    )
    return figure


PLOTS: dict[str, Callable[[Tables], Figure]] = dict(zip(PLOTTED, (validity, single, contest, attack), strict=True))


def write(tables: Tables, folder: Path) -> None:
    """One file for each table that has a plot."""
    folder.mkdir(parents=True, exist_ok=True)
    for key in (key for key in PLOTS if key in tables):
        with matplotlib.rc_context(STYLE):
            figure = PLOTS[key](tables)
            figure.savefig(folder / f"acceptance-{key}.svg", bbox_inches="tight", metadata={"Date": None})


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.5, height))
    axes = figure.add_subplot()
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    return figure, axes
