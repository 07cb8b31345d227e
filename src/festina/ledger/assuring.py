"""Entry types of what measures the verifier: the incumbent against itself, planted defects, further verifiers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role, Short


class JudgeTerms(BaseModel):
    """A further verifier of the goal, on the same answers.  # V-5

    ``decide``: acceptance needs its evidence, too; ``watch``: it is recorded and decides nothing.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Name
    scorer: str
    low: Number
    high: Number
    direction: Literal["higher", "lower"]
    role: Literal["decide", "watch"]
    margin: Number  # in its own unit
    detect: Number
    family: Name  # who or what stands behind it; "unknown" counts as shared


class DrillWords(BaseModel):
    """What each verifier would have said about one attack on its own.  # V-5

    ``missed``: it paid for the attack in any run.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    attack: Short
    words: tuple[Literal["missed", "caught", "undecided"], ...]  # the goal's first


class ControlStarted(Body):
    """Intent: the incumbent is about to be run against itself; trials are charged.  # V-2, E-1, L-3

    Unit seeds follow from the leaf hash of this entry's first attempt.
    """

    kind: ClassVar[str] = "control-started"
    control: Count
    attempt: Count
    tree: Oid
    units: Count
    trials: Count  # charged now, spent or not
    items: Count  # looks at hidden items, counted now  # V-3


class ControlEnded(Body):
    """Differences of one tree with itself, one number per unit and stream.  # V-2

    In units of the declared range; their true mean is 0 unless something tells the sides apart.
    """

    kind: ClassVar[str] = "control-ended"
    role: ClassVar[Role] = "verifier"
    control: Count
    gain: tuple[Number, ...]  # the side in the candidate's place minus the one in the incumbent's
    order: tuple[Number, ...]  # the same differences, the side that ran first minus the other
    guards: tuple[tuple[Number, ...], ...]  # as ``gain``, for each guard and then for each further verifier
    details: Digest


class ControlResolved(Body):
    """A person looked into a broken control and lets the run go on; signed by that person's own key.  # V-2"""

    kind: ClassVar[str] = "control-resolved"
    role: ClassVar[Role] = "reviewer"
    alarm: Count  # number of the entry that broke the control
    reviewer: Name
    reason: Digest  # text in the content store
    without_person: bool


class PlantRevealed(Body):
    """A judged proposal was a planted defect; opens the ``origin`` that its received entry sealed.  # V-7

    From here on it counts for nothing but the catch rate: its level is back in the error budget, it is on no line, in
    no history and in no count of proposals. Author, words, predicted gain and ``cpu_s`` of its entries were a cover.
    """

    kind: ClassVar[str] = "plant-revealed"
    proposal: Count
    received: Count  # number of the entry whose ``origin`` this opens
    origin: Short  # "planted:KIND:BASIS:TRIALS"
    salt: Digest  # hex
    defect: Name
    basis: Literal["construction", "public", "presumed"]  # why it is bad; public: shown so on public items
    trials: Count  # run on public items before it was handed in; charged here, for a charge then would have told
