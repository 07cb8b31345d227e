"""Recording a failure of Festina's own: never a verdict, never charged to a candidate.  # T-6"""

from __future__ import annotations

import hashlib

from festina.errors import Fault
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.loop.bench import Bench


def record_fault(b: Bench, fault: Fault, test: int | None = None) -> None:
    """``test``: the open test during whose batch it happened."""
    if fault.name == "model-budget":
        return  # a budget's end is a state and no failure: the run ends before its next step  # G-6
    text = str(fault).encode()
    body = e.FaultRecorded(what=fault.name, detail=hashlib.sha256(text).hexdigest(), test=test)
    b.append(Draft(body, blobs=(text,)), still=lambda _: True)
