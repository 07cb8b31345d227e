"""Where the loop stands on the ladder of autonomy: folded from signed steps, and from what took the top away.  # G-7

The highest rung is looked at again before each entry is folded in, at that entry's own time: a lease that ran out and
was renewed, a safeguard that lapsed and was attested anew, took it away all the same. It never comes back by itself,
nor with a new epoch. A step that may not be made is recorded without effect: one person's key can never stop a ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from festina.govern.ladder import LADDER, TOP, USUAL, Standing, at_most, gone, steps_up
from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop import governing, sameness, soaks
from festina.loop.admitting import HANDED_IN
from festina.review.seats import moment

if TYPE_CHECKING:
    from festina.loop.rows import Generation
    from festina.loop.state import State

SIGNATURE_DAYS = 7  # a signature under a step that waits for others
QUIET = frozenset({  # entries that change nothing of what the highest rung rests on
    "batch-started", "batch-ended", "test-opened", "verdict", "proposal-requested", "proposal-received", "screened",
    "measure-started", "measure-ended", "measure-skipped", "public-compared", "attributed", "internals-compared",
    "try-started", "try-ended", "model-asked", "model-answered", "control-started", "plant-revealed", "run-started",
    "run-ended", "controls-checked", "training-started", "training-ended",
})  # fmt: skip
CLOCKS_S = 120.0  # two machines' clocks may differ by so much


@dataclass(frozen=True, slots=True)
class Grant:
    """The signed step that the highest rung rests on. ``seqs``: every signature, the deciding one last."""

    seqs: tuple[int, ...]
    at: str
    expires: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """One step, up or down: at which entry, by whom or by what."""

    seq: int
    at: str
    before: e.Rung
    rung: e.Rung
    why: str


@dataclass(slots=True)
class Autonomy:
    """``rung``: where it stands. ``waiting``: signatures under a step that more people have to sign."""

    rung: e.Rung = USUAL
    grant: Grant | None = None
    moves: list[Moved] = field(default_factory=list)
    waiting: dict[str, tuple[int, str, e.AutonomyStepped]] = field(default_factory=dict)
    stirred: bool = True  # the last entry may have changed what the highest rung rests on
    ends: datetime | None = None  # when the first of that runs out

    @property
    def merges(self) -> bool:
        """Whether an accepted change moves the working line."""
        return self.rung != "observe"

    @property
    def releases(self) -> bool:
        """Whether anything may leave the loop: be released, or be put in force as the improver."""
        return self.rung in (USUAL, TOP)

    def new_epoch(self, seq: int, at: str, most: e.Rung, *, first: bool) -> None:
        """Never up: new rules are no signature, and a step to the highest rung was made under the old ones."""
        self.waiting = {}
        if first:
            self.rung = at_most(most, USUAL)
        else:
            self.to(at_most(at_most(self.rung, most), USUAL), seq, at, "new rules")

    def to(self, rung: e.Rung, seq: int, at: str, why: str, grant: Grant | None = None) -> None:
        if rung != self.rung:
            self.moves.append(Moved(seq, at, self.rung, rung, why))
        self.rung, self.grant = rung, grant
        self.waiting, self.stirred, self.ends = {}, True, None


def speaks(s: State, name: str) -> bool:
    """Whether that person is enrolled; a demo's key speaks for nobody outside a demo."""
    who = s.reviewers.get(name)
    return who is not None and (not who.demo or (s.genesis is not None and s.genesis.demo))


def standing(s: State, now: datetime, *, granted_s: float | None = None) -> Standing:
    """What the highest rung would stand on now. ``granted_s``: of a step that is only asked for."""
    mine = s.govern.autonomy.grant
    if granted_s is None and mine is not None:
        granted_s = seconds_until(mine.expires, now)
        if seconds_until(mine.at, now) is None or (seconds_until(mine.at, now) or 0.0) > CLOCKS_S:
            granted_s = None  # a clock that jumped back before the step can tell nothing
    terms = s.epoch.govern if s.epoch is not None else None
    tiers = [tier for suite in (terms.capabilities if terms else ()) for tier in suite.tiers]
    asked = sorted({name for tier in tiers for name in tier.safeguards})
    newest, age = governing.characterised(s, now)
    return Standing(
        granted_s=granted_s, lease_s=governing.left(s, now), characterised_s=age,
        valid_s=terms.pace.valid_s if terms is not None and terms.pace is not None else None,
        safeguards=len(asked),
        lacking=tuple(name for name in asked if not governing.in_place(s, name, now)),
        alarms=(*governing.alarms(s, newest), *governing.fallen(s), *governing.news(s)),
        incidents=len(s.govern.incidents) + len(s.govern.drafts),
        halts=len(s.halts.standing), escapes=s.govern.escapes, broken=s.twins is not None and s.twins.alarm is not None,
    )  # fmt: skip


def seconds_until(when: str, now: datetime) -> float | None:
    try:
        return (datetime.fromisoformat(when) - now).total_seconds()
    except (ValueError, TypeError):
        return None


def against(s: State, now: datetime) -> tuple[str, ...]:
    """What takes the highest rung away now; empty also on every other rung."""
    return gone(standing(s, now)) if s.govern.autonomy.rung == TOP else ()


def rung_at(s: State, now: datetime) -> e.Rung:
    """The rung in force at a moment: what no entry has shown yet counts, too."""
    return USUAL if against(s, now) else s.govern.autonomy.rung


def before(s: State, r: Record) -> None:
    """What had taken the highest rung away by the time of this entry.  # G-7

    Looked at where an entry before it may have changed something, or when the first of its ends has come.
    """
    mine = s.govern.autonomy
    if mine.rung != TOP:
        return
    now = moment(max(r.at, s.last_at))
    if mine.stirred or mine.ends is None or now >= mine.ends:
        if why := against(s, now):
            mine.to(USUAL, r.seq, r.at, why[0])
            return
        mine.ends = _ends(s, now)
    mine.stirred = r.kind not in QUIET


def _ends(s: State, now: datetime) -> datetime:
    """When the first of what the highest rung rests on runs out, if nothing else happens."""
    rests, grant = standing(s, now), s.govern.autonomy.grant
    assert rests.lease_s is not None  # it stands
    assert rests.valid_s is not None
    assert rests.characterised_s is not None
    assert grant is not None
    terms = s.epoch.govern if s.epoch is not None else None
    asked = {n for suite in (terms.capabilities if terms else ()) for tier in suite.tiers for n in tier.safeguards}
    lapses = [moment(grant.expires), *(moment(s.govern.safeguards[name]) for name in asked)]
    return min(*lapses, now + timedelta(seconds=min(rests.lease_s, rests.valid_s - rests.characterised_s)))


# -- a release that nobody is asked about -----------------------------------------------------------------


def covers(s: State, g: Generation, now: datetime, *, watched: bool = True) -> str:
    """Why this version may not be released unattended, in words; empty where it may.  # G-7, R-1

    ``watched`` False: also before the steps that it has to be watched at.
    """
    if s.govern.autonomy.rung != TOP:
        return f"the loop stands at '{s.govern.autonomy.rung}'"
    if why := against(s, now):
        return why[0]
    if g.parent is None or not g.commit or g.number not in s.line or g.denied or s.denials:
        return "it is no accepted version on the line"
    if g.verdict is None or g.verdict.provisional:
        return "it was tested below the demanded confinement"  # T-2
    if sameness.in_doubt(s, g):
        return "a broken comparison put it in doubt"  # V-2
    for number in s.line[: s.line.index(g.number) + 1][::-1]:
        each = s.generations[number]
        if each.parent is None or each.approved is not None:
            break
        if each.improver_changed:
            return f"generation {number} changed the improver, which takes a person's approval"
        if each.author.startswith(HANDED_IN):  # whatever it was brought as: as a plant, or as an outside loop's
            return f"generation {number} was handed in, and somebody else than who made it has to approve it"
    if watched and (why_not := soaks.lacking(s, g, now)):
        return why_not  # D-3
    for step in s.epoch.release_steps if watched and s.epoch is not None else ():
        if s.watches.passed(g.commit, step) is None:
            return f"it has not passed its {step} step"  # D-3
    return ""


def release_due(s: State, now: datetime) -> int | None:
    """The version that is to be released without asking; None where there is none, or something stands against it."""
    if s.govern.autonomy.rung != TOP or not s.line or s.head.number == s.released or s.release is not None:
        return None
    return s.head.number if not covers(s, s.head, now) else None


def granted(s: State, b: e.ReleaseIntent, g: Generation, now: datetime) -> bool:
    """Whether an intent without an approval rests on the step in force, on a version that was characterised itself."""
    mine = s.govern.autonomy.grant
    return (
        b.cause == "release" and mine is not None and b.grant == mine.seqs[-1] and not covers(s, g, now)
        and s.govern.complete_all(s, g.number)
    )  # fmt: skip


# -- steps --------------------------------------------------------------------------------------------------


def refusal(s: State, b: e.AutonomyStepped, now: datetime) -> str:
    """Why a step has no effect, in words; empty where it has."""
    mine, most = s.govern.autonomy, s.epoch.autonomy if s.epoch is not None else LADDER[0]
    up = steps_up(b.before, b.rung)
    if not speaks(s, b.reviewer):
        return f"'{b.reviewer}' may not decide here"
    if b.before != mine.rung or up == 0:
        return f"the loop stands at '{mine.rung}'"
    if up < 0:
        return ""
    if up > 1:
        return "it goes up one rung at a time"
    if steps_up(most, b.rung) > 0:
        return f"festina.toml allows '{most}' at most"
    if b.trust == "no":
        return "festina trust says no"
    if b.rung != TOP:
        return ""
    if b.trust != "yes":
        return "festina trust cannot tell yet whether it may"
    left = seconds_until(b.expires or "", now)
    why = gone(standing(s, now, granted_s=left if left is not None else 0.0))
    return why[0] if why else ""


def needed(s: State, rung: e.Rung) -> int:
    """People who have to sign a step up to this rung: as many as reviews take."""
    return s.epoch.review.people if s.epoch is not None and s.epoch.review is not None and rung == TOP else 1


def stepped(s: State, r: Record, b: e.AutonomyStepped) -> None:
    at = max(r.at, s.last_at)
    if speaks(s, b.reviewer):
        s.govern.alive = max(s.govern.alive, at)  # the signature itself is a sign of life  # G-4
    why = refusal(s, b, moment(at))
    if why:
        s.ignored.append((r.seq, r.kind, why))
        return
    mine = s.govern.autonomy
    votes = {name: vote for name, vote in mine.waiting.items() if vote[2].rung == b.rung and _signed(vote[1], at)}
    votes[b.reviewer] = (r.seq, at, b)
    mine.waiting = votes
    if steps_up(b.before, b.rung) > 0 and len(votes) < needed(s, b.rung):
        return
    people = tuple(sorted(votes))
    grant = None
    if b.rung == TOP:
        ends = min(vote[2].expires or "" for vote in votes.values())
        grant = Grant(tuple(sorted(vote[0] for vote in votes.values())), at, ends, people)
    mine.to(b.rung, r.seq, at, f"signed by {', '.join(people)}", grant)


def _signed(at: str, now: str) -> bool:
    return moment(now) - moment(at) <= timedelta(days=SIGNATURE_DAYS)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"autonomy-stepped": stepped}
