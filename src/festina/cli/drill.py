"""``festina drill``: carry out known exploits against an evaluator, or against one's own system, and say which worked.

With a TARGET: any evaluator, of any loop, on a copy (``festina.drill.outside``). Exit 0: no hole open; 3: a hole is
open; 1: the evaluator gave an honest candidate no score; 2: usage.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from festina.errors import UsageError

__all__ = ["command"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("drill")
@click.argument("target", required=False)
@click.option("--honest", multiple=True, type=_FILE, metavar="FILE", help="An honest candidate; may be given again.")
@click.option("--metric", metavar="NAME:higher|lower", help="Which number is the score, and which way is better.")
@click.option(
    "--result", metavar="FILE", default="", help="A results file that the evaluator writes (its score is read there)."
)
@click.option("--root", type=_FOLDER, help="The folder to copy, where the evaluator's own is not enough.")
@click.option(
    "--runs",
    default=3,
    show_default=True,
    type=click.IntRange(2, 100),
    help="Honest runs, and runs of an attack that seems to work.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Limit for one evaluation.  [default: five times an honest one, at least 8]",
)
@click.option("--only", multiple=True, metavar="CLASS", help="Only this class of attacks, or this one attack.")
@click.option("--python", metavar="PATH", default="", help="The interpreter for file.py:function and inspect: targets.")
@click.option(
    "--fresh", is_flag=True, help="The loop restores the evaluator before each evaluation: skip what needs two."
)
@click.option("--strict", is_flag=True, help="Exposures count as open, too.")
@click.option("--out", type=_FOLDER, help="Where the results are kept.  [default: a new temporary folder]")
@click.option(
    "--show", type=click.IntRange(min=1), metavar="N", help="Print hole N of the results in --out: source and command."
)
@click.option("--json", "as_json", is_flag=True, help="Print records, one a line, and nothing else.")
@click.option("--ci", is_flag=True, help="Print one line; the exit status says the rest.")
@click.pass_context
def command(
    ctx: click.Context,
    target: str | None,
    honest: tuple[Path, ...],
    metric: str | None,
    result: str,
    root: Path | None,
    runs: int,
    timeout: float | None,
    only: tuple[str, ...],
    python: str,
    fresh: bool,
    strict: bool,
    out: Path | None,
    show: int | None,
    as_json: bool,
    ci: bool,
) -> None:
    """Attack an evaluator with known exploits, on a copy, and say which of them worked.

    TARGET is "python evaluate.py {candidate}", evaluator.py:evaluate, or inspect:task.py@name.
    """
    if show is not None:
        _show(out, show)
        return
    if target is None:
        raise UsageError(
            "drill-target",
            "there is nothing to drill",
            fix='give an evaluator: festina drill "python evaluate.py {candidate}" --honest candidate.py',
        )
    if not honest:
        raise UsageError(
            "drill-no-honest-file",
            "a drill needs an honest candidate to compare with",
            fix="--honest FILE: a candidate that the evaluator scores well",
        )
    from festina.drill import render
    from festina.drill.model import record
    from festina.drill.outside.run import Options, drill

    options = Options(
        target,
        honest,
        Path.cwd(),
        root=root,
        metric=metric,
        result=result,
        runs=runs,
        timeout=timeout,
        only=only,
        out=out,
        python=python,
        strict=strict,
        fresh=fresh,
    )
    report = drill(options, (lambda text: None) if ci else lambda text: click.echo(text, err=True))
    if as_json:
        for entry in record(report):
            click.echo(json.dumps(entry, ensure_ascii=False, allow_nan=False))
    elif ci:
        click.echo(render.one_line(report))
    else:
        click.echo(f"results: {report.folder}", err=True)
        click.echo(render.text(report), nl=False)
    ctx.exit(report.exit_code)


def _show(out: Path | None, number: int) -> None:
    """Hole ``number`` of a finished drill: what to run, and the source of the candidate."""
    if out is None or not (out / "report.json").is_file():
        raise UsageError(
            "drill-no-results",
            "there are no results to show from",
            fix="--out DIR, the folder that a finished drill named as its results",
        )
    entries = [json.loads(line) for line in (out / "report.json").read_text(encoding="utf-8").splitlines()]
    holes = [entry for entry in entries if entry["record"] == "finding" and entry["verdict"] == "hole"]
    if number > len(holes):
        raise UsageError("drill-no-such-hole", f"there are {len(holes)} holes; {number} is not one of them")
    hole = holes[number - 1]
    click.echo(f"# {hole['title']} [{hole['attack']}]\n# {hole['why']}\n# reproduce: {hole['command']}")
    if hole["source"]:
        click.echo(f"# source: {shlex.quote(hole['source'])}\n")
        click.echo(Path(hole["source"]).read_text(encoding="utf-8", errors="replace"))
