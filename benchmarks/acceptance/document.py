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
    stamps = {key: table["stamp"] for key, table in result["tables"].items()}
    first = next(iter(stamps.values()))
    lines = [
        f"{first['cpu']}, {first['cores']} cores, Python {first['python']}, numpy {first['numpy']}, {first['date']}."
    ]
    if len({(s["sources"], s["size"]) for s in stamps.values()}) > 1:
        runs: dict[str, list[str]] = {}
        for key, s in stamps.items():
            runs.setdefault(f"size `{s['size']}`, {s['date']}, sources `{s['sources'][:12]}`", []).append(key)
        lines.append("**Not one run**:\n")
        lines += [f"- {run}: {', '.join(keys)}" for run, keys in runs.items()]
    else:
        lines.append(f"One run of size `{first['size']}`; sources `{first['sources'][:12]}`; all draws are seeded.")
    return "\n".join(lines) + "\n"


def _goals(goals: Sequence[Goal]) -> str:
    lines = ["| number | reached | to reach | |", "|---|---|---|---|"]
    for goal in goals:
        side, reached = "at most" if goal.at_most else "at least", "yes" if goal.reached else "**no**"
        lines.append(f"| {goal.what} | {_plain(goal.value)} | {side} {_plain(goal.limit)} | {reached} |")
    return "\n".join(lines) + "\n"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
