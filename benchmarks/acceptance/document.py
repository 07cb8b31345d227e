"""docs/acceptance.md from the results: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acceptance.frame import Goal, Table

PLOTTED = ("validity", "single", "contest", "attack")  # tables with a plot beside them, drawn by ``plots``
HEAD = """# The acceptance benchmark

How often the rule errs, what it costs, and what other rules do on the same draws. Written by
`python benchmarks/acceptance --write-docs` from `benchmarks/results/acceptance.json`, which
`python benchmarks/acceptance --out benchmarks/results/acceptance.json` measures; do not edit. What the rule is and why
it holds: [statistics.md](statistics.md).
"""


def page(result: Mapping[str, Any], tables: Sequence[Table], goals: Sequence[Goal]) -> str:
    """The whole page as Markdown."""
    parts = [HEAD, _run(result), "## Numbers to reach\n", _goals(goals)]
    for table in tables:
        if table.key in result["tables"]:
            rows = result["tables"][table.key]["rows"]
            plot = f"![{table.title}](images/acceptance-{table.key}.svg)\n\n" if table.key in PLOTTED else ""
            parts.append(f"## {table.title}\n\n{table.about}\n\n{plot}{table.markdown(rows)}\n")
    return "\n".join(parts)


def _run(result: Mapping[str, Any]) -> str:
    """Where, when and from what the tables were measured."""
    runs: dict[str, list[str]] = {}
    for key, table in result["tables"].items():
        runs.setdefault(_stamp(table["stamp"]), []).append(key)
    first = next(iter(result["tables"].values()))["stamp"]
    spent = sum(table["stamp"]["cpu_s"] for table in result["tables"].values())
    place = f"{first['cpu']}, {first['cores']} cores, Python {first['python']}, numpy {first['numpy']}, {first['date']}"
    lines = [f"{place}; {spent / 60:,.0f} minutes of processor time, all draws seeded."]
    if len(runs) == 1:
        return f"{lines[0]}\nOne run: {next(iter(runs))}.\n"
    return (
        "\n".join([*lines, "**Not one run**:\n", *(f"- {run}: {', '.join(keys)}" for run, keys in runs.items())]) + "\n"
    )


def _stamp(stamp: Mapping[str, Any]) -> str:
    return f"size `{stamp['size']}`, version {stamp['rule']} of the rule, sources `{stamp['sources'][:12]}`"


def _goals(goals: Sequence[Goal]) -> str:
    lines = ["| number | reached | to reach | |", "|---|---|---|---|"]
    for goal in goals:
        side, reached = "at most" if goal.at_most else "at least", "yes" if goal.reached else "**no**"
        lines.append(f"| {goal.what} | {_plain(goal.value)} | {side} {_plain(goal.limit)} | {reached} |")
    return "\n".join(lines) + "\n"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
