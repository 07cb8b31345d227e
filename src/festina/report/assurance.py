"""What a report says about the controls that ran along with the tests.

Not covered here: the controls of the scorer before a run (``sections``).
"""

from __future__ import annotations

from collections.abc import Callable

from festina.report.data import TwinsRow
from festina.report.markup import Html, el
from festina.report.numerals import count, percent

Ref = Callable[..., Html]


def twins(row: TwinsRow | None, ref: Ref) -> Html:
    """The incumbent against itself, in a paragraph.  # V-2"""
    if row is None:
        return Html("")
    if not row.units:
        why = "it was turned off" if row.share == 0.0 else f"{percent(row.share)} of the units are set aside for it"
        return el("p", f"The incumbent was not run against itself: {why}.", cls="note")
    said = (
        f"The incumbent was run against itself on {count(row.units, 'unit')}, as one test over the whole epoch whose "
        f"chance of ever raising a false alarm is at most {percent(row.level)}. "
    )
    if row.open_alarm is not None:
        verdict = "It broke: something tells the two sides of a comparison apart."
    elif row.alarms:
        verdict = f"It broke {count(len(row.alarms), 'time')}, resolved by {', '.join(row.resolved_by)}."
    else:
        verdict = "No side was favoured as far as it can tell; a small effect may need more units than were run."
    return el("p", said, verdict, ref(*(row.alarms or row.seqs)))
