"""``festina report case``: why a release is acceptable, checked against the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import put, time_of
from festina.cli.documents import Source

if TYPE_CHECKING:
    from festina.report.case.check import Checked

DOES_NOT_HOLD = 3


@click.command()
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A case of your own (TOML).")
@click.option("--format", "form", type=click.Choice(["text", "ltac", "svg", "json"]), default="text", show_default=True,
              help="Words, LTAC lines, a GSN picture, or one JSON object.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("-"),
              help="Where to write it; default: standard output.")  # fmt: skip
@click.option("--at", help="Judge as of this time, with time zone; default: now.")
@click.pass_obj
@click.pass_context
def case(ctx: click.Context, source: Source, file: Path | None, form: str, out: Path, at: str | None) -> None:
    """The safety case of the release: claims, evidence, what speaks against it; 3 where it does not hold.

    Evidence is what `festina trust` finds, or what a person states: festina report state safety-case NODE.
    """
    from festina.report.case.forms import FORMS

    checked = _checked(source, file, at)
    text = FORMS[form](checked)
    put(text, out)
    click.echo(f"{checked.top.state}: {len(checked.problems)} nodes stand in the way", err=True)
    ctx.exit(0 if checked.top.state == "holds" else DOES_NOT_HOLD)


def _checked(source: Source, file: Path | None, at: str | None) -> Checked:
    from datetime import UTC, datetime

    from festina.cli import trust
    from festina.report.case.check import check
    from festina.report.case.model import load
    from festina.report.trust.judging import judge

    now = time_of(at) or datetime.now(UTC)
    made = load(file)
    found = trust.examined(source.path(), now=now)
    return check(made, judge(found), found.people, now.date())
