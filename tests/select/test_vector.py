"""Many tests at once are the rule itself: same outcomes, units and refunds, to the bit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from festina.errors import Fault
from festina.select import Evidence, Plan, observe_all, refund_share, start
from festina.select.noise import Noise
from festina.select.rules import RULE
from festina.select.vector import Noises, gate

UNITS, TESTS = 150, 40
PLANS = {
    "gain": (Plan("bounded", 0.004, 0.01, 0.06, 0.1, (), UNITS), {"accept", "futile", "cap"}),
    "guards": (Plan("bounded", 0.004, 0.01, 0.06, 0.1, (0.05, 0.2), UNITS), {"accept", "futile", "guard", "cap"}),
    "judges": (
        Plan("bounded", 0.004, 0.0, 0.06, 0.1, (0.2,), UNITS, judges=((0.0, 0.1), (0.02, 0.15))),
        {"accept", "futile", "judge"},
    ),
    "seeds": (Plan("symmetric", 0.01, 0.0, 0.0, 0.1, (), UNITS), {"accept", "futile"}),
    "seeds and guards": (
        Plan("symmetric", 0.01, 0.0, 0.05, 0.1, (0.2, 0.3), UNITS, guard_kind="symmetric"), {"accept", "guard"},
    ),
}  # fmt: skip


def drawn(rng, means, sds):
    """Differences with a law of its own for each test; some are exact repeats, zeros and ends of the range."""
    rows = rng.normal(rng.choice(means, TESTS)[:, None], rng.choice(sds, TESTS)[:, None], (TESTS, UNITS))
    rows = np.clip(rows, -1.0, 1.0)
    rows[: TESTS // 4] = np.round(rows[: TESTS // 4])
    return rows


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize(("seed", "rule"), [(1, RULE), (2, 2), (3, 1)])
def test_S5_many_tests_at_once_give_the_bits_of_the_rule(name, seed, rule):
    plan, expected = PLANS[name]
    plan = replace(plan, rule=rule)
    rng = np.random.default_rng(seed)
    levels = rng.choice([plan.level, 0.02, 0.2], TESTS)
    gains = drawn(rng, [-0.1, 0.0, 0.1, 0.4], [0.02, 0.1, 0.5])
    guards = tuple(drawn(rng, [-0.3, 0.0, 0.1], [0.05, 0.1]) for _ in plan.guards)
    judges = tuple(drawn(rng, [-0.1, 0.3], [0.05, 0.1]) for _ in plan.judges)
    known = [Noise(int(tests), float(tests * rng.random())) for tests in rng.integers(0, 6, TESTS)]
    noise = Noises(*(np.array(column, dtype=float) for column in zip(*known, strict=True)))
    ends = gate(plan, levels, gains, guards, judges, noise=noise)
    for i in range(TESTS):
        own = replace(plan, level=float(levels[i]), noise=known[i])
        units = (
            Evidence(float(gains[i, n]), *(tuple(float(c[i, n]) for c in columns) for columns in (guards, judges)))
            for n in range(UNITS)
        )
        state = observe_all(start(own), units)
        assert (state.outcome, state.units) == (ends.outcome[i], ends.units[i])
        assert refund_share(state) == ends.refund[i]
    assert expected <= set(ends.outcome)


def test_S2_a_batch_with_a_difference_outside_the_range_is_refused_whole():
    plan, gains = PLANS["gain"][0], np.zeros((TESTS, UNITS))
    gains[3, 140] = 1.0001
    with pytest.raises(Fault) as caught:
        gate(plan, np.full(TESTS, 0.01), gains)
    assert caught.value.name == "evidence-out-of-range"


def test_S8_an_owner_may_stop_any_test_at_any_unit_and_gets_the_refund_of_that_moment():
    plan, rng = PLANS["gain"][0], np.random.default_rng(4)
    gains = drawn(rng, [0.0, 0.1], [0.1])
    seen = []

    def abort(units, rows, wealth):
        seen.append(units)
        return (wealth > 2.0) | (rows == 7)

    ends = gate(plan, np.full(TESTS, plan.level), gains, abort=abort)
    assert seen[:2] == [1, 2]
    assert (ends.outcome[7], ends.units[7]) == ("abort", 1)
    for i in np.nonzero(ends.outcome == "abort")[0]:
        state = observe_all(start(plan), [Evidence(float(x)) for x in gains[i, : ends.units[i]]])
        assert (state.outcome, refund_share(state)) == ("continue", ends.refund[i])
    assert (ends.outcome == "abort").sum() > 5


def test_S5_no_command_pays_for_numpy_unless_it_simulates():
    """``festina.select`` decides without numpy, and ``festina --help`` starts without it."""
    code = (
        "import sys, contextlib, io\n"
        "from festina.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    sys.argv = ['festina', '--help']; main()\n"
        "import festina.select, festina.loop.engine\n"
        "print('numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
