"""``festina run`` as a process of its own, with a demo-only key in a person's place that approves whatever waits.

For the examples whose improver changes: nothing changed proposes before it is approved. A ledger with a demo key can
never release anything. With a person it is ``festina run --review-wait 8h`` and, in another terminal, ``festina
review``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from festina.cli.words import told
from festina.ledger.log import Ledger
from festina.ledger.signing import LocalKey
from festina.loop import acts, reviews
from festina.loop.state import State, fold
from festina.system import home as homes
from festina.system.home import Home
from festina.system.repo import Repo
from festina.verify.vault import Vault

REVIEWER = "demo"


def settle(folder: Path) -> Path:
    """The folder, made, with the engine's home and the demo key's in it."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["FESTINA_HOME"], os.environ["FESTINA_REVIEWER_KEYS"] = str(folder / "home"), str(folder / "reviewer")
    return folder


def prepare(folder: Path, source: Path, generator: Path, change: Callable[[Path], None] | None = None) -> Path:
    """A repository in FOLDER with a copy of the system, and its vault. What is there already stays.

    ``change`` may edit the copy before its first commit.
    """
    root = folder / "system"
    if not root.exists():
        shutil.copytree(source, root, ignore=shutil.ignore_patterns("__pycache__"))
        if change is not None:
            change(root)
        git = ["git", "-C", str(root), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "Generation 0")):
            subprocess.run([*git, *words], check=True)
        home = homes.ensure(Repo.discover(root), folder.name)
        Vault(home.vault).add_generator("hidden", generator)
    return root


def run(folder: Path, options: Sequence[str]) -> State:
    """Run with these options of ``festina run`` and approve what waits; goes on where it was stopped."""
    root = folder / "system"
    repo = Repo.discover(root)
    home = homes.find(repo)
    assert home is not None
    argv = [sys.executable, "-m", "festina", "run", "-C", str(root), "--demo", "--review-wait", "10m", *options]
    with (folder / "loop.log").open("a") as log:
        engine = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while not home.ledger.exists() and engine.poll() is None:
            time.sleep(0.5)
        if not home.ledger.exists():
            said = (folder / "loop.log").read_text().strip().splitlines()[-4:]
            sys.exit("\n".join(["the engine did not start:", *said]))
        with Ledger.open(home.ledger, signers={"engine": LocalKey.load(home.key("engine"), "engine")}) as ledger:
            _watch(ledger, repo, home, engine)
            return fold(ledger.records())


def _watch(ledger: Ledger, repo: Repo, home: Home, engine: subprocess.Popen[bytes]) -> None:
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
            reviews.at_once(
                reviews.Place(repo, home, ledger, state), review.terms.review, REVIEWER, approve=True,
                reason="demo: approved without a person, so that the next generation may propose",
            )  # fmt: skip
        over = engine.poll() is not None
        time.sleep(0.5)
        fresh = ledger.refresh()


def file_of(folder: Path, commit: str, path: str) -> bytes:
    """A file of one commit of the system."""
    show = ["git", "-C", str(folder / "system"), "show", f"{commit}:{path}"]
    return subprocess.run(show, capture_output=True, check=True).stdout
