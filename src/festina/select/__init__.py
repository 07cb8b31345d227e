"""The acceptance rule: evidence in, verdict out. Pure: no clock, disk, network or randomness.  # S-5

``gate`` decides one test, ``budget`` holds the error level of the whole ledger, ``planning`` says how many
units a plan needs, ``report`` gives the interval and ``words`` the sentence that people read.
"""

from festina.select.budget import SPREAD, Budget, FdrBudget, SealedBlocks
from festina.select.gate import (
    Decision,
    Evidence,
    Kind,
    Plan,
    TestState,
    decision,
    extend,
    guard_evidence,
    log_evidence,
    log_threshold,
    observe,
    observe_all,
    refund_share,
    start,
    unproven,
    violated,
)
from festina.select.planning import check_reachable, units_ideal, units_max_default, units_min_accept, units_steady
from festina.select.report import estimate, interval
from festina.select.words import Finding, sentence, verdict_of

__all__ = [
    "SPREAD",
    "Budget",
    "Decision",
    "Evidence",
    "FdrBudget",
    "Finding",
    "Kind",
    "Plan",
    "SealedBlocks",
    "TestState",
    "check_reachable",
    "decision",
    "estimate",
    "extend",
    "guard_evidence",
    "interval",
    "log_evidence",
    "log_threshold",
    "observe",
    "observe_all",
    "refund_share",
    "sentence",
    "start",
    "units_ideal",
    "units_max_default",
    "units_min_accept",
    "units_steady",
    "unproven",
    "verdict_of",
    "violated",
]
