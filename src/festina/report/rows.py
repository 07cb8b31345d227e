"""A report under construction: its rows by number, and what is begun and not ended. Handlers of entries fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.ledger.dates import Dates
from festina.loop.called import Called
from festina.report import reviewed
from festina.report.abilities import Abilities
from festina.report.certified import Steps
from festina.report.data import (
    AttributionRow,
    ControlRow,
    Entry,
    EpochRow,
    FinalRow,
    GenerationRow,
    OverfitRow,
    PlantRow,
    ProposalRow,
    Remark,
    RunRow,
    TestRow,
)
from festina.report.gates import Gates
from festina.report.outside import Outsides
from festina.report.tries import Tries
from festina.report.twins import Twins

if TYPE_CHECKING:
    from festina.loop.state import State

PLAN_BYTES = 64 << 10

Blob = Callable[[str], bytes]


class Rows:
    """Rows under construction, by number.

    ``state``: the loop's own fold, where it is made ``beside`` these rows. What that checks itself (people's steps, the
    evidence unit by unit) or what takes a read of the content store is then not made here: it is read when looked at.
    """

    def __init__(self, blob: Blob, state: State | None = None, *, paths: bool = True) -> None:
        self.blob, self.beside, self.paths = blob, state is not None, paths
        self.evidence: float | None = None  # where a verdict is read: what the loop's own state has for its test
        self.genesis: e.Genesis | None = None
        self.entries: list[Entry] = []
        self.epochs: list[EpochRow] = []
        self.terms: list[e.EpochOpened] = []
        self.runs: list[RunRow] = []
        self.controls: list[ControlRow] = []
        self.twins = Twins()
        self.steps, self.tries = Steps(), Tries()
        self.proposals: dict[int, ProposalRow] = {}
        self.plants: dict[int, PlantRow] = {}
        self.tests: dict[int, TestRow] = {}
        self.accepting: dict[int, int] = {}  # proposal -> the test that accepted it
        self.plans: dict[int, e.TestOpened] = {}
        self.units: dict[int, list[tuple[float, tuple[float, ...], tuple[float, ...]]]] = {}
        self.generations: dict[int, GenerationRow] = {}
        self.line: list[int] = []
        self.generation_of: dict[str, int] = {}  # commit or tree -> generation
        self.people = reviewed.People(state)
        self.outside = Outsides()
        self.gates = Gates()
        self.abilities = Abilities()
        self.finals: list[FinalRow] = []
        self.drill: e.DrillFinished | None = None
        self.remarks: list[Remark] = []
        self.findings: list[Remark] = []
        self.dates = Dates()
        self.open: dict[tuple[str, int], int] = {}  # intents without an end yet: (what, number) -> entry  # L-3
        self.overfit: OverfitRow | None = None
        self.charged: dict[int, int] = {}  # trials by test
        self.attributions: dict[int, AttributionRow] = {}
        self.unattributed: dict[int, Remark] = {}
        self.inside = 0
        self.grown: list[Remark] = []  # findings of control arms and cross-play
        self.called, self.trials, self.looks, self.in_force = Called(), 0, 0, 0
        self.released: int | None = None

    def finding(self, seq: int, text: str) -> None:
        self.findings.append(Remark(seq, "does not fit", text))

    def begin(self, what: str, number: int, seq: int) -> None:
        self.open[(what, number)] = seq

    def end(self, what: str, number: int, seq: int) -> None:
        if self.open.pop((what, number), None) is None:
            self.finding(seq, f"{what} {number} ended without having been begun")  # L-3

    def test_of(self, generation: int) -> TestRow | None:
        """The test that accepted a generation."""
        row = self.generations.get(generation)
        return self.accepted_by(row.proposal) if row is not None else None

    def accepted_by(self, proposal: int | None) -> TestRow | None:
        """The test that accepted a proposal."""
        number = self.accepting.get(proposal) if proposal is not None else None
        return self.tests[number] if number is not None else None

    def words_of_plan(self, digest: str | None, seq: int) -> tuple[str, str]:
        """``words_of``; what cannot be read is a finding. Empty beside the loop's fold: who looks reads it then."""
        if self.beside:
            return "", ""
        try:
            return words_of(self.blob, digest)
        except IntegrityError as error:
            self.finding(seq, f"the proposal's plan cannot be read: {error.name}")
            return "", ""


def words_of(blob: Blob, digest: str | None) -> tuple[str, str]:
    """(rationale, weakness) of a plan in the content store. IntegrityError where it cannot be read.  # P-6, T-5"""
    if digest is None:
        return "", ""
    plan = parse_strict(blob(digest), max_bytes=PLAN_BYTES, max_depth=4)
    if not isinstance(plan, dict):
        return "", ""
    return _text_of(plan.get("rationale")), _text_of(plan.get("weakness"))


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""
