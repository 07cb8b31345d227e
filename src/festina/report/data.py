"""What a report is made of: plain frozen values, each with the number of the entry it came from.

``seq`` fields are entry numbers in the ledger; a page shows them beside the numbers they vouch for.
Estimates and intervals are differences in the suite's own unit, oriented so that positive is better; means
are plain scores. Texts
that came from a proposer (``rationale``, ``weakness``) are hostile input and are only ever shown
escaped.  # T-5
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from festina.ledger.entries import DrillFinished, GuardTerms, JudgeTerms, SuiteTerms
from festina.report.numerals import count, seconds
from festina.report.outside import OutsideRow
from festina.select.budget import Promise
from festina.select.certified import Total
from festina.select.predictions import Record as Predictions
from festina.select.verifiers import OwnWord

Outcome = Literal["accepted", "rejected", "inconclusive", "refused", "no-op", "duplicate", "stale", "failed", "open"]
OUTCOMES: tuple[Outcome, ...] = (
    "accepted", "rejected", "inconclusive", "refused", "no-op", "duplicate", "stale", "failed", "open",
)  # fmt: skip
Interval = tuple[float, float]
Spread = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry's place in the ledger, for the list at the end of a page."""

    seq: int
    kind: str
    at: str
    role: str


@dataclass(frozen=True, slots=True)
class EpochRow:
    """The rules of one epoch."""

    seq: int
    epoch: int
    reason: str
    alpha: float
    suite: SuiteTerms
    guards: tuple[GuardTerms, ...]
    evaluator: str
    start_commit: str
    start_tree: str
    autonomy: str
    min_level: int
    judges: tuple[JudgeTerms, ...] = ()  # V-5
    families: tuple[str, ...] = ()  # of the goal's verifier and each further one
    proposer_family: str = "unknown"
    error: Promise = "familywise"  # what alpha bounds
    alpha_total: float = 0.0  # of this epoch and all before it, as its verdicts say it


@dataclass(frozen=True, slots=True)
class RunRow:
    """One engine's hold of the ledger. ``ended`` is None while it runs, or after a crash nobody recorded."""

    seq: int
    run: str
    improver: str
    frozen_improver: bool
    level: int
    missing: tuple[str, ...]
    policy: str
    separated_uids: bool
    started_at: str
    ended_seq: int | None
    ended: str | None
    detail: str
    wall_s: float | None


@dataclass(frozen=True, slots=True)
class ControlRow:
    """Constant and random answers, oracle and incumbent, as scored before any candidate.  # V-2"""

    seq: int
    constant: float | None
    random: float | None
    oracle: float | None
    incumbent: float | None
    ok: bool
    note: str


@dataclass(frozen=True, slots=True)
class TwinsRow:
    """The incumbent against itself, over the newest epoch.  # V-2"""

    share: float
    level: float  # chance of ever raising a false alarm
    units: int
    seqs: tuple[int, ...]  # of all results
    alarms: tuple[int, ...]  # entries that broke it
    open_alarm: int | None
    resolved_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlantRow:
    """A known-bad change that was planted, after its reveal.  # V-7"""

    seq: int
    proposal: int
    defect: str
    basis: str
    outcome: Outcome
    reason: str
    run: int
    trials: int
    words: tuple[OwnWord, ...]  # of each verifier on its own: the goal's first  # V-5

    @property
    def missed(self) -> bool:
        return self.outcome == "accepted"

    @property
    def judged(self) -> bool:
        return self.outcome in ("accepted", "rejected", "refused") or self.reason == "cap"


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """One proposal's way, from request to outcome. Missing ``*_seq``: it did not come so far."""

    proposal: int
    requested_seq: int
    received_seq: int | None
    screened_seq: int | None
    verdict_seq: int | None
    improver: str
    from_generation: int
    author: str
    outcome: Outcome
    reason: str
    predicted: float | None  # P-6
    estimate: float | None
    changed_files: int
    changed_lines: int
    improver_changed: bool
    guard_change: bool
    rationale: str  # the proposer's own words
    weakness: str  # the proposer's own words
    wall_s: float
    cpu_s: float

    @property
    def last_seq(self) -> int:
        return self.verdict_seq or self.screened_seq or self.received_seq or self.requested_seq


@dataclass(frozen=True, slots=True)
class TestRow:
    """One test: its plan, the evidence unit by unit, and its verdict (None while open).

    ``path`` is the log evidence for "better" after each unit, recomputed from the recorded differences by
    the pure rule; empty when it was not recomputed. Means are in the suite's own unit.
    """

    test: int
    proposal: int
    epoch: int
    base_generation: int | None
    opened_seq: int
    batch_seqs: tuple[int, ...]
    verdict_seq: int | None
    tree: str
    level: float
    units_max: int
    units: int
    items: int
    failed: int
    denied: int
    candidate_mean: float | None
    incumbent_mean: float | None
    path: tuple[float, ...]
    verdict: Literal["accept", "reject", "inconclusive"] | None
    reason: str
    sentence: str
    estimate: float | None
    interval: Interval | None
    log_evidence: float | None
    log_threshold: float
    alpha_spent: float | None
    alpha_left: float | None
    public: Spread | None  # the public gain beside the hidden one, after an acceptance  # V-6
    gap: Spread | None
    public_note: str  # in words, or why there is none
    public_seq: int | None
    assurance: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """One accepted commit. ``left`` says why it is no longer on the working line, if it is not."""

    generation: int
    commit: str
    intent_seq: int
    moved_seq: int | None
    author: str
    proposal: int | None
    verdict_seq: int | None
    sentence: str
    estimate: float | None
    interval: Interval | None
    assurance: str
    provisional: bool
    improver_changed: bool
    changed_lines: int
    approved_by: str  # reviewer's name; empty when nobody approved
    approved_seq: int | None
    approved_with: int | None  # the later generation whose approval covered this one
    without_person: bool
    left: str
    left_seq: int | None
    doubtful: int | None  # the entry of the broken control that covers it  # V-2
    in_force_seq: int | None
    released_seq: int | None
    released_now: bool
    granted_seq: int | None = None  # released without asking, under this signed step  # G-7


@dataclass(frozen=True, slots=True)
class FinalRow:
    """First against second, on items that the gate never used.  # V-3"""

    seq: int
    label: str
    tree_a: str
    tree_b: str
    generation_a: int | None  # None: a tree of another ledger, such as a control arm's
    generation_b: int | None
    units: int
    items: int
    mean_a: float
    mean_b: float
    estimate: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class OverfitRow:
    """Public against hidden gain over the compared generations of the working line.  # V-6"""

    seq: int
    generations: int
    public: Spread
    hidden: Spread
    gap: Spread


@dataclass(frozen=True, slots=True)
class HunkRow:
    """One hunk of an accepted change. ``place`` holds a proposer's file name and is only ever shown escaped.  # T-5"""

    place: str
    added: int
    removed: int
    effect: Spread | None  # the change with it minus the change without it, or its share; None: the rest did not run
    alone: Spread | None
    guards: tuple[Spread, ...]
    verdict: str
    words: str


@dataclass(frozen=True, slots=True)
class AttributionRow:
    """Which hunk of an accepted change caused what.  # V-8"""

    seq: int
    generation: int
    proposal: int
    method: str
    units: int
    broken: int
    total: Spread
    residue: Spread | None
    guards: tuple[str, ...]
    words: str
    hunks: tuple[HunkRow, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a reader should know that is not a result: a fault, a waiver, a halt, a finding."""

    seq: int
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class TryRow:
    """One tree of the archive. ``gain``: mean public gain over its parent, seed by seed, in the goal's direction."""

    node: int
    parent: int | None
    author: str
    seq: int
    scores: tuple[float | None, ...]
    gain: float | None = None
    judged: tuple[tuple[int, str], ...] = ()  # proposals that handed it in, and the gate's word

    @property
    def works(self) -> bool:
        return bool(self.scores) and None not in self.scores


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried on public evidence before anything was handed in.  # P-7"""

    trees: tuple[TryRow, ...] = ()
    runs: int = 0  # charged
    fruitless: int = 0  # tries that gave no new tree


@dataclass(frozen=True, slots=True)
class AbilityRow:
    """A sentence about what a version can do, and the entry that it rests on. ``alert``: it speaks against it."""

    seq: int
    text: str
    alert: bool = False


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate. ``seconds``: at work; ``still_s``: while the loop stood still for it; ``tried``, ``caught``: cases."""

    key: str
    name: str
    seconds: float
    still_s: float
    trials: int
    tried: int
    caught: int
    words: str  # what it caught
    seqs: tuple[int, ...]

    @property
    def cost(self) -> str:
        parts = [seconds(self.seconds)] if self.seconds >= 0.05 or not self.still_s else []
        parts += [f"{seconds(self.still_s)} of standing still"] if self.still_s else []
        parts += [count(self.trials, "trial")] if self.trials else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Level:
    """Doublings gained since the start up to a generation, with 95 % limits.  # W-1"""

    generation: int
    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ReviewerRow:
    """How many planted mistakes one person saw through, with the exact 95 % interval of the rate.  # R-3"""

    reviewer: str
    hits: int
    trials: int
    low: float
    high: float
    authority: bool


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report shows. The same entries give the same value.  # C-2"""

    origin: str
    system: str
    version: str
    demo: bool
    size: int
    root: str  # hex root of the tree over all entries; empty when the caller did not give it
    first_at: str
    last_at: str
    epochs: tuple[EpochRow, ...]
    runs: tuple[RunRow, ...]
    controls: tuple[ControlRow, ...]
    twins: TwinsRow | None  # V-2
    plants: tuple[PlantRow, ...]  # V-7; their proposals and tests stand in no other list
    proposals: tuple[ProposalRow, ...]
    tests: tuple[TestRow, ...]
    generations: tuple[GenerationRow, ...]
    finals: tuple[FinalRow, ...]
    remarks: tuple[Remark, ...]
    findings: tuple[Remark, ...]  # what does not fit: intents without an end, numbers that do not follow  # L-3
    certified: Total | None  # of the working line
    overfit: OverfitRow | None
    attributions: tuple[AttributionRow, ...]  # the newest of each generation
    unattributed: tuple[Remark, ...]  # accepted changes that were not taken apart, and why
    reviewers: tuple[str, ...]  # how well each person reviews, one sentence each  # R-3
    grown: tuple[Remark, ...]  # what control arms and cross-play found  # W-2
    models: tuple[str, ...]  # what models were asked and what it cost, in sentences  # E-5
    for_improver: tuple[int, ...]  # proposals whose target is productivity: their estimates are no gain at the task
    trials: int
    looks: int  # hidden items issued  # V-3
    in_force: int
    released: int | None
    entries: tuple[Entry, ...]
    drill: DrillFinished | None = None  # the last one
    tried: Tried = Tried()
    outside: tuple[OutsideRow, ...] = ()  # loops run by others  # G-7
    gates: tuple[GateRow, ...] = ()  # what each cost and caught  # G-7
    abilities: tuple[AbilityRow, ...] = ()  # what each version can do, and how it lasts  # G-1, D-3
    probed: tuple[str, ...] = ()  # names of guards, and of suites that had an answer  # V-11
    inside: int = 0  # comparisons of models' insides with retrainings  # V-9
    predictions: tuple[Predictions, ...] = ()  # how authors' predicted gains came true  # P-6
    growth: tuple[Level, ...] = ()  # of the line; the start comes first  # W-1
    calibrated: tuple[ReviewerRow, ...] = ()  # people who had a planted mistake before them  # R-3

    @property
    def epoch(self) -> EpochRow | None:
        return self.epochs[-1] if self.epochs else None

    @property
    def run(self) -> RunRow | None:
        return self.runs[-1] if self.runs else None

    @property
    def line(self) -> tuple[GenerationRow, ...]:
        """The working line as it stands, oldest first."""
        return tuple(g for g in self.generations if g.moved_seq is not None and not g.left)

    @property
    def judged(self) -> tuple[TestRow, ...]:
        return tuple(t for t in self.tests if t.verdict is not None)

    def outcomes(self) -> dict[Outcome, int]:
        """How many proposals ended how, in a fixed order, without empty ones."""
        counts = {outcome: sum(p.outcome == outcome for p in self.proposals) for outcome in OUTCOMES}
        return {outcome: count for outcome, count in counts.items() if count}

    def overall(self) -> FinalRow | None:
        """The newest held-out comparison of the line's head with generation 0, if there is one."""
        head = self.line[-1].generation if self.line else None
        fitting = [f for f in self.finals if f.generation_b == 0 and f.generation_a == head and head]
        return fitting[-1] if fitting else None
