"""What it costs to give each run inodes of its own for shared files (an overlay over every shown folder).

Cold and warm boxes with and without, taken in turns, so that the load of the machine meets both. Needs root.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Ended, Job, Limits, Sandbox
from festina.sandbox.warm import WarmBox

PYTHON = "/usr/bin/python3"
CASES = {
    "cold, true": ("/bin/true",),
    "cold, python": (PYTHON, "-c", "import json, decimal, email.message, http.client, xml.dom"),
    "warm, python": (PYTHON, "-c", "pass"),
}
ROUNDS = {"cold, true": 60, "cold, python": 40, "warm, python": 100}


def once(box: Sandbox, argv: tuple[str, ...]) -> float:
    started = time.perf_counter()
    outcome = box.run(Job(argv), Limits(wall_s=20))
    if outcome.ended is not Ended.OK:
        raise SystemExit(f"{argv}: {outcome.ended}")
    return (time.perf_counter() - started) * 1000


def main() -> None:
    mechanisms = probe().mechanisms
    if mechanisms is None or not mechanisms.private:
        raise SystemExit("needs root, bubblewrap and overlayfs")
    with tempfile.TemporaryDirectory() as state:
        shared = BubblewrapBox(Path(state) / "a", replace(mechanisms, private=False))
        own = BubblewrapBox(Path(state) / "b", mechanisms)
        boxes: dict[str, tuple[Sandbox, Sandbox]] = dict.fromkeys(CASES, (shared, own))
        warm = [WarmBox(box, (), python=PYTHON) for box in (shared, own)]
        warm[0].plan.policy["runtime"] = []
        boxes["warm, python"] = (warm[0], warm[1])
        for name, argv in CASES.items():
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(ROUNDS[name] + 3):
                for box, found in zip(boxes[name], times, strict=True):
                    found.append(once(box, argv))
            medians = [statistics.median(found[3:]) for found in times]
            fastest = [min(found[3:]) for found in times]
            print(
                json.dumps(
                    {
                        "case": name,
                        "runs": ROUNDS[name],
                        "shared_ms": round(medians[0], 2),
                        "own_ms": round(medians[1], 2),
                        "shared_fastest_ms": round(fastest[0], 2),
                        "own_fastest_ms": round(fastest[1], 2),
                    }
                )
            )
        for box in warm:
            box.close()


if __name__ == "__main__":
    main()
