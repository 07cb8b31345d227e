"""How far two trained models are apart, in behaviour, representations and weights.  # V-9

Each distance is of one retraining to a reference retraining of the version before, larger is further:

- *behaviour*: mean difference of its scores on the public items, and the mean of the five largest;
- *representations*, where the system offers activations on those items: 1 minus the centred kernel alignment of a
  layer (linear, with the unbiased estimate of Song et al. 2012), of the layer that moved most;
- *weights*: how much of the change lies in one direction (largest singular value squared over the squared norm) of the
  matrix where that is most: a narrow change stands out there when behaviour hides it.

How large the weights' change is (relative norm) is shown and not tested: neurons in another order change it and nothing
else. Not covered: what was trained to look the same, and what no public item evokes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from festina.verify.tensors import Array

WORST = 5
ROUNDS = 30  # of power iteration: within 1 % on 2048 x 8192, where a full decomposition takes a minute
LEAST_ROWS = 4  # of activations
ROWS = 2048


@dataclass(frozen=True, slots=True)
class Model:
    """One trained model as far as it is laid open."""

    weights: Mapping[str, Array]
    scores: Sequence[float] | None  # one a public item
    activations: Mapping[str, Array] | None  # items x features, a layer each


@dataclass(frozen=True, slots=True)
class Moved:
    """A tensor's change: ``size`` relative to the reference, ``direction`` the share of it in one direction."""

    name: str
    size: float
    direction: float | None  # None: no matrix, or nothing moved


def distances(one: Model, other: Model) -> dict[str, float]:
    """Named distances of ``one`` to the reference ``other``: those that both lay open."""
    found: dict[str, float] = {}
    if one.scores is not None and other.scores is not None and len(one.scores) == len(other.scores) > 0:
        apart = np.sort(np.abs(np.asarray(one.scores, np.float64) - np.asarray(other.scores, np.float64)))
        found["behaviour"] = float(apart.mean())
        found["worst behaviour"] = float(apart[-WORST:].mean())
    if one.activations is not None and other.activations is not None:
        layers = [
            1.0 - alignment(one.activations[name], other.activations[name])
            for name in sorted(one.activations.keys() & other.activations.keys())
            if _comparable(one.activations[name], other.activations[name])
        ]
        if layers:
            found["representations"] = max(layers)
    directions = [m.direction for m in moved(one, other) if m.direction is not None]
    if directions:
        found["weights"] = max(directions)
    return found


def moved(one: Model, other: Model) -> list[Moved]:
    """Every tensor that both have in the same shape, by name."""
    rows = []
    for name in sorted(one.weights.keys() & other.weights.keys()):
        mine, theirs = one.weights[name], other.weights[name]
        if mine.shape != theirs.shape or not mine.size:
            continue
        change = mine - theirs
        norm, base = float(np.linalg.norm(change)), float(np.linalg.norm(theirs))
        flat = change.reshape(change.shape[0], -1) if change.ndim >= 2 else None
        narrow = flat is not None and min(flat.shape) >= 2 and norm > 0.0
        rows.append(Moved(name, norm / base if base > 0.0 else float(norm > 0.0), _direction(flat) if narrow else None))
    return rows


def unlike(one: Model, other: Model) -> int:
    """Tensors that only one of them has, or that have another shape."""
    names = one.weights.keys() | other.weights.keys()
    same = [n for n in one.weights.keys() & other.weights.keys() if one.weights[n].shape == other.weights[n].shape]
    return len(names) - len(same)


def _direction(change: Array | None) -> float:
    """Largest singular value squared over the sum of all squares, by power iteration from a fixed start."""
    assert change is not None
    v = 1.0 + np.arange(change.shape[1]) / change.shape[1]
    for _ in range(ROUNDS):
        v = change.T @ (change @ v)
        size = float(np.linalg.norm(v))
        if size == 0.0:
            return 0.0
        v /= size
    return float(np.linalg.norm(change @ v) ** 2 / np.linalg.norm(change) ** 2)


def _comparable(one: Array, other: Array) -> bool:
    return one.ndim >= 2 and other.ndim >= 2 and len(one) == len(other) >= LEAST_ROWS


def alignment(one: Array, other: Array) -> float:
    """Unbiased linear CKA of two sets of rows about the same items; 0 where either does not vary."""
    rows = slice(None, ROWS)
    kernels = [_hollow(each.reshape(len(each), -1)[rows]) for each in (one, other)]
    cross, mine, theirs = (_hsic(a, b) for a, b in (kernels, kernels[:1] * 2, kernels[1:] * 2))
    return cross / float(np.sqrt(mine * theirs)) if mine > 0.0 and theirs > 0.0 else 0.0


def _hollow(rows: Array) -> Array:
    """Inner products of the rows, without their own, over the power of two that brings the largest near 1."""
    kernel = rows @ rows.T
    np.fill_diagonal(kernel, 0.0)
    return np.asarray(np.ldexp(kernel, -np.frexp(np.abs(kernel).max())[1]))


def _hsic(one: Array, other: Array) -> float:
    n = len(one)
    total = float(np.sum(one * other)) + float(one.sum() * other.sum()) / ((n - 1) * (n - 2))
    return (total - 2.0 * float(one.sum(axis=0) @ other.sum(axis=1)) / (n - 2)) / (n * (n - 3))
