"""What an improver is shown of the past: its own proposals with one word each, and what it tried in public.  # P-4

``history`` is that of a proposal. ``lineage_history`` is that of a try: the words that the gate gave, then the steps
that led to the tree which is to be changed, as if a line had walked there; every row of a try carries its public gain
over its parent. Nothing hidden is in either.
"""

from __future__ import annotations

import math

from festina.loop import blocks
from festina.loop.bench import Bench
from festina.loop.rows import Proposed
from festina.propose.archive import Archive
from festina.propose.types import HistoryRow, TriedRow, Word
from festina.system.patchtext import without_binary

SHOWN_TRIES = 200  # of the whole archive, newest


def history(b: Bench, author: str) -> tuple[HistoryRow, ...]:
    """An improver's own past proposals with one word each, and nothing of the hidden evidence.  # P-4"""
    return tuple(_row(b, at, p) for at, p in enumerate(_told(b, author)))  # its own count: gaps would tell of others


def lineage_history(b: Bench, author: str, parent: int) -> tuple[HistoryRow, ...]:
    """The history of a try below ``parent``. Accepted proposals of the archive's own time are steps of a lineage."""
    from festina.loop import searching

    known, nodes = searching.archive(b.state), b.state.search.nodes
    assert known is not None
    trees, kept = {node.tree for node in nodes.values()}, searching.standing(b.state)
    rows = [_row(b, 0, p) for p in _told(b, author) if p.word != "accepted" or p.tree not in trees]
    path = known.lineage(parent)
    for at, number in enumerate(path):
        after = path[at + 1] if at + 1 < len(path) else None
        children = [
            each for each in known.children.get(number, ()) if each in kept and (after is None or each <= after)
        ]
        rows += [_tried(b, known, each, "accepted" if each == after else None) for each in children]
    return tuple(
        HistoryRow(at, row.author, row.patch, row.word, row.reason, row.gain) for at, row in enumerate(rows)
    )


def tried_rows(b: Bench, known: Archive, parent: int) -> tuple[TriedRow, ...]:
    """Trees that were tried, with their parents and public gains over them: none of an improver that was taken back.

    ``parent`` is changed now.
    """
    from festina.loop import searching

    lineage = known.lineage(parent)
    rows = []
    for number in sorted(searching.standing(b.state))[-SHOWN_TRIES:]:
        node, gain, works = b.state.search.nodes[number], _gain(known, number), known.nodes[number].works
        lead = known.lead(number)
        rows.append(
            TriedRow(
                number, node.parent, node.author, _patch(b, number), gain, works,
                lead=lead if works and math.isfinite(lead) else None,
                shown=number in lineage or node.parent in lineage,
            )
        )  # fmt: skip
    return tuple(rows)


def _patch(b: Bench, number: int) -> str:
    """A try's change of its parent, in words that fit: of weights, that they changed."""
    digest = b.state.search.nodes[number].patch
    return "" if digest is None else without_binary(b.ledger.get_blob(digest)).decode(errors="replace")


def _told(b: Bench, author: str) -> list[Proposed]:
    return [
        p for p in b.state.proposals.values()
        if p.improver == author and p.word is not None and p.patch is not None and p.plant is None
    ]  # fmt: skip


def _row(b: Bench, at: int, p: Proposed) -> HistoryRow:
    epoch = b.state.epoch
    assert epoch is not None
    assert p.patch is not None
    assert p.word is not None
    blurred = {"rejected", "inconclusive"} if blocks.shared(epoch) else set()
    word: Word = "not accepted" if p.word in blurred else p.word
    reason = p.reason if p.word == "refused" else ""
    data = b.ledger.get_blob(p.patch)
    patch = without_binary(data) if p.binary else data  # one set of weights would leave no room for anything else
    return HistoryRow(at, p.author, patch.decode(errors="replace"), word, reason)


def _tried(b: Bench, known: Archive, number: int, word: Word | None) -> HistoryRow:
    node = b.state.search.nodes[number]
    gain = _gain(known, number)
    told: Word = word or ("failed" if gain is None else "better" if gain > 0.0 else "worse")
    return HistoryRow(0, node.author, _patch(b, number), told, "", gain)


def _gain(known: Archive, number: int) -> float | None:
    """Public gain over its parent; None where it does not work or has none."""
    node = known.nodes[number]
    if node.parent is None or not node.works or not known.nodes[node.parent].works:
        return None
    return known.gain(number, node.parent)
