"""Whether the loop gets anywhere, and whether recursion pays, as values: the same sentences as `festina growth`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from festina.cli.growth import summary
from festina.loop import growth, outlook, outlook_words
from festina.report.growth import levels
from festina.select.predictions import NOTE
from festina.watch.readings import LEAST
from festina.web import plots
from festina.web.feed import WHOLE, Feed

if TYPE_CHECKING:
    from festina.watch.readings import Gain, Reading

CLOSED = "Closed to you until you have judged the changes that wait for you: gains would tell of them."
DRAWN = 2  # measured generations from which a curve is one
WORKING = "What is to be expected is being worked out from them; this page shows it when it is there."
FAILED = "What is to be expected could not be worked out: festina growth says why."


def view(feed: Feed, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """The sentences, and the numbers behind them; closed as a whole while a reviewer owes a judgement.  # R-2"""
    s = feed.state
    if WHOLE in hidden:
        return {
            "sentences": [CLOSED], "generations": len(s.line), "authors": [], "predictions": [],
            "control_arm": {}, "crossplay": {}, "curve": None,
        }  # fmt: skip
    made = outlook.gains(s)
    reading = feed.foresight.of(made)
    told = [outlook_words.headline(s), *_grown(feed, made, reading), *growth.sentences(s)]
    values = {"sentences": told, "generations": len(s.line), "working": feed.foresight.working, "predicted": NOTE}
    return values | {"curve": curve(made, reading)} | summary(s, reading)


def _grown(feed: Feed, made: tuple[Gain, ...], reading: Reading | None) -> list[str]:
    """How the run grows; what is not worked out yet is said to be missing."""
    s = feed.state
    if len(made) < LEAST:
        return outlook_words.told(s, None)
    missing = FAILED if made == feed.foresight.failed else WORKING
    if reading is None:
        return [outlook_words.measured(s, made), missing, *outlook_words.alarms(s)]
    told = outlook_words.told(s, reading)
    if reading.gains == made:
        return told
    known = f"That was read from {len(reading.gains)} measured generations, and there are {len(made)}."
    return [*told, f"{known} {missing}"]


def curve(made: tuple[Gain, ...], reading: Reading | None) -> dict[str, Any] | None:
    """Doublings since the start by generation, with 95 % limits, and the forecast (5, 50, 95 %); None before any."""
    if not made:
        return None
    rows = [asdict(each) for each in levels(made)]
    level, ahead = rows[-1]["level"], []
    if reading is not None and reading.gains == made:
        ahead = [
            {"generation": made[-1].generation + h, "low": level + low, "level": level + middle, "high": level + high}
            for h, low, middle, high in reading.ahead
        ]
    return {"measured": rows, "ahead": ahead}


def pictures(found: dict[str, Any]) -> dict[str, Any]:
    """Growth, drawn."""
    drawn = found["curve"]
    enough = drawn is not None and len(drawn["measured"]) > DRAWN
    return {"picture": plots.growth(drawn["measured"], drawn["ahead"]) if enough else None}
