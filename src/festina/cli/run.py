"""``festina run``: the main job. Resumes by itself."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.common import EXIT_OF_END, RUN_BUDGET, duration, parse_duration, roughly, system_option
from festina.cli.say import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from festina.ledger.log import Record
    from festina.loop.state import State
    from festina.system.manifest import Manifest

OFTEN_S, SHARE = 0.2, 0.02  # the line is made anew so often at most, and takes so much of the run at most
SHOWN = 3  # open tests in the line that counts trials
PATCH = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog="""Examples:

    \b
      festina run --budget 10m -- python train.py
      festina run --metric loss:lower --allow train.py -- python train.py
      festina run                     # by festina.toml, or on from a stop
      festina run --with better.patch --as ada""",
)
@click.option("--budget", default=RUN_BUDGET, show_default=True, help="Time for this run: 90s, 5m, 8h.")
@click.option("--metric", help="With a command: NAME:higher or NAME:lower, as the command prints it.")
@click.option("--allow", multiple=True, help="With a command: files that a proposal may change (globs).")
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@click.option("--with", "patches", multiple=True, type=PATCH, help="Try this patch too; may be repeated.")
@click.option(
    "--as", "author", default="somebody", show_default=True,
    help="Who made the patches of --with; signed where this person's key lies here.",
)
@click.option("--proposals", type=click.IntRange(1), default=1_000, show_default=True, help="Proposals at most.")
@click.option("--trials", type=click.IntRange(1), default=100_000, show_default=True, help="Sandboxed runs at most.")
@click.option("--workers", type=click.IntRange(0, 1024), default=0, help="Trials side by side; 0: one for each core.")
@click.option(
    "--at-once", type=click.IntRange(1, 64), default=1, show_default=True,
    help="Proposals tested side by side while the next is made; pays where proposals are slow. Fresh items only.",
)
@click.option("--review-wait", default="0", help="Wait so long for a person after an acceptance before going on.")
@click.option("--freeze-improver", is_flag=True, help="Control arm: generation 0's improver proposes throughout.")
@click.option("--new-epoch", default="", help="The rules changed, and why: open a new epoch.")
@click.option(
    "--move-anchor", is_flag=True,
    help="With --new-epoch: guards are compared with this version from now on, not with the one they began at.",
)
@click.option("--weak-sandbox", default="", help="Go on below the demanded confinement, and why: provisional verdicts.")
@click.option("--plant", "planted", multiple=True, type=PATCH, hidden=True)
@click.option("--demo", is_flag=True, hidden=True)
@system_option
@click.option("--json", "as_json", is_flag=True, help="One JSON record a line on standard output, nothing else.")
@click.argument("command_line", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def command(root: Path, command_line: tuple[str, ...], as_json: bool, yes: bool, **options: Any) -> int:  # noqa: ANN401 - click's
    """Improve a system, and go no faster than the evidence.

    Runs the loop that festina.toml describes; or, given a COMMAND that prints a metric, a loop around that command.
    Ctrl-C loses nothing: the next festina run goes on from there. Your files and branches stay as they are.
    """
    from festina.cli.common import tell_traps
    from festina.cli.estimates import tell_models
    from festina.loop.engine import Options, run

    wall_s = parse_duration(options["budget"])
    manifest = None
    if command_line:
        manifest = _plain(root, command_line, options, wall_s, ask=not (yes or as_json) and sys.stdin.isatty())
    settings = Options(
        manifest=manifest,
        wall_s=wall_s,
        trials=options["trials"],
        proposals=options["proposals"],
        frozen_improver=options["freeze_improver"],
        new_epoch=options["new_epoch"],
        move_anchor=options["move_anchor"],
        review_wait_s=0.0 if options["review_wait"] in ("0", "0s") else parse_duration(options["review_wait"]),
        workers=options["workers"],
        at_once=options["at_once"],
        queue=_queue(
            f"person:{_slug(options['author'])}", options["patches"], _signing(options["author"], options["patches"])
        ) + _queue("planted", options["planted"]),
        demo=options["demo"],
        weak_sandbox=options["weak_sandbox"],
    )
    if manifest is None and not as_json:
        tell_traps(root)
        tell_models(root)
    teller = JsonTeller() if as_json else Teller()
    try:
        state = run(root, settings, teller)
    finally:
        teller.end()  # an error's message begins on a line of its own
    end = state.last_end
    if not as_json:
        say(_farewell(state))
    return EXIT_OF_END[end.reason] if end is not None else 1


class Teller:
    """Plain progress for a person: a sentence an event on standard error, and a line that counts trials."""

    def __init__(self, label: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """``label`` stands before each line, where another loop than the system's own is told of."""
        from festina.cli.say import Progress
        from festina.cli.words import Leads

        self._leads = Leads()
        self._line = Progress(label)
        self._limits: set[str] = set()
        self._clock = clock
        self._began, self._due = clock(), 0.0

    def __call__(self, record: Record, state: State) -> None:
        from festina.cli.words import told

        if record.kind == "run-ended":
            self.end()
            return
        line = told(record, state) if self._leads.news(record.body, state) else None
        if line is not None:
            self._line.news(self._once(line) if record.kind == "verdict" else line)
        elif (begun := self._clock()) >= self._due:
            if now := progress(state) or trying(state):
                left = state.run.wall_s - (begun - self._began) if state.run is not None else 0.0
                self._line.at(f"{now}; {roughly(left)} left" if left > 0 else now)
            ended = self._clock()
            self._due = ended + max(OFTEN_S, (ended - begun) / SHARE)

    def end(self) -> None:
        """No more entries to come."""
        self._line.end()

    def _once(self, line: str) -> str:
        """A verdict's sentence; what limits it, only where that was not told before."""
        claim, _, limits = line.partition(". ")
        if limits and limits in self._limits:
            return f"{claim}."
        self._limits.add(limits)
        return line


class JsonTeller:
    """One JSON object a line: entry number, kind, time and body."""

    def __call__(self, record: Record, state: State) -> None:
        row = {"seq": record.seq, "kind": record.kind, "at": record.at, "body": record.body.model_dump(mode="json")}
        try:
            click.echo(json.dumps(row))
        except BrokenPipeError:  # the reader has gone; the run goes on
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115

    def end(self) -> None:
        """Each line is whole."""


def progress(state: State) -> str:
    """Where the open tests stand, in one line: of each, how much of the evidence that it needs it has."""
    from festina.select import gate

    said = []
    for test in list(state.open.values())[:SHOWN]:
        gains = test.gains
        mean = sum(gains) / len(gains) if gains else 0.0
        have = min(1.0, max(0.0, gate.log_evidence(test.progress) / gate.log_threshold(test.progress.plan)))
        if len(state.open) == 1:
            return (
                f"proposal {test.proposal}: {len(gains)} pairs, difference {mean:+.3f}, "
                f"{100 * have:.0f} % of the evidence"
            )
        said.append(f"{test.proposal} ({len(gains)} pairs, {mean:+.3f}, {100 * have:.0f} %)")
    more = f" and {len(state.open) - SHOWN} more" if len(state.open) > SHOWN else ""
    return f"proposals {', '.join(said)}{more}" if said else ""


def trying(state: State) -> str:
    """What was tried on public evidence since the last proposal; empty where nothing is tried before it is proposed."""
    from festina.cli.words import count
    from festina.loop import searching

    if state.epoch is None or state.epoch.archive is None or not state.line:
        return ""
    known = searching.archive(state)
    leads = [known.lead(node) for node in known.nodes if known.nodes[node].works] if known is not None else []
    best = max(leads, default=0.0)
    if not state.search.since:
        return "trying a change"
    found = f"the best {best:+.3g}" if best > 0 else "none better yet"
    return f"{count(state.search.since, 'change')} tried, {found}"


def _queue(who: str, patches: tuple[Path, ...], sign: Callable[[bytes], str] | None = None) -> list[Any]:
    from festina.propose.scripted import Scripted

    return [Scripted.from_files([path], f"{who}:{_name(who, path)}", sign=sign) for path in patches]


def _signing(name: str, patches: tuple[Path, ...]) -> Callable[[bytes], str] | None:
    """With the key of who made the patches, where it lies here; without one, say what follows.  # R-1"""
    import hashlib

    from festina.errors import UsageError
    from festina.review import authorship, desk

    if not patches:
        return None
    try:
        key = desk.reviewer_key(name)
    except UsageError as error:
        if error.name not in ("no-reviewer-key", "bad-reviewer-name"):
            raise
        what = "Not signed: who made it is only a name, so two people must approve it. Signed it is with --as NAME,"
        say(f"{what} the key of an enrolled person (festina reviewer add NAME).")
        return None
    return lambda patch: authorship.sign(key, name, hashlib.sha256(patch).hexdigest())


def _name(who: str, path: Path) -> str:
    """A patch's name in the record: of its file and, for people's, of its content, so that an edited one is new."""
    import hashlib

    digest = "" if who == "planted" else f"-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    return _slug(path.stem)[:50] + digest


def _slug(text: str) -> str:
    from festina.review.desk import author_name

    return author_name(text)


def _plain(
    root: Path, argv: tuple[str, ...], options: dict[str, Any], wall_s: float, *, ask: bool
) -> tuple[Manifest, bytes]:
    """Guess a manifest for a command, tell every guess, and ask once."""
    from festina.loop.plain import plain, told

    found = plain(root, argv, metric=options["metric"], allow=options["allow"], tell=say)
    say(told(found, options["workers"] or os.cpu_count() or 1))
    least = found.least_s(options["workers"] or os.cpu_count() or 1)
    if least is not None and least > wall_s:
        say(f"A first acceptance takes longer than the {roughly(wall_s)} of this run: give it more (--budget), or "
            "shorter runs. What is under way when the time is up goes on in the next run.")  # fmt: skip
    if ask and found.guess is not None and not click.confirm("Start?", default=True, err=True):
        say("Not started.")
        raise click.exceptions.Exit(0)
    return found.manifest, found.data


def _farewell(state: State) -> str:
    from festina.cli.words import count

    end = state.last_end
    real = [p for p in state.proposals.values() if p.plant is None]
    accepted = sum(1 for p in real if p.word == "accepted")
    empty = sum(1 for p in real if p.word == "failed")
    words = {
        "finished": "Every proposal was judged" if not empty else "No proposal is left to judge",
        "exhausted": "No more proposals",
        "budget": "The budget is spent",
        "waiting": "Waiting for a person",
        "interrupted": "Stopped; `festina run` goes on from here",
        "fault": "Stopped by a failure",
        "halted": "HALTED",
        "control": "STOPPED: the comparison itself is broken",
    }
    why = words.get(end.reason, end.reason) if end is not None else "Ended"
    spent = duration(end.wall_s) if end is not None else ""
    known = ("fault", "waiting", "budget", "control", "exhausted", "halted")
    tail = f" ({end.detail})" if end is not None and end.reason in known else ""
    if not real and (tried := trying(state)) and end is not None and end.reason == "budget":
        return f"{why}{tail}. {tried}, and nothing was due for a test yet. Next: festina run goes on from there"
    came = f", {empty} came to nothing," if empty else ""
    return f"{why}{tail}. {accepted} accepted of {count(len(real), 'proposal')}{came} in {spent}. Next: festina status"
