"""What an epoch is judged by: its suites, its guards, its rules, fixed when it opens.  # S-1, S-7"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from festina.ledger.assuring import JudgeTerms
from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Short
from festina.ledger.governing import GovernTerms, Rung
from festina.ledger.growths import ProductivityTerms
from festina.ledger.material import DocumentTerms
from festina.ledger.reviewing import ReviewTerms
from festina.ledger.searching import ArchiveTerms
from festina.ledger.soaking import OutcomeTerms, SoakTerms
from festina.ledger.witnessing import WitnessTerms


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
    train: Literal["each", "once"] = "each"  # once: a tree's artifact answers in every side, and verdicts are about it

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
    autonomy: Rung  # the highest that a person may step up to; where the loop stands is folded  # G-7
    debt_generations: Count
    debt_lines: Count
    min_level: int
    final: SuiteTerms | None = None  # scored once a release; its source stands in each scoring's intent  # V-3
    control_share: Number = 0.0  # of the units: the incumbent against itself  # V-2
    debt_unexplained: Number | None = None  # share of the unreviewed gain that no hunk explains, at most  # G-3
    attribution_share: Number = 0.0  # trials of attributions, of the trials of tests at most  # V-8
    internals_share: Number = 0.0  # trials of comparisons of models' insides, of the trials of tests at most  # V-9
    internals_retrainings: Count = 0  # that one of them takes; 0: no model is laid open
    control_level: Number = 0.01  # chance that this control ever raises a false alarm in the epoch
    plant_rate: Number = 0.0  # of the improver's slots: filled with known-bad changes; sealed: ``plant_secret``  # V-7
    judges: tuple[JudgeTerms, ...] = ()  # further verifiers of the goal  # V-5
    goal_family: Name = "unknown"  # who or what stands behind the goal's own scorer
    proposer_family: Name = "unknown"
    error: Literal["familywise", "fdr"] = "familywise"  # what alpha bounds: any wrong acceptance, or the share of them
    crossplay_share: Number = 0.0  # of all sandboxed runs, for comparing improvers that changed  # W-2
    archive: ArchiveTerms | None = None  # the improver tries changes on public evidence before it hands one in  # P-7
    productivity: ProductivityTerms | None = None  # None: nothing may be proposed for the improver's sake alone  # S-6
    release_steps: tuple[Literal["shadow", "canary"], ...] = ()  # watches that a release has to pass first  # D-3
    review: ReviewTerms | None = None  # how people review; None: before there were steps; sealed: ``catch_secret``
    govern: GovernTerms | None = None  # how fast the loop may go; None: records from before there was a governor  # G-2
    soaks: tuple[SoakTerms, ...] = ()  # what a content has to stand before it is released in full  # D-3
    outcomes: OutcomeTerms | None = None  # what becomes of a release later on  # D-4
    documents: DocumentTerms | None = None  # what a release has to have in documents; None: what was declared  # C-1
    witness: WitnessTerms | None = None  # who else keeps what was recorded; None: nobody has to  # L-2
    wording: Count = 1  # version of the verdicts' sentences, kept for the same reason; 2: seeds that all agree are runs
    rule: Count = 1  # version of the bets' numbers (``select.rules``); kept, so that verdicts can be recomputed  # S-5
