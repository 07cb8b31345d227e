"""Growth posterior, forecasts and alarms on simulated logs whose laws are not those that they were tuned on.

    python benchmarks/growth.py            # some twenty minutes on one core
    python benchmarks/growth.py --quick    # a look
    python benchmarks/growth.py --json F   # the numbers as data

Forecasts: from origins 9 to 55 of logs of 60 generations; the straight line goes through the last five measured levels,
and its error is the CRPS of a forecast without a width. Tuned on: gains in compound Poisson successes, log-normal and
Pareto luck, power laws, ceilings, drifts, regimes, jumps. Judged on the laws below. Alarms: 40 generations, judged one
by one; a jump is ten times the mean of the twelve gains before it. Every stream follows from the number of its log.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from festina.watch import alarm, scores
from festina.watch.curves import curves
from festina.watch.forecasts import forecast
from festina.watch.posterior import Series, fit

Rng = np.random.Generator
Law = Callable[[Rng, int], tuple[np.ndarray, np.ndarray]]  # gains and efforts of so many generations
Step = Callable[[int, np.ndarray, Rng], np.ndarray]  # draws of a generation's gain at levels
ORIGINS = (9, 12, 16, 20, 25, 30, 36, 42, 48, 55)
ERROR = 0.1  # of one measured level, doublings


def between(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def played(law: Callable[[Rng], Step]) -> Law:
    """A law whose next gain follows from the generation and the level: its logs."""

    def gains(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
        step, x, found = law(rng), 0.0, []
        for g in range(n):
            found.append(float(step(g, np.array([x]), rng)[0]))
            x += found[-1]
        return np.array(found), np.ones(n)

    return gains


def takeoff(rng: Rng) -> Step:
    """Forethought's priors of compounding, four successes a generation at first, at most 16 times the first pace."""
    power, returns = between(rng, 0.15, 0.6), between(rng, 0.4, 3.6)

    def step(g: int, x: np.ndarray, luck: Rng) -> np.ndarray:
        count = luck.poisson(0.5 * np.exp2(np.minimum(power * (1.0 - 1.0 / returns) * x, 4.0)) / 0.125)
        return np.where(count > 0, luck.gamma(np.maximum(count, 1), 0.125), 0.0)

    return step


def family(rng: Rng) -> Step:
    """The posterior's own family, as its design study drew logs: Forethought's priors of compounding, a first pace of
    .25 to 1 doubling, 4 to 16 successes a generation at first, at most 16 times the first pace. No drift."""
    phi = between(rng, 0.15, 0.6) * (1.0 - 1.0 / between(rng, 0.4, 3.6))
    pace, count = between(rng, 0.25, 1.0), between(rng, 4.0, 16.0)

    def step(g: int, x: np.ndarray, luck: Rng) -> np.ndarray:
        came = luck.poisson(count * np.exp2(np.minimum(phi * x, 4.0)))
        return np.where(came > 0, luck.gamma(np.maximum(came, 1), pace / count), 0.0)

    return step


def inverse_gaussian(rng: Rng) -> Step:
    """A steady pace; luck in inverse Gaussian lumps, of a coefficient of variation of 0.5 to 1."""
    pace, cv = between(rng, 0.2, 1.0), rng.uniform(0.5, 1.0)
    return lambda g, x, luck: luck.wald(pace, pace / cv**2, x.shape)


def logistic(rng: Rng) -> Step:
    """Slow, fast, slow: an S-curve of 5 to 40 doublings."""
    top, middle, width = rng.uniform(5, 40), rng.uniform(10, 40), rng.uniform(4, 12)

    def level(g: int) -> float:
        return float(top / (1.0 + np.exp(-(g - middle) / width)))

    return lambda g, x, luck: (level(g + 1) - level(g)) * luck.gamma(3.0, 1.0 / 3.0, x.shape)


def drifting(rng: Rng) -> Step:
    """Computing gets 1 to 4 % cheaper a generation, unrecorded; capability itself brings diminishing returns."""
    rate, fall = 1.0 + rng.uniform(0.01, 0.04), rng.uniform(0.0, 0.1)
    return lambda g, x, luck: 0.4 * rate**g * np.exp2(-fall * x) * luck.gamma(2.5, 1.0 / 2.5, x.shape)


def student(rng: Rng) -> Step:
    """Heavy tails: gains are absolute values of Student's t with 2.5 degrees of freedom."""
    scale = between(rng, 0.2, 0.6)
    return lambda g, x, luck: np.abs(luck.standard_t(2.5, x.shape)) * scale


def spending(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Effort wanders by a fifth a generation, recorded."""
    effort = np.exp(np.cumsum(0.2 * rng.standard_normal(n)))
    return rng.gamma(2.0, 0.2, n) * effort, effort


def two_paces(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The pace changes once, by a factor of 1/3 to 3."""
    pace = np.full(n, between(rng, 0.2, 0.8))
    pace[rng.integers(12, 48) :] *= between(rng, 1 / 3, 3)
    return pace * rng.gamma(2.0, 0.5, n), np.ones(n)


def leap(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A steady pace and one leap of 5 to 20 generations' worth."""
    gains = rng.gamma(3.0, 0.15, n)
    gains[rng.integers(10, 50)] += rng.uniform(5, 20) * 0.45
    return gains, np.ones(n)


def hiding(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """From some generation on it shows a third of what it gains, and later all of it at once."""
    gains = rng.gamma(3.0, 0.15, n)
    first = int(rng.integers(12, 25))
    last = first + int(rng.integers(5, 15))
    hidden = gains[first:last] * (2.0 / 3.0)
    gains[first:last] -= hidden
    gains[last] += hidden.sum()
    return gains, np.ones(n)


def student_of(freedom: float) -> Callable[[Rng], Step]:
    """The same with other degrees of freedom."""

    def law(rng: Rng) -> Step:
        scale = between(rng, 0.2, 0.6)
        return lambda g, x, luck: np.abs(luck.standard_t(freedom, x.shape)) * scale

    return law


def lognormal(rng: Rng) -> Step:
    """A steady pace; luck is log-normal, of a sigma of 0.3 to 1.2."""
    pace, sigma = between(rng, 0.2, 1.0), rng.uniform(0.3, 1.2)
    return lambda g, x, luck: pace * np.exp(sigma * luck.standard_normal(x.shape) - sigma**2 / 2.0)


STEPS: dict[str, Callable[[Rng], Step]] = {
    "the family's own prior": family, "takeoff priors": takeoff, "steady, inverse Gaussian": inverse_gaussian,
    "S-curve": logistic, "computing gets cheaper": drifting, "heavy tails (t, 2.5)": student,
}  # fmt: skip
LAWS: dict[str, Law] = {name: played(law) for name, law in STEPS.items()} | {
    "effort wanders": spending, "pace changes once": two_paces, "one leap": leap, "hides, then shows": hiding,
}  # fmt: skip


def log(law: str, number: int, n: int = 60) -> tuple[Series, np.ndarray]:
    """One measured log, and its true gains."""
    rng = np.random.default_rng([number, *law.encode()])
    gains, effort = LAWS[law](rng, n)
    return measured(gains, effort, rng), gains


def measured(gains: np.ndarray, effort: np.ndarray, rng: Rng) -> Series:
    told = np.cumsum(gains) + ERROR * rng.standard_normal(len(gains))
    return Series(np.diff(np.concatenate([[0.0], told])), np.full(len(gains), ERROR), effort, levels=True)


def forecasts(law: str, logs: int) -> dict[int, np.ndarray]:
    """By horizon: rows of (CRPS, miss of the line, CRPS of the line as a normal law, place, CRPS of the knowing one).

    The knowing one has the law with its numbers and the true level, and lacks only the luck to come: no forecast
    can do better. nan where a law has more than levels and generations to it.
    """
    rows: dict[int, list[tuple[float, ...]]] = {1: [], 5: [], 10: []}
    for number in range(logs):
        series, gains = log(law, number)
        level = np.cumsum(series.gain)
        for origin in ORIGINS:
            reach = min(10, 60 - origin)
            draws = forecast(fit(series.first(origin)), series.effort[origin : origin + reach])
            known = knowing(law, number, gains, origin, reach)
            for ahead in (h for h in rows if h <= reach):
                came = float(level[origin + ahead - 1] - level[origin - 1])
                line = scores.straight_line(level[:origin], ahead) - float(level[origin - 1])
                normal = gaussian_crps(line, line_error(level[origin - 5 : origin], ahead), came)
                place = float(np.mean(draws[ahead - 1] < came))
                least = scores.crps(known[ahead - 1] - level[origin - 1], came) if known is not None else math.nan
                rows[ahead].append((scores.crps(draws[ahead - 1], came), abs(line - came), normal, place, least))
    return {ahead: np.array(found) for ahead, found in rows.items()}


def knowing(law: str, number: int, gains: np.ndarray, origin: int, reach: int) -> np.ndarray | None:
    """Draws of the measured levels to come, by who knows law and level."""
    if law not in STEPS:
        return None
    step = STEPS[law](np.random.default_rng([number, *law.encode()]))
    luck, x, found = np.random.default_rng([number, origin]), np.full(2000, gains[:origin].sum()), []
    for ahead in range(reach):
        x = x + step(origin + ahead, x, luck)
        found.append(x + ERROR * luck.standard_normal(len(x)))
    return np.array(found)


SETS, PARTICLES = 1000, 40  # of the law's numbers, and of levels for each


def learning(law: str, number: int, series: Series) -> dict[int, np.ndarray]:
    """By origin: draws of the measured level five ahead, by who knows the law and how its numbers are drawn, and learns
    numbers and level from the log alone (a particle filter for each of many sets of numbers)."""
    rng = np.random.default_rng([number, 77, *law.encode()])
    steps = [STEPS[law](rng) for _ in range(SETS)]
    told, at, logs = np.cumsum(series.gain), np.zeros((SETS, PARTICLES)), np.zeros(SETS)
    found = {}
    for g in range(max(ORIGINS) + 1):
        if g in ORIGINS and g + 5 <= len(told):
            weights = np.exp(logs - logs.max())
            count = rng.multinomial(2000, weights / weights.sum())
            found[g] = np.concatenate([_five(steps[i], g, at[i], int(count[i]), rng) for i in np.flatnonzero(count)])
        for i in np.flatnonzero(logs > logs.max() - 20.0):
            moved = at[i] + steps[i](g, at[i], rng)
            near = -0.5 * ((told[g] - moved) / ERROR) ** 2
            shares = np.exp(near - near.max())
            logs[i] += near.max() + math.log(shares.mean())
            places = (np.arange(PARTICLES) + rng.random()) / PARTICLES
            rows = np.searchsorted(np.cumsum(shares) / shares.sum(), places)
            at[i] = moved[np.minimum(rows, PARTICLES - 1)]
        logs[logs <= logs.max() - 20.0] = -np.inf
    return found


def _five(step: Step, g: int, levels: np.ndarray, count: int, rng: Rng) -> np.ndarray:
    x = rng.choice(levels, count)
    for ahead in range(5):
        x = x + step(g + ahead, x, rng)
    return x + ERROR * rng.standard_normal(count)


def learnable(law: str, logs: int) -> tuple[float, float]:
    """(CRPS of the learning one five ahead, over the line's miss; share of its 90 % intervals that held)."""
    rows = []
    for number in range(logs):
        series = log(law, number)[0]
        level = np.cumsum(series.gain)
        for origin, draws in learning(law, number, series).items():
            came = float(level[origin + 4])
            miss = abs(scores.straight_line(level[:origin], 5) - came)
            rows.append((scores.crps(draws, came), miss, abs(float(np.mean(draws < came)) - 0.5) < 0.45))
    crps, line, held = np.array(rows).mean(0)
    return float(crps / line), float(held)


def line_error(tail: np.ndarray, ahead: int) -> float:
    """Standard error of a line's prediction, as a textbook gives it."""
    at = np.arange(len(tail)) - (len(tail) - 1) / 2.0
    slope = at @ tail / (at @ at)
    left = tail - tail.mean() - slope * at
    where = at[-1] + ahead
    return float(np.sqrt(max(left @ left, 1e-9) / (len(tail) - 2) * (1 + 1 / len(tail) + where**2 / (at @ at))))


def gaussian_crps(mean: float, sd: float, came: float) -> float:
    z = (came - mean) / sd
    density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    return sd * (z * math.erf(z / math.sqrt(2.0)) + 2.0 * density - 1.0 / math.sqrt(math.pi))


def successes(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A steady pace of four exponential successes a generation."""
    return np.array([rng.exponential(0.125, rng.poisson(4)).sum() for _ in range(n)]), np.ones(n)


def even(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A steady pace, three successes' luck: what is measured badly below."""
    return rng.gamma(3.0, between(rng, 0.2, 1.0) / 3.0, n), np.ones(n)


STEADY: dict[str, Callable[[Rng], Step]] = {
    "steady, inverse Gaussian": inverse_gaussian, "steady, log-normal": lognormal, "heavy tails (t, 2.5)": student,
    "heavy tails (t, 2)": student_of(2.0), "heavy tails (t, 3)": student_of(3.0),
}  # fmt: skip
NULLS: dict[str, Law] = {
    "steady, four successes": successes, "effort wanders": spending,
    **{name: LAWS[name] for name, step in STEPS.items() if step is not family},
    **{name: played(law) for name, law in STEADY.items() if name not in STEPS},
    "one measurement in 20 is wild": even, "errors are Student's t, 3": even,
}  # fmt: skip


def told_of(law: str, gains: np.ndarray, effort: np.ndarray, rng: Rng) -> Series:
    """As it is measured there: honestly, or with errors beyond those that are stated."""
    if law.startswith("one measurement"):  # levels, so that what is wild comes back
        wild = np.where(rng.random(len(gains)) < 0.05, 10.0 * ERROR * rng.standard_normal(len(gains)), 0.0)
        return measured(gains + np.diff(np.concatenate([[0.0], wild])), effort, rng)
    if law.startswith("errors are"):
        beside = ERROR * rng.standard_t(3.0, len(gains))
        return measured(gains + np.diff(np.concatenate([[0.0], beside])), effort, rng)
    return measured(gains, effort, rng)


def called(law: str, logs: int) -> tuple[float, float, float, float]:
    """(logs with a false jump or drop, with a pace said to rise, jumps found when they came, found by who knows it)."""
    false = rising = found = 0
    for number in range(logs):
        rng = np.random.default_rng([number, 2, *law.encode()])  # 1: those that the thresholds were set on
        gains, effort = NULLS[law](rng, 40)
        series = told_of(law, gains, effort, rng)
        false += any(a.kind != "acceleration" for a in alarm.alarms(series))
        rising += max(alarm.acceleration(series.first(n)) for n in range(4, 41, 2)) >= 1.0 / alarm.FALSE
        at = int(rng.integers(15, 30))
        leaping = gains[: at + 1].copy()
        leaping[at] += 10.0 * max(float(gains[at - 12 : at].mean()), 0.02) * effort[at] / effort[at - 12 : at].mean()
        leapt = told_of(law, leaping, effort[: at + 1], rng)
        found += any(a.kind == "jump" for a in alarm.alarms(leapt, since=at))
    return false / logs, rising / logs, found / logs, known_alarm(law, false / logs)


def known_alarm(law: str, false: float) -> float:
    """Jumps of ten found by who knows the true pace of a steady law, calls gains above a multiple of it, and has chosen
    that for so many false alarms (at least 5 %). nan for other laws."""
    if law not in STEADY:
        return math.nan
    parts = []
    for number in range(40):
        rng = np.random.default_rng([number, 5, *law.encode()])
        step = STEADY[law](rng)
        gains = np.array([step(g, np.zeros(2000), rng) for g in range(13 + 32)])
        parts.append(gains / gains.mean())
    ratios = np.concatenate(parts, axis=1)
    least = float(np.quantile(ratios[13:].max(0), 1.0 - max(false, 0.05)))
    return float(np.mean(10.0 * ratios[:12].mean(0) + ratios[12] > least))


def speed() -> tuple[float, float]:
    """CPU milliseconds for the posterior of 60 generations, and for its S-curves, each the best of ten."""
    series = log("takeoff priors", 0)[0]
    found = fit(series)
    return fastest(lambda: fit(series)), fastest(lambda: curves(found))


def fastest(work: Callable[[], object]) -> float:
    best = math.inf
    for _ in range(10):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return 1000.0 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few logs of each law")
    parser.add_argument("--only", choices=("forecasts", "learnable", "alarms"), help="one part of it")
    parser.add_argument("--law", choices=sorted({*LAWS, *NULLS}), help="this law alone")
    parser.add_argument("--logs", type=int, default=40, help="of each law, for forecasts; alarms take twice as many")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    logs, nulls = (3, 3) if options.quick else (options.logs, 2 * options.logs)
    fitted, turning = speed()
    told: dict[str, object] = {"fit, CPU ms": fitted, "S-curves, CPU ms": turning}
    print(f"Posterior of 60 generations: {fitted:.1f} CPU ms, its S-curves {turning:.1f}")
    if options.only in (None, "forecasts"):
        told |= all_forecasts(asked(LAWS, options.law), logs)
    if options.only in (None, "learnable"):
        told |= all_learnable(asked(STEPS, options.law), logs)
    if options.only in (None, "alarms"):
        told |= all_alarms(asked(NULLS, options.law), nulls)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


def asked(laws: Iterable[str], law: str | None) -> list[str]:
    return [name for name in laws if law in (None, name)]


def all_forecasts(laws: list[str], logs: int) -> dict[str, object]:
    told: dict[str, object] = {}
    print(
        "Forecasts: CRPS, over the straight line's miss, over its normal CRPS; 90 % and 50 % intervals hold; "
        "over the line's miss if law and level were known (the limit)"
    )
    pooled: dict[int, list[np.ndarray]] = {1: [], 5: [], 10: []}
    for law in laws:
        for ahead, rows in forecasts(law, logs).items():
            pooled[ahead].append(rows)
            told[f"{law}, {ahead} ahead"] = tell(f"{law}, {ahead} ahead", rows)
    for ahead, parts in pooled.items() if len(laws) > 1 else ():
        told[f"all, {ahead} ahead"] = tell(f"all, {ahead} ahead", np.concatenate(parts))
    return told


def all_learnable(laws: list[str], logs: int) -> dict[str, object]:
    """Five ahead, of the laws that are drawn by numbers."""
    told: dict[str, object] = {}
    print(
        "If the law were known, and its numbers had to be learnt: CRPS five ahead over the line's; 90 % intervals hold"
    )
    for law in laws:
        told[f"learnable, {law}"] = found = learnable(law, logs)
        print(f"  {law:34s} {found[0]:6.2f} {found[1]:6.2f}", flush=True)
    return told


def all_alarms(laws: list[str], logs: int) -> dict[str, object]:
    told: dict[str, object] = {}
    print(
        "Alarms in 40 generations: logs with a false jump or drop, with a rising pace; jumps of ten generations found; "
        "and found by who knows the pace, with as many false ones (at least 5 %), and with 5 %"
    )
    for law in laws:
        found = called(law, logs)
        told[f"alarms, {law}"] = found
        least = known_alarm(law, 0.05)
        print(f"  {law:30s}" + "".join(f" {cell:6.2f}" for cell in (*found, least)), flush=True)
    return told


def tell(name: str, rows: np.ndarray) -> tuple[float, ...]:
    crps, line, normal = rows.mean(0)[:3]
    place, least = rows[:, 3], rows[:, 4]
    held = [float(np.mean((place > (1 - level) / 2) & (place < (1 + level) / 2))) for level in (0.9, 0.5)]
    has = np.isfinite(least)
    limit = float(least[has].mean() / rows[has, 1].mean()) if has.any() else math.nan
    cells = (float(crps / line), float(crps / normal), *held, limit)
    print(f"  {name:34s} {crps:6.3f}" + "".join(f" {cell:6.2f}" for cell in cells), flush=True)
    return float(crps), *cells


if __name__ == "__main__":
    main()
