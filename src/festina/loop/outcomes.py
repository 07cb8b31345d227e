"""What becomes of a release later on: outcomes that come in days after the work, counted, judged, and acted on.  # D-4

A person or a program brings a file of outcomes (``festina outcome``): which work, when it turned out, whether badly.
They are bets against "no more than ``tolerate`` of them are bad" in the order in which they happened
(``select.monitor``), as patient as they come: looked at for ever, a good enough version is taken back with at most
``alpha``. What speaks against a version never runs out; what speaks for it does, after ``valid_s``, and then nobody
knows how its work turns out now.

The record holds the rows; whether they are true, and whether somebody leaves out the bad ones, it cannot show.  # L-6
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.log import Draft, Ledger, Record
from festina.loop.rows import misfit
from festina.select import monitor
from festina.select.monitor import Monitor
from festina.system.home import Home
from festina.system.repo import Repo

if TYPE_CHECKING:
    from festina.loop.state import State

ALPHA = 0.01  # chance of ever taking back a version that is good enough
MOST = 20_000  # rows of one entry
MOST_BYTES = 64 << 20  # of them, as they are kept
SPANS = 20  # one entry spans at most this part of the time for which outcomes speak for a version
_AHEAD = timedelta(minutes=2)  # two machines' clocks may differ by so much


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a generation's outcomes. ``batches``: what came in, and when the latest of it happened;
    ``alarm``: the entry that decided that it is taken back."""

    seen: Monitor
    batches: tuple[e.OutcomesCounted, ...] = ()
    alarm: int | None = None

    def fresh(self, terms: e.OutcomeTerms, now: datetime) -> int:
        """Outcomes of entries whose earliest is young enough to speak for it: no old ones come along with a new one."""
        since = now - timedelta(seconds=terms.valid_s)
        return sum(len(each.events) for each in self.batches if datetime.fromisoformat(each.first) >= since)

    def until(self, terms: e.OutcomeTerms) -> datetime:
        """When fewer than enough of them will be recent, if no others come in."""
        count, first = 0, ""
        for each in sorted(self.batches, key=lambda each: each.first, reverse=True):
            count, first = count + len(each.events), each.first
            if count >= terms.least:
                break
        return datetime.fromisoformat(first) + timedelta(seconds=terms.valid_s)

    def sentence(self, number: int, terms: e.OutcomeTerms, now: datetime) -> str:
        """The same words in every view."""
        bad, events, fresh = self.seen.against, self.seen.events, self.fresh(terms, now)
        said = f"Outcomes of generation {number}: {bad:,} of {events:,} went badly, {terms.tolerate:.1%} may"
        if self.seen.answer == "roll back":
            return f"{said}; worse than that, and taken back"
        if fresh < terms.least:
            return f"{said}; {fresh:,} of them are recent, and under {terms.least:,} nothing speaks for it: cannot tell"
        return f"{said}; nothing speaks against it, until {self.until(terms).isoformat()[:16]}"


@dataclass(slots=True)
class Outcomes:
    """By generation. Filled by the handler alone."""

    rows: dict[int, Known] = field(default_factory=dict)
    count: int = 0


def terms_of(s: State) -> e.OutcomeTerms | None:
    return s.epoch.outcomes if s.epoch is not None else None


def lines(s: State, now: datetime) -> list[str]:
    """For people: of what is in use, and of what was taken back for its outcomes."""
    terms, rows = terms_of(s), s.watches.outcomes.rows
    if terms is None:
        return []
    found = [rows[n].sentence(n, terms, now) + "." for n in sorted(rows)[-3:]]
    if s.released is not None and s.released not in rows:
        found.append(f"No outcome of generation {s.released}, which is in use, has come in: festina outcome.")
    return found


@dataclass(frozen=True, slots=True)
class Brought:
    """What a file brought: rows taken, rows that were known already, and what is known now."""

    taken: int
    known: int
    state: Known


def bring(
    ledger: Ledger, state: State, repo: Repo, home: Home, generation: int, path: Path, now: datetime | None = None
) -> Brought:  # fmt: skip
    """Count the outcomes in a file and act on them. Raises ``UsageError`` where it cannot be read."""
    from festina.loop import acts

    at, terms = now or datetime.now(UTC), terms_of(state)
    if terms is None:
        raise UsageError(
            "no-outcome-terms", "this epoch does not say how many outcomes may be bad",
            fix='[policy.outcomes] tolerate = 0.02 in festina.toml, then festina run --new-epoch "why"',
        )  # fmt: skip
    row = state.generations.get(generation)
    if row is None or generation not in state.released_history:
        raise UsageError(
            "never-released", f"generation {generation} was never released, so that nothing can have come of it",
            fix="festina status",
        )  # fmt: skip
    rows = _read(path, at)
    old = {each["id"]: each for b in _batches(state, generation) for each in json.loads(ledger.get_blob(b.rows))}
    fresh = [each for each in rows if each["id"] not in old]
    _same(rows, old, path)
    for part in _parts(fresh, timedelta(seconds=terms.valid_s / SPANS)):
        data = canonical(part)
        events = "".join(str(int(each["bad"])) for each in part)

        def make(now_: State, part: Any = part, data: bytes = data, events: str = events) -> list[Draft]:  # noqa: ANN401
            body = e.OutcomesCounted(
                batch=now_.watches.outcomes.count, generation=generation, commit=row.commit,
                rows=sha256(data).hexdigest(), events=events, first=part[0]["at"], last=part[-1]["at"],
            )  # fmt: skip
            drafts = [Draft(body, blobs=(data,))]
            before = now_.watches.outcomes.rows.get(generation) or Known(monitor.start(terms.tolerate, terms.alpha))
            after = replace(before, seen=_seen(before.seen, events), batches=(*before.batches, body))
            if before.seen.answer != "roll back" and after.seen.answer == "roll back":  # once, and in one piece with it
                text = after.sentence(generation, terms, at)[:300]
                drafts.append(Draft(e.IncidentDrafted(about=now_.size, text=text)))
            return drafts

        acts.write(ledger, state, make)
    known = state.watches.outcomes.rows.get(generation) or Known(monitor.start(terms.tolerate, terms.alpha))
    if known.seen.answer == "roll back":
        _take_back(ledger, state, repo, home, generation, known.sentence(generation, terms, at))
    return Brought(len(fresh), len(rows) - len(fresh), known)


def _same(rows: Sequence[dict[str, Any]], old: Mapping[str, dict[str, Any]], path: Path) -> None:
    """An id means one outcome: whoever knew the ids could else make the bad ones known as good beforehand."""
    for each in rows:
        if old.get(each["id"], each)["bad"] != each["bad"]:
            words = ("well", "badly") if each["bad"] else ("badly", "well")
            raise UsageError(
                "outcome-contradicts",
                f"{each['id']!a} was brought as gone {words[0]}, and is {words[1]} here: nothing was counted",
                fix="find out which is true; what turned out otherwise later comes in under an id of its own",
                where=path.name,
            )  # fmt: skip


def _parts(rows: Sequence[dict[str, Any]], span: timedelta) -> Iterator[list[dict[str, Any]]]:
    """In entries that each span so little time that all of one is about equally old."""
    part: list[dict[str, Any]] = []
    for row in rows:
        if part and (len(part) == MOST or _at(row) - _at(part[0]) > span):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _at(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["at"])


def _take_back(ledger: Ledger, state: State, repo: Repo, home: Home, generation: int, why: str) -> None:
    """What is in use goes back and the loop halts until a person looked. Safe to do again.  # D-4, D-5"""
    from festina.loop import takeback

    if state.released == generation:
        takeback.take_back(ledger, state, repo, home, generation, by="outcomes", reason=why)


def _batches(state: State, generation: int) -> tuple[e.OutcomesCounted, ...]:
    known = state.watches.outcomes.rows.get(generation)
    return known.batches if known is not None else ()


def _read(path: Path, now: datetime) -> list[dict[str, Any]]:
    """Rows in the order in which they happened, each id once."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError("no-such-file", f"cannot read {path}: {error.strerror}") from None
    rows: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            row = _row(line, f"{path.name}:{number}", now)
            if row["id"] in rows:
                raise _malformed(f"the id of line {number} stands twice", f"{path.name}:{number}")
            rows[row["id"]] = row
    if not rows:
        raise _malformed("there is no outcome in it", path.name)
    return sorted(rows.values(), key=lambda each: (each["at"], each["id"]))


def _row(line: bytes, where: str, now: datetime) -> dict[str, Any]:
    try:
        value = parse_strict(line, max_bytes=65_536, max_depth=4)
    except IntegrityError:
        raise _malformed("a line is no JSON object", where) from None
    match value if isinstance(value, dict) and len(value) == 3 else None:
        case {"id": str(name), "at": str(at), "bad": bool(bad)} if 0 < len(name) <= 200:
            moment = _moment(at)
            if moment is None:
                raise _malformed("a time is none, or has no zone", where)
            if moment > now + _AHEAD:
                raise _malformed("an outcome lies in the future", where)
            return {"id": name, "at": moment.isoformat(timespec="milliseconds"), "bad": bad}
    raise _malformed("a line is no outcome", where)


def _moment(at: str) -> datetime | None:
    """In UTC; None for what is no time there, or means another one on another machine."""
    try:
        told = datetime.fromisoformat(at)
        return told.astimezone(UTC) if told.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _malformed(what: str, where: str) -> UsageError:
    return UsageError(
        "outcome-malformed", what, where=where,
        fix='one object a line: {"id": TEXT, "at": "2026-11-27T10:00:00Z", "bad": true or false}, each id once',
    )  # fmt: skip


def _seen(seen: Monitor, events: str) -> Monitor:
    for bit in events:
        seen = monitor.observe(seen, bit == "1")
    return seen


def _counted(s: State, r: Record, b: e.OutcomesCounted) -> None:
    terms, generation = terms_of(s), s.generations.get(b.generation)
    if terms is None or b.batch != s.watches.outcomes.count or generation is None or generation.commit != b.commit:
        raise misfit(r, "outcomes out of order, or of content that is not there")
    if b.generation not in s.released_history:
        raise misfit(r, "outcomes of what was never released")
    known = s.watches.outcomes.rows.get(b.generation)
    if known is None:
        try:
            known = Known(monitor.start(terms.tolerate, terms.alpha))
        except ValueError as error:
            raise misfit(r, str(error)) from None
    seen = _seen(known.seen, b.events)
    alarm = r.seq if known.alarm is None and seen.answer == "roll back" else known.alarm
    s.watches.outcomes.rows[b.generation] = replace(known, seen=seen, batches=(*known.batches, b), alarm=alarm)
    s.watches.outcomes.count += 1


def check(s: State, body: object, blob: Callable[[str], bytes]) -> list[tuple[str, str, str]]:
    """What does not follow from the rows that an entry names: (field, recorded, recomputed). ``s``: before the entry.

    Rows that this copy leaves out say nothing.
    """
    if not isinstance(body, e.OutcomesCounted):
        return []
    try:
        mine, earlier = blob(body.rows), [blob(b.rows) for b in _batches(s, body.generation)]
    except IntegrityError:
        return []
    rows, old = _kept(mine), {each["id"] for data in earlier for each in _kept(data)}
    if not rows:
        return [("rows", body.rows, "no outcomes")]
    pairs = (
        ("events", body.events, "".join(str(int(each["bad"])) for each in rows)),
        ("first", body.first, rows[0]["at"]), ("last", body.last, rows[-1]["at"]),
    )  # fmt: skip
    found = [(name, said, made) for name, said, made in pairs if said != made]
    ids = [each["id"] for each in rows]
    twice = len(ids) - len(set(ids) - old)
    return found + ([("rows", f"{twice} ids that were counted already", "each id once")] if twice else [])


def _kept(data: bytes) -> list[dict[str, Any]]:
    """The rows of an entry; empty for what ``bring`` does not write."""
    try:
        rows = parse_strict(data, max_bytes=MOST_BYTES, max_depth=3)
    except IntegrityError:
        return []
    named = {"id": str, "at": str, "bad": bool}
    fit = isinstance(rows, list) and all(
        isinstance(each, dict) and {name: type(value) for name, value in each.items()} == named for each in rows
    )
    return rows if isinstance(rows, list) and fit else []


HANDLERS: Mapping[str, Callable[[State, Record, Any], None]] = {"outcomes-counted": _counted}
