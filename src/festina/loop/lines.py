"""The working line, the improver in force and what is released, as the fold sees them.  # D-1, D-2, P-5

Each move is an intent and an end (L-3); a way back goes along the line only.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop import autonomy, blocks, measured, sameness, soaks
from festina.loop.rows import Generation, misfit
from festina.review.seats import moment

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["in_force", "line_intent", "line_moved", "release_intent", "released"]


def line_intent(s: State, r: Record, b: e.LineIntent) -> None:
    if s.move is not None:
        raise misfit(r, "a move opened while another is open")
    _check_move(s, r, b)
    s.move = b
    s.moves = max(s.moves, b.move + 1)


def line_moved(s: State, r: Record, b: e.LineMoved) -> None:
    move = s.move
    if move is None or (move.move, move.generation, move.new_commit) != (b.move, b.generation, b.commit):
        raise misfit(r, "an end without its intent")  # L-3
    cause = move.cause
    s.move = None
    if s.epoch is not None:
        s.line_at[s.epoch.min_level < 2] = b.commit
    if cause == "start":
        s.generations[b.generation] = Generation(b.generation, b.commit, None)
        s.line.append(b.generation)
        s.in_force = b.generation
    elif cause == "accept":
        s.generations[b.generation].commit = b.commit
        s.govern.accepted.append(b.generation)
        s.line.append(b.generation)
    else:
        blocks.give_up(s)
        while s.line and s.line[-1] != b.generation:
            dropped = s.line.pop()
            s.govern.taken_back.add(dropped)
            if cause == "denial":
                s.generations[dropped].denied = True
        if not s.line:
            raise misfit(r, "a move back to a generation that is not on the line")
        while s.in_force not in s.line or not _may_propose(s.generations[s.in_force]):
            parent = s.generations[s.in_force].parent
            s.in_force = s.line[0] if parent is None else parent
            if parent is None:
                break


def _may_propose(generation: Generation) -> bool:
    return generation.parent is None or generation.approved is not None


def _check_move(s: State, r: Record, b: e.LineIntent) -> None:
    """A start only where a line begins, an acceptance only after its verdict, a way back only along the line."""
    generation = s.generations.get(b.generation)
    if b.cause == "start":
        fits = not s.line and generation is None and s.epoch is not None and b.new_commit == s.epoch.start_commit
    elif b.cause == "accept":
        fits = generation is not None and not generation.commit and generation.parent == s.head.number  # D-2
    else:
        fits = generation is not None and b.generation in s.line and generation.commit == b.new_commit
    if not fits:
        raise misfit(r, "the line cannot move there from where it is")


def in_force(s: State, r: Record, b: e.InForce) -> None:
    generation = s.generations.get(b.generation)
    if generation is None or generation.approved != b.review or generation.commit != b.commit:
        raise misfit(r, "an improver put in force without approval")  # P-5, R-1
    if b.generation not in s.line:
        raise misfit(r, "an improver put in force that is not on the line")
    s.in_force = b.generation


def release_intent(s: State, r: Record, b: e.ReleaseIntent) -> None:
    generation = s.generations.get(b.generation)
    if s.release is not None or generation is None or generation.commit != b.new_commit:
        raise misfit(r, "a release opened beside another, or of an unknown generation")
    alone = autonomy.granted(s, b, generation, moment(max(r.at, s.last_at)))  # G-7
    if not alone and (not generation.fit or (b.cause == "release" and not _approved(generation, b))):
        raise misfit(r, "a release without approval")  # D-2
    if b.cause == "release" and sameness.in_doubt(s, generation):
        raise misfit(r, "a release of what a broken control put in doubt")  # V-2
    if b.cause == "release" and (generation.verdict is None or generation.verdict.provisional):
        raise misfit(r, "a release of what was tested below the demanded confinement")  # T-2
    if b.cause == "release" and not measured.final_allows(s, b.generation):
        raise misfit(r, "a release without a final score, or against it")  # V-3
    if b.cause == "release" and soaks.lacking(s, generation, datetime.fromisoformat(r.at)):
        raise misfit(r, "a release without its soak, or against it")  # D-3
    s.release = b
    s.releases = max(s.releases, b.release + 1)


def _approved(generation: Generation, b: e.ReleaseIntent) -> bool:
    return _may_propose(generation) and generation.approved == b.review and b.grant is None


def released(s: State, r: Record, b: e.Released) -> None:
    if s.release is None or s.release.new_commit != b.commit:
        raise misfit(r, "an end without its intent")
    if s.release.grant is not None:
        s.generations[b.generation].granted = s.release.grant
    s.release = None
    s.released, s.released_at = b.generation, b.commit
    s.released_history.append(b.generation)
