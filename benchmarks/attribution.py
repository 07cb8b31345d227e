"""How often attributions and public-hidden gaps are wrong, and what they can see.

*Hunks*: units are differences of two means of 20 coins, unpaired, which is about the worst noise of an honest system.
``blamed`` is how often a hunk that does nothing is said to help or to harm (5 % is promised, approximately), ``seen``
how often an effect of that size is told; half-widths beside those of the interval by betting that verdicts use.

*Gaps*: a change is accepted by the real rule on hidden batch means, then its public gain is measured on some public
items. ``alarm`` is how often fitting to the public items is reported when there is none, ``seen`` when a share of the
public items was memorised.

    python benchmarks/attribution.py          # about a minute
    python benchmarks/attribution.py --quick  # a few seconds
"""

from __future__ import annotations

import argparse
import random

from festina.select import attribution, gate, overfit, student
from festina.select.report import estimate, interval

SEED = 20261126
HUNK_UNITS = (8, 16, 32)
HUNK_EFFECTS = (0.05, 0.1, 0.2)
PUBLIC_ITEMS = (40, 100, 400)
MEMORISED = (0.2, 0.4)
BASE, GAIN = 0.3, 0.1  # share of items that the incumbent solves, and what an honest change adds


def coins(rng: random.Random, effect: float) -> float:
    """One unit: a mean of 20 coins that fall right half the time and a little more, less one of 20 that do not."""
    lifted = sum(rng.random() < 0.5 + effect for _ in range(20))
    return (lifted - sum(rng.random() < 0.5 for _ in range(20))) / 20


def word(diffs: list[float]) -> str:
    return attribution.judged(student.spread(diffs), (), detect=0.02, untouched=False)


def hunks(runs: int) -> None:
    rng = random.Random(SEED)
    seen_heads = " | ".join(f"seen, {effect:g}" for effect in HUNK_EFFECTS)
    print(f"| units | blamed | {seen_heads} | half-width | by betting |")
    print("|---|---|" + "---|" * (len(HUNK_EFFECTS) + 2))
    for units in HUNK_UNITS:
        nulls = [[coins(rng, 0.0) for _ in range(units)] for _ in range(runs)]
        blamed = sum(word(diffs) in ("helps", "harms") for diffs in nulls) / runs
        seen = [
            sum(word([coins(rng, effect) for _ in range(units)]) == "helps" for _ in range(runs // 4)) / (runs // 4)
            for effect in HUNK_EFFECTS
        ]
        some = nulls[: max(20, runs // 100)]
        half = sum((s := student.spread(diffs))[2] - s[0] for diffs in some) / len(some)
        bets = sum((b[1] - b[0]) / 2 for diffs in some if (b := interval(diffs))) / len(some)
        cells = " | ".join(f"{share:.2f}" for share in seen)
        print(f"| {units} | {blamed:.3f} | {cells} | {half:.3f} | {bets:.3f} |")


def hidden(rng: random.Random, gain: float) -> overfit.Spread | None:
    """The hidden gain of one accepted change; None when it was not accepted."""
    plan = gate.Plan(kind="bounded", level=5e-4, margin=0.0, detect=0.05, beta=0.1, guards=(), units_max=2000)
    state, diffs = gate.start(plan), []
    while gate.decision(state) == "continue":
        diffs.append(max(-1.0, min(1.0, rng.gauss(gain, 0.1))))
        state = gate.observe(state, gate.Evidence(diffs[-1], ()))
    if gate.decision(state) != "accept":
        return None
    around = interval(diffs, shown=0.0)
    return None if around is None else (estimate(diffs), *around)


def public(rng: random.Random, items: int, memorised: float) -> list[float]:
    """Differences on public items: each solved or not by either side, and some of them known by heart."""
    diffs = []
    for _ in range(items):
        before = rng.random() < BASE
        after = rng.random() < BASE + GAIN or rng.random() < memorised
        diffs.append(float(after) - float(before))
    return diffs


def betting(diffs: list[float]) -> overfit.Spread:
    """The interval that verdicts use, for comparison."""
    around = interval(diffs)
    assert around is not None
    return estimate(diffs), *around


def gaps(runs: int) -> None:
    rng = random.Random(SEED + 1)
    print("\n| public items | alarm | " + " | ".join(f"seen, {share:.0%} memorised" for share in MEMORISED) + " |")
    print("|---|---|" + "---|" * len(MEMORISED))
    for items in PUBLIC_ITEMS:
        cells = []
        for memorised in (0.0, *MEMORISED):
            told = bets = total = 0
            while total < runs:
                gained = hidden(rng, GAIN)
                if gained is not None:
                    total += 1
                    diffs = public(rng, items, memorised)
                    told += overfit.overfitted(overfit.minus(student.spread(diffs), gained))
                    bets += overfit.overfitted(overfit.minus(betting(diffs), gained))
            cells.append(f"{told / total:.3f} (by betting {bets / total:.3f})")
        print(f"| {items} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    part = 10 if parser.parse_args().quick else 1
    hunks(20_000 // part)
    gaps(1000 // part)


if __name__ == "__main__":
    main()
