"""``festina ledger``: check, read, prove and copy the record.

Data on stdout, messages on stderr. Exit codes: 0 ok, 2 usage, 6 the ledger is not what it should be.
Text from a ledger that is being looked at is hostile: it is shown as JSON with everything but ASCII escaped (T-5).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli import replay
from festina.cli.common import system_option
from festina.cli.say import Wordy, say
from festina.errors import FestinaError, UsageError

if TYPE_CHECKING:
    from festina.ledger.audit import Report
    from festina.ledger.log import Ledger, Record
    from festina.review.blindness import Asked

INTEGRITY = 6


class _Group(Wordy):
    """Shows our errors without a traceback and exits with their code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().invoke(ctx)
        except FestinaError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


def _where(path: str | None, home: str | None = None) -> Path:
    """The named ledger's file, or that of the system whose repository we are in."""
    if path is not None:
        return Path(path)
    if home is not None:
        return Path(home) / "ledger.db"
    from festina.system import home as homes
    from festina.system.repo import Repo

    context = click.get_current_context(silent=True)
    root = context.find_object(Path) if context is not None else None
    return homes.require(Repo.discover(root or Path())).ledger


_LEDGER = click.option("--ledger", "path", envvar="FESTINA_LEDGER", metavar="FILE", help="The ledger's file.")
_JSON = click.option("--json", "as_json", is_flag=True, envvar="FESTINA_JSON", help="Records on stdout, nothing else.")


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@click.group(cls=_Group, name="ledger")
@system_option
@click.pass_context
def group(ctx: click.Context, root: Path) -> None:
    """Check, read, prove and copy the record."""
    ctx.obj = root


@group.command()
@click.argument("digest")
@_LEDGER
def content(digest: str, path: str | None) -> None:
    """Show what an entry names by its sha256: a patch, a plan, what a model was asked and what it answered.

    The bytes are checked against DIGEST and shown as text in which nothing is hidden.
    """
    from festina.ledger.log import Ledger
    from festina.propose.text import visible

    with Ledger.open(_where(path), readonly=True) as ledger:
        click.echo(visible(ledger.get_blob(digest).decode("utf-8", "replace")))


@group.command()
@click.argument("path", required=False, envvar="FESTINA_LEDGER")
@click.option("--home", envvar="FESTINA_SYSTEM_HOME", metavar="DIR", help="The system's home that holds ledger.db.")
@click.option("--key", envvar="FESTINA_ENGINE_KEY", help="The engine's public key that you trust (hex or base64).")
@click.option(
    "--checkpoint", "checkpoints", envvar="FESTINA_CHECKPOINT", type=click.Path(dir_okay=False), multiple=True,
    help="A checkpoint that you, or a witness, kept: shows whether anything before it was cut off or rewritten.",
)  # fmt: skip
@click.option("--witness", "witnesses", multiple=True, help="Verifier key of a witness that must have cosigned it.")
@click.option("--verdicts", is_flag=True, help="Also make every number of every verdict again and compare.")
@_JSON
@click.pass_context
def verify(
    ctx: click.Context, path: str | None, home: str | None, key: str | None, checkpoints: tuple[str, ...],
    witnesses: tuple[str, ...], verdicts: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check every signature, hash, proof and pairing of a ledger, offline.  (L-1)

    PATH is the ledger's file, or a directory that `export` wrote. Exits with 6 and the number and kind of the first
    bad entry when anything was changed, dropped, moved, inserted or forged. With --verdicts also when a number does not
    follow from the entries before it, whoever signed it.
    """
    from festina.ledger.audit import verify as check
    from festina.ledger.cosignature import witness_key
    from festina.ledger.signing import parse_public

    kept = [_kept(name) for name in checkpoints]
    trusted, where = [witness_key(text) for text in witnesses], _where(path, home)
    report = check(where, key=parse_public(key) if key is not None else None, checkpoint=kept, witnesses=trusted)
    made = replay.again(where, report.entries, quiet=as_json) if verdicts and report.ok else None
    if as_json:
        click.echo(_plain(_as_dict(report) | ({} if made is None else {"verdicts": replay.as_dict(made)})))
    else:
        _show_report(report, trusted=key is not None, kept=bool(kept))
        if made is not None:
            replay.show(made)
    ctx.exit(0 if report.ok and (made is None or made.ok) else INTEGRITY)


def _kept(name: str) -> str:
    try:
        return Path(name).read_bytes()[:1_000_000].decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError("no-checkpoint", f"the kept checkpoint cannot be read: {error}", where=name) from None


def _as_dict(report: Report) -> dict[str, object]:
    bad = report.first_bad
    return {
        "ok": report.ok,
        "entries": report.entries,
        "first_bad": None if bad is None else {"seq": bad[0], "kind": bad[1].split(":", 1)[0], "what": bad[1]},
        "findings": [{"seq": seq, "what": what} for seq, what in report.findings],
        "origin": report.origin,
        "engine_key": report.engine_key,
        "root": report.root,
        "covered": report.covered,
        "signatures": report.signatures,
        "content": report.content,
        "withheld": report.withheld,
        "witnesses": [
            {"name": name} | ({} if seen is None else {"size": seen.size, "at": seen.at, "seq": seen.seq})
            for name, seen in report.witnesses
        ],
        "limits": report.limits_text,
    }


def _show_report(report: Report, *, trusted: bool, kept: bool) -> None:
    if report.first_bad is not None:
        seq, what = report.first_bad
        say(f"BAD   {'entry ' + str(seq) + ', ' if seq >= 0 else ''}{_safe(what)}", err=False)
        say(f"      {report.entries} entries could be read and chained before that was clear", err=False)
    else:
        say(f"ok    {report.entries} entries of {_safe(report.origin)}: {report.signatures} signatures, "
            f"{report.content} pieces of content, all in order", err=False)  # fmt: skip
        say(f"      root {report.root}, {report.covered} entries under the signed checkpoint", err=False)
        say(f"      engine key {report.engine_key}{' (the one you gave)' if trusted else ''}", err=False)
        if kept:
            say("      it continues the checkpoint that you kept", err=False)
        for name, seen in report.witnesses:
            if seen is not None:
                at = datetime.fromtimestamp(seen.at, UTC).isoformat(timespec="seconds")
                say(f"      {_safe(name)} cosigned its first {seen.size} entries at {at} (entry {seen.seq})", err=False)
    for seq, what in report.findings:
        say(f"note  {'entry ' + str(seq) + ': ' if seq >= 0 else ''}{_safe(what)}", err=False)
    say(report.limits_text)


def _safe(text: str) -> str:
    """Printable ASCII only."""
    return text.encode("ascii", "backslashreplace").decode() if text.isprintable() else ascii(text)[1:-1]


@group.command()
@_LEDGER
@_JSON
@click.option("--kind", envvar="FESTINA_KIND", help="Only entries of this kind.")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, help="Start at this entry.")
@click.option("--tail", type=click.IntRange(min=1), help="Only the last so many of what is left.")
def show(path: str | None, as_json: bool, kind: str | None, start: int, tail: int | None) -> None:
    """List entries: number, time, kind, signer, body."""
    from collections import deque
    from contextlib import closing

    from festina.ledger.entries import KINDS
    from festina.ledger.log import Ledger
    from festina.review.blindness import SPOKEN

    if kind is not None and kind not in KINDS:
        from difflib import get_close_matches

        near = get_close_matches(kind, KINDS, 1)
        raise UsageError(
            "no-such-kind", f"no entry is of kind {kind!r}", fix=f"one of: {', '.join(near or sorted(KINDS))}"
        )
    with Ledger.open(_where(path), readonly=True) as ledger:
        if tail is not None and kind is None:
            start = max(start, ledger.size - tail)
        with closing(ledger.records(start)) as records:  # before the ledger is, also when the reader has gone
            found = (record for record in records if kind is None or record.kind == kind)
            asked: Asked | None = None
            for record in found if tail is None else deque(found, maxlen=tail):
                if asked is None and record.kind in SPOKEN:
                    asked = _asked(ledger)
                closed = asked is not None and asked.closed(record)
                click.echo(_plain(_record(record, closed=closed)) if as_json else _line(record, closed=closed))


def _asked(ledger: Ledger) -> Asked:
    """Which reviews wait: what was said in them is shown to nobody.  # R-5"""
    from contextlib import closing

    from festina.review.blindness import Asked

    asked = Asked()
    with closing(ledger.records()) as records:
        for record in records:
            asked.take(record)
    return asked


def _record(record: Record, *, closed: bool) -> dict[str, object]:
    from festina.review.blindness import WHY

    row: dict[str, object] = {"seq": record.seq, "kind": record.kind, "at": record.at, "leaf": record.leaf}
    if closed:
        return row | {"closed": WHY}
    return row | {
        "keyid": record.keyid,
        "body": record.entry.body,
        "commitments": dict(record.commitments),
        "content": list(record.entry.content),
        "subjects": [list(subject) for subject in record.subjects],
    }


def _line(record: Record, *, closed: bool) -> str:
    from festina.review.blindness import WHY

    signer, says = ("-" * 8, f"({WHY})") if closed else (record.keyid[:8], _plain(record.entry.body))
    return f"{record.seq:>6}  {record.at}  {record.kind:<20}  {signer}  {says}"


@group.command()
@click.argument("seq", type=click.IntRange(min=0))
@_LEDGER
def prove(seq: int, path: str | None) -> None:
    """Print a proof that entry SEQ is in the ledger (C2SP tlog-proof), checkable with the engine's key alone."""
    from festina.ledger.log import Ledger
    from festina.ledger.proof import prove as proof_of
    from festina.review.blindness import WHY

    with Ledger.open(_where(path), readonly=True) as ledger:
        if seq < ledger.size and _asked(ledger).closed(ledger.record(seq)):
            raise UsageError("review-not-settled", f"entry {seq} is {WHY}", fix="prove it after that")
        click.echo(proof_of(ledger, seq), nl=False)


@group.command()
@_LEDGER
@click.pass_context
def plants(ctx: click.Context, path: str | None) -> None:
    """Recompute which slots and requests to people had to hold known-bad changes, and whether they did."""
    from festina.ledger.log import Ledger
    from festina.loop import reviewed
    from festina.loop.planting import audit
    from festina.loop.state import fold

    with Ledger.open(_where(path), readonly=True) as ledger:
        state = fold(ledger.records())
        found, asked = audit(ledger, state), reviewed.audit(ledger)
    if asked.requests:
        real = f"{asked.left} drawn and left as they were"
        some = f"{asked.requests} request{'s' if asked.requests != 1 else ''}"
        click.echo(f"{some} to people in this epoch, {asked.planted} planted, {real}")
        if asked.wrong:
            click.echo(f"These do not follow from the epoch's secret: review {', '.join(map(str, asked.wrong))}")
            ctx.exit(INTEGRITY)
        click.echo("Every planted request follows from the secret that was sealed when the epoch was opened.")
    if found.slots == 0 and asked.requests == 0:
        click.echo("Nothing to recompute: this epoch plants nothing, or this copy lacks what opens the sealed fields.")
        return
    if found.slots == 0:
        click.echo("No slot of the improver's was planted in this epoch.")
        return
    left = f"{found.left} drawn and left to the improver"
    click.echo(f"{found.slots} slots in this epoch, {found.planted} planted, {left}")
    if found.wrong:
        listed = ", ".join(str(number) for number in found.wrong)
        click.echo(f"These do not follow from the epoch's secret, or were never revealed: proposal {listed}")
        ctx.exit(INTEGRITY)
    click.echo("Every planted slot follows from the secret that was sealed when the epoch was opened.")


@group.command("import")
@click.argument("source", metavar="FILE.db|DIR|FILE.jsonl", type=click.Path(path_type=Path, exists=True))
@click.option("--name", default="", help="What to call this history here; else `festina` or `jsonl`.")
@click.option("--origin", default="", help="Whose it is said to be: recorded as claimed.")
@click.option("--key", help="Public key (hex or base64) that must have signed it: the other engine's, or the file's.")
@click.option("--signature", type=click.Path(path_type=Path, dir_okay=False), help="JSON lines: --key's signature.")
@click.option("--metric", default="", help="JSON lines: NAME:higher or NAME:lower.")
@click.pass_obj
def import_(
    root: Path, source: Path, name: str, origin: str, key: str | None, signature: Path | None, metric: str
) -> int:
    """Bring in history that was recorded elsewhere: another ledger (its file or a copy), or JSON lines.

    Each row is marked with the origin that it claims and the key that attests it, and is never evidence here. The
    other ledger's chain is checked as `verify` does. Exits with 3 where something does not fit.
    """
    from festina.cli.attach import tell
    from festina.loop.foreign.reading import Source, bring, public_of, signature_of
    from festina.propose.history import GRAVE

    lines = source.is_file() and source.suffix in (".jsonl", ".json")
    if not lines and (metric or signature is not None):
        raise UsageError("not-for-a-ledger", "a ledger has its own signatures and metric", fix="leave the option out")
    signed = signature_of(signature) if signature is not None else b""
    made = bring(
        root or Path(), Source("jsonl" if lines else "festina", source, name, metric, origin=origin, key=public_of(key),
                               signature=signed),
    )  # fmt: skip
    tell(made)
    return 3 if any(each.kind in GRAVE for each in made.findings) else 0


@group.command()
@click.argument("target", metavar="DIR|FILE.db", type=click.Path())
@_LEDGER
@click.option("--public", is_flag=True, help="Leave out what opens sealed fields; everything still verifies.")
@click.pass_context
def export(ctx: click.Context, target: str, path: str | None, public: bool) -> None:
    """Copy the ledger, checked, to one file (FILE.db) or to plain files in a new directory."""
    from festina.ledger.audit import verify as check
    from festina.ledger.copies import export as copy

    source = _where(path)
    report = check(source)
    if not report.ok:
        _show_report(report, trusted=False, kept=False)
        ctx.exit(INTEGRITY)
    copy(source, Path(target), public=public)
    click.echo(f"{report.entries} entries copied to {target}", err=True)
