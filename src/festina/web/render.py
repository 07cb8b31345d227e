"""Templates, and the one door through which text reaches a page.  # T-5

Whatever a template writes out is a number or text; text is first made visible (what a reader cannot see is written as
``<U+XXXX>``) and then escaped. Only markup that this package built (``Html`` of the report's ``el``) passes as it is. A
template cannot switch that off: a test looks for ``|safe`` and its like.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from festina.propose.text import visible
from festina.report.markup import Html
from festina.report.numerals import between, count, num, percent, plain, seconds, short, signed

TEXT_CHARACTERS = 20_000  # of one piece of text on a page


def shown(value: object) -> object:
    """What a template's expression becomes: markup of ours as it is, text made visible, numbers as they are."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, Html):
        return Markup(value)
    return visible(value, limit=TEXT_CHARACTERS) if isinstance(value, str) else value


@cache
def environment() -> Environment:
    """The templates beside this file. An unknown name in one is an error, not an empty place."""
    found = Environment(
        loader=PackageLoader("festina.web"), autoescape=True, finalize=shown, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    found.filters.update(
        num=num, signed=signed, between=between, percent=percent, seconds=seconds, short=short, plain=plain, clock=clock
    )
    found.globals.update(count=count)
    return found


def clock(at: str) -> str:
    """A ledger's time for a reader: date and time to the second, as recorded (UTC)."""
    return f"{at[:10]} {at[11:19]}" if len(at) >= 19 else at


def page(name: str, values: Mapping[str, Any]) -> bytes:
    """One page as bytes."""
    return environment().get_template(name).render(values).encode("utf-8", "replace")
