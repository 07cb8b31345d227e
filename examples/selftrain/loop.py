"""The real loop from generation 0 on, and what came of each generation: ``python loop.py FOLDER [--budget 2h]``.

Makes FOLDER with a copy of the system, a home and the vault, and runs ``festina run`` there. Each generation's weights
teach the next, so each needs approval before it proposes; here a demo-only key approves, and such a ledger can never
release anything. With a person in its place the loop is ``festina run --review-wait 8h`` and ``festina review``.

At the end every accepted generation answers fresh problems of each length (``accuracy`` in ``base.py``), and
FOLDER/generations.jsonl holds the result. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "system")]

from festina.cli.words import told  # noqa: E402
from festina.ledger.log import Ledger  # noqa: E402
from festina.ledger.signing import LocalKey  # noqa: E402
from festina.loop import acts  # noqa: E402
from festina.loop.state import State, fold  # noqa: E402
from festina.system import home as homes  # noqa: E402
from festina.system.home import Home  # noqa: E402
from festina.system.repo import Repo  # noqa: E402
from festina.verify.vault import Vault  # noqa: E402

REVIEWER = "demo"


def prepare(folder: Path, first: str = "none") -> Path:
    """A repository with generation 0, whose recipe names the filter ``first``, and the vault's generator."""
    root = folder / "system"
    if not root.exists():
        shutil.copytree(HERE / "system", root, ignore=shutil.ignore_patterns("__pycache__"))
        recipe = root / "recipe.json"
        recipe.write_text(recipe.read_text().replace('"filter": "none"', f'"filter": "{first}"'))
        git = ["git", "-C", str(root), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "Generation 0: six digits")):
            subprocess.run([*git, *words], check=True)
        home = homes.ensure(Repo.discover(root), "selftrain")
        Vault(home.vault).add_generator("hidden", HERE / "vault" / "generator.py")
    return root


def run(folder: Path, budget: str, proposals: int, first: str) -> State:
    """``festina run`` as a process of its own, and an approval for whatever waits for one."""
    root = prepare(folder, first)
    argv = [sys.executable, "-m", "festina", "run", "-C", str(root), "--demo", "--review-wait", "10m"]
    repo = Repo.discover(root)
    home = homes.find(repo)
    assert home is not None
    with (folder / "loop.log").open("a") as log:
        engine = subprocess.Popen(
            [*argv, "--budget", budget, "--proposals", str(proposals)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        while not home.ledger.exists() and engine.poll() is None:
            time.sleep(0.5)
        if not home.ledger.exists():
            said = (folder / "loop.log").read_text().strip().splitlines()[-4:]
            sys.exit("\n".join(["the engine did not start:", *said]))
        with Ledger.open(home.ledger, signers={"engine": LocalKey.load(home.key("engine"), "engine")}) as ledger:
            watch(ledger, repo, home, engine)
            return fold(ledger.records())


def watch(ledger: Ledger, repo: Repo, home: Home, engine: subprocess.Popen[bytes]) -> None:
    """Say what happens; approve what waits."""
    state, over, fresh = State(), False, list(ledger.records())
    while True:
        for record in fresh:
            state.apply(record)
            if line := told(record, state):
                print(line, flush=True)
        if over:
            return
        if state.epoch is not None and REVIEWER not in state.reviewers:
            acts.enrol(ledger, state, home, REVIEWER, demo=True)
        for review in state.waiting:
            acts.decide(
                ledger, state, repo, home, review.terms.review, REVIEWER, approve=True,
                reason="demo: approved without a person, so that the next generation may propose",
            )  # fmt: skip
        over = engine.poll() is not None
        time.sleep(0.5)
        fresh = ledger.refresh()


def measure(folder: Path, state: State) -> None:
    """Each accepted generation on fresh problems."""
    from base import accuracy
    from model import load

    rows = []
    for number in state.line:
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch) / "weights.safetensors"
            commit = state.generations[number].commit
            show = ["git", "-C", str(folder / "system"), "show"]
            weights.write_bytes(
                subprocess.run([*show, f"{commit}:weights.safetensors"], capture_output=True, check=True).stdout
            )
            recipe = json.loads(
                subprocess.run([*show, f"{commit}:recipe.json"], capture_output=True, check=True).stdout
            )
            model = load(weights)
        found = {str(digits): accuracy(model, digits, 300) for digits in range(5, 21)}
        rows.append({"generation": number, "filter": recipe["filter"], "reach": recipe["reach"], "accuracy": found})
        print(rows[-1], flush=True)
    (folder / "generations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="2h", help="time for the loop")
    parser.add_argument("--proposals", type=int, default=40)
    parser.add_argument("--first", default="none", help="the filter that generation 0's recipe names")
    options = parser.parse_args()
    place = options.folder.absolute()
    place.mkdir(parents=True, exist_ok=True)
    os.environ["FESTINA_HOME"], os.environ["FESTINA_REVIEWER_KEYS"] = str(place / "home"), str(place / "reviewer")
    measure(place, run(place, options.budget, options.proposals, options.first))
