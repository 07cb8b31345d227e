"""``festina artifact``: the trained model of a generation, as it was tested."""

from __future__ import annotations

from pathlib import Path

import click

from festina.cli.common import opened, put_bytes, system_option
from festina.errors import UsageError


@click.command()
@system_option
@click.argument("generation", type=click.IntRange(0), required=False)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="A new folder for its files.")
def command(root: Path, generation: int | None, out: Path | None) -> None:
    """The files that the training of a generation left, as every test had them (default: the version in use).

    Kept where the manifest says train = "once". Without --out they are only named, with their digests.
    """
    with opened(root) as here:
        if not here.state.trained.done:  # an epoch that trains in every trial takes nothing from those before it
            raise UsageError(
                "no-artifacts", "no training of this system is kept",
                fix='train = "once" in [experiment], then festina run --new-epoch "why"', where="festina.toml",
            )  # fmt: skip
        number = here.state.released if generation is None else generation
        number = here.state.line[-1] if number is None else number
        found = here.state.generations.get(number)
        made = here.state.trained.done.get(here.repo.tree_of(found.commit)) if found is not None else None
        if made is None or made.artifact is None:
            raise UsageError("no-artifact", f"no training of a generation {number} is recorded", fix="festina status")
        if out is not None and out.exists():
            raise UsageError("already-there", "the folder exists", fix="--out with a new name", where=str(out))
        click.echo(f"Generation {number}: {made.artifact}")
        for file in made.files:
            if out is not None:
                path = out / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                put_bytes(here.ledger.get_blob(file.digest), path)
            click.echo(f"{file.digest}  {file.size:>12,} bytes  {file.name}")
