"""Whether the loop gets anywhere, and whether recursion pays, as values: the same sentences as `festina growth`."""

from __future__ import annotations

from typing import Any

from festina.cli.growth import summary
from festina.loop import growth
from festina.web.feed import Feed


def view(feed: Feed) -> dict[str, Any]:
    """The sentences, and the numbers behind them."""
    s = feed.state
    return {"sentences": growth.sentences(s), "generations": len(s.line)} | summary(s)
