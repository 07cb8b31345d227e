"""Filling a slot with a known-bad change that nobody can tell from the improver's, and revealing it.  # V-7, L-5

Whether a slot is planted follows from the epoch's sealed secret and the leaf hash of the slot's request. A plant
takes the slot's place of the improver in force: same author, borrowed words, the time and processor seconds of an
earlier real proposal (the engine waits that long), the same screen, the same test, the same verdict. What it is
lies in the sealed ``origin`` that every received entry carries; ``reveal`` opens it once the proposal is closed.

Where the improver asks models, a slot without calls would tell. There it works in a planted slot, too, beside the
making of the plant: calls, time, mends, words and prediction are its own, and what it made waits for a later slot, once
the plant is revealed: nothing paid for is lost (E-5).

Where public items can show that a small mistake does harm, only one that does is planted; the runs for that are
charged at the reveal, because a charge before the verdict would tell.

Not hidden: from somebody with the engine's home (openings and secret lie there), from a reader who knows the borrowed
words by heart, and from one who compares a model's recorded answer with the change that came of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.ledger.log import Draft, Ledger
from festina.ledger.seeds import plant_coin
from festina.loop import next as plan
from festina.loop import plants as rows
from festina.loop.bench import Bench, Replan
from festina.loop.crash import crash_point
from festina.loop.plants import IMPROVER
from festina.loop.rows import Proposed
from festina.loop.state import State
from festina.propose.meter import Cost
from festina.propose.plants import Plant, plants
from festina.propose.types import NoProposal, Proposal
from festina.sandbox.job import Ended
from festina.system.globs import matches_any
from festina.system.scope import Refused, Screened, screen_files

__all__ = ["IMPROVER", "audit", "due", "fill", "is_planted", "reveal", "slot", "worn"]

TRIES = 3  # small mistakes that are tried on public items before one that is bad by construction is taken
MOST_FILES = 200
WORDS_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Planted:
    """What a slot whose coin says "planted" gets. ``proposal`` is None where nothing could be made."""

    origin: str
    proposal: Proposal | None


@dataclass(frozen=True, slots=True)
class Audit:
    """Slots of the epoch, those planted, those drawn and left to the improver, and those that do not fit."""

    slots: int
    planted: int
    left: int
    wrong: tuple[int, ...]


def due(b: Bench) -> int | None:
    """The closed proposal that is to be revealed now, if there is one."""
    return next((p.number for p in rows.just_closed(b.state) if is_planted(b, p)), None)


def is_planted(b: Bench, proposed: Proposed) -> bool:
    return _origin(b, proposed) is not None


def _origin(b: Bench, proposed: Proposed) -> tuple[bytes, str] | None:
    """The opening of a planted slot; None for all others."""
    if not proposed.origin or proposed.received_seq is None:
        return None
    found = b.ledger.opening(b.ledger.record(proposed.received_seq), "origin")
    return found if found is not None and rows.defect_of(found[1]) is not None else None


def reveal(b: Bench, action: plan.RevealPlant) -> None:
    """Open what was sealed before the proposal was judged."""
    p = b.state.proposals[action.proposal]
    opened = _origin(b, p)
    assert opened is not None  # ``due`` has seen to it
    assert p.received_seq is not None
    salt, origin = opened
    found = rows.defect_of(origin)
    assert found is not None
    defect, basis, trials = found
    body = e.PlantRevealed(
        proposal=p.number, received=p.received_seq, origin=origin, salt=salt.hex(), defect=defect,
        basis=basis, trials=trials,  # type: ignore[arg-type]  # the model checks the word
    )  # fmt: skip
    crash_point("plant-unrevealed")
    b.append(Draft(body), still=lambda now: now.proposals[p.number].plant is None)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot whose coin says "planted": what it borrows from earlier proposals."""

    seed: int
    model: Proposed
    weakness: str
    rationale: str
    asks: bool = False  # the improver asks models


def slot(b: Bench, number: int) -> Slot | None:
    """Whether this slot's coin says so; None leaves the slot to the improver."""
    s, epoch = b.state, b.state.epoch
    assert epoch is not None
    p = s.proposals[number]
    models = rows.cover(s, p.improver)
    room = s.run is not None and s.run.trials - s.run_trials >= plan.SIDES + TRIES + 1
    if epoch.plant_rate <= 0.0 or not models or not room:
        return None
    opening = b.ledger.opening(b.ledger.record(s.epoch_seq), "plant_secret")
    if opening is None:
        return None  # a copy without its openings cannot plant
    coin, seed = plant_coin(opening[1], p.leaf)
    if coin >= epoch.plant_rate:
        return None
    model = models[seed % len(models)]
    other = models[(seed >> 20) % len(models)]
    asks = s.called.proposals.get(model.number, Cost()).calls > 0
    return Slot(seed, model, _words(b, model)[0], _words(b, other)[1], asks)


def worn(
    b: Bench, slot: Slot, base_tree: str, propose: Callable[[], Proposal | NoProposal]
) -> tuple[Planted, Proposal | NoProposal]:
    """A plant that wears what the improver makes in this very slot, and what that was: it is handed in later."""
    began = time.monotonic()
    with ThreadPoolExecutor(1, thread_name_prefix="plant") as pool:
        choice = pool.submit(_choose, b, base_tree, slot.seed)
        made = propose()
        chosen, basis, tried = choice.result()
    if b.cut_off:
        raise Replan
    if chosen is None or isinstance(made, NoProposal):
        return Planted(rows.NONE, None), made
    proposal = Proposal(
        author=made.author, files=chosen.files, weakness=made.weakness, rationale=made.rationale,
        predicted=made.predicted, wall_s=max(made.wall_s, time.monotonic() - began), cpu_s=made.cpu_s,
        repairs=made.repairs,
    )  # fmt: skip
    return Planted(rows.origin_of(chosen.kind, basis, tried), proposal), made


def fill(b: Bench, slot: Slot, base_tree: str) -> Planted:
    """A known-bad change for this slot, after the time that a real one took. Touches neither ledger nor state."""
    began, model = time.monotonic(), slot.model
    chosen, basis, tried = _choose(b, base_tree, slot.seed)
    if b.cut_off:
        raise Replan  # runs that were cut off say nothing about a mutant
    if chosen is None:
        return Planted(rows.NONE, None)
    wait = model.wall_s - (time.monotonic() - began)
    if wait > 0:
        b.interrupted.wait(min(wait, max(0.0, b.wall_s - b.elapsed_s)))
    proposal = Proposal(
        author=model.author, files=chosen.files, weakness=slot.weakness,
        rationale=f"{slot.rationale} {chosen.claim}".strip(), predicted=model.predicted,
        wall_s=time.monotonic() - began, cpu_s=model.cpu_s,
    )  # fmt: skip
    return Planted(rows.origin_of(chosen.kind, basis, tried), proposal)


def _words(b: Bench, model: Proposed) -> tuple[str, str]:
    """(weakness, rationale) of an earlier proposal."""
    if model.plan is None:
        return "", ""
    said = parse_strict(b.ledger.get_blob(model.plan), max_bytes=WORDS_BYTES, max_depth=4)
    found = said if isinstance(said, dict) else {}
    weakness, rationale = found.get("weakness"), found.get("rationale")
    return (weakness if isinstance(weakness, str) else ""), (rationale if isinstance(rationale, str) else "")


def _choose(b: Bench, base_tree: str, seed: int) -> tuple[Plant | None, str, int]:
    """(change, basis, runs on public items): the first in drawn order that passes the screen and is known to be bad."""
    files = _changeable(b, base_tree)
    words = [word.removeprefix("./") for word in (b.trials.recipe.answer or b.trials.recipe.run)]
    entry = next((word for word in reversed(words) if word in files), None)
    improver = [path for path in files if matches_any(b.scope.improver, path)]
    public = b.public_items[1] if b.public_items is not None else b""
    trials, base, last = 0, None, None
    for plant in plants(files, seed=seed, entry=entry, improver=improver, public=public):
        screened = _screened(b, base_tree, plant)
        if screened is None:
            continue
        if plant.basis == "construction":
            return plant, "construction", trials
        if b.public_items is None or b.verifier is None:
            return plant, "presumed", trials
        if trials > TRIES or b.cut_off:
            last = last or plant
            continue
        if base is None:
            base, trials = _public(b, base_tree, seed), trials + 1
        harm, trials = _public(b, screened.tree, seed) - base, trials + 1
        if b.scale.sign * harm <= -_detect(b):
            return plant, "public", trials
    return last, "presumed", trials


def _detect(b: Bench) -> float:
    assert b.state.epoch is not None
    return b.state.epoch.suite.detect


def _public(b: Bench, tree: str, seed: int) -> float:
    """The score on public items, in the suite's own unit."""
    assert b.public_items is not None
    assert b.verifier is not None
    inputs, items = b.public_items
    side = b.trials.side(tree, seed, inputs)
    return b.verifier.public(items, side.answer if side.ended is Ended.OK else None).mean


def _changeable(b: Bench, tree: str) -> Mapping[str, bytes]:
    """The incumbent's small text files that a proposal may change."""
    scope = b.scope
    entries = [
        entry
        for entry in b.repo.ls_tree(tree)
        if entry.mode in ("100644", "100755") and 0 <= entry.size <= scope.max_file_bytes
        and matches_any(scope.allow, entry.path) and not matches_any(scope.deny, entry.path)
    ][:MOST_FILES]  # fmt: skip
    blobs = b.repo.read_blobs([entry.oid for entry in entries])
    return {entry.path: blobs[entry.oid] for entry in entries}


def _screened(b: Bench, base_tree: str, plant: Plant) -> Screened | None:
    """What the screen says; None where it would stop the change, which would test the screen and not the gate."""
    try:
        seen = screen_files(b.repo, base_tree, plant.files, b.scope)
    except Refused:
        return None
    head = b.state.head.commit
    return None if seen.no_op or (head, seen.tree) in b.state.tried else seen


def audit(ledger: Ledger, state: State) -> Audit:
    """Recompute every slot of the epoch in force from its secret: was it planted exactly where it was drawn?  # V-7

    Needs the openings, so it is for whoever holds the full ledger. A slot that was drawn and not planted is counted,
    not blamed: the first ones have no cover yet, and the last ones of a run may have no trials left.
    """
    opening = ledger.opening(ledger.record(state.epoch_seq), "plant_secret") if state.epoch is not None else None
    if opening is None or state.epoch is None:
        return Audit(0, 0, 0, ())
    slots = planted = left = 0
    wrong = []
    for p in state.proposals.values():
        if p.received_seq is None or p.received_seq < state.epoch_seq or not p.origin:
            continue
        found = ledger.opening(ledger.record(p.received_seq), "origin")
        drawn = plant_coin(opening[1], p.leaf)[0] < state.epoch.plant_rate
        is_one = found is not None and rows.defect_of(found[1]) is not None
        slots, planted, left = slots + 1, planted + is_one, left + (drawn and not is_one)
        if is_one and not drawn:
            wrong.append(p.number)
        if (p.plant is not None) != is_one and p.stage == "closed":
            wrong.append(p.number)
    return Audit(slots, planted, left, tuple(wrong))
