"""``festina incident``: incidents, and by when each regime wants to be told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import Opened, duration, opened, system_option, time_of
from festina.cli.say import Wordy
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.loop.stating import Person
    from festina.report.law.incidents import Incident, Row


@click.group(cls=Wordy, invoke_without_command=True)
@system_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a deadline, or an incident without one.")
@click.pass_context
def group(ctx: click.Context, root: Path, as_json: bool) -> None:
    """Incidents: every regime's deadline, what is filed, what is late.

    Without a subcommand it shows the board. Deadlines are computed from law packs as data; they are early rather than
    late, and no legal advice.
    """
    ctx.obj = root
    if ctx.invoked_subcommand is None:
        with opened(root) as here:
            _board(here, as_json)


@group.command("open")
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--text", required=True, help="What happened, in plain words: it is signed.")
@click.option("--aware", help="When you became aware that the system is involved, with time zone; default: now.")
@click.option("--entry", type=int, help="An entry of the record that shows it.")
@click.pass_obj
def open_(root: Path, reviewer: str, text: str, aware: str | None, entry: int | None) -> None:
    """Record an incident. The clocks start at --aware."""
    from festina.loop import stating

    with opened(root, write=True) as here:
        number, _ = stating.open_incident(_person(here, reviewer), aware=_time(aware), text=text, about=entry)
    click.echo(f"incident {number}")
    click.echo(f"Next: festina incident classify {number} --class CLASS --text WHY --as {reviewer}", err=True)
    click.echo("      (festina incident classes lists what CLASS may be)", err=True)


@group.command()
@click.argument("number", type=int)
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option(
    "--class", "classes", multiple=True, help="A class of a law pack; may be repeated. See `incident classes`."
)
@click.option("--none", "no_class", is_flag=True, help="It falls in no regime's class.")
@click.option("--established/--suspected", default=False, help="Is the causal link established?", show_default=True)
@click.option("--text", required=True, help="Why: it is signed.")
@click.pass_obj
def classify(
    root: Path, number: int, reviewer: str, classes: tuple[str, ...], no_class: bool, established: bool, text: str
) -> None:
    """Say in which classes it falls: that starts each regime's clock."""
    from festina.loop import stating
    from festina.report.law.packs import load

    known = {c.id for pack in load() for c in pack.incident_class}
    if no_class == bool(classes):
        raise UsageError("no-class", "say the classes, or --none", fix="festina incident classes")
    for name in classes:
        if name not in known:
            raise UsageError("no-such-class", f"no law pack has a class '{name}'", fix="festina incident classes")
    with opened(root, write=True) as here:
        stating.classify(_person(here, reviewer), number, classes, established=established, text=text)
        _next(_board(here, as_json=False, only=number), reviewer)


@group.command()
@click.argument("number", type=int)
@click.argument("document")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--sent", help="When it was sent, with time zone; default: now.")
@click.pass_obj
def filed(root: Path, number: int, document: str, file: Path, reviewer: str, sent: str | None) -> None:
    """Record that FILE was sent as DOCUMENT; Festina sends nothing itself."""
    from festina.cli.documents import Desk
    from festina.cli.words import count
    from festina.loop import stating
    from festina.report.law.packs import find, load

    _, kind = find(load(), document)
    if not kind.incident:
        raise UsageError("not-about-incidents", f"'{document}' is no report about an incident", fix="festina incident")
    with opened(root, write=True) as here:
        made = Desk(here.ledger).made(document, number)
        open_ = len({*made.missing, *made.contradictions})
        stating.filed(
            _person(here, reviewer), number, document, sent=_time(sent), content=file.read_bytes(), unknown=open_
        )
        _board(here, as_json=False, only=number)
    if open_:
        fields = count(open_, "mandatory field")
        click.echo(f"Recorded as sent. As far as the record goes it was a draft: {fields} open.", err=True)
        click.echo(f"What is missing: festina report document {document} --incident {number}", err=True)


@group.command()
@click.argument("number", type=int)
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--text", required=True, help="How it ended: it is signed.")
@click.option("--at", help="Since when it is over, with time zone; default: now.")
@click.pass_obj
def resolve(root: Path, number: int, reviewer: str, text: str, at: str | None) -> None:
    """Say that it is over: the clock of the final report starts."""
    from festina.loop import stating

    with opened(root, write=True) as here:
        stating.resolve(_person(here, reviewer), number, resolved=_time(at), text=text)
        _board(here, as_json=False, only=number)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a class and nothing else.")
def classes(as_json: bool) -> None:
    """The classes of all law packs."""
    import json

    from festina.report.law.packs import load

    for pack in load():
        if as_json:
            for known in pack.incident_class:
                row = {"id": known.id, "words": known.words, "regime": pack.regime.id, "runs": pack.regime.enabled}
                click.echo(json.dumps(row))
            continue
        state = "" if pack.regime.enabled else "  (off: its clock does not run)"
        for known in pack.incident_class:
            click.echo(f"{known.id:28} {known.words}{state}")


@group.command("near-misses")
@click.option("--json", "as_json", is_flag=True, help="One JSON object each and nothing else.")
@click.pass_obj
def near_misses(root: Path, as_json: bool) -> None:
    """What nearly was an incident, to look through: attempts on the guards, refusals, broken controls, misses."""
    import json

    from festina.report.fold import fold
    from festina.report.law import facts

    with opened(root) as here:
        data = fold(here.ledger.records(), here.ledger.get_blob, root=here.ledger.root().hex(), paths=False)
        rows = facts.near_misses(data)
        if as_json:
            for row in rows:
                click.echo(json.dumps({"text": row.text, "entries": row.seqs}))
            return
        if not rows:
            click.echo("No near misses are recorded.")
        for row in rows:
            click.echo(f"entry {row.seqs[-1] if row.seqs else '-'}: {row.text}")
        if rows:
            click.echo("Worth an incident? festina incident open --entry N --text WHAT --as NAME", err=True)


def _remind(here: Opened) -> None:
    """What is due now is told to whoever is told of anything; a channel's trouble is no trouble here."""
    from contextlib import suppress

    from festina.cli.reminding import remind
    from festina.errors import FestinaError
    from festina.notify.outbox import start_courier
    from festina.notify.settings import read

    with suppress(FestinaError, OSError):
        settings = read(here.home.path)
        if settings is not None and settings.channels():
            remind(here.ledger, here.home.path, settings, datetime.now(UTC))
            start_courier(here.home.path)


def _board(here: Opened, as_json: bool, only: int | None = None) -> list[Row]:
    from festina.report.law import incidents
    from festina.report.law.packs import load

    _remind(here)
    people = incidents.fold(here.ledger.records(), here.ledger.get_blob)
    chosen = [i for i in people.incidents.values() if only is None or i.number == only]
    rows = incidents.board(load(), chosen, now := datetime.now(UTC))
    if as_json:
        for row in rows:
            click.echo(_json(row))
        for incident in chosen:
            if all(row.incident != incident.number for row in rows):
                click.echo(_without(incident))
        return rows
    for seq, text in here.state.govern.drafts.items() if only is None else ():
        click.echo(f"DRAFT, no clock runs: entry {seq}: {text}")
        click.echo(f"  open it: festina incident open --entry {seq} --as NAME --text WHAT")
    if not chosen:
        click.echo("No incident is recorded.")
        click.echo("Record one: festina incident open --text WHAT --as NAME", err=True)
    for incident in chosen:
        click.echo(_headline(incident))
        mine = [row for row in rows if row.incident == incident.number]
        for row in mine:
            click.echo(f"  {_sentence(row, now)}")
        if not mine and incident.classified_seq is not None:
            click.echo("  no regime asks for a report about it")
    for finding in people.findings:
        click.echo(f"finding: {finding.what}: {finding.text} (entry {finding.seq})")
    return rows


def _headline(incident: Incident) -> str:
    from festina.propose.text import visible

    text = visible(incident.text.split("\n")[0][:120])
    if incident.classified_seq is None:
        state = "not classified: no clock runs"
    else:
        state = ", ".join(incident.classes) or "in no regime's class"
    over = f", resolved {incident.resolved[:16]}Z" if incident.resolved else ""
    return f"incident {incident.number}, known since {incident.aware[:16]}Z{over}: {text}\n  {state}"


def _sentence(row: Row, now: datetime) -> str:
    return f"{_when(row, now)} [{row.note}]" if row.note else _when(row, now)


def _when(row: Row, now: datetime) -> str:
    from zoneinfo import ZoneInfo

    from festina.cli.words import count

    to = ", ".join(row.to)
    if row.state == "filed":
        over = row.sent - row.due if row.sent is not None and row.due is not None else None
        late = f", {_apart(over.total_seconds())} too late" if over is not None and over.total_seconds() > 0 else ""
        early = ", before its clock began" if row.due is None else ""
        open_ = f", as a draft: {count(row.unknown, 'mandatory field')} open" if row.unknown else ""
        return f"filed    {row.document} to {to}{late}{early}{open_}"
    if row.due is None:
        return f"waiting  {row.document} to {to}: {row.rule}, which has not come"
    local = row.due.astimezone(ZoneInfo(row.zone)).strftime("%Y-%m-%d %H:%M %Z")
    apart = _apart(abs((row.due - now).total_seconds()))
    left = f"{apart} too late" if row.state == "late" else f"{apart} left"
    return f"{'LATE' if row.state == 'late' else 'due':8} {row.document} to {to}: by {local} ({left}; {row.rule})"


def _apart(seconds: float) -> str:
    """Time until or since a deadline: days and hours where there are days."""
    days, rest = divmod(seconds, 86400)
    return f"{days:.0f} d {rest // 3600:.0f} h" if days else duration(seconds)


def _next(rows: list[Row], reviewer: str) -> None:
    """What to do about the report that is due first."""
    first = next((row for row in rows if row.state in ("late", "due")), None)
    if first is None:
        return
    about = f"{first.document} --incident {first.incident}"
    for line in (
        f"Next: festina report form {about} -o FORM, and write what is so",
        f"      festina report state {about} --form FORM --as {reviewer}",
        f"      festina report document {about} -o REPORT, and send it",
        f"      festina incident filed {first.incident} {first.document} REPORT --as {reviewer}",
    ):
        click.echo(line, err=True)


def _without(incident: Incident) -> str:
    """An incident without a deadline: nobody has classified it yet, or no regime asks for a report about it."""
    import json

    state = "unclassified" if incident.classified_seq is None else "no-report"
    row = {"incident": incident.number, "state": state, "classes": incident.classes, "document": None, "due": None}
    return json.dumps(row, sort_keys=True)


def _json(row: Row) -> str:
    import json
    from dataclasses import asdict

    plain = asdict(row) | {
        name: when.isoformat() if when else None for name, when in (("due", row.due), ("sent", row.sent))
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=True)


def _person(here: Opened, name: str) -> Person:
    from festina.loop.stating import Person

    return Person(here.ledger, here.state, here.home, name)


def _time(text: str | None) -> datetime:
    return time_of(text) or datetime.now(UTC)
