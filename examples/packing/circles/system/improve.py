"""Propose circles with a larger sum of radii: a population search with steps that are repaired by descent.

Each round starts from packings that it knows, the incumbent among them, and moves, swaps or throws anew a few
circles, or starts from nothing. All are then improved side by side: gradient steps on an augmented Lagrangian of
"maximise the sum of radii, no overlaps, inside the square". The best is polished, shrunk until it is a packing beyond
doubt, written down in decimals and checked exactly.
"""

from __future__ import annotations

import json
import os
import time

import numpy as np
from scoring import ONE, PLACES, exact

N = 26
CPU_S = 20.0
SIDE_BY_SIDE, KNOWN = 48, 12
FIRST, SECOND = np.triu_indices(N, 1)
DIGITS = 16  # of a coordinate
WORTH = 1e-9  # what festina.toml asks for


def improved(packings: np.ndarray, rounds: int, steps: int, weight: float, rate: float) -> np.ndarray:
    """Packings [B, N, (x, y, r)] after descent: ``rounds`` of ``steps`` steps, with multipliers set anew in between."""
    z, pairs, walls = packings.copy(), 0.0, 0.0
    for number in range(rounds):
        first, second = np.zeros_like(z), np.zeros_like(z)
        for step in range(1, steps + 1):
            gradient, _, _ = _gradient(z, pairs, walls, weight)
            first = 0.9 * first + 0.1 * gradient
            second = 0.99 * second + 0.01 * gradient**2
            size = rate * 0.6**number * (1 - 0.9 * step / steps)
            z -= size * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-9)
            z[..., 2] = np.maximum(z[..., 2], 1e-3)
        _, pairs, walls = _gradient(z, pairs, walls, weight)
        weight *= 1.6
    return z


def _gradient(z: np.ndarray, pairs: object, walls: object, weight: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the augmented Lagrangian; and the multipliers that its terms amount to."""
    x, y, r = z[..., 0], z[..., 1], z[..., 2]
    dx, dy = x[:, FIRST] - x[:, SECOND], y[:, FIRST] - y[:, SECOND]
    distance = np.sqrt(dx * dx + dy * dy) + 1e-12
    pairs = np.maximum(0, pairs + weight * (r[:, FIRST] + r[:, SECOND] - distance))
    walls = np.maximum(0, walls + weight * np.stack([r - x, x + r - 1, r - y, y + r - 1], -1))
    force = np.zeros((len(z), N, N))
    gradient = np.empty_like(z)
    for axis, along in ((0, dx), (1, dy)):
        force[:, FIRST, SECOND] = pairs * along / distance
        gradient[..., axis] = force.sum(1) - force.sum(2) - walls[..., 2 * axis] + walls[..., 2 * axis + 1]
    force[:, FIRST, SECOND] = pairs
    gradient[..., 2] = force.sum(1) + force.sum(2) + walls.sum(-1) - 1
    return gradient, pairs, walls


def shrunk(z: np.ndarray) -> np.ndarray:
    """The same centres with all radii scaled down until nothing overlaps."""
    x, y, r = z[..., 0], z[..., 1], z[..., 2]
    distance = np.hypot(x[:, FIRST] - x[:, SECOND], y[:, FIRST] - y[:, SECOND])
    walls = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) / r
    scale = np.minimum((distance / (r[:, FIRST] + r[:, SECOND])).min(1), walls.min(1))
    return np.concatenate([z[..., :2], (r * np.minimum(1, scale)[:, None])[..., None]], -1)


def anew(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.concatenate([rng.random((count, N, 2)), np.full((count, N, 1), 0.05)], -1)


def moved(packings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each packing with a few circles thrown anew, all of them shaken, or two exchanged."""
    z = packings.copy()
    for each in z:
        lot = rng.random()
        if lot < 0.5:
            chosen = rng.choice(N, rng.integers(1, 4), replace=False)
            each[chosen, :2], each[chosen, 2] = rng.random((len(chosen), 2)), 0.03
        elif lot < 0.8:
            each[:, :2] += rng.normal(0, rng.choice([0.02, 0.05, 0.1]), (N, 2))
        else:
            a, b = rng.choice(N, 2, replace=False)
            each[[a, b], :2] = each[[b, a], :2]
    z[..., :2] = np.clip(z[..., :2], 0.02, 0.98)
    return z


def search(start: np.ndarray, rng: np.random.Generator, cpu_s: float) -> np.ndarray:
    """The best packing [N, 3] found from ``start`` [N, 3]."""
    began = time.process_time()
    known = shrunk(start[None])
    while time.process_time() - began < cpu_s:
        fresh = rng.random() < (0.5 if len(known) < KNOWN else 0.15)
        tried = anew(rng, SIDE_BY_SIDE) if fresh else moved(known[rng.integers(0, len(known), SIDE_BY_SIDE)], rng)
        known = _different(np.concatenate([known, shrunk(improved(tried, 7, 120, 20.0, 0.01))]))
    polished = shrunk(improved(known[:4], 30, 400, 200.0, 2e-4))
    return _different(np.concatenate([known, polished]))[0]


def _different(packings: np.ndarray) -> np.ndarray:
    """The best ones, no two with nearly the same sum."""
    sums = packings[..., 2].sum(1)
    kept: list[int] = []
    for number in np.argsort(-sums):
        if np.isfinite(sums[number]) and all(abs(sums[number] - sums[other]) > 2e-5 for other in kept):
            kept.append(int(number))
    return packings[kept[:KNOWN]]


def written(z: np.ndarray) -> list[list[str]] | None:
    """The packing in decimals, every radius a little smaller, so that rounding makes no overlap; None if it does."""
    rows = [[f"{value:.{DIGITS}f}" for value in (x, y, r - 2e-15)] for x, y, r in z]
    return rows if total(rows) else None


def total(rows: list[list[str]]) -> int:
    return exact([tuple(int(each[2:].ljust(PLACES, "0")) for each in row) for row in rows])  # type: ignore[misc]


def read(tree: str) -> list[list[str]]:
    with open(os.path.join(tree, "circles.json")) as file:
        return json.load(file)


def text_of(rows: list[list[str]]) -> str:
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"


def main() -> None:
    view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
    incumbent = read(os.path.join(view, "tree"))
    rng = np.random.default_rng(int(os.environ["FESTINA_SEED"]) % 2**63)
    rows = written(search(np.array(incumbent, dtype=float), rng, CPU_S))
    gain = (total(rows) - total(incumbent)) / ONE if rows else 0.0
    if rows is None or gain <= WORTH:
        print("nothing better was found")
        return
    os.makedirs(os.path.join(out, "files"), exist_ok=True)
    with open(os.path.join(out, "files", "circles.json"), "w") as file:
        file.write(text_of(rows))
    with open(os.path.join(out, "proposal.json"), "w") as file:
        json.dump({"weakness": "room between the circles", "rationale": f"sum of radii {total(rows) / ONE:.9f}, "
                   "checked exactly", "predicted": gain}, file)  # fmt: skip


if __name__ == "__main__":
    main()
