"""Evidence unit by unit, computed anew from the recorded differences by the rule that decided.  # S-5, L-1

The ledger holds differences per unit and the evidence at the end; what lies between is a reading of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from festina.ledger.entries import EpochOpened, TestOpened
from festina.select.verifiers import OwnWord

Units = Sequence[tuple[float, tuple[float, ...], tuple[float, ...]]]


def evidence_path(epoch: EpochOpened, test: TestOpened, units: Units) -> tuple[float, ...]:
    """Log evidence for "better" after each unit: gain, guard and further verifiers' differences, as recorded.

    Ends at the rule's decision. Raises FestinaError where the rule refuses a unit, such as one out of range.
    """
    from festina.select import gate
    from festina.verify.verdicts import plan_of

    state = gate.start(plan_of(epoch, test))
    path = []
    deciding = [j for j, judge in enumerate(epoch.judges) if judge.role == "decide"]
    for gain, guards, judges in units:
        if gate.decision(state) != "continue":
            break  # the last batch may hold more units than the rule needed
        state = gate.observe(state, gate.Evidence(gain, guards, tuple(judges[j] for j in deciding)))
        path.append(gate.log_evidence(state))
    return tuple(path)


def own_words(epoch: EpochOpened, test: TestOpened, units: Units) -> tuple[OwnWord, ...]:
    """What each verifier would have said on its own; empty where there is only the goal's.  # V-5"""
    from festina.loop.verifiers import own_words as read
    from festina.verify.verdicts import plan_of

    return read(epoch, plan_of(epoch, test), [gain for gain, _, _ in units], [judges for _, _, judges in units])
