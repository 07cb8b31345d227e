"""The real loop with approvals, then whether recursion paid: ``python loop.py FOLDER [--budget 30m]``.

Makes FOLDER with a copy of the system, a home and the vault, runs ``festina run`` there with a demo-only key that
approves each grown language (``approved_loop.py``), and then ``festina growth --control`` (the same loop again with
generation 0's improver, same charges) and ``festina growth --crossplay`` (both improvers on the same fresh problems).
Their answers are FOLDER/control.json and FOLDER/crossplay.json. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import approved_loop  # noqa: E402


def growth(folder: Path, name: str, options: list[str]) -> None:
    """``festina growth --NAME``, whose answer is kept."""
    if (folder / f"{name}.json").exists():
        return
    line = [sys.executable, "-m", "festina", "growth", "-C", str(folder / "system"), f"--{name}", "--json", *options]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        (folder / f"{name}.json").write_text(done.stdout)
    print(f"{name} (exit {done.returncode}): {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="30m", help="time for the loop")
    parser.add_argument("--proposals", type=int, default=8)
    parser.add_argument("--workers", type=int, default=0, help="trials at once; 0: one for each core")
    parser.add_argument("--problems", type=int, default=12, help="of the cross-play")
    options = parser.parse_args()
    place = approved_loop.settle(options.folder)
    approved_loop.prepare(place, HERE / "system", HERE / "vault" / "generator.py")
    asked = {"--budget": options.budget, "--proposals": options.proposals, "--workers": options.workers}
    approved_loop.run(place, [str(word) for pair in asked.items() for word in pair])
    growth(place, "crossplay", ["--problems", str(options.problems)])
    growth(place, "control", ["--budget", options.budget])
