"""Entry types: everything that can be recorded, one frozen type each.

A type's docstring says what it asserts and who signs it; ``effect`` entries come as an intent and an
end (L-3). All are JSON objects with exact fields: unknown fields, wrong types and non-finite numbers are
refused on reading and on writing. Text that came from a proposer or candidate never stands in an entry:
only its digest does, the bytes are in the content store (T-5, L-2).

Digests are lower-case sha256 hex of bytes in the content store; ``oid``/``tree``/``commit`` are git object
names. Fields named ``*_s`` are seconds. Sensitive fields are salted commitments (L-5): ``Draft.sealed``.

A new type stands in a module of its subject beside this one, and here in an import and in ``KINDS``. A type or field
that old ledgers lack (a field with a default) needs no new schema number; any other change does: ``SCHEMA`` and a note
here.
  1: first version.
"""

from __future__ import annotations

from typing import ClassVar

from festina.ledger.assuring import ControlEnded as ControlEnded
from festina.ledger.assuring import ControlResolved as ControlResolved
from festina.ledger.assuring import ControlStarted as ControlStarted
from festina.ledger.assuring import DrillWords as DrillWords
from festina.ledger.assuring import JudgeTerms as JudgeTerms
from festina.ledger.assuring import PlantRevealed as PlantRevealed
from festina.ledger.auditing import AuditorEnrolled as AuditorEnrolled
from festina.ledger.auditing import AuditReceived as AuditReceived
from festina.ledger.base import Body as Body
from festina.ledger.base import Count, Digest, Name, Number, Oid, Short
from festina.ledger.base import Role as Role
from festina.ledger.base import Target as Target
from festina.ledger.calling import ModelAnswered as ModelAnswered
from festina.ledger.calling import ModelAsked as ModelAsked
from festina.ledger.deciding import InForce as InForce
from festina.ledger.deciding import LineIntent as LineIntent
from festina.ledger.deciding import LineMoved as LineMoved
from festina.ledger.deciding import Released as Released
from festina.ledger.deciding import ReleaseIntent as ReleaseIntent
from festina.ledger.deciding import ReviewDecided as ReviewDecided
from festina.ledger.deciding import ReviewerEnrolled as ReviewerEnrolled
from festina.ledger.deciding import ReviewRequested as ReviewRequested
from festina.ledger.deciding import Waiver as Waiver
from festina.ledger.forecasting import GrowthAlarm as GrowthAlarm
from festina.ledger.governing import AnchorsLeaked as AnchorsLeaked
from festina.ledger.governing import AnchorsLocked as AnchorsLocked
from festina.ledger.governing import Attested as Attested
from festina.ledger.governing import AutonomyStepped as AutonomyStepped
from festina.ledger.governing import CapabilityTerms as CapabilityTerms
from festina.ledger.governing import Characterised as Characterised
from festina.ledger.governing import EndReason
from festina.ledger.governing import GovernTerms as GovernTerms
from festina.ledger.governing import Halted as Halted
from festina.ledger.governing import PaceTerms as PaceTerms
from festina.ledger.governing import Renewed as Renewed
from festina.ledger.governing import Resumed as Resumed
from festina.ledger.governing import Rung as Rung
from festina.ledger.governing import TierTerms as TierTerms
from festina.ledger.growths import ArmEnded as ArmEnded
from festina.ledger.growths import ArmStarted as ArmStarted
from festina.ledger.growths import CrossplayEnded as CrossplayEnded
from festina.ledger.growths import CrossplayPlanned as CrossplayPlanned
from festina.ledger.growths import CrossplayProblem as CrossplayProblem
from festina.ledger.growths import Product as Product
from festina.ledger.growths import ProductivityTerms as ProductivityTerms
from festina.ledger.judging import BatchEnded as BatchEnded
from festina.ledger.judging import BatchStarted as BatchStarted
from festina.ledger.judging import ProposalReceived as ProposalReceived
from festina.ledger.judging import ProposalRequested as ProposalRequested
from festina.ledger.judging import Screened as Screened
from festina.ledger.judging import TestOpened as TestOpened
from festina.ledger.judging import Verdict as Verdict
from festina.ledger.material import DocumentConfirmed as DocumentConfirmed
from festina.ledger.material import DocumentTerms as DocumentTerms
from festina.ledger.material import MaterialityDetermined as MaterialityDetermined
from festina.ledger.material import Trigger as Trigger
from festina.ledger.measures import Attributed as Attributed
from festina.ledger.measures import Calibrated as Calibrated
from festina.ledger.measures import InternalsCompared as InternalsCompared
from festina.ledger.measures import MeasureEnded as MeasureEnded
from festina.ledger.measures import MeasureSkipped as MeasureSkipped
from festina.ledger.measures import MeasureStarted as MeasureStarted
from festina.ledger.measures import PublicCompared as PublicCompared
from festina.ledger.outside import FileRead as FileRead
from festina.ledger.outside import HistoryAttested as HistoryAttested
from festina.ledger.outside import HistoryChecked as HistoryChecked
from festina.ledger.outside import HistoryRead as HistoryRead
from festina.ledger.regulating import IncidentClassified as IncidentClassified
from festina.ledger.regulating import IncidentDrafted as IncidentDrafted
from festina.ledger.regulating import IncidentFiled as IncidentFiled
from festina.ledger.regulating import IncidentOpened as IncidentOpened
from festina.ledger.regulating import IncidentResolved as IncidentResolved
from festina.ledger.regulating import Stated as Stated
from festina.ledger.reviewing import Classification as Classification
from festina.ledger.reviewing import ReviewBrought as ReviewBrought
from festina.ledger.reviewing import ReviewClassified as ReviewClassified
from festina.ledger.reviewing import ReviewHanded as ReviewHanded
from festina.ledger.reviewing import ReviewOpened as ReviewOpened
from festina.ledger.reviewing import ReviewSettled as ReviewSettled
from festina.ledger.reviewing import ReviewsReceived as ReviewsReceived
from festina.ledger.reviewing import ReviewTerms as ReviewTerms
from festina.ledger.reviewing import ReviewWithdrawn as ReviewWithdrawn
from festina.ledger.searching import ArchiveTerms as ArchiveTerms
from festina.ledger.searching import TryEnded as TryEnded
from festina.ledger.searching import TryStarted as TryStarted
from festina.ledger.soaking import OutcomesCounted as OutcomesCounted
from festina.ledger.soaking import OutcomeTerms as OutcomeTerms
from festina.ledger.soaking import Soaked as Soaked
from festina.ledger.soaking import SoakTerms as SoakTerms
from festina.ledger.terms import EpochOpened as EpochOpened
from festina.ledger.terms import GuardTerms as GuardTerms
from festina.ledger.terms import SuiteTerms as SuiteTerms
from festina.ledger.training import TrainingEnded as TrainingEnded
from festina.ledger.training import TrainingStarted as TrainingStarted
from festina.ledger.watching import Classed as Classed
from festina.ledger.watching import WatchCounted as WatchCounted
from festina.ledger.watching import WatchEnded as WatchEnded
from festina.ledger.watching import WatchStarted as WatchStarted
from festina.ledger.witnessing import Witnessed as Witnessed
from festina.ledger.witnessing import WitnessedBy as WitnessedBy
from festina.ledger.witnessing import WitnessOf as WitnessOf
from festina.ledger.witnessing import WitnessTerms as WitnessTerms

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
    reason: EndReason
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
    verifiers: tuple[Name, ...] = ()  # the goal's further verifiers at that commit
    judged: tuple[DrillWords, ...] = ()  # attacks that all of them judged; empty where there is one verifier

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
        InternalsCompared,
        ModelAsked, ModelAnswered, TryStarted, TryEnded, TrainingStarted, TrainingEnded,
        ReviewOpened, ReviewHanded, ReviewClassified, ReviewWithdrawn, ReviewBrought, ReviewSettled, ReviewsReceived,
        CrossplayPlanned, CrossplayProblem, CrossplayEnded, ArmStarted, ArmEnded, GrowthAlarm, Halted, Resumed,
        Renewed, Attested, Characterised, AnchorsLocked, AnchorsLeaked, AutonomyStepped, Soaked, OutcomesCounted,
        WatchStarted, WatchCounted, WatchEnded,
        HistoryRead, HistoryAttested, HistoryChecked,
        Stated, IncidentDrafted, IncidentOpened, IncidentClassified, IncidentFiled, IncidentResolved,
        Witnessed, AuditorEnrolled, AuditReceived, MaterialityDetermined, DocumentConfirmed,
    )
}  # fmt: skip
