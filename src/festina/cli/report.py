"""``festina report``: the run as one HTML page, or as one JSON object."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli import case, documents, evals, exchange, materiality, signature, statements
from festina.cli.common import own_ledger, put, system_option
from festina.cli.say import Wordy

if TYPE_CHECKING:
    from festina.report.data import ReportData

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Wordy, invoke_without_command=True)
@system_option
@click.option("--ledger", type=FILE, help="Read this ledger instead of the system's own.")
@click.option("--control", type=FILE, help="Ledger of a control arm to put beside it.")
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("festina-report.html"),
    show_default=True,
    help="Where to write the page; - is standard output.",
)
@click.option("--plots/--no-plots", default=True, show_default=True, help="Plots need matplotlib (festina[report]).")
@click.option("--json", "as_json", is_flag=True, help="Print the report's data as one JSON object instead.")
@click.pass_context
def command(
    ctx: click.Context, root: Path, ledger: Path | None, control: Path | None, out: Path, plots: bool, as_json: bool
) -> None:
    """Write the run as one self-contained HTML page: what improved, the evidence, what it cannot show.

    The subcommands make what regulators ask for from the same record.
    """
    ctx.obj = documents.Source(root, ledger)
    if ctx.invoked_subcommand is not None:
        return
    source = ledger or own_ledger(root)
    if as_json:
        from festina.report.export import as_json as dump

        click.echo(dump(read(source)))
        return
    if str(out) == "-":
        click.echo(page(source, control=control, plots=plots), nl=False)
        return
    write(source, out, control=control, plots=plots)
    click.echo(f"report: {out.resolve()}", err=True)


for _made in (
    documents.documents, documents.document, documents.bundle, documents.duties, case.case,
    exchange.coverage, exchange.oscal, exchange.provenance, exchange.bom, signature.sign, evals.evals,
    statements.form, statements.state, materiality.determine, materiality.confirm,
):  # fmt: skip
    command.add_command(_made)


def write(ledger: Path, out: Path, *, control: Path | None = None, plots: bool = True) -> None:
    """Write the page of ``ledger`` to ``out``; ``control`` puts a control arm's ledger beside it."""
    text = page(ledger, control=control, plots=plots)
    put(text, out, name="report-unwritable", what="the report", fix="name another file with --out")


def page(ledger: Path, *, control: Path | None = None, plots: bool = True) -> str:
    """The page as text; without plots, and saying so on standard error, where matplotlib is missing."""
    from festina.report import html

    if plots and find_spec("matplotlib") is None:
        click.echo("no plots: matplotlib is not installed (pip install 'festina[report]')", err=True)
        plots = False
    return html.page(read(ledger), read(control) if control else None, plots=plots)


def read(path: Path) -> ReportData:
    """Open a ledger read-only and fold it. Raises IntegrityError for a damaged one."""
    from festina.ledger.log import Ledger
    from festina.report.fold import fold

    with Ledger.open(path, readonly=True) as ledger:
        return fold(ledger.records(), ledger.get_blob, root=ledger.root().hex())
