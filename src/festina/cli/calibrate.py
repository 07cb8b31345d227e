"""``festina calibrate``: what a run could find out on this system, before any money is spent on it."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.common import INTERRUPTED, RUN_BUDGET, duration, parse_duration, system_option
from festina.cli.say import Progress, fit, say
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.calibrate.subject import Subject
    from festina.calibrate.values import Forecast
    from festina.loop.plain import Plain

_FILE = click.Path(path_type=Path, dir_okay=False)
_ITEMS = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command(
    "calibrate", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog="""Examples:

    \b
      festina calibrate -- python train.py
      festina calibrate --budget 8h -- python train.py   # plan for a night
      festina calibrate --seconds 10m                    # by festina.toml""",
)
@click.option("--budget", default=RUN_BUDGET, show_default=True, help="The run to plan for: 90s, 5m, 8h.")
@click.option("--seconds", default="90", show_default=True, help="Time for all runs here: 90, 5m, 1h.")
@click.option("--runs", type=click.IntRange(8, 10_000), default=40, show_default=True, help="Runs here at most.")
@click.option("--metric", help="With a command: NAME:higher or NAME:lower, as the command prints it.")
@click.option("--allow", multiple=True, help="With a command: files that a proposal may change (globs).")
@click.option("--detect", type=click.FloatRange(min=0, min_open=True), help="Gain to look for, if not the manifest's.")
@click.option("--alpha", type=click.FloatRange(0, 0.5, min_open=True), help="Error budget, if not the manifest's.")
@click.option("--trials", type=click.IntRange(1), help="The run to plan for: sandboxed runs at most.")
@click.option("--workers", type=click.IntRange(0, 1024), default=0, help="Runs side by side; 0: one for each core.")
@click.option("--items", type=_ITEMS, help="Items to measure with that no test will use (JSON lines with labels).")
@click.option("--figure", type=_FILE, help="Draw the chance of acceptance against the gain (png, svg or pdf).")
@system_option
@click.option("--json", "as_json", is_flag=True, help="Records, one a line, and nothing else.")
@click.argument("command_line", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def command(root: Path, command_line: tuple[str, ...], as_json: bool, **options: Any) -> int:  # noqa: ANN401 - click's
    """Measure how results vary on this system, and say what a run could find.

    Runs the system of festina.toml some 40 times; or, given a COMMAND that prints a metric, that command. Nothing is
    proposed, judged or spent: it says which gains a run of --budget could find, what a verdict costs, and how often a
    loop without a gate would go wrong here.
    """
    from dataclasses import asdict

    from festina.calibrate.forecast import forecast
    from festina.calibrate.measure import Wish, measure
    from festina.calibrate.recording import plain, record
    from festina.calibrate.remarks import remarks
    from festina.calibrate.setting import Night, setting_of
    from festina.calibrate.subject import opened
    from festina.loop import holds
    from festina.system import home as homes
    from festina.system.repo import Repo

    _can_draw(options["figure"])
    workers = options["workers"] or os.cpu_count() or 1
    wish = Wish(options["runs"], parse_duration(options["seconds"]), workers)
    night = Night(
        parse_duration(options["budget"]) / 3600.0, options["trials"], workers, options["detect"], options["alpha"]
    )
    with ExitStack() as stack:
        where = _place(stack, root) if command_line else root
        guess = _plain(where, command_line, options, wish.seconds) if command_line else None
        given = (guess.manifest, guess.data) if guess is not None else None
        hints = _hints(where, command_line, options["budget"])
        home = homes.find(Repo.discover(where))
        stack.enter_context(holds.guarded(home))  # G-5
        subject = stack.enter_context(opened(where, given=given, items=options["items"]))
        setting = setting_of(subject.manifest, home, night, subject.notes)  # bad numbers are refused before any run
        teller = _Teller(quiet=as_json)
        teller.about(subject)
        found = measure(subject, wish, teller.plan, teller)
        teller.end()
        seen = forecast(found.measured, setting)
        other = guess is not None and guess.guess is not None  # no run has begun with these guesses
        what_if = options["detect"] is not None or options["alpha"] is not None
        entry = None if other or what_if else record(where, subject, found, seen)
    if as_json:
        for name, value in (("calibration", found), ("forecast", seen)):
            click.echo(json.dumps({"record": name, "value": plain(asdict(value))}, allow_nan=False))
        click.echo(json.dumps({"record": "remarks", "value": remarks(found)}))
    else:
        _show(seen, remarks(found), hints)
        if entry is not None:
            click.echo(f"Recorded as entry {entry} of the ledger.", err=True)
    if options["figure"] is not None:
        _draw(seen, options["figure"])
    return INTERRUPTED if found.stopped == "interrupted" else 0


def _place(stack: ExitStack, root: Path) -> Path:
    """The repository at ``root``; for a folder that is in none, a copy that is one."""
    from festina.system.aside import scratch_folder, snapshot
    from festina.system.repo import Repo

    try:
        Repo.discover(root)
    except UsageError as error:
        if error.name != "not-a-git-repository":
            raise
        say("No git repository here: measuring on a copy of this folder. A run needs one (git init).")
        return snapshot(root, stack.enter_context(scratch_folder("folder")))
    return root


def _guessed(root: Path, argv: tuple[str, ...], options: dict[str, Any], seconds: float) -> Plain:
    """The guesses that a run of this command began with, or new ones."""
    from festina.loop.plain import plain

    said: dict[str, Any] = {
        "metric": options["metric"], "allow": options["allow"], "first_run_s": seconds, "tell": say,
    }  # fmt: skip
    try:
        return plain(root, argv, **said)
    except UsageError as error:
        if error.name != "another-command":
            raise
        return plain(root, argv, **said, anew=True)  # a look at something else than this repository's ledger is about


def _plain(root: Path, argv: tuple[str, ...], options: dict[str, Any], seconds: float) -> Plain:
    """Guess a manifest for a command and tell every guess."""
    from festina.loop.plain import guesses

    try:
        found = _guessed(root, argv, options, seconds)
    except UsageError as error:
        if error.name != "run-too-long":
            raise
        raise UsageError(
            error.name, f"one run takes longer than the {seconds:.0f} s that all of them may take",
            fix="--seconds 3600, or a shorter run to calibrate with (less data, fewer steps)", where=error.where,
        ) from None  # fmt: skip
    say("\n".join(guesses(found)))
    return found


class _Teller:
    """Progress on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._line = None if quiet else Progress()

    def about(self, subject: Subject) -> None:
        where = {
            "public": "public items", "dedicated": "the items named", "fresh": "fresh items that no test will draw",
            "none": "no items: the run prints its score",
        }[subject.origin]  # fmt: skip
        changes = len(subject.neighbours)
        say(
            f"Measuring on {where} (box level {subject.box.level.name})"
            + ("" if changes else "; no small change could be made to pair with")
        )

    def plan(self, runs: int, seconds: float) -> None:
        self.end()
        told = "The answer in short comes last; Ctrl-C: the answer with what there is"
        say(f"{runs} runs, about {duration(seconds)}. {told}")

    def __call__(self, done: int, planned: int, left: float) -> None:
        if self._line is not None:
            self._line.at(f"{done} of {planned} runs, about {duration(left)} left")

    def end(self) -> None:
        if self._line is not None:
            self._line.end()


def _hints(root: Path, argv: tuple[str, ...], budget: str) -> list[tuple[str, str]]:
    """What to type next: the run that was planned for, and what attacks its score."""
    import shlex

    more = "" if budget == RUN_BUDGET else f" --budget {budget}"
    what = f" -- {shlex.join(argv)}" if argv else ""
    return [
        ("Which cheats the score would let through", f"festina drill{_drill_target(root, argv)}"),
        ("The run that this plans for", f"festina run{more}{what}"),
    ]


def _drill_target(root: Path, argv: tuple[str, ...]) -> str:
    """How ``festina drill`` is told of the same command; empty for a system with a manifest."""
    import shlex

    from festina.propose.guess import script_of

    script = script_of(root, argv) if argv else None
    if script is None:
        return ' "python evaluate.py {candidate}" --honest FILE' if argv else ""
    words = ["{candidate}" if word.removeprefix("./") == script else shlex.quote(word) for word in argv]
    return f' "{" ".join(words)}" --honest {shlex.quote(script)}'


def _show(seen: Forecast, remarks: list[str], hints: list[tuple[str, str]]) -> None:
    """The answer for a person, as wide as the terminal; ``hints``: what to type next, and why."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from festina.calibrate.words import lines

    console = Console(highlight=False)
    answer, *why = lines(seen)
    with console.capture() as shown:
        for block in (*why, answer):  # the answer last: it is what stays on the screen
            console.print(Text(block.title, style="bold"))
            for sentence in (*remarks, *block.text) if block is answer else block.text:
                console.print(Padding(Text(fit(sentence, console.width - 2)), (0, 0, 0, 2)))
            if block.rows:
                table = Table(box=None, show_header=any(block.head), header_style="dim", pad_edge=False)
                for head in block.head or ("",) * len(block.rows[0]):
                    table.add_column(head, overflow="fold")
                for row in block.rows:
                    table.add_row(*row)
                console.print(Padding(table, (0, 0, 0, 2)))
            console.print()
    click.echo("\n".join(row.rstrip(" ") for row in shown.get().split("\n")), nl=False, color=console.is_terminal)
    for what, line in hints:  # each a line of its own, never broken: it is to be copied
        click.echo(f"{what}:\n  {line}")


def _can_draw(figure: Path | None) -> None:
    """Refuse a figure that could not be drawn before anything is run for it."""
    if figure is None:
        return
    if find_spec("matplotlib") is None:
        raise UsageError("no-matplotlib", "a figure needs matplotlib", fix="pip install 'festina[report]'")
    if figure.suffix not in (".png", ".svg", ".pdf") or not figure.absolute().parent.is_dir():
        raise UsageError(
            "figure-unwritable", f"no figure can be written to {figure}",
            fix="name a .png, .svg or .pdf in a folder that is there",
        )  # fmt: skip


def _draw(seen: Forecast, figure: Path) -> None:
    from festina.calibrate.figure import power_curve

    power_curve(seen, figure)
    click.echo(f"Figure: {figure}", err=True)
