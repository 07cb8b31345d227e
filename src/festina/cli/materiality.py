"""``festina report determine|confirm``: which changes are material, and the documents that have to be done first."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from festina.cli.common import opened
from festina.errors import UsageError
from festina.ledger.material import Trigger

if TYPE_CHECKING:
    from festina.cli.documents import Source


@click.command()
@click.argument("generation", type=int)
@click.option("--material/--not-material", default=None, help="Is its change material?")
@click.option("--trigger", "triggers", multiple=True, type=click.Choice(get_args(Trigger)),
              help="By which of the five triggers; repeatable.")  # fmt: skip
@click.option("--text", required=True, help="Why: it is signed.")
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.pass_obj
def determine(
    source: Source, generation: int, material: bool | None, triggers: tuple[Trigger, ...], text: str, reviewer: str
) -> None:
    """Judge, signed, whether the change of GENERATION is material (Code of Practice, Measure 7.6).

    A material change is not released before the update of the Model Report was confirmed.
    """
    from festina.loop import stating

    if material is None or material != bool(triggers):
        raise UsageError(
            "no-judgement", "say whether the change is material, and a material one by what",
            fix="--material --trigger capabilities, or --not-material",
        )  # fmt: skip
    with opened(source.root, write=True) as here:
        person = stating.Person(here.ledger, here.state, here.home, reviewer)
        record = stating.determine(person, generation, triggers, text=text)
    click.echo(f"entry {record.seq}: generation {generation} is {'' if material else 'not '}material, by {reviewer}")
    if material:
        click.echo("Next: festina report document eu.model-report-update; when it is complete, confirm it", err=True)


@click.command()
@click.argument("name")
@click.option("--generation", type=int, required=True, help="The generation that is to be released.")
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.pass_obj
def confirm(source: Source, name: str, generation: int, reviewer: str) -> None:
    """Sign document NAME as it stands now, for the release of a generation. A draft cannot be confirmed."""
    from festina.cli.documents import Desk
    from festina.loop import stating
    from festina.report.law.documents import as_json, heading

    with opened(source.root, write=True) as here:
        made = Desk(here.ledger).made(name, None)
        if made.state != "complete":
            raise UsageError(
                "document-draft", heading(made),
                fix=f"festina report state {name} {(made.missing or made.contradictions)[0]} --text WORDS --as NAME",
            )  # fmt: skip
        person = stating.Person(here.ledger, here.state, here.home, reviewer)
        record = stating.confirm(person, name, generation, as_json(made).encode())
    click.echo(f"entry {record.seq}: {name} is confirmed for generation {generation} by {reviewer}")
