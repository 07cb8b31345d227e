"""Planted defects, as the fold sees them: a reveal that takes a judged proposal out of every count.  # V-7, L-1

A plant is proposed, screened, tested and judged by the same entries as anybody's change; only ``origin``, a salted
commitment that every received entry carries, holds whether it is one (L-5). The reveal opens it, right after the
proposal is closed and before anything else, and undoes what the proposal did: the error budget is what it was before
its test opened, an "accepted" one loses its generation before that was ever on the line, and its slot is given back.
A reveal that opens another commitment, or comes after the line has moved there, does not fold: nobody can call an
accepted change a plant afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.ledger.statement import commitment
from festina.loop import blocks
from festina.loop.rows import Plant, Proposed, misfit

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["cover", "defect_of", "just_closed", "origin_of", "revealed"]

IMPROVER, NONE = "improver", "improver:nothing-to-plant"  # origins of changes that are not planted


def origin_of(defect: str, basis: str, trials: int) -> str:
    """What a planted slot's ``origin`` holds."""
    return f"planted:{defect}:{basis}:{trials}"


def defect_of(origin: str) -> tuple[str, str, int] | None:
    """(defect, basis, trials) of a planted slot; None for all others."""
    match origin.split(":"):
        case ["planted", defect, basis, trials] if trials.isdecimal():
            return defect, basis, int(trials)
    return None


def just_closed(s: State) -> list[Proposed]:
    """Proposals that may still have to be revealed. Earlier ones were, before anything else began."""
    return [p for n in s.closed if (p := s.proposals[n]).origin and p.plant is None]


def cover(s: State, improver: str) -> list[Proposed]:
    """Earlier real changes of this improver: what a planted slot may look like. Without any, nothing is planted."""
    return [
        p
        for p in s.proposals.values()
        if p.improver == improver and p.patch is not None and p.stage == "closed" and p.plant is None
    ]


def revealed(s: State, r: Record, b: e.PlantRevealed) -> None:
    p = s.proposals.get(b.proposal)
    if p is None or p.stage != "closed" or p.plant is not None or p.word is None:
        raise misfit(r, "a reveal of a proposal that is not closed, or was revealed before")
    if p.received_seq != b.received or commitment(bytes.fromhex(b.salt), b.origin) != p.origin:
        raise misfit(r, "it does not open what was sealed before the proposal was judged")
    if defect_of(b.origin) != (b.defect, b.basis, b.trials):
        raise misfit(r, "it says something else than what it opens")
    for number in [n for n, g in s.generations.items() if g.proposal == p.number]:
        if s.generations[number].commit or (s.move is not None and s.move.generation == number):
            raise misfit(r, "the line moved to a planted defect")  # it can never be released
        del s.generations[number]
        s.shares = s.shares.accepted(-1)
    if s.undo is not None and s.undo[0] == p.number:  # outside the error budget, to the last bit
        s.budget, s.undo = s.undo[1], None
        blocks.keep(s)  # the time that its test took is told with the next proposal, like any other's
    s.tried = {key: number for key, number in s.tried.items() if number != p.number}
    if p.run == s.runs:
        s.run_proposals = max(0, s.run_proposals - 1)
        s.run_barren = p.barren_before if p.number == max(s.proposals) else s.run_barren
        s.run_trials += b.trials
    s.trials += b.trials
    p.trials += b.trials
    p.plant = Plant(p.number, b.defect, b.basis, p.run, p.word, p.trials, p.reason, p.words)
    s.plants.append(p.plant)
