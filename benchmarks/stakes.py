"""How the numbers of ``festina.select.rules`` were chosen, and what they cost on laws that had no part in it.

Each row: mean units until a bet reaches its threshold, over the information bound ``ln(threshold)/KL`` of the exact
law (``acceptance.bound``), for versions 1 to 3 of the rule and variants that were tried and left; first the geometric
mean, then each law. Rule 3 is rule 2 that knows the noise of earlier tests: here after twenty tests of this law, and
where theirs was a tenth of this law's mean square or ten times it. *Choose*: the laws that the numbers were chosen on.
*Confirm*: other families, sizes and spreads, looked at once, afterwards. Whole runs: ``benchmarks/acceptance``.

    python benchmarks/stakes.py --quick   # seconds
    python benchmarks/stakes.py           # some minutes
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from acceptance.bound import rate
from acceptance.laws import Atoms, Exact, Graded, catastrophe, jackpot, ternary
from festina.select.noise import UNKNOWN, Noise
from festina.select.rules import LOSSES, RULES, SQUARES, Aim
from festina.select.vector import BoundedBets

BETA = 0.1
Case = tuple[str, Exact, float]  # name, law of the difference, detect

NULLS_CHOOSE: list[Case] = [
    ("ternary .2", ternary(0.0), 0.05),
    ("ternary .2", ternary(0.0), 0.1),
    ("ternary .5", ternary(0.0, 0.5), 0.05),
    ("ternary .1", ternary(0.0, 0.1), 0.02),
    ("graded sd .1", Graded(0.0, 0.1), 0.05),
    ("graded sd .03", Graded(0.0, 0.03), 0.03),
    ("graded sd .35", Graded(0.0, 0.35), 0.05),
    ("rare disaster", catastrophe(0.0), 0.05),
]
OTHERS_CHOOSE: list[Case] = [
    ("loss .05, ternary .2", ternary(-0.05), 0.05),
    ("loss .1, ternary .2", ternary(-0.1), 0.05),
    ("loss .05, graded .1", Graded(-0.05, 0.1), 0.05),
    ("loss .15, graded .1", Graded(-0.15, 0.1), 0.05),
    ("gain .02, ternary .2", ternary(0.02), 0.05),
    ("gain .01, ternary .2", ternary(0.01), 0.05),
    ("gain .02, graded .1", Graded(0.02, 0.1), 0.05),
]
NULLS_CONFIRM: list[Case] = [
    ("ternary .35", ternary(0.0, 0.35), 0.05),
    ("ternary .05", ternary(0.0, 0.05), 0.03),
    ("ternary .2", ternary(0.0), 0.03),
    ("ternary .8", ternary(0.0, 0.8), 0.1),
    ("graded sd .06", Graded(0.0, 0.06), 0.02),
    ("graded sd .2", Graded(0.0, 0.2), 0.05),
    ("graded sd .2", Graded(0.0, 0.2), 0.02),
    ("graded sd .15", Graded(0.0, 0.15), 0.1),
    ("rare triumph", jackpot(0.0), 0.05),
    ("five grades", Atoms((-1.0, -0.5, 0.0, 0.5, 1.0), (0.03, 0.1, 0.74, 0.1, 0.03)), 0.05),
    ("skewed", Atoms((-0.6, 0.0, 0.2), (0.1, 0.6, 0.3)), 0.04),
]
OTHERS_CONFIRM: list[Case] = [
    ("loss .03, ternary .35", ternary(-0.03, 0.35), 0.05),
    ("loss .08, graded .2", Graded(-0.08, 0.2), 0.05),
    ("gain .015, graded .2", Graded(0.015, 0.2), 0.05),
    ("gain .02, ternary .35", ternary(0.02, 0.35), 0.05),
]
GAINS_CHOOSE: list[Case] = [
    ("gain .05, ternary .2", ternary(0.05), 0.05),
    ("gain .1, ternary .2", ternary(0.1), 0.05),
    ("gain .05, graded .1", Graded(0.05, 0.1), 0.05),
    ("gain .15, graded .1", Graded(0.15, 0.1), 0.05),
    ("gain .1, disaster", catastrophe(0.1), 0.05),
]
GAINS_CONFIRM: list[Case] = [
    ("gain .05, ternary .35", ternary(0.05, 0.35), 0.05),
    ("gain .03, graded .2", Graded(0.03, 0.2), 0.03),
    ("gain .08, graded .2", Graded(0.08, 0.2), 0.03),
]

#: rule 3 where earlier tests had so many times the mean square
KNOWN = {"rule 3, noise known": 1.0, "rule 3, noise was a tenth": 0.1, "rule 3, noise was ten times": 10.0}
FUTILITY: dict[str, Aim] = {
    "rule 1": RULES[1].futility,
    "rule 2": RULES[2].futility,
    **dict.fromkeys(KNOWN, RULES[3].futility),
    "one aim": Aim((1.1,), (1.0,), SQUARES),
    "one aim, losses alone": Aim((1.0,), (1.0,), LOSSES),
    "aims as in rule 1": Aim((1.0, 2.5), (0.7, 0.3), SQUARES),
    "less on the far aim": Aim((1.0, 5.0), (0.92, 0.08), SQUARES),
    "three aims": Aim((1.0, 3.0, 8.0), (0.88, 0.08, 0.04), SQUARES),
    "bolder start": Aim((1.0, 4.0), (0.85, 0.15), SQUARES._replace(prior_squares=0.4)),
    "wins count half": Aim((1.0, 4.0), (0.85, 0.15), SQUARES._replace(win_weight=0.5)),
}
GAIN: dict[str, Aim] = {
    "rules 1 and 2": RULES[2].gain,
    **dict.fromkeys(KNOWN, RULES[3].gain),
    "more on the near aim": Aim((1.0, 2.0, 5.0), (0.7, 0.2, 0.1), LOSSES),
    "slower start": Aim((1.0, 2.9, 4.3), (0.63, 0.15, 0.22), LOSSES._replace(prior_units=10.0, prior_squares=0.7)),
    "all squares (voids units_min_accept)": Aim((1.0, 2.0, 5.0), (0.7, 0.2, 0.1), SQUARES),
}


def known(law: Exact, times: float) -> Noise:
    """What twenty tests have shown whose mean square was so many times this law's."""
    values, weights = law.points()
    return Noise(20, 20 * min(1.0, times * float(np.sum(weights * values * values))))


def ratio(
    case: Case, aim: Aim, tests: int, futility: bool, threshold: float, seed: int = 1, times: float = 0.0
) -> float:
    """Mean units until the bet reaches ``threshold``, over the bound; what takes 12 times the bound is cut there."""
    _, law, detect = case
    need = math.log(threshold) / rate(law, detect if futility else 0.0, above=not futility)
    cap = math.ceil(12 * need)
    noise = known(law, times) if times else UNKNOWN
    bet = aim.bet(detect, 1.0 - detect if futility else 1.0, noise, detect if futility else 0.0)
    bets = BoundedBets(bet, tests)
    rng, units, done = np.random.default_rng(seed), np.full(tests, float(cap)), np.arange(tests)
    for n in range(cap):
        if n % 32 == 0:
            block = np.ascontiguousarray(law.draw(rng, len(done), 32).T)
        d = block[n % 32]
        bets.step(detect - d if futility else d)
        over = bets.wealth >= threshold
        if over.any():
            units[done[over]] = n + 1
            bets.keep(~over)
            done, block = done[~over], block[:, ~over]
            if not len(done):
                break
    return float(units.mean()) / need


def table(title: str, cases: list[Case], aims: dict[str, Aim], tests: int, *, futility: bool, threshold: float) -> None:
    print(f"\n{title}: " + "; ".join(f"{name} ({detect:g})" for name, _, detect in cases))
    for name, aim in aims.items():
        found = [ratio(case, aim, tests, futility, threshold, times=KNOWN.get(name, 0.0)) for case in cases]
        mean = math.exp(sum(map(math.log, found)) / len(found))
        print(f"  {name:38s} {mean:.3f}  " + " ".join(f"{value:.2f}" for value in found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few tests, the two rules alone")
    quick = parser.parse_args().quick
    tests = 50 if quick else 2000
    give_up = {name: aim for name, aim in FUTILITY.items() if not quick or name.startswith("rule")}
    for part, nulls, others in (
        ("choose", NULLS_CHOOSE, OTHERS_CHOOSE), ("confirm", NULLS_CONFIRM, OTHERS_CONFIRM),
    ):  # fmt: skip
        table(f"give up a null, {part}", nulls, give_up, tests, futility=True, threshold=1 / BETA)
        table(f"give up others, {part}", others, give_up, tests, futility=True, threshold=1 / BETA)
    for part, gains in (("choose", GAINS_CHOOSE), ("confirm", GAINS_CONFIRM)):
        table(f"accept at 1/3000, {part}", gains, GAIN, tests // 2, futility=False, threshold=3000.0)


if __name__ == "__main__":
    main()
