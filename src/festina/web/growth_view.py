"""Whether the loop gets anywhere, and whether recursion pays, as values: the same sentences as `festina growth`."""

from __future__ import annotations

from typing import Any

from festina.cli.growth import summary
from festina.loop import growth, outlook, outlook_words
from festina.web.feed import WHOLE, Feed

CLOSED = "Closed to you until you have judged the changes that wait for you: gains would tell of them."


def view(feed: Feed, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """The sentences, and the numbers behind them; closed as a whole while a reviewer owes a judgement.  # R-2"""
    s = feed.state
    if WHOLE in hidden:
        return {"sentences": [CLOSED], "generations": len(s.line), "authors": [], "control_arm": {}, "crossplay": {}}
    told = [outlook_words.headline(s), *outlook_words.told(s, outlook.read(s)), *growth.sentences(s)]
    return {"sentences": told, "generations": len(s.line)} | summary(s)
