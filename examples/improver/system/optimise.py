"""An evolutionary optimiser with 16 settings, each a number in [0, 1], that runs many problems side by side.

Its settings are a point of [0, 1]^16, so it can optimise itself: improve.py makes the mean score over training problems
the objective, and the settings what is searched.
"""

from __future__ import annotations

import json
import os

import numpy as np

NAMES = (
    "first",  # points drawn at random at the start
    "spread",  # above 0.5: the first points are stratified
    "parents",
    "children",
    "step",
    "adapt",  # how much a success widens the step and a failure narrows it
    "cool",  # how much the step shrinks by the end of the budget
    "mask",  # share of the coordinates that a child leaves as they are
    "tails",  # chance of a heavy-tailed step
    "difference",  # chance of a step along the difference of two earlier good points
    "factor",  # length of that step
    "cross",  # chance of taking each coordinate from another parent
    "mean",  # chance of starting from the parents' mean
    "restart",  # how soon a run without progress starts anew elsewhere
    "reflect",  # above 0.5: steps are reflected at the bounds, else cut off
    "screen",  # children drawn for each one evaluated, chosen by the nearest known point
)


def read(folder):
    """The settings of a tree, as a vector; a missing or odd value counts as 0."""
    with open(os.path.join(folder, "settings.json")) as file:
        value = json.load(file)
    found = [value.get(name) if isinstance(value, dict) else None for name in NAMES]
    plain = [float(v) if type(v) in (int, float) and 0 <= v <= 1 else 0.0 for v in found]
    return np.array(plain)


def text(settings):
    return json.dumps({name: round(float(v), 4) for name, v in zip(NAMES, settings, strict=True)}, indent=1) + "\n"


def optimise(f, d, budget, settings, rng, width, start=None):
    """The best points and values, ``(problems, width)`` and ``(problems,)``, after ``budget`` evaluations of each.

    ``f`` maps points (problems, points, width) to values (problems, points); ``d`` are the problems' dimensions.
    """
    s = dict(zip(NAMES, settings, strict=True))
    p, inside = len(d), (np.arange(width) < np.asarray(d)[:, None])[:, None, :]
    first = min(budget, 1 + round(19 * s["first"]))
    mu, lam = 1 + round(7 * s["parents"]), 1 + round(11 * s["children"])
    x = rng.random((p, first, width))
    if s["spread"] > 0.5:
        x = (rng.random((p, width, first)).argsort(-1).transpose(0, 2, 1) + x) / first
    if start is not None:
        x[:, 0] = start
    xs, ys = np.full((p, budget, width), 0.5), np.full((p, budget), np.inf)
    x *= inside
    xs[:, :first], ys[:, :first] = x, f(x)
    used, rows = first, np.arange(p)[:, None]
    log_step = np.full(p, (-2.5 + 2.2 * s["step"]) * np.log(10))
    born, since = np.zeros(p, dtype=int), np.zeros(p, dtype=int)  # of the present run: first point, evaluations in vain
    patience = budget if s["restart"] < 0.1 else int(4 + (1 - s["restart"]) * 40)
    while used < budget:
        k = min(lam, budget - used)
        alive = np.where(np.arange(used) >= born[:, None], ys[:, :used], np.inf)
        order = np.argsort(alive, axis=1, kind="stable")[:, :mu]
        some = np.maximum(np.minimum(mu, used - born), 1)
        count = k * (1 + round(3 * s["screen"]))
        child = _children(xs, order, some, count, s, log_step - np.log(100) * s["cool"] * used / budget, rng, rows)
        child *= inside
        if count > k:
            gap = ((child[:, :, None] - xs[:, None, :used]) ** 2).sum(-1)
            guess = np.take_along_axis(ys[:, :used], gap.argmin(-1), 1)
            best = np.argsort(guess, axis=1, kind="stable")[:, :k]
            child = child[rows, best]
        fresh = since >= patience
        if fresh.any():
            child[fresh, 0] = rng.random((int(fresh.sum()), width)) * inside[fresh, 0]
        before = alive.min(1)
        value = f(child)
        xs[:, used : used + k], ys[:, used : used + k] = child, value
        better = value.min(1) < before
        log_step += s["adapt"] * np.where(better, 0.8, -0.2) * (k**0.5)
        log_step = np.clip(log_step, np.log(1e-4), np.log(0.7))
        born = np.where(fresh, used, born)
        since = np.where(better | fresh, 0, since + k)
        log_step = np.where(fresh, (-2.5 + 2.2 * s["step"]) * np.log(10), log_step)
        used += k
    best = ys.argmin(1)
    return xs[np.arange(p), best], ys.min(1)


def _children(xs, order, some, count, s, log_step, rng, rows):
    p, width = len(xs), xs.shape[-1]
    pick = (rng.random((p, count)) * some[:, None]).astype(int)
    base = xs[rows, order[rows, pick]]
    if s["mean"] > 0:
        usable = (np.arange(order.shape[1]) < some[:, None])[..., None]
        middle = (xs[rows, order] * usable).sum(1) / some[:, None]
        base = np.where(rng.random((p, count, 1)) < s["mean"], middle[:, None], base)
    if s["cross"] > 0:
        other = xs[rows, order[rows, (rng.random((p, count)) * some[:, None]).astype(int)]]
        base = np.where(rng.random((p, count, width)) < s["cross"] * 0.5, other, base)
    step = rng.standard_normal((p, count, width))
    if s["tails"] > 0:
        heavy = rng.random((p, count, 1)) < s["tails"]
        step = np.where(heavy, step / np.maximum(np.abs(rng.standard_normal((p, count, 1))), 0.05), step)
    if s["mask"] > 0:
        kept = rng.random((p, count, width)) < 0.9 * s["mask"]
        step = np.where(kept & ~kept.all(-1, keepdims=True), 0.0, step)
    move = step * np.exp(log_step)[:, None, None]
    if s["difference"] > 0:
        wide = order.shape[1]
        last = some[:, None] - 1
        picks = [np.minimum((rng.random((p, count)) * wide).astype(int), last) for _ in "ab"]
        a, b = (xs[rows, order[rows, each]] for each in picks)
        along = rng.random((p, count, 1)) < s["difference"]
        move = np.where(along, (0.2 + 0.8 * s["factor"]) * (a - b) + 0.1 * move, move)
    child = base + move
    if s["reflect"] > 0.5:
        child = 1 - np.abs(1 - np.abs(child) % 2)
    return np.clip(child, 0.0, 1.0)
