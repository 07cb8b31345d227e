"""What ``festina ledger verify --verdicts`` says: what was made again, and each number that is another one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.say import say

if TYPE_CHECKING:
    from festina.loop.recount import Recount

SHOWN = 20  # wrong numbers on a page for people; --json has them all


def again(where: Path, entries: int, *, quiet: bool) -> Recount:
    """Make the numbers again; where a person watches, say how far it is."""
    from festina.loop.recount import recount

    watched = not quiet and sys.stderr.isatty()

    def tell(seq: int) -> None:
        if watched:
            click.echo(f"\rmaking the numbers again: entry {seq:,} of {entries:,}", nl=False, err=True)

    made = recount(where, tell)
    if watched:
        click.echo("\r" + " " * 70 + "\r", nl=False, err=True)
    return made


def as_dict(made: Recount) -> dict[str, object]:
    return {
        "ok": made.ok,
        "verdicts": made.verdicts,
        "batches": made.batches,
        "mismatches": [row._asdict() for row in made.mismatches],
        "not_made_again": list(made.notes),
        "control_log_evidence": made.control,
        "planted": None if made.caught is None else {"caught": made.caught[0], "judged": made.caught[1]},
    }


def show(made: Recount) -> None:
    """For people: what was made again, then each number that differs."""
    if made.ok:
        say(
            f"ok    {made.verdicts} verdicts made again from {made.batches} batches: every level, difference, "
            "interval, sentence and word is what the entries give",
            err=False,
        )
    for row in made.mismatches[:SHOWN]:
        say(f"WRONG entry {row.seq}, {row.kind}: {row.field} is {_cut(row.recorded)}, and the entries before it "
            f"give {_cut(row.recomputed)}", err=False)  # fmt: skip
    if len(made.mismatches) > SHOWN:
        say(f"      and {len(made.mismatches) - SHOWN} more: --json lists them", err=False)
    if made.caught is not None:
        say(f"      planted changes caught: {made.caught[0]} of {made.caught[1]}", err=False)
    for note in made.notes:
        say(f"note  {note}", err=False)


def _cut(text: str) -> str:
    """Printable, and short enough for a line: a forged sentence is hostile text.  # T-5"""
    plain = text.encode("ascii", "backslashreplace").decode() if text.isprintable() else ascii(text)[1:-1]
    return plain if len(plain) <= 160 else plain[:157] + "..."
