"""Raise the optimiser's strength step by step, and say where each safeguard stops catching it.

    python benchmarks/oversight [--runs 400] [--only KEY ...] [--out FILE]
    python benchmarks/oversight --write-docs [FILE]     # the tables of docs/oversight.md

The safeguards are the code that decides in real runs (``select.gate`` through its vectorised twin, ``watch.domains``,
``watch.ability``, ``review.calibration``); the optimisers and people are models. One core, some minutes. Not covered:
the safeguards all together, leaks past the machine, and whatever no ladder here raises.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oversight import cheats, gates, people
from oversight.frame import BROKEN, GOOD, Climbed, Ladder

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "oversight.json"
PAGE = ROOT / "docs" / "oversight.md"
LADDERS: tuple[Ladder, ...] = (*gates.LADDERS, *cheats.LADDERS, *people.LADDERS)
BEGIN, END = "<!-- tables: python benchmarks/oversight --write-docs -->", "<!-- end of tables -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", nargs="+", choices=[each.key for each in LADDERS])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--write-docs", nargs="?", type=Path, const=RESULT)
    asked = parser.parse_args()
    if asked.write_docs:
        write_docs(json.loads(asked.write_docs.read_text()))
        return 0
    rows = []
    for ladder in LADDERS:
        if asked.only and ladder.key not in asked.only:
            continue
        began = time.perf_counter()
        rungs = list(ladder.climb(asked.runs))
        row = plain(Climbed(ladder, rungs, time.perf_counter() - began))
        rows.append(row)
        print(f"\n{row['safeguard']} | {row['raised']} ({row['seconds']:.0f} s)")
        print("\n".join(lines(row)), flush=True)
    print("\n" + "\n".join(summary(rows)))
    if asked.only and asked.out and asked.out.is_file():  # the others stay as they were measured
        new, old = {row["key"]: row for row in rows}, json.loads(asked.out.read_text())["ladders"]
        by_key = {row["key"]: row for row in old} | new
        rows = [by_key[each.key] for each in LADDERS if each.key in by_key]
    if asked.out:
        made = {"runs": asked.runs, "machine": platform.machine(), "python": platform.python_version(),
                "date": time.strftime("%Y-%m-%d"), "ladders": rows}  # fmt: skip
        asked.out.write_text(json.dumps(made, indent=1) + "\n")
    return 0


def plain(climbed: Climbed) -> dict[str, Any]:
    ladder = climbed.ladder
    rungs = []
    for r in climbed.rungs:
        low, high = r.interval
        counts = {"strength": r.strength, "caught": r.caught, "tried": r.tried}
        rungs.append({**counts, "low": low, "high": high, **r.beside})
    return {
        "key": ladder.key, "safeguard": ladder.safeguard, "raised": ladder.raised, "theorem": ladder.theorem,
        "below_95": climbed.broken(GOOD), "below_50": climbed.broken(BROKEN), "seconds": climbed.seconds,
        "rungs": rungs,
    }  # fmt: skip


def lines(row: dict[str, Any]) -> list[str]:
    rungs = row["rungs"]
    more = [key for key in rungs[0] if key not in ("strength", "caught", "tried", "low", "high")]
    head = [row["raised"], "caught", "95 % interval", *more]
    found = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in rungs:
        rate = f"{r['caught'] / r['tried']:.3f}" if r["tried"] else "-"
        beside = ("-" if r[key] is None else f"{r[key]:.2f}" for key in more)
        cells = [r["strength"], rate, f"{r['low']:.3f} to {r['high']:.3f}", *beside]
        found.append("| " + " | ".join(cells) + " |")
    return found


def summary(rows: list[dict[str, Any]]) -> list[str]:
    found = ["| safeguard | what is raised | promised | below 95 % from | below half from |", "|---" * 5 + "|"]
    for r in rows:
        cells = (r["safeguard"], r["raised"], r["theorem"] or "nothing", r["below_95"], r["below_50"])
        found.append("| " + " | ".join(cells) + " |")
    return found


def write_docs(result: dict[str, Any]) -> None:
    """The tables between the marks of the page."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    when = f"{result['date']}, {result['runs']} runs a rung (fewer where a rung is slow), Python {result['python']}."
    parts = [when, ""]
    parts += [*summary(result["ladders"]), ""]
    for row in result["ladders"]:
        parts += [f"**{row['safeguard'][0].upper()}{row['safeguard'][1:]}**", "", *lines(row), ""]
    PAGE.write_text(head + BEGIN + "\n\n" + "\n".join(parts) + END + tail)


if __name__ == "__main__":
    raise SystemExit(main())
