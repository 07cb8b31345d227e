"""How the run grows, from the record: gains in doublings, what follows from them, and alarms.  # W-1, W-3, W-4

Pure. No clock is read: growth goes by generations and by what they cost (sandboxed runs charged), so that a clock that
jumps changes nothing. No verdict depends on any of it; who governs the pace asks ``read``; None is missing data.

A generation's gain is its test's mean difference: the log2 of the odds that its mean score in the declared range beats
a bar drawn evenly from that range, minus the same of the version before (``select.productivity``); without a declared
range, the log2 of the ratio of the two mean scores. It decided the acceptance, too, so it flatters.
"""

from __future__ import annotations

from math import isclose, log, log2, sqrt
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.select.normal import ONE_SIDED
from festina.select.pairing import LARGEST
from festina.watch.readings import LEAST, RULE, RULES, Gain, Reading

if TYPE_CHECKING:
    from festina.loop.rows import Generation
    from festina.loop.state import State
    from festina.watch.alarm import Alarm


def gains(s: State) -> tuple[Gain, ...]:
    """Of the line, oldest first. What only changed the improver has no gain: its cost counts for the next."""
    found: list[Gain] = []
    spent = 0
    for number in s.line[1:]:
        g = s.generations[number]
        made = _doublings(s, g)
        if made is None:
            continue
        found.append(Gain(number, *made, max(1, g.trials - spent)))
        spent = g.trials
    return tuple(found)


def _doublings(s: State, g: Generation) -> tuple[float, float] | None:
    """(gain, standard error) of one generation; None where no scale compares it."""
    if g.target != "gain" or g.means is None or g.step is None or len(g.step.gains) < 2 or s.epoch is None:
        return None
    if not all(abs(each) <= LARGEST for each in (*g.means, *g.step.gains)):  # of a metric without a range; NaN, too
        return None
    count = len(g.step.gains)
    mean = sum(g.step.gains) / count
    spread = sqrt(max(sum((x - mean) ** 2 for x in g.step.gains) / (count - 1) / count, 1e-8))
    suite = s.epoch.suite
    new, old = g.means
    if suite.low is not None and suite.high is not None:
        higher, width = suite.direction == "higher", suite.high - suite.low
        worst, width = (suite.low, width) if higher else (suite.high, -width)
        floor = 0.5 / (count + 1)
        shares = [min(1.0 - floor, max(floor, (each - worst) / width)) for each in (new, old)]
        middle = sum(shares) / 2.0
        made = log2(shares[0] / (1.0 - shares[0])) - log2(shares[1] / (1.0 - shares[1]))
        return made, max(spread / (middle * (1.0 - middle) * log(2.0)), 1e-3)
    if min(new, old) < 1.0 / LARGEST:
        return None
    sign = 1.0 if suite.direction == "higher" else -1.0
    return sign * log2(new / old), max(spread / (0.5 * (new + old) * log(2.0)), 1e-3)


_READ: dict[tuple[Gain, ...], Reading] = {}  # the newest one: whoever asks twice pays once


def read(s: State, *, scores: bool = True) -> Reading | None:
    """None with fewer than ``LEAST`` measured generations. ``scores``: also those of past forecasts."""
    made = gains(s)
    if len(made) < LEAST:
        return None
    known = _READ.get(made)
    if known is not None and (known.scores or not scores):
        return known
    from festina.watch.outlook import outlook

    reading = outlook(made, score=scores, before=next(iter(_READ.values()), None))
    remember(reading)
    return reading


def remember(reading: Reading) -> None:
    """A reading that was made elsewhere in this process: whoever asks for the same is given it."""
    _READ.clear()
    _READ[reading.gains] = reading


def gap_since(s: State, generation: int) -> tuple[float, float] | None:
    """Doublings gained since ``generation`` was the head: (estimate, 95 % upper). None if a gain is not known."""
    if generation not in s.line:
        return None
    later = s.line[s.line.index(generation) + 1 :]
    made = {g.generation: g for g in gains(s)}
    if any(number not in made for number in later if s.generations[number].target == "gain"):
        return None
    rows = [made[number] for number in later if number in made]
    total = sum(g.doublings for g in rows)
    return total, total + ONE_SIDED * sqrt(sum(g.error**2 for g in rows))


# -- alarms ---------------------------------------------------------------------------------------------------


def alarm_due(s: State, rule: int = RULE) -> e.GrowthAlarm | None:
    """What is to be said of the newest generation, if anything and if it was not said.  # W-3

    ``rule``: version of the thresholds.
    """
    made = gains(s)
    if not made or made[-1].generation != s.line[-1]:
        return None
    said = {(a.generation, a.alarm) for a in s.growth.alarms}
    found = _alarm(s, made, rule)
    if found is None or (made[-1].generation, found.kind) in said:
        return None
    last = made[-1]
    return e.GrowthAlarm(
        alarm=found.kind, generation=last.generation, size=found.size, chance=found.chance, gain=last.doublings,
        error=last.error, measured=len(made), rule=rule,
    )  # fmt: skip


def _alarm(s: State, made: tuple[Gain, ...], rule: int) -> Alarm | None:
    if len(made) <= LEAST:
        return None
    from festina.watch import alarm
    from festina.watch.outlook import series

    numbers = {g.generation: place + 1 for place, g in enumerate(made)}
    leaps = (a.generation for a in s.growth.alarms if a.alarm == "jump")
    known = frozenset(numbers[number] for number in leaps if number in numbers)
    data, last = series(made), made[-1]
    found = alarm.judge(data.first(len(made) - 1), last.doublings, last.error, float(last.effort), known, rule)
    if found is not None or any(a.alarm == "acceleration" for a in s.growth.alarms):
        return found
    evidence = alarm.acceleration(data)
    return alarm.Alarm("acceleration", len(made), 0.0, 1.0 / evidence) if evidence >= 1.0 / alarm.FALSE else None


def check(s: State, body: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401 - one of some thirty types
    """(field, recorded, made again) of an alarm that the entries before it do not give.  # S-4"""
    if not isinstance(body, e.GrowthAlarm):
        return []
    if body.rule not in RULES:
        return [("rule", str(body.rule), "a version that is not known here")]
    made = alarm_due(s, body.rule)
    if made is None:
        return [("alarm", body.alarm, "none")]
    rows = []
    for name in e.GrowthAlarm.model_fields:
        said, again = getattr(body, name), getattr(made, name)
        same = isclose(said, again, rel_tol=1e-3, abs_tol=1e-12) if isinstance(said, float) else said == again
        rows += [] if same else [(name, str(said), str(again))]
    return rows
