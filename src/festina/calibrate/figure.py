"""The power curve as a picture: how likely a gain of each size is to be accepted. Imports matplotlib, so ask late."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from festina.calibrate.values import Forecast


def power_curve(forecast: Forecast, path: Path) -> None:
    """Draw it to ``path``; the ending says in which format. Raises ``OSError`` where it cannot be written."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    gains = [point.gain for point in forecast.curve]
    axes.plot(gains, [point.first for point in forecast.curve], "o-", label="first test of a ledger")
    axes.plot(gains, [point.later for point in forecast.curve], "o--", label="50th test")
    axes.axhline(0.8, linewidth=0.8, color="0.6")
    axes.set(
        xlabel=f"true gain in {forecast.name}" + (" (lower is better)" if forecast.lower else ""),
        ylabel="chance of acceptance", ylim=(-0.02, 1.02),
        title=f"At most {forecast.units_max:,} pairs of runs, {forecast.run_s:.2g} s a run",
    )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)
