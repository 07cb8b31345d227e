"""What the runs themselves show about the set-up, in words: chance that no seed rules, failures, missing scores."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import fsum, sqrt
from statistics import fmean, stdev

from festina.calibrate.measure import INCUMBENT, Found, score
from festina.calibrate.types import Run

NOTABLE = 0.3  # share of the noise between seeds that reruns of one seed must have to be worth a word
IGNORED = 0.6  # from here on the seed seems to rule nothing: five reruns tell a ratio of 1 to about a third


def remarks(found: Found) -> list[str]:
    """Sentences for a person, the gravest first. Empty where nothing is odd."""
    runs = [run for run in found.measured.runs if run.tree == INCUMBENT]
    good = [run for run in runs if not run.failed]
    told = [*_failures(runs), *_unscored(found), *_chance(good, printed=found.measured.kind == "symmetric")]
    if found.stopped:
        why = "Ctrl-C" if found.stopped == "interrupted" else "the time was up"
        told.append(f"Stopped after {found.made} of {found.planned} runs: {why}.")
    if not any(run.tree != INCUMBENT for run in found.measured.runs):
        told.append(
            "No small change of the system that makes a difference could be run, so what a pair shares is not known."
        )
    if found.level < 2:
        told.append("The box of this machine is weaker than L2, so a run's verdicts here would be provisional.")
    return told


def _failures(runs: list[Run]) -> list[str]:
    failed = Counter(run.failed for run in runs if run.failed)
    if not failed:
        return []
    kinds = ", ".join(f"{kind} {count}" for kind, count in failed.most_common())
    return [
        f"{failed.total()} of {len(runs)} runs of the version in use gave no score ({kinds}). In a loop each of them "
        "counts as the worst there is: mend that first."
    ]


def _unscored(found: Found) -> list[str]:
    if not found.unscored:
        return []
    return [
        f"{found.unscored:,} of {found.asked:,} answers got no score, and so the worst one: they are missing or "
        "unreadable, or the scorer raised, or gave something outside the declared range."
    ]


def _chance(good: list[Run], *, printed: bool) -> list[str]:
    """Whether chance follows from the seed."""
    scores = [score(run) for run in good]
    if len(scores) > 1 and len({*scores}) == 1 and printed:
        return [
            f"All {len(scores)} runs gave exactly the same score, whatever the seed. Either the program is "
            "deterministic, or it sets a seed of its own; then let it take the one in $FESTINA_SEED."
        ]
    by_seed: dict[int, list[float]] = defaultdict(list)
    for run in good:
        by_seed[run.seed].append(score(run))
    again = [values for values in by_seed.values() if len(values) > 1]
    firsts = [values[0] for values in by_seed.values()]
    if not again or len(firsts) < 3 or not printed:
        return []
    between = stdev(firsts)
    rerun = sqrt(fsum((value - fmean(values)) ** 2 for values in again for value in values) / len(again))
    if not between or rerun < NOTABLE * between:
        return []
    if rerun > IGNORED * between:
        return [
            "The same seed gave results as different as other seeds do: the program does not seem to take its chance "
            "from $FESTINA_SEED, so pairs share nothing, and every gain costs more runs."
        ]
    return [
        "Runs of one seed differ, too: some chance does not come from $FESTINA_SEED (threads, the clock, a generator "
        "without a seed), so pairs share less than they could."
    ]

