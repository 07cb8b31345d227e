"""A forecast in plain words: blocks of sentences and tables, for somebody who has never heard of sequential testing.

The first block is the answer, the others say why. Numbers have the digits that they are worth; a range in brackets is
what the noise, measured on few runs, leaves open. Pure text; the command line lays it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite, log10

from festina.calibrate.scene import LONGEST
from festina.calibrate.values import Advice, Choice, Claim, Forecast, Kind, Rule, Span

BAR = 30  # columns of the text plot
POWER = "8 of 10"


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, sentences, and a table; each may be empty but the heading."""

    title: str
    text: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def lines(f: Forecast) -> list[Block]:
    """Everything there is to say, the answer first."""
    blocks = [_answer(f), _noise(f)]
    if f.kinds:
        blocks += [_prices(f), _rules(f), _curve(f)]
    if f.choices:
        blocks.append(_choices(f))
    blocks += [_advice(f), _claims(f), _caveats(f)]
    return [block for block in blocks if block.text or block.rows]


# ---- numbers ------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Two digits: no forecast is worth more."""
    if not isfinite(value):
        return "any number"
    if value == 0.0:
        return "0"
    places = 1 - floor(log10(abs(value)) + 1e-9)
    rounded = round(value, places)
    return f"{rounded:,.{max(0, places)}f}" if abs(rounded) < 1e6 else f"{rounded:.1e}"


def given(value: float) -> str:
    """A number that somebody wrote down."""
    return f"{value:,.6g}"


def around(span: Span) -> str:
    """A number and its range; the range alone where it says all."""
    if not isfinite(span.high):
        return f"{number(span.value)} ({number(span.low)} or more)"
    low, high = number(span.low), number(span.high)
    return number(span.value) if low == high else f"{number(span.value)} ({low} to {high})"


def time(hours: float) -> str:
    """A duration in its natural unit."""
    if not isfinite(hours):
        return "for ever"
    seconds = 3600.0 * hours
    if seconds < 1.0:
        return "under 1 s"
    for size, unit in ((90.0, "s"), (5400.0, "min"), (172_800.0, "h")):
        if seconds < size:
            return f"{number(seconds / {'s': 1.0, 'min': 60.0, 'h': 3600.0}[unit])} {unit}"
    return f"{number(seconds / 86_400.0)} days"


def times(span: Span) -> str:
    low, high = time(span.low), time(span.high)
    if not isfinite(span.high):
        return f"{time(span.value)} ({low} or more)"
    return time(span.value) if low == high else f"{time(span.value)} ({low} to {high})"


def gain_of(f: Forecast) -> str:
    """The gain that stands for a real one."""
    return "any amount" if f.any_gain else number(f.kinds[1].gain)


def share(value: float) -> str:
    return f"{100.0 * value:.0f} %" if value >= 0.005 or value == 0.0 else "under 1 %"


def _of(value: float) -> str:
    """A count of 100."""
    if value == 0.0:
        return "none"
    return "under 0.1" if value < 0.1 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


# ---- blocks -------------------------------------------------------------------------------------------------


def _answer(f: Forecast) -> Block:
    text = []
    if not f.kinds:
        text.append(_no_forecast(f))
        return Block("In short", tuple(text))
    gain = gain_of(f)
    if f.any_gain:
        seed = "" if f.noise.seeds is None or f.noise.seeds.value == 0.0 else " of the same seed"
        text.append(f"Runs{seed} do not differ at all, so any gain shows, however small{_at_worst(f)}.")
    elif f.reach is not None and f.reach.first is not None:
        less = " or even less" if f.reach.at_most else ""
        less += " where `detect` asks for it" if f.bounded else ""
        text.append(
            f"Smallest gain that can be found: {around(f.reach.first)}{less}, in {POWER} cases and with at most "
            f"{f.reach.units:,} pairs of runs ({time(_pair_hours(f, f.reach.units))}){_at_worst(f)}."
        )
    elif f.reach is not None:
        text.append(
            f"No gain can be found within {f.reach.units:,} pairs of runs: the budget is too small. An acceptance "
            f"takes at least {f.units_least} pairs ({time(_pair_hours(f, f.units_least))})."
        )
    nothing, good = f.kinds[0].price, f.kinds[1].price
    text.append(
        f"A proposal that is no better is given up after {number(nothing.runs.value)} runs, {times(nothing.hours)}; "
        f"one that is better by {gain} is accepted after {number(good.runs.value)}, {times(good.hours)}."
    )
    if f.proposals is not None and f.proposals.value < 1.0:
        text.append(f"A budget of {_budget(f)}, is not enough for one proposal.")
    elif f.proposals is not None and f.accepted is not None:
        text.append(
            f"A budget of {_budget(f)}, judges about {around(f.proposals)} proposals. If {share(f.setting.improving)} "
            f"of them are better by {gain}, about {around(f.accepted)} will be accepted."
        )
    once, own = _rule(f, "once"), _rule(f, "festina")
    if once is not None and own is not None:
        text.append(
            f"Of 100 proposals, keeping whatever scores better would here accept {_of(once.wrong)} wrongly, and "
            f"Festina {_of(own.wrong)}. The chance of even one wrong acceptance, however long it runs, is at most "
            f"{share(f.setting.alpha)}."
        )
    text.append(_limits(f))
    return Block("In short", tuple(text))


def _at_worst(f: Forecast) -> str:
    """What is left where a change draws its chance anew."""
    reach = f.reach
    if reach is None or reach.apart is None or reach.first is None or reach.apart <= 1.1 * reach.first.high:
        return ""
    return f"; {number(reach.apart)} for changes that draw their chance in another way, so that seeds do not cancel"


def _no_forecast(f: Forecast) -> str:
    if f.noise.source == "none":
        return (
            "One run says nothing of how much runs differ, so nothing can be forecast. Give it more runs (--runs). "
            f"Any acceptance takes at least {f.units_least} pairs of runs ({time(_pair_hours(f, f.units_least))})."
        )
    return (
        f"Not even a huge gain is accepted within the {f.units_max:,} pairs of runs that a test may take: raise "
        "max_units or alpha."
    )


def _pair_hours(f: Forecast, units: float) -> float:
    return 2.0 * units * f.run_s / 3600.0 / f.setting.workers


def _budget(f: Forecast) -> str:
    parts = [] if f.setting.hours is None else [time(f.setting.hours)]
    parts += [] if f.setting.trials is None else [f"{f.setting.trials:,} runs"]
    workers = f.setting.workers
    return ", ".join([*parts, f"{workers} at a time" if workers > 1 else "one at a time"])


def _limits(f: Forecast) -> str:
    return {
        "items": "What limits you is the number of items: most of the noise of a pair comes from which items it got.",
        "runs": "What limits you is the noise between runs"
        + (f"{_alone(f)}." if f.noise.items is None else ": more items in a run would help little."),
        "range": "What limits you is not noise but the declared range: a test must make sure that no rare disaster "
        "within it turns the gain into a loss, and that takes as long without any noise.",
        "none": "What limits you is not noise: so many equal answers are needed before luck is ruled out.",
        "unknown": "",
    }[f.bottleneck]


def _alone(f: Forecast) -> str:
    return ", of which the one item of a run is a part" if f.bounded and f.setting.items_per_run == 1 else ""


_SOURCE = {
    "neighbours": "small changes of the current version, each under the same seed as it",
    "seeds": "the current version under different seeds; no small change could be compared, so nothing is assumed to "
    "cancel in a pair",
    "reruns": "the same seed run again: the least noise there can be, since a real change does more",
    "none": "one run",
}


def _noise(f: Forecast) -> Block:
    n = f.noise
    rows = [("score of the current version", number(n.score) if n.score else "0", "")]
    apart, same = ("other seeds, items", "same seed and items") if n.items is not None else ("other seeds", "same seed")
    about = (
        (n.seeds, "a run's score, from seed to seed", ""),
        (n.reruns, "a run's score, same seed again", "0 where a run depends on its seed alone"),
        (n.items, "from item to item within a run", ""),
        (n.unpaired, f"difference of two runs apart ({apart})", "how a remembered score compares"),
        (n.paired, "difference of two runs side by side", f"{same}: what Festina compares"),
    )
    rows += [(name, f"± {around(span)}", note) for span, name, note in about if span is not None]
    if n.pairing is not None and n.pairing.low > 1.0:
        rows.append(("saved by comparing side by side", f"{around(n.pairing)} times fewer runs", ""))
    elif n.pairing is not None:
        rows.append(("saved by comparing side by side", "not shown to help", f"{around(n.pairing)} times fewer runs"))
    if n.clusters is not None and n.clusters.value > 1.05:
        rows.append(("items of a cluster repeat each other", f"{around(n.clusters)} of them tell as much as one", ""))
    if n.share_items is not None:
        runs = share(1.0 - n.share_items)
        rows.append(("noise of a difference comes from", f"items {share(n.share_items)}, runs {runs}", ""))
    text = [f"From {n.runs} runs; differences from {_SOURCE[n.source]}."]
    title = "How much scores differ when nothing has become better"
    return Block(title, tuple(text), ("", "typical size", ""), tuple(rows))


def _prices(f: Forecast) -> Block:
    names = ("is no better", f"is better by {gain_of(f)}", f"is worse by {gain_of(f)}")
    rows = [
        (
            name, _chance(kind), around(kind.price.runs), times(kind.price.hours),
            f"{share(later.accepted.value)}, {number(later.price.runs.value)} runs",
        )
        for name, kind, later in zip(names, f.kinds, f.later, strict=True)
    ]
    text = []
    if f.hours_per_acceptance is not None and isfinite(f.hours_per_acceptance.value):
        text.append(f"All in all an acceptance takes {times(f.hours_per_acceptance)}, rejected proposals included.")
    return Block(
        "What a proposal costs", tuple(text), ("a proposal that", "accepted", "runs", "time", "at the 50th test"),
        tuple(rows),
    )  # fmt: skip


def _chance(kind: Kind) -> str:
    low, high = share(kind.accepted.low), share(kind.accepted.high)
    return share(kind.accepted.value) + (f" ({low} to {high})" if low != high else "")


_RULES = {
    "once": "keep if better, one run each",
    "mean": "keep if better, mean of 5 runs each",
    "record": "keep if above the best score so far",
    "best": "the same, best of 3 runs",
    "festina": "Festina",
}


def _rule(f: Forecast, name: str) -> Rule | None:
    return next((rule for rule in f.rules if rule.name == name), None)


def _rules(f: Forecast) -> Block:
    gains, harms = f.setting.improving, f.setting.harmful
    lone = f.any_gain and (f.noise.seeds is None or f.noise.seeds.value == 0.0)
    size = "any amount" if lone else number(f.kinds[1].gain)
    rows = [
        (_RULES[rule.name], _of(rule.wrong), _of(rule.harmful), share(rule.found), f"{number(rule.runs)}")
        for rule in f.rules
    ]
    text = (
        f"100 proposals with this system's noise: {share(gains)} better and {share(harms)} worse by "
        f"{size}, the rest without effect.",
    )
    head = ("rule", "wrongly accepted", "of these worse", "real gains found", "runs")
    return Block("Simpler rules on this system", text, head, tuple(rows))


def _curve(f: Forecast) -> Block:
    if f.any_gain:
        return Block("Chance that a gain is accepted")
    rows = tuple(
        (number(point.gain), share(point.first), share(point.later), "█" * round(BAR * point.first))
        for point in f.curve
    )
    head = ("true gain", "accepted", "at the 50th test", "")
    return Block(f"Chance that a gain is accepted (at most {f.units_max:,} pairs of runs)", (), head, rows)


def _choices(f: Forecast) -> Block:
    chosen = f.detect
    rows = tuple(_choice(row, chosen is not None and abs(row.detect - chosen) < 1e-9) for row in f.choices)
    head: tuple[str, ...] = ("detect", "found", "rejecting takes", "accepting takes", "proposals in the budget")
    if f.proposals is None:
        head, rows = head[:-1], tuple(row[:-1] for row in rows)
    picked = " The marked one lets your budget judge some 20 proposals or more." if f.detect_chosen else ""
    text = (f"`detect` says which gain is worth looking for; the smaller, the longer each verdict takes.{picked}",)
    return Block("What to look for", text, head, rows)


def _choice(row: Choice, chosen: bool) -> tuple[str, ...]:
    mark = " ◂" if chosen else ""
    judged = "" if row.proposals is None else number(row.proposals)
    return given(row.detect) + mark, share(row.found), time(row.hours_rejected), time(row.hours_accepted), judged


def _advice(f: Forecast) -> Block:
    rows = tuple((_what(each), _buys(each)) for each in f.advice)
    return Block("What would help", (), ("change", "what it buys"), rows)


def _what(a: Advice) -> str:
    before, after = given(a.before), given(a.after)
    return {
        "items": f"{after} items in a run instead of {before}",
        "graded": "scores in steps instead of right or wrong, if that halves the noise between items",
        "fewer-items": f"{after} items in a run instead of {before}: as good, if it makes runs shorter",
        "range": f"a range {after} wide instead of {before}, if no score can lie outside",
        "pairing": "runs that depend on $FESTINA_SEED alone, so that the same seed gives the same run",
        "clusters": "items that stand alone instead of clusters of similar ones",
        "workers": f"{after} runs at a time instead of {before}",
        "detect": f"look for gains of {after} instead of {before}",
        "guards": "guards that may lose twice as much (max_loss)",
    }[a.name]


def _buys(a: Advice) -> str:
    parts = []
    if a.name == "fewer-items":
        parts.append(f"{number(a.runs_rejected[1])} runs a rejection instead of {number(a.runs_rejected[0])}")
    elif a.hours_rejected[1] <= 0.95 * a.hours_rejected[0]:
        parts.append(f"{time(a.hours_rejected[1])} a rejection instead of {time(a.hours_rejected[0])}")
    else:
        parts.append(f"{time(a.hours_accepted[1])} an acceptance instead of {time(a.hours_accepted[0])}")
    if a.reach is not None and a.name != "fewer-items":
        parts.insert(0, f"smallest gain {number(a.reach[1])} instead of {number(a.reach[0])}")
    if a.name == "items" and a.before == 1.0:
        parts.append("if the noise is the items'")
    if a.name in ("items", "graded"):
        parts.append("if a run takes no longer")
    return ", ".join(parts)


def _claims(f: Forecast) -> Block:
    rows = tuple(_claim(claim) for claim in f.claims)
    text = [
        "`artifact`: this very model or program is better on such items. `recipe`: what the recipe gives is better, "
        "on average over its chance."
    ]
    if f.any_gain and all(claim.hours_rejected is not None for claim in f.claims):
        text.append("Nothing here depends on chance, so the two are the same.")
    if f.setting.once:
        text.append(
            f"Each candidate is trained once ({time(f.train_s / 3600.0)}, counted in), and its model answers every "
            "run, so that an acceptance is about that model."
        )
    elif f.noise.seeds is not None and f.noise.seeds.value > 0.0:
        text.append(
            "Seeds matter here and each pair gets a new one, so that an acceptance is about the recipe. For the "
            'artifact: train = "once" and an answer step in [experiment], or a model that is kept in the repository.'
        )
    head = ("claim", "a rejection takes", "an acceptance takes")
    return Block("What an acceptance would say", tuple(text), head, rows)


def _claim(claim: Claim) -> tuple[str, ...]:
    if claim.hours_rejected is None or claim.hours_accepted is None:
        return claim.name, f"cannot be told: {claim.why}", ""
    return claim.name, time(claim.hours_rejected), time(claim.hours_accepted)


def _caveats(f: Forecast) -> Block:
    n = f.noise
    text = list(f.notes)
    if n.failed:
        text.append(f"{n.failed} of {n.failed + n.runs} runs failed. A failed run scores worst, and that is in here.")
    elif f.unseen is not None and f.unseen > 1.05 * f.kinds[0].price.runs.value:
        text.append(
            f"None of {n.runs} runs failed. If one in {n.runs} does, which could easily not have shown, a rejection "
            f"takes {number(f.unseen)} runs instead of {number(f.kinds[0].price.runs.value)}."
        )
    if n.pairs and n.pairs < 10:
        text.append(f"Only {n.pairs} pairs stand behind this: take the ranges seriously, or give it more --runs.")
    if f.units_max >= LONGEST:
        text.append(
            f"Tests are played here up to {LONGEST:,} pairs of runs; longer ones find more than is said, and cost more."
        )
    if not f.bounded:
        text.append(
            "Without a declared range a rule must assume that luck favours neither side. A change that is a little "
            "better nearly always and ruins one run in fifty could pass."
        )
    return Block("What this does not know", tuple(text))
