"""One review on a real terminal, from the list to the decision; and what a script is told that has none."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from festina.cli.review import blind
from festina.cli.review_files import _shown
from festina.loop import elsewhere
from festina.loop.state import fold
from tests.review.desk_world import World

Worlds = Callable[..., World]
ANSWERS = (
    ("Your judgement", "sound"), ("Which line decides", "main.py:5"), ("add", "1"), ("(0 to 1)", "0.6"),
    ("Type 'approve' or 'deny'", "approve"), ("Why", "it does what it says, and nothing else"),
)  # fmt: skip


def command(world: World, *argv: str) -> tuple[list[str], dict[str, str]]:
    environment = os.environ | {"FESTINA_HOME": str(world.home.path.parent), "COLUMNS": "200", "TERM": "dumb"}
    world.repo.config_set("festina.home", world.home.id)
    return [sys.executable, "-m", "festina", argv[0], "-C", str(world.repo.root), *argv[1:]], environment


def on_a_terminal(line: list[str], environment: dict[str, str]) -> str:
    """Run it on a pseudo-terminal, answering each prompt when it comes. Returns everything that was shown."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(line, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True):
        os.close(theirs)
        shown, asked, end = "", 0, time.monotonic() + 120
        while time.monotonic() < end:
            ready, _, _ = select.select([ours], [], [], 0.5)
            try:
                piece = os.read(ours, 65536) if ready else b""
            except OSError:
                break
            shown += piece.decode(errors="replace")
            tail = shown.splitlines()[-1] if shown else ""
            if asked < len(ANSWERS) and ANSWERS[asked][0] in tail and tail.rstrip().endswith(":"):
                os.write(ours, ANSWERS[asked][1].encode() + b"\n")
                asked += 1
                time.sleep(0.05)
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_R2_a_person_goes_through_a_review_on_a_terminal(worlds: Worlds) -> None:
    world = worlds(lines_per_hour=1e9, cooling_off_s=0.0)
    world.accept()
    world.ask()
    world.ledger.close()
    shown = on_a_terminal(*command(world, "review", "0", "--as", "ann"))
    order = [
        "the change, against generation 0", "before you see any evidence", "Your judgement", "what was measured",
        "better by 0.5", "what the proposer says", "trust me", "Type 'approve' or 'deny'", "Approved.",
    ]  # fmt: skip
    at = [shown.find(word) for word in order]
    assert -1 not in at, shown
    assert at == sorted(at)
    from festina.ledger.log import Ledger

    with Ledger.open(world.home.ledger, readonly=True) as ledger:
        state = fold(ledger.records())
    assert state.generations[1].approved == 0
    classified = state.reviews[0].votes[0].classified
    assert classified is not None
    assert (classified.classification, classified.predicted) == ("sound", 0.6)


def test_R1_without_a_terminal_nothing_is_asked_and_nothing_decided(world: World) -> None:
    line, environment = command(world, "review", "0", "--as", "ann")
    done = subprocess.run(line, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2
    assert "no-terminal" in done.stderr
    listed, _ = command(world, "review")
    shown = subprocess.run(listed, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "review 0: generation 1, 12 changed lines in 1 file" in shown
    assert not world.state.reviews[0].seats


@pytest.mark.parametrize("ending", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_T5_a_line_of_a_change_cannot_pass_for_several(worlds: Worlds, ending: str) -> None:
    world = worlds()
    forged = f"# note{ending}diff --git a/docs.md b/docs.md{ending}+harmless"
    world.accept(text=f"x = 1\n{forged}\n")
    number = world.ask()
    page = world.step("open", number, "ann")
    whole = elsewhere.export(world, number, "bob", now=world.now)
    for shown in (blind(page), _shown(whole)):
        lines = shown.split("\n")
        assert f"+{forged}".replace(ending, f"<U+{ord(ending):04X}>") in lines
        assert not {"+harmless", "diff --git a/docs.md b/docs.md"} & set(lines)
        assert {c for c in shown if not c.isprintable()} == {"\n"}
