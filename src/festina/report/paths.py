"""Evidence unit by unit, computed anew from the recorded differences by the rule that decided.  # S-5, L-1

The ledger holds differences per unit and the evidence at the end; what lies between is a reading of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from festina.ledger.entries import EpochOpened, TestOpened


def evidence_path(
    epoch: EpochOpened, test: TestOpened, units: Sequence[tuple[float, tuple[float, ...]]]
) -> tuple[float, ...]:
    """Log evidence for "better" after each unit: ``units`` are (gain, guard differences), as recorded.

    Ends at the rule's decision. Raises FestinaError where the rule refuses a unit, such as one out of range.
    """
    from festina.loop.state import plan_of
    from festina.select import gate

    state = gate.start(plan_of(epoch, test))
    path = []
    for gain, guards in units:
        if gate.decision(state) != "continue":
            break  # the last batch may hold more units than the rule needed
        state = gate.observe(state, gate.Evidence(gain, guards))
        path.append(gate.log_evidence(state))
    return tuple(path)
