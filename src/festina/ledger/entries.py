"""Entry types: everything that can be recorded, one frozen type each.

A type's docstring says what it asserts and who signs it; ``effect`` entries come as an intent and an
end (L-3). All are JSON objects with exact fields: unknown fields, wrong types and non-finite numbers are
refused on reading and on writing. Text that came from a proposer or candidate never stands in an entry:
only its digest does, the bytes are in the content store (T-5, L-2).

Digests are lower-case sha256 hex of bytes in the content store; ``oid``/``tree``/``commit`` are git object
names. Fields named ``*_s`` are seconds. Sensitive fields are salted commitments (L-5): ``Draft.sealed``.

Adding a field or a type needs a new schema number: ``SCHEMA`` and a note here.
  1: first version.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.assuring import ControlEnded as ControlEnded
from festina.ledger.assuring import ControlResolved as ControlResolved
from festina.ledger.assuring import ControlStarted as ControlStarted
from festina.ledger.assuring import JudgeTerms as JudgeTerms
from festina.ledger.assuring import PlantRevealed as PlantRevealed
from festina.ledger.base import Body as Body
from festina.ledger.base import Count, Digest, Name, Number, Oid, Short
from festina.ledger.base import Role as Role
from festina.ledger.base import Target as Target
from festina.ledger.calling import ModelAnswered as ModelAnswered
from festina.ledger.calling import ModelAsked as ModelAsked
from festina.ledger.growths import ArmEnded as ArmEnded
from festina.ledger.growths import ArmStarted as ArmStarted
from festina.ledger.growths import CrossplayEnded as CrossplayEnded
from festina.ledger.growths import CrossplayPlanned as CrossplayPlanned
from festina.ledger.growths import CrossplayProblem as CrossplayProblem
from festina.ledger.growths import Product as Product
from festina.ledger.growths import ProductivityTerms as ProductivityTerms
from festina.ledger.measures import Attributed as Attributed
from festina.ledger.measures import Calibrated as Calibrated
from festina.ledger.measures import MeasureEnded as MeasureEnded
from festina.ledger.measures import MeasureSkipped as MeasureSkipped
from festina.ledger.measures import MeasureStarted as MeasureStarted
from festina.ledger.measures import PublicCompared as PublicCompared
from festina.ledger.searching import ArchiveTerms as ArchiveTerms
from festina.ledger.searching import TryEnded as TryEnded
from festina.ledger.searching import TryStarted as TryStarted

SCHEMA = 1


class Genesis(Body):
    """First entry: which system, which keys. ``demo`` ledgers can never release outside the demo.

    ``engine_key`` and ``verifier_key`` are raw Ed25519 public keys in base64.
    """

    kind: ClassVar[str] = "genesis"
    origin: str  # C2SP checkpoint origin, e.g. "festina.local/NAME-1a2b3c4d"
    system: Name
    engine_key: str
    verifier_key: str
    alpha: Number
    demo: bool
    version: str  # Festina's version
    schema_number: int


class SuiteTerms(BaseModel):
    """How one suite counts: range, direction, unit, mode, margins and sizes, fixed for an epoch.  # S-7"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Name
    scorer: str  # "module:function", or "stdout:METRIC" when the candidate prints the score itself
    low: Number | None  # worst and best possible score; None: no declared range (symmetric test)
    high: Number | None
    direction: Literal["higher", "lower"]
    unit: Literal["item", "cluster", "seed"]
    mode: Literal["fresh", "sealed", "ledger"]
    margin: Number
    detect: Number
    batch_items: Count  # items answered by one process; its mean is one unit of evidence  # E-3
    max_units: Count
    source: Digest | None  # digest of the vault's item file or generator
    assurance: Literal["self-reported", "scored", "hidden"]  # V-10
    looks: Count | None = None  # items that may ever be shown of this source; None: as many as there are  # V-3
    word_every_s: Number = 0.0  # sealed and ledger: words are told a whole number of such slots after a test opened
    bits: Number = 0.0  # ledger: what may be told about the block in all
    test: Literal["bounded", "symmetric"] = "bounded"  # with a range; without one it is symmetric  # S-7

    @property
    def assumed(self) -> Literal["bounded", "symmetric"]:
        """What the test takes for granted: that the range is true, or that chance helps and harms alike."""
        return "symmetric" if self.low is None else self.test


class GuardTerms(BaseModel):
    """A property that must not get worse than on the anchor by more than ``max_loss``.  # V-4"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Name
    scorer: str
    low: Number
    high: Number
    direction: Literal["higher", "lower"]
    max_loss: Number


class EpochOpened(Body):
    """The rules from here on: pinned commit of manifest and scorers, alpha, suite, guards, anchor.  # S-1, T-4

    ``start_commit`` is the commit the working line starts from; it is also the anchor in force.
    """

    kind: ClassVar[str] = "epoch-opened"
    epoch: Count
    reason: Short
    start_commit: Oid
    start_tree: Oid
    anchor_tree: Oid
    manifest: Digest
    evaluator: Digest  # over manifest, scorer files and vault source
    alpha: Number
    beta: Number
    spread: Number  # the c of the e-gate: about how many tests share the budget evenly
    suite: SuiteTerms
    guards: tuple[GuardTerms, ...]
    autonomy: Literal["observe", "propose-only", "release-by-approval"]
    debt_generations: Count
    debt_lines: Count
    min_level: int
    final: SuiteTerms | None = None  # scored once a release; its source stands in each scoring's intent  # V-3
    control_share: Number = 0.0  # of the units: the incumbent against itself  # V-2
    attribution_share: Number = 0.0  # trials of attributions, of the trials of tests at most  # V-8
    control_level: Number = 0.01  # chance that this control ever raises a false alarm in the epoch
    plant_rate: Number = 0.0  # of the improver's slots: filled with known-bad changes; sealed: ``plant_secret``  # V-7
    judges: tuple[JudgeTerms, ...] = ()  # further verifiers of the goal  # V-5
    goal_family: Name = "unknown"  # who or what stands behind the goal's own scorer
    proposer_family: Name = "unknown"
    error: Literal["familywise", "fdr"] = "familywise"  # what alpha bounds: any wrong acceptance, or the share of them
    archive: ArchiveTerms | None = None  # the improver tries changes on public evidence before it hands one in  # P-7
    productivity: ProductivityTerms | None = None  # None: nothing may be proposed for the improver's sake alone  # S-6
    rule: Count = 1  # version of the bets' numbers (``select.rules``); kept, so that verdicts can be recomputed  # S-5


class RunStarted(Body):
    """An engine took the ledger: its budgets, improver and sandbox."""

    kind: ClassVar[str] = "run-started"
    run: Name
    improver: Name
    frozen_improver: bool  # control arm: the improver in force stays generation 0's
    wall_s: Number
    trials: Count
    proposals: Count
    sandbox_level: int
    sandbox_missing: tuple[Short, ...]
    sandbox_policy: Digest
    separated_uids: bool  # T-1: nominal separation is said so
    at_once: Count = 1  # tests that may be open side by side


class RunEnded(Body):
    """The engine let go of the ledger, and why."""

    kind: ClassVar[str] = "run-ended"
    run: Name
    reason: Literal["finished", "budget", "exhausted", "interrupted", "waiting", "fault", "crashed", "control"]
    detail: Short
    wall_s: Number


class ControlsChecked(Body):
    """Constant and random outputs must fail the scorer and the oracle must pass.  # V-2

    Values are unit scores in [0, 1], 1 best. ``oracle`` is None where no oracle exists.
    """

    kind: ClassVar[str] = "controls-checked"
    role: ClassVar[Role] = "verifier"
    run: Name
    constant: Number | None
    random: Number | None
    oracle: Number | None
    incumbent: Number | None
    ok: bool
    note: Short


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


class LineIntent(Body):
    """Intent: the working line's head is about to move by compare-and-swap.  # D-1"""

    kind: ClassVar[str] = "line-intent"
    move: Count
    cause: Literal["start", "accept", "denial", "rollback"]
    generation: Count  # number of the new head
    old_commit: Oid | None
    new_commit: Oid
    proposal: Count | None


class LineMoved(Body):
    """End of the move: the reference now names the new head."""

    kind: ClassVar[str] = "line-moved"
    move: Count
    generation: Count
    commit: Oid


class ReviewerEnrolled(Body):
    """A person's public key may sign decisions. ``demo`` keys count only in demo ledgers.  # R-1"""

    kind: ClassVar[str] = "reviewer-enrolled"
    reviewer: Name
    key: str
    demo: bool


class ReviewRequested(Body):
    """A generation waits for a person. ``binding`` is the hash of patch, evidence and evaluator.  # R-1"""

    kind: ClassVar[str] = "review-requested"
    review: Count
    generation: Count
    commit: Oid
    improver_changed: bool
    patch: Digest  # against the last approved generation
    evidence: Digest  # leaf hash of the verdict entry that accepted it
    evaluator: Digest
    binding: Digest
    expires: str  # RFC 3339


class ReviewDecided(Body):
    """A person's reasoned decision, signed by that person's own key.  # R-1"""

    kind: ClassVar[str] = "review-decided"
    role: ClassVar[Role] = "reviewer"
    review: Count
    binding: Digest
    reviewer: Name
    decision: Literal["approve", "deny"]
    reason: Digest  # text in the content store
    without_person: bool  # demo key: approved without a person


class InForce(Body):
    """From here on this generation's improver proposes.  # P-5, R-1"""

    kind: ClassVar[str] = "improver-in-force"
    generation: Count
    commit: Oid
    review: Count


class ReleaseIntent(Body):
    """Intent: the released reference is about to move.  # D-1, D-2"""

    kind: ClassVar[str] = "release-intent"
    release: Count
    cause: Literal["release", "rollback"]
    generation: Count
    old_commit: Oid | None
    new_commit: Oid
    review: Count | None  # the approval it rests on; None for a rollback


class Released(Body):
    """The released reference now names this generation."""

    kind: ClassVar[str] = "released"
    release: Count
    generation: Count
    commit: Oid


class Waiver(Body):
    """Somebody accepted a sandbox below the demanded level until a date.  # T-2"""

    kind: ClassVar[str] = "waiver"
    what: Literal["sandbox-level"]
    level: int
    reason: Digest
    expires: str


class FinalScored(Body):
    """Held-out scores on items that the gate never used; each look is counted.  # V-3"""

    kind: ClassVar[str] = "final-scored"
    role: ClassVar[Role] = "verifier"
    label: Short  # what is compared, e.g. "generation 4 against generation 0"
    tree_a: Oid
    tree_b: Oid
    units: Count
    items: Count
    mean_a: Number
    mean_b: Number
    estimate: Number  # mean of a minus b, suite's own unit
    interval: tuple[Number, Number]
    details: Digest
    generation: Count | None = None  # of the sealed final suite: the generation that wants to be released
    measure: Count | None = None  # the charged measurement that it came from  # E-1


class FaultRecorded(Body):
    """A failure of Festina's own: its class and where. Never a verdict.  # T-6"""

    kind: ClassVar[str] = "fault"
    what: Name
    detail: Digest | None
    test: Count | None = None  # during whose batch, where it was one's


class DrillFinished(Body):
    """A drill of this system ended: counts, what is open, and the whole report by digest.  # V-7

    ``attacks`` counts those whose positive control worked. ``looks`` are items shown to the drill's own programs on a
    scratch copy: no proposer saw anything of them.
    """

    kind: ClassVar[str] = "drill-finished"
    commit: Oid
    attacks: Count
    caught: Count
    holes: Count
    exposures: Count
    untested: Count
    honest_runs: Count
    honest_lost: Count
    open: tuple[Short, ...]  # the attacks behind the holes, the first of them
    looks: Count
    level: int
    wall_s: Number
    details: Digest  # JSON lines: one finding or honest row each, the summary last

    def sentence(self) -> str:
        """The result in words, the same in status and report."""
        named = f" ({', '.join(self.open)})" if self.open else ""
        return (
            f"{self.caught} of {self.attacks} attacks caught, {self.holes} open holes{named}; {self.honest_lost} of "
            f"{self.honest_runs} honest runs lost"
        )


KINDS: dict[str, type[Body]] = {
    body.kind: body
    for body in (
        Genesis, EpochOpened, RunStarted, RunEnded, ControlsChecked, ProposalRequested, ProposalReceived,
        Screened, TestOpened, BatchStarted, BatchEnded, Verdict, LineIntent, LineMoved, ReviewerEnrolled,
        ReviewRequested, ReviewDecided, InForce, ReleaseIntent, Released, Waiver, FinalScored, FaultRecorded,
        ControlStarted, ControlEnded, ControlResolved, PlantRevealed,
        MeasureStarted, MeasureEnded, MeasureSkipped, PublicCompared, Attributed, DrillFinished, Calibrated,
        ModelAsked, ModelAnswered, TryStarted, TryEnded,
        CrossplayPlanned, CrossplayProblem, CrossplayEnded, ArmStarted, ArmEnded,
    )
}  # fmt: skip
