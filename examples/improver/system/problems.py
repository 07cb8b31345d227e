"""Problems to optimise: rotated test functions, and real hyperparameter tables.

A problem is ``{"family": name, "d": dimensions, "seed": n, "at": [...]}``; its objective takes points of [0, 1]^d and
is to be made small. A test function has its optimum (value 0) at ``at``, and a random rotation that ``seed`` gives;
a table is one of ``tables/*.npz``, made by prepare.py, whose cells are the results of real training runs, and
its objective is the regret against the best cell. ``Batch`` evaluates many problems side by side, because one call of
numpy on 200 problems costs hardly more than one on a single problem.
"""

from __future__ import annotations

import functools
import json
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH = 9  # dimensions at most; smaller problems leave the rest unused
BUDGET = 60  # evaluations of one run
TRAIN_FUNCTIONS = ("sphere", "ellipsoid", "rosenbrock", "rastrigin", "ackley", "ridge")
HELD_FUNCTIONS = ("discus", "cigar", "powers", "griewank", "levy", "step")
TRAIN_TABLES = ("car", "phoneme", "naval_propulsion", "protein_structure")
HELD_TABLES = ("vehicle", "australian", "kc1", "segment", "blood_transfusion", "credit_g", "parkinsons_telemonitoring",
               "slice_localization")  # fmt: skip


def functions(family, z, i, d):
    """Values (problems, points) at ``z`` (problems, points, WIDTH), 0 beyond ``d``; ``i`` runs from 0 to 1 over d."""
    if family == "sphere":
        return (z**2).sum(-1)
    if family == "ellipsoid":
        return (10 ** (4 * i) * z**2).sum(-1)
    if family == "rosenbrock":
        a = z + 1.0
        inside = (np.arange(WIDTH - 1) < d[:, None] - 1)[:, None, :]
        return (inside * (100 * (a[..., 1:] - a[..., :-1] ** 2) ** 2 + (1 - a[..., :-1]) ** 2)).sum(-1)
    if family == "rastrigin":
        return (z**2 + 10 * (1 - np.cos(2 * np.pi * z))).sum(-1)
    n = d[:, None]
    if family == "ackley":
        inside = (np.arange(WIDTH) < n)[:, None, :]
        waves = (inside * np.cos(2 * np.pi * z)).sum(-1) / n
        return 20 - 20 * np.exp(-0.2 * np.sqrt((z**2).sum(-1) / n)) + np.e - np.exp(waves)
    if family == "ridge":
        return z[..., 0] ** 2 + 10 * np.sqrt((z[..., 1:] ** 2).sum(-1))
    if family == "discus":
        return 1e4 * z[..., 0] ** 2 + (z[..., 1:] ** 2).sum(-1)
    if family == "cigar":
        return z[..., 0] ** 2 + 1e4 * (z[..., 1:] ** 2).sum(-1)
    if family == "powers":
        return (np.abs(z) ** (2 + 4 * i)).sum(-1)
    if family == "griewank":
        return (25 * z**2).sum(-1) / 4000 + 1 - np.cos(5 * z / np.sqrt(1 + np.arange(WIDTH))).prod(-1)
    if family == "levy":
        w = 1 + z / 4
        inside = (np.arange(WIDTH) < n)[:, None, :]
        middle = inside * (w - 1) ** 2 * (1 + 10 * np.sin(np.pi * w + 1) ** 2)
        return np.sin(np.pi * w[..., 0]) ** 2 + middle.sum(-1)
    if family == "step":
        return (10 ** (2 * i) * np.floor(np.abs(z) + 0.5) ** 2).sum(-1) + 1e-3 * (z**2).sum(-1)
    raise ValueError(family)


@functools.cache
def table(name):
    """(choices of each parameter, regret of every cell, in row-major order)."""
    with np.load(os.path.join(HERE, "tables", name + ".npz")) as file:
        return tuple(int(n) for n in file["shape"]), file["regret"]


@functools.cache
def references():
    """Median regret of random search with BUDGET evaluations, by family and dimensions."""
    with open(os.path.join(HERE, "references.json")) as file:
        return json.load(file)


def reference(problem):
    return references()[f"{problem['family']}/{problem['d']}"]


def rotation(seed, d):
    """A random rotation of the first ``d`` of WIDTH coordinates."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    turned = np.zeros((WIDTH, WIDTH))
    turned[:d, :d] = q * np.sign(np.diag(r))
    return turned


class Batch:
    """Several problems, evaluated together."""

    def __init__(self, problems):
        self.d = np.array([problem["d"] for problem in problems])
        self.inside = np.arange(WIDTH) < self.d[:, None]
        self.groups = {}
        families = np.array([problem["family"] for problem in problems])
        known = TRAIN_FUNCTIONS + HELD_FUNCTIONS
        self.functions = [(name, np.flatnonzero(families == name)) for name in dict.fromkeys(families) if name in known]
        self.centre = np.zeros((len(problems), WIDTH))
        self.turn = np.zeros((len(problems), WIDTH, WIDTH))
        for k, problem in enumerate(problems):
            if problem["family"] in known:
                self.centre[k, : problem["d"]] = problem["at"]
                self.turn[k] = rotation(problem["seed"], problem["d"])
        self.tables = [(table(name), np.flatnonzero(families == name))
                       for name in dict.fromkeys(families) if name not in known]  # fmt: skip

    def __call__(self, x):
        """Values (problems, points) at points ``x`` (problems, points, WIDTH)."""
        out = np.empty(x.shape[:2])
        for name, rows in self.functions:
            d = self.d[rows]
            z = np.matmul(10 * (x[rows] - self.centre[rows, None]) * self.inside[rows, None], self.turn[rows])
            part = np.minimum(np.arange(WIDTH) / np.maximum(d - 1, 1)[:, None], 1.0)[:, None, :]
            out[rows] = functions(name, z, part, d)
        for (shape, regret), rows in self.tables:
            n = np.array(shape)
            cell = np.minimum((x[rows][..., : len(shape)] * n).astype(int), n - 1)
            out[rows] = regret[np.ravel_multi_index(tuple(np.moveaxis(cell, -1, 0)), shape)]
        return out


def score(problem, value):
    """log10 of the regret in units of what random search reaches: 0 is random search, -0.3 half its regret."""
    return float(min(1.0, max(-2.0, np.log10(max(value, 1e-12) / reference(problem)))))


def scores(problems, values):
    return [score(problem, value) for problem, value in zip(problems, values, strict=True)]


def read(path):
    """Items as (id, problem)."""
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return [row["id"] for row in rows], [row["input"] for row in rows]
