"""What ``festina growth`` says first: whether recursion pays, and how the run grows, in sentences that claim no more.

The headline comes from control arms and cross-plays alone: no log of gains, however it rises, shows that letting
the improver change paid. Each state has its own sentence: nothing accepted, too few generations, no scale,
contrary answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.loop import outlook
from festina.loop.growth import tried_by_changed
from festina.select.normal import TWO_SIDED_2
from festina.watch.readings import LEAST, LIKELY, SOON

if TYPE_CHECKING:
    from festina.loop.state import State
    from festina.watch.readings import Gain, Reading

MOST = 1000  # problems of a cross-play, beyond which no number is said
Answers = tuple[int, int, int]  # paid, did not pay, cannot tell
NONE: Answers = (0, 0, 0)


def headline(s: State) -> str:
    """Recursion pays, does not pay, or cannot be told yet, and by what."""
    old_plays, old_arms = s.growth.old  # under earlier rules: those say nothing of a loop under these
    arms = _count([str(ended.answer) for _, ended in s.growth.arms[old_arms:] if ended is not None])
    plays = _count([str(play.ended.answer) for play in s.growth.crossplays[old_plays:] if play.ended is not None])
    told = _told(arms, plays)
    if len(s.line) < 2:
        return "Whether recursion pays cannot be told yet: nothing has been accepted."
    if not any(arms) and not any(plays) and any(s.growth.old):
        return (
            "Whether recursion pays cannot be told yet: every comparison with the first improver was made under "
            "earlier rules (festina growth --control; festina growth --crossplay)."
        )
    if not any(arms) and not any(plays) and not tried_by_changed(s):
        return "Whether recursion pays cannot be told yet: no changed improver has proposed anything."
    if not any(arms) and not any(plays):
        return (
            "Whether recursion pays cannot be told yet: that takes a comparison with the first improver, and none was "
            "run (festina growth --control; festina growth --crossplay)."
        )
    if arms[0] and not arms[1] and not plays[1]:
        return f"Recursion pays here, by {told}."
    if arms[1] and not arms[0] and not plays[0]:
        return f"Recursion does not pay here, by {told}."
    if arms[0] and plays[1] and not (arms[1] or plays[0]):  # two questions, two answers: no contradiction
        return (
            f"Letting the improver change paid, by {_told(arms, NONE)}; but begun from the same version as the first, "
            f"the changed improver gains less, by {_told(NONE, plays)}. Whether recursion pays from here on cannot be "
            "told yet."
        )
    if (arms[0] or plays[0]) and (arms[1] or plays[1]):
        return f"Whether recursion pays cannot be told: {told} point both ways."
    if plays[0] and not arms[1]:
        return (
            f"The improver got better at improving, by {told}; whether letting it change paid cannot be told yet"
            f"{'' if any(arms) else ': no control arm was run (festina growth --control)'}."
        )
    if plays[1] and not arms[0]:
        return f"The changed improver is worse at improving than the first, by {told}; that it paid is not shown."
    return f"Whether recursion pays cannot be told yet: {told}.{_problems(s)}"


def _count(answers: list[str]) -> Answers:
    return answers.count("paid"), answers.count("did not pay"), answers.count("cannot tell")


def _told(arms: Answers, plays: Answers) -> str:
    parts = []
    for what, found in (("control arm", arms), ("cross-play", plays)):
        total = sum(found)
        if total:
            words = ((found[0], "paid"), (found[1], "did not pay"), (found[2], "cannot tell"))
            said = ", ".join(f"{n} {word}" for n, word in words if n)
            parts.append(f"{total} {what}{'s' if total > 1 else ''} ({said})")
    return " and ".join(parts)


def _problems(s: State) -> str:
    """How many problems the last cross-play would have needed, if the difference that it saw is real, or why that is
    not said."""
    ended = s.growth.last_crossplay
    if ended is None:
        return " How much more it takes cannot be said of an arm: it is one run, with luck of its own."
    if ended.answer != "cannot tell":
        return ""
    if ended.ahead[0] == 0.0:
        return " The last cross-play saw no difference, so how many problems would show one cannot be said."
    half = (ended.ahead[2] - ended.ahead[1]) / 2.0
    wanted = round(ended.problems * (half / abs(ended.ahead[0])) ** 2 * 1.2)
    if wanted > MOST:
        return f" The last cross-play saw a difference so small that even {MOST} problems would not show it."
    if wanted <= ended.problems:
        return " The last cross-play had too few problems to say how many it takes."
    return f" If the difference of the last cross-play is real, about {wanted} problems would show it."


def told(s: State, reading: Reading | None) -> list[str]:
    """How the run grows: measured, foreseen, and how well that was foreseen before."""
    if reading is None:
        return _too_few(s, len(outlook.gains(s)))
    return [measured(s, reading.gains), _tendency(reading), _foreseen(reading), *_scored(reading), *alarms(s)]


def measured(s: State, made: tuple[Gain, ...]) -> str:
    """What was gained in all, before anything is read into it."""
    total = sum(g.doublings for g in made)
    error = TWO_SIDED_2 * sum(g.error**2 for g in made) ** 0.5
    return (
        f"Growth of {len(made)} measured generations: {_scale(s)} doubled {total:.2f} times in all "
        f"({total - error:.2f} to {total + error:.2f}; the gains that were accepted, which flatters)."
    )


def _too_few(s: State, count: int) -> list[str]:
    accepted = sum(s.generations[number].target == "gain" for number in s.line[1:])
    if accepted == 0:
        return []
    if count < accepted:
        return [
            f"How the run grows cannot be told: the gains of {accepted - count} of {accepted} generations are on no "
            "scale that compares generations (a declared range would give one)."
        ]
    lack = LEAST - count
    return [
        f"How the run grows cannot be told from {count} measured generation{'s' if count > 1 else ''}: it takes {lack} "
        "more at least, and usually 10 to 30."
    ]


def _scale(s: State) -> str:
    suite = s.epoch.suite if s.epoch is not None else None
    ranged = suite is not None and suite.low is not None and suite.high is not None
    return "the odds of a better score" if ranged else "the score"


def _tendency(r: Reading) -> str:
    if r.tendency == "cannot tell":
        line = (
            "Whether the pace (gain for the same effort) rises or falls cannot be told yet: chance that it rises "
            f"{r.rises:.0%}, that it does not change {r.steady:.0%}, that it falls {r.falls:.0%}; {_more(r)}."
        )
    else:
        rises, chance = ("rises", r.rises) if r.tendency == "speeding up" else ("falls", r.falls)
        shown = ""
        if rises == "rises" and r.evidence < 20.0:
            shown = ", though not so clearly that it holds however often one looks"
        line = (
            f"The pace (gain for the same effort) {rises}: chance of that {chance:.0%}{shown}. Why cannot be told from "
            "this: cheaper computing, help, or a system that shows less or more than it can look the same."
        )
    return line


def _more(r: Reading) -> str:
    """When it could be told, or why that is not said."""
    if r.more is not None:
        many = "generation tells" if r.more == 1 else "generations tell"
        return f"if it does change, about {r.more} more {many} which (in {LIKELY:.0%} of cases by then)"
    if r.within is None:
        return "that it changes is so unlikely that no number of generations can be said"
    return (
        f"even if it does change, {SOON} more generations tell in {r.within:.0%} of cases only, since it can be by "
        "little beside the luck of single gains"
    )


def _foreseen(r: Reading) -> str:
    low, middle, high = r.pace
    rows = {h: (a, b, c) for h, a, b, c in r.ahead}
    five = rows[5]
    line = (
        f"A generation's usual effort brings {middle:.2f} doublings now ({low:.2f} to {high:.2f}); the next five, "
        f"{five[1]:.1f} ({five[0]:.1f} to {five[2]:.1f}, 90 %)."
    )
    if r.escape > 0.05:
        line += (
            f" WARNING: a chance of {r.escape:.0%} that capability runs away within three generations, limits apart."
        )
    return line


def _scored(r: Reading) -> list[str]:
    lines = []
    for record in r.scores:
        n = len(record.scores)
        ahead = "the next generation" if record.ahead == 1 else f"{record.ahead} generations ahead"
        lines.append(
            f"Forecasts of {ahead}, {n} of them: 90 % intervals held {record.covered(0.9):.0%} of what came, 50 % "
            f"ones {record.covered(0.5):.0%}; mean error (CRPS) {record.crps:.2f} doublings, "
            f"a straight line's {record.line:.2f}."
        )
    if not lines:
        lines.append("Forecasts: too few generations to score any yet.")
    if r.trust is False:
        lines.append("These forecasts do NOT hold what they say: trust none of them.")
    return lines


def alarms(s: State) -> list[str]:
    """Every alarm of the record, newest last."""
    rows = []
    for a in s.growth.alarms:
        if a.alarm == "jump":
            rows.append(
                f"ALARM at generation {a.generation}: it gained {a.size:.0f} generations' worth more than foreseen "
                f"(chance of that by luck {a.chance:.1g})."
            )
        elif a.alarm == "drop":
            rows.append(f"ALARM at generation {a.generation}: measured capability fell by {-a.gain:.2f} doublings.")
        else:
            rows.append(f"ALARM at generation {a.generation}: the pace of growth is shown to rise (error at most 5 %).")
    return rows
