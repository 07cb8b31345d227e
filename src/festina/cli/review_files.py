"""``festina review export | sign | import``: reviewing away from the engine's home, with one file each way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import opened

if TYPE_CHECKING:
    from festina.ledger.entries import Classification

WORDS = ("sound", "scope", "integrity", "capability", "unsure")
_TO = click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here, not to stdout.")


def _write(data: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(data.decode(), nl=False)
    else:
        out.write_bytes(data)
        click.echo(f"Written: {out}", err=True)


@click.command("export")
@click.argument("number", type=int)
@click.option("--as", "reviewer", required=True, help="For whom: an enrolled name.")
@_TO
@click.pass_obj
def export(root: Path, number: int, reviewer: str, out: Path | None) -> None:
    """Write review NUMBER as one file for somebody who cannot read this system; starts their reading time.

    Before a first judgement was brought in it holds the change alone, afterwards the evidence, too.
    """
    from festina.loop import elsewhere

    with opened(root, write=True) as here:
        data = elsewhere.export(here, number, reviewer)
    _write(data, out)


@click.command("sign")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--first", type=click.Choice(WORDS), help="Sign a first judgement.")
@click.option("--cite", default="", help='The line that decided, e.g. "train.py:12".')
@click.option("--answer", default="", help="The question's answer: its words or its number.")
@click.option("--predict", type=click.FloatRange(0, 1), help="Your probability, from 0 to 1.")
@click.option("--decide", type=click.Choice(["approve", "deny"]), help="Sign the decision.")
@click.option("--because", type=click.Choice(WORDS[1:]), default="unsure", show_default=True, help="What is wrong.")
@click.option("--reason", default="", help="Why you decide so.")
@_TO
def sign(
    file: Path, first: Classification | None, cite: str, answer: str, predict: float | None, decide: str | None,
    because: Classification, reason: str, out: Path | None,
) -> None:  # fmt: skip
    """Look at a review that `export` wrote, and sign the next step with your own key. Needs no system and no engine.

    Without --first or --decide it shows the review. What it writes is for `festina review import`.
    """
    from festina.loop import elsewhere

    data = file.read_bytes()
    if first is None and decide is None:
        click.echo(_shown(data))
        return
    if decide is None and first is not None:
        made = elsewhere.sign(data, classification=first, cite=cite, answer=answer, predicted=predict)
    else:
        final: Classification = "sound" if decide == "approve" else because
        made = elsewhere.sign(data, classification=final, approve=decide == "approve", reason=reason)
    _write(made, out)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def import_(root: Path, file: Path) -> None:
    """Take in a step that somebody signed elsewhere, if it may be made now."""
    from festina.loop import elsewhere, reviews

    with opened(root, write=True) as here:
        brought = elsewhere.take_in(here, file.read_bytes())
        reviews.settle(here)
    said = json.loads(brought.statement)["body"]
    step = brought.step.removeprefix("review-")
    click.echo(f"Taken in: {step} by {said['reviewer']}, review {said['review']}.", err=True)


def _shown(data: bytes) -> str:
    """The page in a file, everything in it made visible.  # T-5"""
    from festina.propose.text import rows, visible
    from festina.review.away import unpacked

    terms, reviewer, whole = unpacked(data)
    lines = [f"review {terms.review}, for {visible(reviewer, lines=False)}: generation {terms.generation}"]
    for name, marks in whole.get("marks", {}).items():
        lines.append(f"  look twice: {visible(str(name), lines=False)} ({', '.join(map(str, marks))})")
    lines += [f"--- the change, against {whole['reviewed_name']} ---"]
    lines += rows(whole["patch"])[1:]
    if whole["in_use"]:
        lines += [f"--- the change, against {whole['in_use_name']}, which is in use ---"]
        lines += rows(whole["in_use"])
    if "evidence" not in whole:
        question = whole["question"]
        lines += ["--- before you see any evidence ---", visible(question["text"])]
        lines += [f"  {at}. {visible(choice, lines=False)}" for at, choice in enumerate(question["choices"], 1)]
        lines += [visible(whole["prediction"]), "Sign: --first ... --cite ... --answer ... --predict ..."]
    lines += [visible(str(whole["answered"]), lines=False)] if whole.get("answered") else []
    for section in whole.get("evidence", ()):
        lines += [f"--- {visible(section['title'].lower())} ---", *(visible(line) for line in section["lines"])]
    if sys.stdout.isatty() and "evidence" in whole:
        lines.append("Sign: --decide approve|deny --reason TEXT")
    return "\n".join(lines)
