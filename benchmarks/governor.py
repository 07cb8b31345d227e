"""What a decision of the governor costs, alone and together with reading the state. Limit: 1 ms.

    python benchmarks/governor.py [--generations 60] [--json]

The state is that of a loop on paper with many accepted generations, each characterised on a locked scale; the decision
is taken as the engine takes it, before each step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loop.paper import PaperLoop
from tests.loop.test_governing import START, characterise, paced

from festina.govern.governor import decide
from festina.ledger import entries as e
from festina.loop import abilities
from festina.loop import next as plan
from festina.loop.governing import decided, policy_of, reading_of


def median_ms(action: Callable[[], object], count: int = 300) -> float:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def measured(loop: PaperLoop) -> None:
    """Characterise the head, and lock the scale where that begins one."""
    characterise(loop)
    made = abilities.locking(abilities.view(loop.state), *scored(loop))
    if made is not None:
        loop.put(made)


def scored(loop: PaperLoop) -> tuple[e.CapabilityTerms, abilities.Run]:
    return abilities.terms_of(loop.state)[0], loop.state.govern.skills.runs["skill"][-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    loop = paced(step=1000.0)
    loop.approve = 1.0
    measured(loop)
    while len(loop.state.line) <= options.generations:
        loop.people()
        action = plan.next_action(loop.state, loop.facts())
        if isinstance(action, plan.Finish):
            loop.put(e.RunEnded(run="run-x", reason=action.reason, detail=action.detail, wall_s=1.0))
            loop.start_run()
            continue
        getattr(loop, f"_{type(action).__name__}")(action)
        if len(loop.state.line) - 1 > len(loop.state.govern.skills.runs["skill"]) - 1:
            measured(loop)
    now: datetime = START.astimezone(UTC) + timedelta(hours=1)
    reading, policy = reading_of(loop.state, now), policy_of(loop.state)
    result = {
        "generations": len(loop.state.line) - 1, "decide_ms": median_ms(lambda: decide(reading, policy)),
        "with_reading_ms": median_ms(lambda: decided(loop.state, now)),
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['generations']} generations: a decision {result['decide_ms']:.3f} ms, with reading the state "
            f"{result['with_reading_ms']:.3f} ms"
        )
    return 0 if result["with_reading_ms"] <= 1.0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
