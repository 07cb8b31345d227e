"""A change on its way to a verdict: asked for, handed in, screened, tested in batches, judged.  # P, E, S"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role, Short, Target


class ProposalRequested(Body):
    """Intent: an improver is about to be run. Its cost is charged here.  # E-1, L-3"""

    kind: ClassVar[str] = "proposal-requested"
    proposal: Count
    attempt: Count
    improver: Name
    from_generation: Count  # whose code proposes: the improver in force  # P-5
    from_commit: Oid
    base_commit: Oid  # head of the working line: what is to be changed
    seed: Count


class ProposalReceived(Body):
    """An improver handed in a change (``patch``), or nothing (``patch`` is None).

    Sealed where the epoch plants defects: ``origin``, whether this is one, for every proposal alike.  # V-7, L-5
    """

    kind: ClassVar[str] = "proposal-received"
    proposal: Count
    author: Name
    patch: Digest | None
    plan: Digest | None  # canonical JSON: rationale, weakness, predicted  # P-6
    predicted: Number | None
    exhausted: bool
    reason: Short  # why nothing came, in the engine's words; else empty
    wall_s: Number
    cpu_s: Number
    target: Target = "gain"  # as declared, before any data  # S-6
    repairs: Count = 0  # near misses of a model's answer that were mended before it was read
    binary: bool = False  # the engine itself wrote the patch, from whole files that hold more than text
    spent: bool = False  # nothing came because the run's budget for models does not allow another call  # E-5
    # of the person who made the patch, over it; empty: not signed, so that anybody may have made it  # R-1
    sig: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{86}==)?$")] = ""


class Screened(Body):
    """What the change does, judged by its effect.  # P-1, P-2, P-3"""

    kind: ClassVar[str] = "screened"
    proposal: Count
    result: Literal["passed", "refused", "no-op", "duplicate", "stale"]
    reason: Short  # reason class for refusals, e.g. "scope", "symlink"
    detail: Digest | None  # for people: full text of the refusal in the content store
    guard_change: bool  # touched verifier, policy, ledger, sandbox or vault  # T-4
    base_commit: Oid
    tree: Oid | None
    changed_files: Count
    changed_lines: Count
    improver_changed: bool


class TestOpened(Body):
    """Plan before data: the candidate's hash, its level and its stopping rule.  # L-4, S-7"""

    kind: ClassVar[str] = "test-opened"
    test: Count
    proposal: Count
    tree: Oid
    base_commit: Oid
    anchor_tree: Oid
    level: Number  # the error level a of this test
    block: Count  # sealed mode: block number; else 0
    first_item: Count = 0  # sealed and ledger: position of the block's first item in the source
    units_max: Count
    units_min_accept: Count  # fewest units that could ever accept
    target: Target = "gain"
    against: Count | None = None  # target productivity: whose improver is in force, a generation  # S-6
    noise_tests: Count = 0  # closed tests of this epoch that taught something about noise (rules that learn)
    noise_squares: Number = 0.0  # the sum of their mean squared differences, in shares of the range


class BatchStarted(Body):
    """Intent: seeds were drawn after the candidate's hash was recorded; trials are charged.  # E-1, E-3"""

    kind: ClassVar[str] = "batch-started"
    test: Count
    batch: Count
    attempt: Count
    units: Count
    trials: Count  # charged now, spent or not
    items: Count  # looks at hidden items, counted now  # V-3
    seeds: Digest  # of the canonical JSON list of unit seeds


class BatchEnded(Body):
    """Paired differences of one batch, one number per unit, in units of the declared range.

    ``gain[i]`` is candidate minus incumbent, ``guards[k][i]`` candidate minus anchor, all in [-1, 1] where
    a range is declared and oriented so that positive is better. ``details`` holds the trial records.
    """

    kind: ClassVar[str] = "batch-ended"
    role: ClassVar[Role] = "verifier"
    test: Count
    batch: Count
    gain: tuple[Number, ...]
    guards: tuple[tuple[Number, ...], ...]
    candidate_mean: Number | None  # in the suite's own unit, for people
    incumbent_mean: Number | None
    failed: Count  # candidate trials that ended in anything but ok
    denied: Count  # candidate trials in which a denied system call was seen
    details: Digest
    judges: tuple[tuple[Number, ...], ...] = ()  # as ``gain``, for each further verifier  # V-5
    tampering: tuple[Count, Count] = (0, 0)  # attempts on the guards: the candidate's improver, that in force  # S-6


class Verdict(Body):
    """accept, reject or inconclusive, with the numbers that decided.  # S-2, S-4, V-10"""

    kind: ClassVar[str] = "verdict"
    role: ClassVar[Role] = "verifier"
    test: Count
    proposal: Count
    tree: Oid
    base_commit: Oid
    verdict: Literal["accept", "reject", "inconclusive"]
    reason: Literal["shown", "futile", "guard", "cap", "line-moved", "budget", "fault", "control", "judge"]
    sentence: str = Field(max_length=600)
    units: Count
    items: Count
    estimate: Number | None  # mean difference in the suite's own unit
    interval: tuple[Number, Number] | None  # about it, 95 %
    log_evidence: Number  # log e-value for "better"; accepted at log_threshold
    log_threshold: Number
    guard_evidence: tuple[Number, ...]
    judge_evidence: tuple[Number, ...] = ()  # of the further verifiers that decide  # V-5
    alpha_spent: Number  # by this test, after refund
    alpha_left: Number
    public_gain: Number | None  # of records before ``public-compared``; else None  # V-6
    assurance: Literal["self-reported", "scored", "hidden"]
    provisional: bool  # below L2: never released  # T-2
    again: bool = False  # the line moved: the proposal is screened and tested anew, at a new level  # S-8
