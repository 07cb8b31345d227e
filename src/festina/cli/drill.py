"""``festina drill``: carry out known exploits against an evaluator, or against one's own system, and say which worked.

With a TARGET: any evaluator, of any loop, on a copy (``festina.drill.outside``). Without: the system in this
repository, on a scratch copy (``festina.drill.own``). Exit 0: no hole open; 3: a hole is open; 1: the evaluator gave an
honest candidate no score, or Festina failed; 2: usage.
"""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from festina.cli.say import say
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.drill.model import Report

__all__ = ["command"]

_HONEST = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(
    "drill",
    epilog="""Examples:

    \b
      festina drill "python {candidate}" --honest train.py
      festina drill evaluator.py:evaluate --honest initial_program.py
      festina drill                   # the system of festina.toml
      festina drill --show 1 --out RESULTS""",
)
@click.argument("target", required=False)
@click.option(
    "--honest",
    multiple=True,
    type=_HONEST,
    metavar="PATH",
    help="An honest candidate, a file or a folder, or without a TARGET an honest patch; may be given again.",
)
@click.option("--metric", metavar="NAME:higher|lower", help="Which number is the score, and which way is better.")
@click.option(
    "--result", metavar="FILE", default="", help="A results file that the evaluator writes (its score is read there)."
)
@click.option(
    "--candidate-path",
    metavar="PATH",
    default="",
    help="For a command without {candidate}: the place from which it reads its candidate.",
)
@click.option(
    "--entry", metavar="FILE", default="", help="Of a candidate that is a folder: the file that is run first."
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
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="No attack begins later than that after the start; what was not tested is named.",
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
@click.option(
    "-C",
    "--system",
    "system",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("."),
    show_default="current directory",
    envvar="FESTINA_SYSTEM",
    help="Without a TARGET: the system's git repository.",
)
@click.option("--json", "as_json", is_flag=True, help="Print records, one a line, and nothing else.")
@click.option("--verbose", is_flag=True, help="Name every attack that was left out, not only how many and why.")
@click.option("--ci", is_flag=True, help="Print one line; the exit status says the rest.")
@click.pass_context
def command(
    ctx: click.Context,
    target: str | None,
    system: Path,
    honest: tuple[Path, ...],
    metric: str | None,
    result: str,
    candidate_path: str,
    entry: str,
    root: Path | None,
    runs: int,
    timeout: float | None,
    seconds: float | None,
    only: tuple[str, ...],
    python: str,
    fresh: bool,
    strict: bool,
    out: Path | None,
    show: int | None,
    as_json: bool,
    ci: bool,
    verbose: bool,
) -> None:
    """Attack an evaluator with known exploits, on a copy, and say which of them worked.

    TARGET is "python evaluate.py {candidate}", evaluator.py:evaluate, or inspect:task.py@name. Without a TARGET the
    system in this repository (its festina.toml) is attacked, with its own scorer, scope, sandbox and ledger.
    """
    if show is not None:
        _show(out, show)
        return
    if target is None:
        _without_target(
            metric=metric, result=result, candidate_path=candidate_path, entry=entry, root=root, timeout=timeout,
            seconds=seconds, python=python, fresh=fresh,
        )  # fmt: skip
        from festina.drill.own import drill as own
        from festina.loop import holds
        from festina.system import home as homes
        from festina.system.repo import Repo

        mine = own.Options(runs=runs, only=only, honest=honest, out=out, strict=strict)
        with _ended_cleanly(), holds.guarded(homes.find(Repo.discover(system))):  # G-5
            report = own.run_own(system, mine, _teller(ci))
        _print(ctx, report, as_json=as_json, ci=ci, verbose=verbose)
    if not honest:
        raise UsageError(
            "drill-no-honest-file",
            "a drill needs an honest candidate to compare with",
            fix="--honest FILE: a candidate that the evaluator scores well",
        )
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
        candidate_path=candidate_path,
        entry=entry,
        seconds=seconds,
    )
    with _ended_cleanly():
        report = drill(options, _teller(ci))
    _print(ctx, report, as_json=as_json, ci=ci, verbose=verbose)


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """SIGTERM and a hang-up end the drill as ctrl-c does: processes ended, work folders removed."""

    def end(number: int, frame: object) -> None:
        for each in former:
            signal.signal(each, signal.SIG_IGN)  # the way out is not interrupted a second time
        raise SystemExit(128 + number)

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]  # nohup
    former = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _without_target(**options: object) -> None:
    """Refuse options that mean something only for an evaluator from elsewhere."""
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(
            "drill-target",
            f"--{given[0].replace('_', '-')} is about an evaluator, and none is given",
            fix='name it: festina drill "python evaluate.py {candidate}" --honest FILE; or leave the option out',
        )


def _teller(quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if quiet else say


def _print(ctx: click.Context, report: Report, *, as_json: bool, ci: bool, verbose: bool) -> NoReturn:
    """The report in the form asked for, and its exit status."""
    from festina.drill import render
    from festina.drill.model import record

    if as_json:
        for entry in record(report):
            click.echo(json.dumps(entry, ensure_ascii=False, allow_nan=False))
    elif ci:
        click.echo(render.one_line(report))
    else:
        click.echo(f"results: {report.folder}", err=True)  # a path is to be copied whole
        click.echo(render.text(report, verbose=verbose), nl=False)
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
