"""Bring a small real system to a yes of ``festina trust`` in all four stages, by commands alone, and show the page.

Everything is done that the page asks for: planted changes and the comparison with itself in a run, two releases that a
person approved, each with a final score and a soak, a roll back, a halt of a run that was going on, a drill. It takes a
root user's box (L3 with users of their own) and, on two busy cores, some fifteen minutes.

    .venv/bin/python scripts/trusted.py FOLDER
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loop.commandline import decide
from tests.toy import GENERATOR, Toy, make_toy

SUITES = """[suite.final]
units = 64
batch = 20

[suite.soak.long]
scorer = "scoring:right"
direction = "higher"
units = 80
batch = 20
max_loss = 0.1
"""


def festina(toy: Toy, *words: str) -> str:
    """What a command says; it has to succeed."""
    began = time.monotonic()
    line = [sys.executable, "-m", "festina", words[0], "-C", str(toy.root), *words[1:]]
    done = subprocess.run(line, env=os.environ | toy.environment, capture_output=True, text=True, check=False)
    sys.stderr.write(f"{time.monotonic() - began:5.0f} s  festina {' '.join(words)}\n")
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def approve(toy: Toy, review: int) -> None:
    done = decide("approve", review, toy)
    if done.returncode:
        raise SystemExit(done.stderr)


def halt_while_it_runs(toy: Toy) -> None:
    """Begin a run, stop it from elsewhere, and sign that it may go on."""
    line = [sys.executable, "-m", "festina", "run", "-C", str(toy.root), "--proposals", "6", "--yes"]
    with subprocess.Popen(line, env=os.environ | toy.environment, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for words in run.stderr:
            if "Proposal" in words:  # it is at work
                break
        time.sleep(3.0)
        festina(toy, "halt", "--reason", "an exercise")
        run.stderr.read()
    festina(toy, "unhalt", "--as", "ann", "--reason", "it was an exercise")


def main(folder: Path) -> int:
    policy = "plant_rate = 0.8\ncontrol_share = 0.3"
    toy = make_toy(folder, skill=0.1, step="0.3", detect=0.2, public=60, extra=SUITES, policy=policy)
    items = folder / "items.py"
    items.write_text(GENERATOR)
    for suite in ("final", "soak.long"):
        festina(toy, "vault", "add", suite, "--generator", str(items))
    festina(toy, "run", "--proposals", "26", "--budget", "30m", "--yes")
    festina(toy, "reviewer", "add", "ann")
    for review in (1, 2):
        approve(toy, review)
        festina(toy, "release", str(review + 1))
    festina(toy, "rollback")  # the third, with the second to spare
    halt_while_it_runs(toy)
    festina(toy, "drill")
    sys.stdout.write(festina(toy, "trust"))
    stages = json.loads(festina(toy, "trust", "--json"))["stages"]
    return 0 if all(stage["answer"] == "yes" for stage in stages[:4]) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
