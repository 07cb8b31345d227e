"""What is certified of the working line's total gain, from the state."""

from __future__ import annotations

from festina.loop import sameness
from festina.loop.state import State
from festina.select.certified import Total, certify, obstacle
from festina.verify.verdicts import width_of


def total_gain(s: State) -> Total | None:
    """None before the first acceptance on the line."""
    if s.epoch is None:
        return None
    suite = s.epoch.suite
    line = [g for n in s.line if (g := s.generations[n]).step is not None and g.verdict is not None]
    why = obstacle(
        suite.mode, bounded=suite.assumed == "bounded", doubtful=any(sameness.in_doubt(s, g) for g in line),
        provisional=any(g.verdict is not None and g.verdict.provisional for g in line),
        improver=any(s.generations[n].target == "productivity" for n in s.line),
    )  # fmt: skip
    estimates = sum(g.verdict.estimate or 0.0 for g in line if g.verdict is not None)
    steps = [g.step for g in line if g.step is not None]
    return certify(steps, s.shares, s.epoch.epoch, estimates=estimates, width=width_of(suite), why=why)
