"""Which entries are worth telling, and in which words: pure, from one entry at a time.

Nothing of a proposer's is ever in a message: no plan, no file name, no author, no output. What a person wrote (a halt's
reason) was made plain when it was recorded, and is made plain again here.  # T-5
Templates are files with ``$names`` and nothing else: the first line is a mail's subject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.record import Record
from festina.notify.settings import Event
from festina.propose.history import GRAVE
from festina.system.halts import clean

__all__ = ["Message", "notice", "render"]

MAX_TEMPLATE = 16_384  # bytes
_SHIPPED = Path(__file__).parent / "templates"
_HOW_ON = "festina unhalt --as NAME --reason TEXT"


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is the same each time that this is sent. ``next``: a command, or empty. ``entry`` -1: of no entry."""

    id: str
    event: Event
    system: str
    at: str
    entry: int
    title: str
    what: str
    next: str

    def fields(self) -> dict[str, str]:
        return {name: clean(str(value)) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class _Said:
    event: Event
    title: str
    what: str
    next: str
    once: str = ""  # entries with the same word share an id: one message for all of them


def notice(record: Record, system: str, home: str) -> Message | None:
    """What a person should hear about this entry; None for most."""
    tell = _TELL.get(record.kind)
    said = tell(record.body, record) if tell is not None else None
    if said is None:
        return None
    name = said.once or str(record.seq)
    return Message(f"{home}-{name}", said.event, system, record.at, record.seq, said.title, said.what, said.next)


def _review(b: e.ReviewRequested, _: Record) -> _Said:
    part = "; it changes the improver itself" if b.improver_changed else ""
    return _Said(
        "waiting", f"Generation {b.generation} waits for a person",
        f"Review {b.review} was asked for{part}. Nothing is released, and no changed improver proposes, before a "
        f"person has decided. It expires at {b.expires}.", "festina review",
    )  # fmt: skip


def _ended(b: e.RunEnded, _: Record) -> _Said | None:
    after = f"after {b.wall_s / 60:.0f} minutes" if b.wall_s >= 60 else f"after {b.wall_s:.0f} seconds"
    detail = f" {b.detail[:1].upper()}{b.detail[1:]}." if b.detail else ""
    if b.reason == "halted":
        return None  # the halt itself is told
    if b.reason == "waiting":
        return _Said("waiting", "The run waits for a person", f"It stopped {after}.{detail}", "festina status")
    if b.reason in ("control", "fault", "crashed"):
        words = {"control": "the comparison itself is broken", "fault": "a failure", "crashed": "the engine died"}
        return _Said("alarm", f"The run stopped: {words[b.reason]}", f"It stopped {after}.{detail}", "festina status")
    return _Said("ended", f"The run has ended ({b.reason})", f"It ended {after}.{detail}", "festina status")


def _halted(b: e.Halted, _: Record) -> _Said:
    reason = f" because: {b.reason}" if b.reason else ""
    return _Said("halt", "Everything was halted", f"Halted by {b.by or 'somebody'} at {b.since}{reason}.", _HOW_ON)


def _resumed(b: e.Resumed, _: Record) -> _Said:
    return _Said("halt", "A halt was ended", f"{b.reviewer} signed that it may go on.", "festina run")


def _screened(b: e.Screened, r: Record) -> _Said | None:
    if not b.guard_change:
        return None
    return _Said(
        "alarm", "A proposal touched what judges it",
        "It was refused and recorded as an attempt on the guards. There may have been more of them since.",
        "festina status", once=f"guards-{r.at[:13]}",
    )  # one an hour: a proposer cannot fill a mailbox  # fmt: skip


def _grown(b: e.GrowthAlarm, _: Record) -> _Said:
    return _Said(
        "alarm", f"Growth is not what it was ({b.alarm})",
        f"Generation {b.generation} gained {b.gain:+.2f} doublings, which nothing before explains.", "festina growth",
    )  # fmt: skip


def _told(b: e.HistoryRead, r: Record) -> _Said | None:
    grave = [f"{count} {kind}" for kind, count in b.findings if kind in GRAVE]
    if not grave:
        return None
    return _Said(
        "alarm", f"What the outside loop {b.loop} tells does not fit", f"Found: {', '.join(grave)}. There may be more "
        "since.", f"festina attach --name {b.loop}", once=f"outside-{b.loop}-{r.at[:13]}",
    )  # one an hour: its files are a stranger's  # fmt: skip


def _checked(b: e.HistoryChecked, r: Record) -> _Said | None:
    if b.word != "not-reproduced":
        return None
    return _Said(
        "alarm", f"A score of the outside loop {b.loop} did not come out again", f"It claims {b.claimed:g}; what ran "
        "here does not give that.", f"festina attach --name {b.loop}", once=f"claim-{b.loop}-{r.at[:13]}",
    )  # fmt: skip


def _drafted(b: e.IncidentDrafted, _: Record) -> _Said:
    return _Said(
        "alarm", "What may be an incident waits for a person", f"{b.text}. No clock runs before a person opens it.",
        "festina incident",
    )  # fmt: skip


def _stepped(b: e.AutonomyStepped, _: Record) -> _Said:
    return _Said(
        "alarm", f"Autonomy: {b.reviewer} signed '{b.rung}'",
        f"A step from '{b.before}' to '{b.rung}' was signed. Whether it has effect, festina autonomy says.",
        "festina autonomy",
    )  # fmt: skip


_TELL: dict[str, Callable[[Any, Record], _Said | None]] = {
    "review-requested": _review, "run-ended": _ended, "halted": _halted, "resumed": _resumed, "screened": _screened,
    "growth-alarm": _grown, "incident-drafted": _drafted,
    "autonomy-stepped": _stepped, "history-read": _told, "history-checked": _checked,
}  # fmt: skip


def render(message: Message, home: Path) -> tuple[str, str]:
    """Subject and text, from ``HOME/templates/EVENT.txt`` or the one that is shipped.

    Raises ``UsageError`` notify-template for one that names what there is not.
    """
    own = home / "templates" / f"{message.event}.txt"
    path = own if own.is_file() else _SHIPPED / f"{message.event}.txt"
    try:
        with path.open("rb") as source:
            text = source.read(MAX_TEMPLATE).decode()
        lines = [Template(line).substitute(message.fields()) for line in text.splitlines()]
    except KeyError as error:
        raise UsageError(
            "notify-template", f"there is nothing called {error} to tell", where=str(path),
            fix=f"use {', '.join(f'${name}' for name in message.fields())}",
        ) from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise UsageError("notify-template", f"not a template: {error}", fix="write $$ for a dollar", where=str(path)) from None  # noqa: E501
    subject = lines[0] if lines else f"Festina: {message.system}"
    return clean(subject)[:200], "\n".join(lines[1:]).strip() + "\n"
