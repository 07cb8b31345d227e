"""``festina trust``: for each stage and for the next rung of autonomy, yes, no, or cannot tell yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import INTEGRITY, own_ledger, put, system_option, time_of
from festina.errors import IntegrityError

if TYPE_CHECKING:
    from festina.loop.state import State
    from festina.report.trust.grounds import Case
    from festina.report.trust.model import Checked, Trust

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@system_option
@click.option("--ledger", type=FILE, help="Read this ledger instead of the system's own.")
@click.option("--quick", is_flag=True, help="Do not make the verdicts' numbers again; then they cannot be told.")
@click.option("--at", help="Judge as of this time, with time zone; default: now.")
@click.option("--html", "page", type=FILE, help="Also write the answer as one page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead.")
@click.pass_context
def command(
    ctx: click.Context, root: Path, ledger: Path | None, quick: bool, at: str | None, page: Path | None, as_json: bool
) -> None:
    """May it be trusted yet? Four stages and the next rung of autonomy: yes, no, or cannot tell yet.

    Each answer names its evidence, how old that is and until when it counts, and what would turn a "cannot tell" into
    an answer. There is no overall score. Exits with 6 when the record itself does not hold.
    """
    from festina.report.trust import forms

    judged, sound = assess(ledger or own_ledger(root), quick=quick, now=time_of(at))
    click.echo(forms.as_json(judged) if as_json else forms.as_text(judged), nl=False)
    if page is not None:
        put(forms.as_html(judged), page, fix="name another file")
        click.echo(f"page: {page.resolve()}", err=True)
    ctx.exit(0 if sound else INTEGRITY)


def assess(path: Path, *, quick: bool = False, now: datetime | None = None) -> tuple[Trust, bool]:
    """The judgement of a ledger, and whether the record holds."""
    from festina.report.trust.judging import judge

    case = examined(path, quick=quick, now=now)
    return judge(case), case.checked.ok and case.checked.numbers is not False


def examined(path: Path, *, quick: bool = False, now: datetime | None = None) -> Case:
    """All that a judgement rests on: the record checked, then read in one pass."""
    from festina.ledger.log import Ledger
    from festina.loop.state import fold as state_of
    from festina.report.fold import read
    from festina.report.law import incidents
    from festina.report.trust.grounds import Case
    from festina.report.trust.model import Checked
    from festina.report.trust.seen import Seen

    checked = _checked(path, quick=quick)
    with Ledger.open(path, readonly=True) as ledger:
        people, seen = incidents.People(), Seen()
        beside = (incidents.reader(people, ledger.get_blob), seen.take)
        reading = read(ledger.records(), ledger.get_blob, paths=False, beside=beside)
        data = reading.data(ledger.root().hex())
        case = Case(data, seen, people, checked, now or datetime.now(UTC))
        try:
            if reading.people.broken:
                state_of(ledger.records())  # raises, and says where
            case = _with(case, reading.people.state)
        except IntegrityError as error:  # every signature may hold, and the order of events still make no sense
            case = replace(case, checked=Checked(False, error.what, None))
    return case


def _with(case: Case, state: State) -> Case:
    """What the loop's own state adds: people's calibration, watches, abilities and safeguards."""
    from festina.loop import autonomy, outcomes, soaks
    from festina.loop.reviews import calibration

    terms = state.epoch.govern if state.epoch is not None else None
    head = state.line[-1] if state.line else -1
    used = -1 if state.released is None else state.released
    later = outcomes.terms_of(state)
    return replace(
        case, eyes=calibration(state), watches=tuple(state.watches.rows.values()),
        suites=terms.capabilities if terms is not None else (), abilities=state.govern.abilities.get(head, {}),
        safeguards=state.govern.safeguards, drafts=dict(state.govern.drafts),
        soaks=tuple((each, state.watches.soaks.rows.get((used, each.name))) for each in soaks.terms_of(state)),
        later=None if later is None else (later, state.watches.outcomes.rows.get(used)),
        rung=autonomy.rung_at(state, case.now),
    )  # fmt: skip


def _checked(path: Path, *, quick: bool) -> Checked:
    """Check the record now: signatures and hashes, and the verdicts' numbers unless ``quick``."""
    from festina.cli import replay
    from festina.ledger.audit import verify
    from festina.report.trust.model import Checked

    report = verify(path)
    words = f"{report.entries:,} entries: every signature, hash and order holds, checked now"
    if not report.ok:
        bad = report.first_bad
        return Checked(False, f"entry {bad[0]}: {bad[1]}" if bad else "it does not hold", None)
    if quick:
        return Checked(True, words, None)
    made = replay.again(path, report.entries, quiet=True)
    said = "every verdict was made again from the entries, checked now" if made.ok else "a number does not follow"
    return Checked(True, words, made.ok, said)
