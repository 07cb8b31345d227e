"""How often `festina attach --check` doubts an honest claim, what it finds, and how fast history is read.

    python benchmarks/attach.py [--draws 20000] [--lines 10000] [--json]

A claim is one draw of the noise that the runs have (honest), the best of so many draws (luck that was kept), or an
honest one plus some standard deviations (invented). Of every rate the exact number of draws stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from festina.loop.foreign.reading import Source, bring
from festina.loop.recount import recount
from festina.select.reproduced import reproduced
from festina.system import home
from festina.system.repo import Repo

Noise = Callable[[random.Random], float]
NOISES: dict[str, Noise] = {
    "normal": lambda rng: rng.gauss(0.0, 1.0),
    "skewed": lambda rng: rng.expovariate(1.0) - 1.0,
    "mean of 40 coins": lambda rng: (sum(rng.random() < 0.5 for _ in range(40)) - 20) / 10**0.5,
}
RUNS = (5, 8, 20)


def doubted(noise: Noise, runs: int, draws: int, claim: Callable[[random.Random], float], seed: int) -> float:
    rng = random.Random(seed)
    words = [reproduced(claim(rng), 6, [noise(rng) for _ in range(runs)]) for _ in range(draws)]
    return sum(word == "not-reproduced" for word in words) / draws


def rates(draws: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, noise in NOISES.items():
        claims: dict[str, Callable[[random.Random], float]] = {
            "honest": noise,
            "best of 20": lambda rng, noise=noise: max(noise(rng) for _ in range(20)),
            "best of 500": lambda rng, noise=noise: max(noise(rng) for _ in range(500)),
            "invented, 5 deviations": lambda rng, noise=noise: noise(rng) + 5.0,
            "invented, 10 deviations": lambda rng, noise=noise: noise(rng) + 10.0,
        }
        for runs in RUNS:
            for kind, claim in claims.items():
                some = draws if kind == "honest" else max(200, draws // 40)
                rate = doubted(noise, runs, some, claim, seed=7)
                rows.append({"noise": name, "runs": runs, "claim": kind, "doubted": rate, "draws": some})
    return rows


def speed(lines: int) -> dict[str, float]:
    """Seconds to read so many generations, to read them again, and to make the record's numbers again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FESTINA_HOME"] = str(folder / "home")
        (folder / "system").mkdir()
        who = ["-c", "user.name=b", "-c", "user.email=b@localhost"]
        for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "start"]):
            subprocess.run(["git", *words], cwd=folder / "system", check=True)
        told = ({"id": f"g{n}", "number": n, "score": n / lines, "status": "keep" if n % 20 == 0 else "discard"}
                for n in range(lines))  # fmt: skip
        (folder / "told.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
        source = Source("jsonl", folder / "told.jsonl", metric="score:higher")
        times = []
        for _ in range(2):
            began = time.perf_counter()
            bring(folder / "system", source)
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert recount(home.require(Repo.discover(folder / "system")).ledger).ok
        return {"lines": lines, "read_s": times[0], "again_s": times[1], "recount_s": time.perf_counter() - began}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = {"rates": rates(options.draws), "speed": speed(options.lines)}
    if options.json:
        print(json.dumps(result, indent=2))
        return 0
    for row in result["rates"]:
        print("{noise:18} {runs:3} runs  {claim:24} doubted {doubted:8.4%} of {draws:,}".format(**row))
    words = "{lines:,} generations: read {read_s:.2f} s, again {again_s:.2f} s, numbers made again {recount_s:.2f} s"
    print(words.format(**result["speed"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
