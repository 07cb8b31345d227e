"""What a person reads on a terminal: sentences broken between words, and one line that is written over.

Only where it goes to a terminal; a file or a pipe gets each sentence as one line, as ``grep`` wants it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable

import click

NARROW = 20  # columns: below that nothing is broken between words any more
QUIET_S = 60.0  # where nothing can be written over, the line of progress comes so often
_LABEL = re.compile(r" *(?:- |\S+(?: \S+){0,2} {2,}|what to do: )?")
_PIECE = re.compile(  # what stands in backquotes is to be copied whole, and a number keeps its unit
    r"`[^`]*`\S*|\(?\d[\d.,]* (?:h|min|s|%)(?!\w)(?: \d+ (?:min|s)(?!\w))?\S*|\S+"
)


def columns(*, err: bool = True) -> int | None:
    """Width of the terminal behind standard error (or output); None where there is none. ``COLUMNS`` goes first."""
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def fit(text: str, width: int | None) -> str:
    """``text`` with its lines broken between words at ``width`` columns; further lines begin below the first word
    after a label (two blanks end one). A word that is longer than a line stays whole."""
    if width is None or width < NARROW:
        return text
    return "\n".join(_fitted(line, width) for line in text.split("\n"))


def _fitted(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    label = _LABEL.match(line)
    assert label is not None  # it matches nothing, too
    head = label[0] if len(label[0]) <= width // 2 else ""
    rows, row = [], head
    for piece in _PIECE.findall(line[len(head):]):
        blank = "" if row.isspace() or row in ("", head) else " "
        if blank and len(row) + 1 + len(piece) > width:
            rows.append(row)
            row, blank = " " * len(head), ""
        row += blank + piece
    return "\n".join([*rows, row])


def say(text: str, *, err: bool = True) -> None:
    """A message for a person, on standard error; with ``err=False`` an answer, on standard output."""
    click.echo(fit(text, columns(err=err)), err=err)


class Wordy(click.Group):
    """A group whose commands' lines of help are told whole, not cut off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.commands[name].get_short_help_str(1000)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Progress:
    """A line that says where a job stands: written over on a terminal, elsewhere told once a minute."""

    def __init__(self, label: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """``label`` stands before each message. ``clock``: seconds."""
        self._label = label
        self._clock = clock
        self._live = sys.stderr.isatty()
        self._open = False
        self._told = clock()

    def at(self, text: str) -> None:
        """Where the job stands now."""
        if self._live:
            width = columns() or 80
            line = f"  {self._label}{text}"
            line = line if len(line) < width else f"{line[: max(0, width - 2)]}…"
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
            self._open = True
        elif self._clock() - self._told >= QUIET_S:
            self.news(f"  {text}")

    def news(self, text: str) -> None:
        """A message that stays."""
        self.end()
        say(self._label + text)
        self._told = self._clock()

    def end(self) -> None:
        """Nothing more to come."""
        if self._open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._open = False
