"""What became of released versions, and how far the loop goes by itself: for the run page.  # D-3, D-4, G-7"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from festina.cli import autonomy
from festina.cli.status import afterwards
from festina.loop.state import State

WATCHES = 3  # newest first


def view(s: State) -> dict[str, Any]:
    """Sentences, the same as in the terminal."""
    watches = sorted(s.watches.rows.values(), key=lambda w: -w.seq)[:WATCHES]
    open_, drafts = len(s.govern.incidents), len(s.govern.drafts)
    return {
        "released": s.released,
        "watches": [{"sentence": w.sentence(), "entry": w.seq, "bad": _bad(w.ended)} for w in watches],
        "afterwards": afterwards(s),
        "incidents": open_,
        "drafts": drafts,
        "autonomy": autonomy.lines(autonomy.standing(s, datetime.now(UTC))) if s.epoch is not None else [],
    }


def _bad(ended: Any) -> bool:  # noqa: ANN401 - an end or none
    return ended is not None and ended.reason == "rolled-back"
