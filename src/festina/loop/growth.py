"""Control arms and cross-play as part of the state: what was planned, what was found.  # W-2

No verdict, level or move of the line depends on any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import Proposed, misfit
from festina.propose.meter import Cost
from festina.select import predictions as predicted
from festina.select.productivity import (
    LEAST_PROBLEMS,
    Share,
    author,
    authorship,
    productivity,
    sentence,
    shared_out,
)

if TYPE_CHECKING:
    from festina.loop.state import State

WORD = {1: "paid", -1: "did not pay", 0: "cannot tell"}
LARGEST_UNIT = 7  # sandboxed runs of one unit at most: with fewer left an arm has spent its budget


@dataclass(slots=True)
class Crossplay:
    """One comparison of two improvers. ``leaf``: of its plan; the improvers' seeds follow from it  # E-3"""

    plan: e.CrossplayPlanned
    leaf: str
    problems: list[e.CrossplayProblem] = field(default_factory=list)
    ended: e.CrossplayEnded | None = None


@dataclass(slots=True)
class Grown:
    """All of them, in order. ``old``: how many cross-plays and arms are of earlier epochs; none of these goes on,
    since scores under other rules do not compare."""

    crossplays: list[Crossplay] = field(default_factory=list)
    arms: list[tuple[e.ArmStarted, e.ArmEnded | None]] = field(default_factory=list)
    old: tuple[int, int] = (0, 0)
    alarms: list[e.GrowthAlarm] = field(default_factory=list)  # W-3
    told: tuple[tuple[int, ...], tuple[predicted.Record, ...]] | None = field(default=None, compare=False)

    def new_epoch(self) -> None:
        self.old = len(self.crossplays), len(self.arms)

    @property
    def going(self) -> list[Crossplay]:
        """Cross-plays of this epoch without an end."""
        return [play for play in self.crossplays[self.old[0] :] if play.ended is None]

    @property
    def open_arm(self) -> e.ArmStarted | None:
        """An arm that was begun and has no end: it goes on with the next call."""
        return self.arms[-1][0] if len(self.arms) > self.old[1] and self.arms[-1][1] is None else None

    @property
    def last_arm(self) -> e.ArmEnded | None:
        return next((ended for _, ended in reversed(self.arms) if ended is not None), None)

    @property
    def last_crossplay(self) -> e.CrossplayEnded | None:
        return next((c.ended for c in reversed(self.crossplays) if c.ended is not None), None)


def authors(s: State) -> tuple[Share, ...]:
    """Who made the gain of the working line: people, the search, the improver of the start, or a changed one.  # P-5"""
    steps = []
    for number in s.line:
        g = s.generations[number]
        if g.target == "gain" and g.verdict is not None and g.verdict.estimate is not None and g.proposal is not None:
            p = s.proposals[g.proposal]
            steps.append((author(p.improver, maker(s, p) == s.line[0]), g.verdict.estimate))
    return authorship(steps)


def predictions(s: State) -> tuple[predicted.Record, ...]:
    """How the gains that authors predicted in this epoch came true, planted changes apart.  # P-6

    Made anew after a verdict or a reveal: pages ask often, and a long record has many proposals.
    """
    key = (s.epoch_seq, s.tests - len(s.open), len(s.plants))
    if s.growth.told is None or s.growth.told[0] != key:
        s.growth.told = (key, _predictions(s))
    return s.growth.told[1]


def _predictions(s: State) -> tuple[predicted.Record, ...]:
    rows = [
        predicted.Judged(p.verdict_seq, author(p.improver, maker(s, p) == s.line[0]), p.predicted, p.estimate,
                         p.word == "accepted")
        for p in s.proposals.values()
        if p.verdict_seq is not None and p.verdict_seq > s.epoch_seq and p.estimate is not None
        and p.target == "gain" and p.plant is None and p.stage == "closed" and predicted.counts(p.word, p.reason)
    ]  # fmt: skip
    return predicted.records(rows)


def sentences(s: State) -> list[str]:
    """What is known of whether recursion pays, for ``festina growth``: newest findings, and what all of them said."""
    found = [shared_out(authors(s)), *(each.sentence for each in predictions(s))]
    arm, played = s.growth.last_arm, s.growth.last_crossplay
    found += [arm.sentence] if arm is not None else []
    found += [played.sentence] if played is not None else []
    found.append(_counted("control arms", [ended.answer if ended is not None else None for _, ended in s.growth.arms]))
    plays = [play.ended.answer if play.ended is not None else None for play in s.growth.crossplays]
    found.append(_counted("cross-plays", plays))
    return [each for each in found if each]


def _counted(what: str, answers: Sequence[str | None]) -> str:
    """Whoever measures until the answer is the wanted one shows all the others with it."""
    if len(answers) < 2:
        return ""
    rows = [(answers.count(word), word or "not finished") for word in (*WORD.values(), None)]
    return f"Of {len(answers)} {what}: {', '.join(f'{n} {word}' for n, word in rows if n)}."


# -- findings, made from what was recorded before them: by the engine that writes them, and by whoever checks one  # S-4


def played(s: State, play: Crossplay) -> e.CrossplayEnded:
    """The end of a cross-play from its recorded problems alone."""
    assert s.epoch is not None
    suite, plan = s.epoch.suite, play.plan
    low, high, sign = suite.low, suite.high, 1.0 if suite.direction == "higher" else -1.0
    rows = [(p.left.score, p.right.score, p.start) for p in play.problems]
    if low is None or high is None:
        found = productivity([(sign * a, sign * c, sign * x) for a, c, x in rows], odds=False)
    else:
        worst, width = (low, high - low) if sign > 0 else (high, low - high)
        scaled = [((a - worst) / width, (c - worst) / width, (x - worst) / width) for a, c, x in rows]
        found = productivity(scaled, width=high - low)
    return e.CrossplayEnded(
        crossplay=plan.crossplay, problems=found.problems, left=found.left, right=found.right, ahead=found.ahead,
        ratio=found.ratio, answer=found.answer, sentence=sentence(found, plan.left, plan.right, plan.start),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arm:
    """What a control arm came to, by its own ledger."""

    generations: int  # accepted
    proposals: int
    trials: int
    reason: str  # of its last run's end
    models: Cost = field(default_factory=Cost)  # what it asked of models


def compared(s: State, terms: e.ArmStarted, arm: Arm, final: e.FinalScored) -> dict[str, Any]:
    """The end of a control arm, as far as it follows from the comparison of the two heads."""
    low, high = final.interval
    better, changed, cut = (low > 0) - (high < 0), by_changed(s, terms.head), _cut_short(s, terms, arm)
    behind = better < 0 and tried_by_changed(s)
    answer = WORD[better] if behind or (changed and not cut) else "cannot tell"
    numbers = (
        f"on {final.items:,} fresh items generation {terms.head} scores {final.mean_a:.3f} and the control arm, whose "
        f"improver stayed that of the start for {arm.proposals} of {terms.proposals} proposals and {arm.trials:,} of "
        f"{terms.trials:,} runs, {final.mean_b:.3f} after {arm.generations} accepted; difference "
        f"{final.estimate:+.3f} ({low:+.3f} to {high:+.3f})"
    )
    if behind:
        word = "Recursion did not pay"
    elif better < 0:
        word = "Whether recursion pays cannot be told: no changed improver has proposed anything"
    elif not changed:
        word = "Whether recursion pays cannot be told: no changed improver has made an accepted proposal"
    elif cut:
        word = "Whether recursion paid cannot be told: the control arm was stopped before its budget was spent"
    else:
        word = "Recursion paid" if better > 0 else "Whether recursion paid cannot be told"
    return {
        "head": terms.head, "tree": final.tree_b, "by_changed": changed, "line_mean": final.mean_a,
        "arm_mean": final.mean_b, "estimate": final.estimate, "interval": final.interval, "answer": answer,
        "sentence": f"{word}: {numbers}.",
    }  # fmt: skip


def by_changed(s: State, head: int) -> int:
    """Accepted generations up to ``head`` that an improver other than the start's proposed."""
    line = [n for n in s.line if n <= head and s.generations[n].proposal is not None]
    rows = [s.proposals[p] for n in line if (p := s.generations[n].proposal) is not None]
    return sum(p.improver == "own" and maker(s, p) != s.line[0] for p in rows)


def tried_by_changed(s: State) -> bool:
    """Whether an improver other than the start's proposed anything: else line and arm differ by luck alone."""
    return any(p.improver == "own" and maker(s, p) != s.line[0] for p in s.proposals.values())


def maker(s: State, p: Proposed) -> int:
    """Whose improver made what was handed in: an archive may hand in what an earlier one had tried.  # P-5, P-7"""
    node = s.search.nodes.get(s.search.by_tree.get(p.tree or "", -1))
    return p.from_generation if node is None or node.parent is None else node.from_generation


def _cut_short(s: State, terms: e.ArmStarted, arm: Arm) -> bool:
    """Whether time, faults or items stopped an arm that could have gone on: a lead over it shows nothing."""
    archive = s.epoch.archive if s.epoch is not None else None
    unit = LARGEST_UNIT + (archive.seeds if archive is not None else 0)
    left = arm.proposals < terms.proposals and terms.trials - arm.trials >= unit and not models_spent(terms, arm.models)
    return left and arm.reason not in ("finished", "exhausted")


def models_spent(terms: e.ArmStarted, used: Cost) -> bool:
    """Whether the arm has used as much of models as the line, in calls, tokens or money.  # E-5"""
    pairs = ((used.calls, terms.calls), (used.tokens, terms.tokens), (used.money, terms.money))
    return any(mine >= lines > 0 for mine, lines in pairs)


def check(s: State, body: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401 - one of some thirty types
    """(field, recorded, made again) of what a finding says otherwise, before it is folded in.  # S-4"""
    wanted: dict[str, Any] = {}
    if isinstance(body, e.CrossplayEnded) and body.crossplay < len(s.growth.crossplays):
        play = s.growth.crossplays[body.crossplay]
        wanted = dict(played(s, play)) if len(play.problems) >= LEAST_PROBLEMS else {}
    elif isinstance(body, e.ArmEnded) and s.growth.open_arm is not None and s.finals:
        models = Cost(body.tokens, 0, body.money, body.calls)
        arm = Arm(body.generations, body.proposals, body.trials, body.reason, models)
        wanted = compared(s, s.growth.open_arm, arm, s.finals[-1])
    rows = [(name, getattr(body, name), value) for name, value in wanted.items()]
    return [(name, str(said), str(made)) for name, said, made in rows if repr(said) != repr(made)]


# -- fold -----------------------------------------------------------------------------------------------


def _planned(s: State, r: Record, b: e.CrossplayPlanned) -> None:
    sides = ((b.left, b.left_commit), (b.right, b.right_commit), (b.start, b.start_commit))
    if b.crossplay != len(s.growth.crossplays):
        raise misfit(r, "a cross-play out of order")
    if any(number not in s.generations or s.generations[number].commit != commit for number, commit in sides):
        raise misfit(r, "a cross-play of generations that are not there")
    s.growth.crossplays.append(Crossplay(b, r.leaf))


def _open(s: State, r: Record, number: int) -> Crossplay:
    play = next((play for play in s.growth.going if play.plan.crossplay == number), None)
    if play is None:
        raise misfit(r, "a cross-play that is not open")
    return play


def _problem(s: State, r: Record, b: e.CrossplayProblem) -> None:
    play, now = _open(s, r, b.crossplay), s.side.open
    if now is None or (now.purpose, now.measure) != ("crossplay", b.measure):
        raise misfit(r, "a problem's result without a measurement that was charged")  # E-1
    if b.problem != len(play.problems) or b.problem >= play.plan.problems:
        raise misfit(r, "a problem out of order")
    play.problems.append(b)


def _ended(s: State, r: Record, b: e.CrossplayEnded) -> None:
    play = _open(s, r, b.crossplay)
    if b.problems != len(play.problems) or b.problems != play.plan.problems:
        raise misfit(r, "a cross-play ended before its plan")  # L-4
    play.ended = b


def _arm_started(s: State, r: Record, b: e.ArmStarted) -> None:
    if b.arm != len(s.growth.arms) or s.growth.open_arm is not None:
        raise misfit(r, "a control arm out of order")
    s.growth.arms.append((b, None))


def _arm_ended(s: State, r: Record, b: e.ArmEnded) -> None:
    now = s.growth.open_arm
    if now is None or now.arm != b.arm:
        raise misfit(r, "the end of an arm that is not open")  # L-3
    s.growth.arms[-1] = (now, b)


def _alarmed(s: State, r: Record, b: e.GrowthAlarm) -> None:
    if b.generation not in s.generations:
        raise misfit(r, "an alarm about a generation that is not there")
    s.growth.alarms.append(b)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "crossplay-planned": _planned, "crossplay-problem": _problem, "crossplay-ended": _ended,
    "arm-started": _arm_started, "arm-ended": _arm_ended, "growth-alarm": _alarmed,
}  # fmt: skip
