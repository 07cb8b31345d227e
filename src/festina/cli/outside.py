"""Outside loops in ``festina status`` and ``festina growth``: what was told, and what of it was run or judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from festina.cli.common import Opened
    from festina.loop.foreign.folding import Story
    from festina.loop.foreign.words import Judged


def _stories(here: Opened) -> Iterator[tuple[Story, Judged, int]]:
    if not here.state.foreign.loops:
        return
    from festina.loop.foreign.folding import tell
    from festina.loop.foreign.gating import gate_words
    from festina.loop.foreign.words import allowed

    for name, loop in here.state.foreign.loops.items():
        yield tell(loop, here.ledger.get_blob), gate_words(here.state, name), allowed(here.state)


def outside_lines(here: Opened) -> list[str]:
    """Each outside loop in a few lines; none where none was read."""
    from festina.loop.foreign.words import lines

    return [line for each in _stories(here) for line in lines(*each)]


def outside_summary(here: Opened) -> list[dict[str, Any]]:
    from festina.loop.foreign.words import summary

    return [summary(*each) for each in _stories(here)]


def outside_growth(here: Opened) -> list[dict[str, Any]]:
    """How far each outside loop came by its own word, beside what came out here."""
    from festina.loop.foreign.words import growth

    return [found for story, judged, _ in _stories(here) if (found := growth(story, judged)) is not None]
