"""Pictures of simulations and of growth, for people who decide. Imports matplotlib, so ask late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter

from festina.select.normal import TWO_SIDED_2

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from festina.watch.pacing import Outcome, World
    from festina.watch.posterior import Series
    from festina.watch.published import Run

COLOURS = {"none": "#444444", "watch": "#8c564b", "stop-after": "#d62728", "step": "#ff7f0e", "pace": "#1f77b4"}
X_LABEL = {
    "forethought": "doublings of software within four years",
    "ai-2027": "year of superintelligence",
    "metr": "year in which 99 % of AI research is automated",
}


def policies(outcomes: list[Outcome], priors: World, path: Path) -> None:
    """Left: capability that nobody has examined yet, over time. Right: what each rule gains and risks.

    ``outcomes`` with paths. The ending of ``path`` says in which format. Raises ``OSError`` where it cannot be written.
    """
    figure = Canvas(figsize=(11.0, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    weeks = priors.generation_weeks[0]
    limits = sorted({out.rule.limit for out in outcomes if out.rule.kind not in ("none", "watch")})
    for out in outcomes:
        months = (1 + np.arange(len(out.gap_path))) * weeks * 7.0 / 30.4375
        dashes = "--" if out.rule.limit == limits[0] and out.rule.kind in ("stop-after", "step", "pace") else "-"
        colour, at = COLOURS[out.rule.kind], (float(np.median(out.gained)), float(out.harmed.mean()))
        left.plot(months, np.array(out.gap_path)[:, 1], color=colour, linestyle=dashes, label=out.rule.name)
        right.plot(*at, "o", color=colour, markersize=8, fillstyle="none" if dashes == "--" else "full")
        right.annotate(out.rule.name, at, textcoords="offset points", xytext=(9, -3), fontsize=9)
    left.set(
        xlabel="months", ylabel="doublings of capability not yet examined", yscale="log",
        title="How far ahead of understanding\n(at each time, 1 world in 20 is above the line)",
    )  # fmt: skip
    left.legend(frameon=False, fontsize=8, ncols=2, loc=(0.48, 0.62))
    right.set(
        xlabel="doublings of capability gained (middle world)", ylabel="share of worlds with harm",
        title="What is gained, and what is risked\n(harm is invented: only the order means something)",
    )  # fmt: skip
    right.set_ylim(bottom=0.0)
    right.margins(x=0.18)
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish((left, right), figure, path)


def published(found: Run, path: Path) -> None:
    """The share of worlds that have got so far, over years or doublings."""
    figure = Canvas(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    values = np.sort(found.samples)
    share = (1 + np.arange(len(values))) / len(values)
    low, high = np.quantile(values, (0.001, 0.93))
    picked = np.unique(np.linspace(0, len(values) - 1, 2000).astype(int))
    if found.model == "forethought":
        share, high = 1.0 - share, float(values[-1])
    axes.plot(values[picked], share[picked])
    axes.set(
        xlabel=X_LABEL[found.model], xlim=(low, high), ylim=(0, 1), title=f"{found.worlds:,} simulated worlds",
        ylabel="share of worlds that get further" if found.model == "forethought" else "share of worlds by then",
    )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish((axes,), figure, path)


def growth(series: Series, generations: list[int], path: Path) -> None:
    """Measured growth with its errors, and the next ten generations at the usual effort."""
    from festina.watch.forecasts import forecast
    from festina.watch.posterior import fit

    posterior = fit(series)
    draws = forecast(posterior, np.full(10, posterior.unit), 1e-6)
    level = np.cumsum(series.gain)
    error = TWO_SIDED_2 * (series.error if series.levels else np.sqrt(np.cumsum(series.error**2)))
    figure = Canvas(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        [0, *generations], [0.0, *level], yerr=[0.0, *error], fmt="o-", color="#1f77b4", label="measured, 95 %"
    )
    ahead = generations[-1] + np.arange(11)
    for low, high, shade in ((0.05, 0.95, 0.15), (0.25, 0.75, 0.3)):
        band = np.concatenate([[[level[-1]], [level[-1]]], level[-1] + np.quantile(draws, (low, high), axis=1)], axis=1)
        axes.fill_between(ahead, *band, alpha=shade, color="#ff7f0e", linewidth=0, label=f"forecast, {high - low:.0%}")
    axes.set(xlabel="generation", ylabel="doublings since the start", title="How the run has grown, and may go on")
    top = float(np.quantile(draws[-1], 0.75))
    axes.set_ylim(min(0.0, float(level.min())) - 0.1, (float(level[-1]) + max(top, 0.1)) * 1.25)
    axes.legend(loc="upper left", frameon=False)
    _finish((axes,), figure, path)


def _finish(all_axes: tuple[Axes, ...], figure: Canvas, path: Path) -> None:
    for axes in all_axes:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)
