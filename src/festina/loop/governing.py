"""What the governor decides about a state at a moment: the reading that it is given, and its answer.  # G-2, G-4"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from festina.govern.governor import FREE, MAX_LOGIT_SE, Decision, Policy, Reading, decide
from festina.loop import abilities, shown
from festina.select.normal import TWO_SIDED_2
from festina.verify.capabilities import ability

if TYPE_CHECKING:
    from festina.loop.state import State
    from festina.watch.readings import Reading as Growth

RECENT = 3  # accepted changes whose largest gain the next one is taken for
VALID_S = 30 * 86400.0  # of a characterisation, where no pace says otherwise

__all__ = [
    "alarms", "characterised", "decided", "fallen", "in_place", "left", "news", "policy_of", "reading_of", "unmeasured",
]  # fmt: skip


def decided(s: State, now: datetime) -> Decision:
    """The decision in force. Records from before there was a governor are not held back by it."""
    return FREE if s.epoch is None or s.epoch.govern is None else decide(reading_of(s, now), policy_of(s))


def policy_of(s: State) -> Policy:
    terms = s.epoch.govern if s.epoch is not None else None
    if terms is None or s.epoch is None:
        return Policy()
    room = s.epoch.review.max_waiting if s.epoch.review is not None else 0
    pace = terms.pace
    if pace is None:
        return Policy(lease_s=terms.lease_s, reverts=terms.reverts, max_waiting=room)
    return Policy(
        step=pace.step, first=pace.first, valid_s=pace.valid_s, lease_s=terms.lease_s, reverts=terms.reverts,
        max_waiting=room,
    )  # fmt: skip


def reading_of(s: State, now: datetime) -> Reading:
    g = s.govern
    newest, age = characterised(s, now)
    gains = [g.gains[number] for number in s.line if number in g.gains][-RECENT:]
    grown = _growth(s)
    if grown is not None:
        gains.append(grown.next_gain[1])
    if newest is not None and (pace := shown.pace_of(s, newest)) > 0.0:
        gains.append(pace)
    return Reading(
        gap=None if newest is None else shown.gap(s, newest),
        next_gain=max((x for x in gains if x is not None), default=None), characterised_s=age,
        coarse=_coarse(s, newest), new_abilities=news(s), crossed=_crossed(s, now),
        alarms=(*alarms(s, newest), *fallen(s)),
        divergence=0.0 if grown is None else grown.escape,
        trusted=True if grown is None or grown.trust is None else grown.trust,
        lease_left_s=left(s, now), ahead=_ahead(s, now), waiting=len(s.waiting), escapes=g.escapes,
        incidents=len(g.incidents), drafts=tuple(g.drafts),
        reverted=tuple(number in g.taken_back for number in g.accepted),
    )  # fmt: skip


def _growth(s: State) -> Growth | None:
    """What the line's growth says, where capability has a pace; None with too few measured generations.

    Until then, and until enough forecasts were scored, the declared numbers stand: the step as it is, ``first`` as the
    next gain.
    """
    if s.epoch is None or s.epoch.govern is None or s.epoch.govern.pace is None:
        return None
    from festina.loop import outlook  # numpy, where it is needed

    return outlook.read(s)


def alarms(s: State, newest: int | None) -> tuple[str, ...]:
    """Alarms of the watch that nobody has answered: by a characterisation of what raised it, or an approval.  # W-3"""
    looked = max([n for n in s.line if s.generations[n].approved is not None], default=-1)
    looked = max(looked, -1 if newest is None else newest)
    words = {"jump": "gained", "drop": "lost", "acceleration": "gained"}
    return tuple(
        f"Generation {a.generation} {words[a.alarm]} more than anything before it explains ({a.alarm})"
        for a in s.growth.alarms
        if a.generation in s.line and a.generation > looked
    )


def fallen(s: State) -> tuple[str, ...]:
    """Suites in which the newest version did far worse than one before it, and that no person has looked at.  # T-6

    A version that hides what it can do makes a characterisation that would let the loop go on look complete.
    """
    looked = max([n for n in s.line if s.generations[n].approved is not None], default=-1)
    found = []
    for suite in abilities.terms_of(s):
        runs = [(n, s.govern.abilities[n][suite.name][1]) for n in s.line if s.govern.complete(n, suite.name)]
        levels = [(n, *ability(suite, body.mean, body.error, body.items)) for n, body in runs]
        if len(levels) < 2 or levels[-1][0] <= looked:
            continue
        (best, high, wide), (last, low, narrow) = max(levels[:-1], key=lambda row: row[1]), levels[-1]
        if high - low > max(shown.LEAST, shown.CLEAR * math.hypot(wide, narrow)):
            found.append(
                f"{suite.name} fell by {high - low:.1f} doublings from generation {best} to {last}: it may be broken, "
                "or hide what it can do"
            )
    return tuple(found)


def characterised(s: State, now: datetime) -> tuple[int | None, float | None]:
    """(newest generation on the line whose characterisation is complete, its age in seconds)."""
    for number in reversed(s.line if abilities.terms_of(s) else []):
        if s.govern.complete_all(s, number):
            found = s.govern.abilities[number]
            ages = [_age(found[suite.name][0], now) for suite in abilities.terms_of(s)]
            known = [age for age in ages if age is not None]
            return number, max(known) if len(known) == len(ages) else None
    return None, None


def _age(at: str, now: datetime) -> float | None:
    try:
        age = (now - datetime.fromisoformat(at)).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0.0, age) if age > -_CLOCKS_S else age


def _coarse(s: State, newest: int | None) -> tuple[str, ...]:
    """Suites that are nearly always solved, so that neither gain nor harm would show: no headroom."""
    found = []
    if newest is None:
        return ()
    for suite in abilities.terms_of(s):
        body = s.govern.abilities[newest][suite.name][1]
        level, error = ability(suite, body.mean, body.error, body.items)
        if level > 0.0 and error > MAX_LOGIT_SE:
            found.append(suite.name)
    lost = abilities.suites_lost(abilities.view(s), newest)
    return tuple(dict.fromkeys((*found, *lost)))


def news(s: State) -> tuple[str, ...]:
    """Abilities that were not there at first, and that no person has looked at.  # G-1"""
    return tuple(abilities.said_new(suite, number) for suite, number in abilities.new_abilities(abilities.view(s)))


def _crossed(s: State, now: datetime) -> tuple[str, ...]:
    """Tiers that a generation on the line may have reached while a safeguard is not attested.  # G-1"""
    found = []
    for suite in abilities.terms_of(s):
        results = [s.govern.abilities[n][suite.name][1] for n in s.line if suite.name in s.govern.abilities.get(n, {})]
        sign = 1.0 if suite.direction == "higher" else -1.0
        most = max((sign * body.mean + TWO_SIDED_2 * body.error for body in results), default=None)
        for tier in suite.tiers:
            lacking = [name for name in tier.safeguards if not in_place(s, name, now)]
            if most is not None and most >= sign * tier.at and lacking:
                found.append(f"{suite.name} may have reached {tier.at:g}, and nobody attests {', '.join(lacking)}")
    return tuple(found)


def unmeasured(s: State, number: int, now: datetime) -> str:
    """Why a version with tiers declared may not be released yet, in words; empty where it may.  # G-1, G-2, D-2"""
    suites, terms = abilities.terms_of(s), s.epoch.govern if s.epoch is not None else None
    if not any(suite.tiers for suite in suites) or terms is None:
        return ""
    if not s.govern.complete_all(s, number):
        return "what it can do was not measured whole"
    found = s.govern.abilities[number]
    ages = [_age(found[suite.name][0], now) for suite in suites]
    valid = terms.pace.valid_s if terms.pace is not None else VALID_S
    if any(age is None or not 0.0 <= age <= valid for age in ages):
        return "what it can do was measured too long ago"
    return next(iter(_crossed(s, now)), "")


def in_place(s: State, safeguard: str, now: datetime) -> bool:
    """Whether it is attested and has not run out, also by the newest entry: a clock set back revives nothing."""
    try:
        until = datetime.fromisoformat(s.govern.safeguards[safeguard])
        return until > now and (not s.last_at or until > datetime.fromisoformat(s.last_at))
    except (KeyError, ValueError, TypeError):
        return False


def left(s: State, now: datetime) -> float | None:
    """What is left of the lease; None where a sign of life lies in the future: then no clock can be trusted."""
    terms = s.epoch.govern if s.epoch is not None else None
    if terms is None or terms.lease_s is None:
        return None
    try:
        age = (now - datetime.fromisoformat(s.govern.alive)).total_seconds()
    except (ValueError, TypeError):
        return None
    return terms.lease_s - age if age > -_CLOCKS_S else None


def _ahead(s: State, now: datetime) -> str:
    """The time of a sign of life that lies in the future; empty where none does."""
    try:
        late = (datetime.fromisoformat(s.govern.alive) - now).total_seconds() >= _CLOCKS_S
    except (ValueError, TypeError):
        return ""
    return s.govern.alive if late else ""


_CLOCKS_S = 120.0  # two machines' clocks may differ by so much
