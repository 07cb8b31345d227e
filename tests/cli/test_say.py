"""What a person reads on a terminal: nothing is lost, nothing is broken inside a word, and nothing overflows."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from festina.cli import COMMANDS, FIRST, cli
from festina.cli.common import RUN_BUDGET
from festina.cli.say import QUIET_S, Progress, fit

SOURCES = Path(__file__).resolve().parents[2] / "src/festina"
words = st.lists(st.text("abcdefgh,.", min_size=1, max_size=12), min_size=1, max_size=60)


class Terminal:
    """A standard error that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@given(words, st.integers(20, 120), st.sampled_from(["", "  ", "  metric      ", "  what to do: ", "  - "]))
def test_lines_are_broken_between_words_and_fit(told: list[str], width: int, head: str) -> None:
    shown = fit(head + " ".join(told), width)
    assert shown.split() == (head + " ".join(told)).split()
    assert all(len(row) <= width for row in shown.split("\n"))


@given(words)
def test_a_pipe_gets_each_sentence_as_one_line(told: list[str]) -> None:
    assert fit(" ".join(told), None) == " ".join(told)


def test_a_command_in_backquotes_is_kept_whole() -> None:
    shown = fit("a sentence that comes first, then `festina run -- python train.py`, and more", 40)
    assert "`festina run -- python train.py`," in shown
    assert len(shown.split("\n")) == 3


@pytest.mark.parametrize(("text", "whole"), [
    ("it was done in 2 min 00 s. Next: festina status", "2 min 00 s."), ("of all the runs 12.5 % (and more)", "12.5 %"),
    ("it was done before that in 3 h and more", "3 h"), ("it takes 27 runs or so (27 s to 29 s)", "(27 s"),
])  # fmt: skip
def test_a_number_keeps_its_unit(text: str, whole: str) -> None:
    shown = [fit(text, width) for width in range(20, len(text))]
    assert all(whole in each and "\n" in each for each in shown)


def test_further_lines_begin_below_the_label() -> None:
    for label in ("  metric      ", "  - "):
        rows = fit(label + "word " * 20, 60).split("\n")
        assert len(rows) > 1
        assert all(row.startswith(" " * len(label)) and row[len(label)] != " " for row in rows[1:])


def test_progress_never_takes_a_second_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "40")
    line = Progress()
    for text in ("short", "long " * 30):
        line.at(text)
    line.news("news")
    drawn = screen.text.split("\r\x1b[K")
    assert drawn[1] == "  short"
    assert len(drawn[2]) == 39
    assert drawn[3] == "news\n"


def test_without_a_terminal_progress_is_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    line = Progress(clock=lambda: now[0])
    for _ in range(8):
        line.at("still here")
        now[0] += QUIET_S / 4
    assert capsys.readouterr().err.count("still here") == 1
    line.at("still here")
    assert "still here" in capsys.readouterr().err


def test_the_first_help_page_shows_the_five_and_names_every_command() -> None:
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    assert list(FIRST) == ["calibrate", "run", "status", "drill", "report"]
    places = [shown.index(f"\n  {name} ") for name in FIRST]
    assert places == sorted(places)
    assert set(COMMANDS) <= set(re.findall(r"[a-z]+", shown))
    assert len(shown.splitlines()) <= 30
    every = CliRunner().invoke(cli, ["--all"], terminal_width=80).output
    assert all(f"\n  {name} " in every for name in COMMANDS)


def test_a_misspelt_command_is_told_which_one_was_meant() -> None:
    done = CliRunner().invoke(cli, ["calibrat"])
    assert done.exit_code == 2
    assert "Did you mean 'calibrate'?" in done.output


def test_calibrate_plans_for_the_time_that_a_run_takes_by_default() -> None:
    budgets = []
    for name in ("calibrate", "run"):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        budgets += [each.default for each in command.params if each.name == "budget"]
    assert budgets == [RUN_BUDGET, RUN_BUDGET]


def _spoken(path: Path) -> list[tuple[int, str]]:
    """Every text of a module that somebody could come to read: all strings but docstrings, and commands' docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            decorated = any("command" in ast.dump(each) or "group" in ast.dump(each) for each in (
                node.decorator_list if isinstance(node, ast.FunctionDef) else []
            ))  # fmt: skip
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and not decorated:
                silent.add(id(first.value))
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent
    ]


FORBIDDEN = re.compile(r"\be-(?:process|value)|\bmartingale|\bMerkle|\bDSSE(?!v1)", re.IGNORECASE)


WRITTEN_FOR_MACHINES = (  # names of this package's own objects; files for auditors who check them with other tools
    "ledger/__init__.py", "ledger/copies.py", "report/attest/", "report/oscal/", "report/bundle/",
)  # fmt: skip


def test_nobody_who_knows_five_commands_meets_the_words_that_nobody_needs() -> None:
    """No text of the program has them: no message, no sentence of report or drill, no help. Pages: one explanation."""
    said = {str(path.relative_to(SOURCES)): _spoken(path) for path in sorted(SOURCES.rglob("*.py"))}
    assert sum(len(texts) for texts in said.values()) > 10_000
    found = {name for name, texts in said.items() for _, text in texts if FORBIDDEN.search(text)}
    pages = [p.name for p in sorted(SOURCES.rglob("*.html")) if FORBIDDEN.search(p.read_text(encoding="utf-8"))]
    assert {name for name in found if not name.startswith(WRITTEN_FOR_MACHINES)} == set()
    assert pages == ["ledger.html"]  # of `festina web`, folded, which says what the words mean
    assert FORBIDDEN.search("a Merkle tree")
