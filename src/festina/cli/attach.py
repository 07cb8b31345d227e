"""``festina attach``: the same record, gate and pace around a loop that somebody else runs.  # G-7"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from festina.cli.common import EXIT_OF_END, HALTED, INTERRUPTED, Opened, opened, parse_duration, system_option
from festina.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from festina.ledger import entries as e
    from festina.loop.foreign.folding import Story
    from festina.loop.foreign.reading import Brought, Source
    from festina.propose.history import Told

TOOLS = ("autoresearch", "openevolve", "inspect", "jsonl", "git")
STAGES = ("proposal", "experimentation", "selection", "deployment")
REJECTED, SHOWN = 3, 20
_BELONGS = (("every", "follow"), ("runs", "check"), ("budget", "check gate"), ("weak_sandbox", "check gate"))
_READING = ("follow", "branch", "since", "origin", "key", "signature", "metric")
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@system_option
@click.option("--from", "tool", type=click.Choice(TOOLS), help="Whose loop it is, and so how its history is read.")
@click.option("--name", default="", help="What to call the loop here, where there are several; else the tool's name.")
@click.option("--metric", default="", help="NAME:higher or NAME:lower; else as the tool's own files say.")
@click.option("--branch", default="", help="The branch that the loop works on; else what HEAD names.")
@click.option("--since", default="", help="With --from git: the commit that the loop began with.")
@click.option("--origin", default="", help="Who the history is said to come from: recorded as claimed.")
@click.option("--key", help="Public key (hex or base64) whose signature over the file must hold.")
@click.option("--signature", type=FILE, help="That signature (Ed25519, detached).")
@click.option("--check", type=click.IntRange(1, 10_000), help="Run so many kept generations again here, newest first.")
@click.option("--runs", type=click.IntRange(3, 50), default=8, show_default=True, help="With --check: runs of each.")
@click.option("--gate", is_flag=True, help="Put kept generations before our own gate, one after the other.")
@click.option("--attest", "attested", multiple=True, type=click.Choice(STAGES), help="Sign for a stage; needs --as.")
@click.option("--as", "reviewer", default="", help="With --attest: your enrolled name.")
@click.option("--reason", default="", help="With --attest: what it rests on; it is signed.")
@click.option("--follow", is_flag=True, help="Keep reading what is new until Ctrl-C.")
@click.option("--every", default="10s", show_default=True, help="With --follow: how often.")
@click.option("--budget", default="1h", show_default=True, help="With --check or --gate: time for it.")
@click.option("--weak-sandbox", default="", help="With --check or --gate: go on below the demanded level, and why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead.")
@click.argument("place", metavar="[DIR|FILE]", required=False, type=click.Path(path_type=Path))
def command(root: Path, place: Path | None, tool: str | None, as_json: bool, **asked: Any) -> int:  # noqa: ANN401 - click's
    """Govern a loop that somebody else runs: record what it tells, run it again, put it before the gate.

    \b
      festina attach ../their-run --from autoresearch   read what is new; again, and only what is new is added
      festina attach --check 5 --name autoresearch      run five of its kept generations again, in the box
      festina attach --gate --name autoresearch         our own gate, on our own evidence

    Whatever was only told is marked so, and is never a yes in `festina trust`. Exits with 3 where this reading found
    something that does not fit, or the loop is further ahead than the policy allows, and with 7 while a halt stands: a
    loop that calls this between generations can be stopped by it.
    """
    _fits(tool, place, as_json, asked)
    name = asked["name"] or tool or _only(root)
    if tool is not None and place is not None:
        source = _source(tool, place, asked)
        if asked["follow"]:
            return _follow(root, source, parse_duration(asked["every"]))
        brought = _bring(root, source)
        if not as_json:
            tell(brought)
    else:
        brought = None
    if asked["attested"]:
        _attest(root, name, asked)
    if asked["check"]:
        _check(root, name, asked)
    if asked["gate"]:
        return _gate(root, name, brought, as_json, asked)
    return _end(root, name, brought, as_json)


def _fits(tool: str | None, place: Path | None, as_json: bool, asked: dict[str, Any]) -> None:
    """No option is passed over in silence."""
    given = click.get_current_context().get_parameter_source
    for option, of in _BELONGS:
        if given(option) != ParameterSource.DEFAULT and not any(asked[each] for each in of.split()):
            raise click.UsageError(f"--{option.replace('_', '-')} belongs to --{of.replace(' ', ' or --')}")
    if (tool is None) != (place is None):
        raise click.UsageError("a loop's history needs both: festina attach DIR --from TOOL")
    if tool is None and any(asked[each] for each in _READING):
        raise click.UsageError("nothing is read without DIR --from TOOL")
    if asked["since"] and tool != "git":
        raise click.UsageError("--since belongs to --from git")
    if bool(asked["attested"]) != bool(asked["reviewer"] and asked["reason"]):
        raise click.UsageError("a stage is attested by somebody for a reason: --attest STAGE --as NAME --reason TEXT")
    if asked["follow"] and (asked["check"] or asked["gate"] or asked["attested"] or as_json):
        raise click.UsageError("--follow reads and does nothing else")


def _only(root: Path) -> str:
    with opened(root) as here:
        names = list(here.state.foreign.loops)
    if not names:
        raise UsageError(
            "no-outside-loop", "no loop that somebody else runs is recorded here",
            fix="read one: festina attach DIR --from TOOL (docs/attach.md)",
        )  # fmt: skip
    if len(names) != 1:
        raise UsageError(
            "which-loop", f"{len(names)} outside loops are recorded here: {', '.join(names)}",
            fix="--name NAME, or read another: festina attach DIR --from TOOL",
        )  # fmt: skip
    return names[0]


def _source(tool: Any, place: Path, asked: dict[str, Any]) -> Source:  # noqa: ANN401 - one of TOOLS
    from festina.loop.foreign.reading import Source, public_of, signature_of

    signature = signature_of(asked["signature"]) if asked["signature"] is not None else b""
    return Source(
        tool, place, asked["name"], asked["metric"], asked["branch"], asked["since"], asked["origin"],
        public_of(asked["key"]), signature,
    )  # fmt: skip


def _bring(root: Path, source: Source) -> Brought:
    from festina.loop.foreign.reading import bring

    return bring(root, source)


def tell(brought: Brought) -> None:
    """What a reading brought, on standard error."""
    from festina.loop.foreign.words import row_line
    from festina.propose.history import GRAVE

    if brought.seq is None:
        click.echo("Nothing new.", err=True)
        return
    for row in brought.fresh[:SHOWN]:
        click.echo(f"  {row_line(row.key, row.score, row.status)}", err=True)
    if len(brought.fresh) > SHOWN:
        click.echo(f"  and {len(brought.fresh) - SHOWN:,} more", err=True)
    ordered = sorted(brought.findings, key=lambda each: each.kind not in GRAVE)
    for each in ordered[:SHOWN]:
        click.echo(f"{'FINDING' if each.kind in GRAVE else 'note'} {each.kind}: {each.words}", err=True)
    if len(ordered) > SHOWN:
        click.echo(f"and {len(ordered) - SHOWN:,} more: festina attach --json", err=True)
    click.echo(f"Recorded as entry {brought.seq}: told, not verified.", err=True)


def _follow(root: Path, source: Source, every_s: float) -> int:
    """Read again and again; what is new is told as it comes."""
    from festina.loop.foreign.reading import glance

    seen: tuple[object, ...] = ()
    try:
        while True:
            now = glance(source, root)
            if now != seen:  # before it is read: what comes meanwhile is seen the next time
                brought = _bring(root, source)
                if brought.seq is not None:
                    tell(brought)
                seen = now
            time.sleep(every_s)
    except KeyboardInterrupt:
        return 0


def _attest(root: Path, name: str, asked: dict[str, Any]) -> None:
    from festina.loop.foreign.attesting import attest

    with opened(root, write=True) as here:
        attest(here.ledger, here.state, here.home, name, asked["attested"], asked["reviewer"], asked["reason"])
    click.echo(f"Signed: {asked['reviewer']} stands for {', '.join(asked['attested'])} of {name}.", err=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    from festina.loop.bench import Replan

    try:
        yield
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _check(root: Path, name: str, asked: dict[str, Any]) -> None:
    from festina.loop.engine import Options, measuring
    from festina.loop.foreign.checking import check, due
    from festina.loop.foreign.folding import tell as told

    def say(row: Told, body: e.HistoryChecked | None, more: str) -> None:
        from festina.loop.foreign.words import check_words
        from festina.propose.history.types import shown

        if body is None:
            click.echo(f"  cannot be run: {more}", err=True)
            return
        click.echo(f"  {shown(row.key, 60)}: {check_words(body)}{more}", err=True)

    demo = _known(root, name)
    options = Options(demo=demo, weak_sandbox=asked["weak_sandbox"], wall_s=parse_duration(asked["budget"]))
    with _interruptible(), measuring(root, options) as bench:
        story = told(bench.state.foreign.loops[name], bench.ledger.get_blob)
        rows = due(story, asked["check"])
        if not rows:
            click.echo("Nothing is left to check: no kept generation with a score and without a check.", err=True)
        check(bench, story, rows, asked["runs"], say)


def _known(root: Path, name: str) -> bool:
    """Whether the record is a demo's. Raises ``UsageError`` where it tells of no such loop."""
    with opened(root) as here:
        _story(here, name)
        return bool(here.state.genesis and here.state.genesis.demo)


def _gate(root: Path, name: str, brought: Brought | None, as_json: bool, asked: dict[str, Any]) -> int:
    from festina.cli.run import Teller
    from festina.loop.engine import Options, run
    from festina.loop.foreign.gating import Nothing, queue_of
    from festina.loop.foreign.reading import manifest_of

    demo = _known(root, name)
    with opened(root) as here:
        manifest = manifest_of(here.repo)
        if manifest is None:
            raise UsageError(
                "no-manifest", "our gate judges by this system's own rules, and there is no festina.toml",
                fix="festina init -- COMMAND, at the version that the outside loop began with; commit it",
            )  # fmt: skip
        queue = queue_of(here.home.ledger, name, here.repo, manifest.scope_rules())
    options = Options(
        demo=demo, weak_sandbox=asked["weak_sandbox"], wall_s=parse_duration(asked["budget"]),
        queue=queue, improver=lambda *_: Nothing(name),
    )  # fmt: skip
    state = run(root, options, Teller())
    with opened(root) as here:
        _show(here, name, brought, as_json)
    return EXIT_OF_END[state.last_end.reason] if state.last_end is not None else 1


def _story(here: Opened, name: str) -> Story:
    from festina.loop.foreign.folding import tell as told

    loop = here.state.foreign.loops.get(name)
    if loop is None:
        known = ", ".join(here.state.foreign.loops) or "none"
        raise UsageError("no-such-loop", f"nothing was read of a loop '{name}'", fix=f"one of: {known}")
    return told(loop, here.ledger.get_blob)


def _show(here: Opened, name: str, brought: Brought | None, as_json: bool) -> None:
    """The loop as it stands, for people or as one JSON object."""
    from festina.loop.foreign.gating import gate_words
    from festina.loop.foreign.words import allowed, lines, summary

    story, judged, most = _story(here, name), gate_words(here.state, name), allowed(here.state)
    if not as_json:
        for line in lines(story, judged, most):
            click.echo(line)
        return
    row = summary(story, judged, most) | {
        "entry": brought.seq if brought is not None else None,
        "new": [row.plain() for row in brought.fresh] if brought is not None else [],
        "all_findings": [{"entry": at, "kind": f.kind, "generation": f.key, "words": f.words}
                         for at, f in story.findings],
    }  # fmt: skip
    click.echo(json.dumps(row, indent=2))


def _end(root: Path, name: str, brought: Brought | None, as_json: bool) -> int:
    """Show the loop as it stands, and say by the exit code whether it may go on."""
    from festina.loop.foreign.gating import gate_words
    from festina.loop.foreign.words import allowed, pace
    from festina.loop.holds import standing
    from festina.propose.history import GRAVE

    with opened(root) as here:
        _show(here, name, brought, as_json)
        halts = standing(here.home, here.state)
        for each in halts:
            click.echo(f"HALTED: {each.sentence()}", err=True)
        ahead = pace(_story(here, name), gate_words(here.state, name)) - allowed(here.state)
    if halts:
        return HALTED
    grave = brought is not None and any(each.kind in GRAVE for each in brought.findings)
    return REJECTED if grave or ahead > 0 else 0
