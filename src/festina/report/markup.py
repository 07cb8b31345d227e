"""HTML that is escaped by construction.  # T-5

``el`` is the only way to make an element. Text given to it is escaped and its control, bidirectional and
invisible characters are made visible; only what ``el`` itself returned (``Html``) passes as markup. There is
no way to switch that off, so a caller cannot forget it. Attribute names are the caller's own words and are
checked; attribute values are escaped like text.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache

from festina.system.characters import odd_character

_VOID = frozenset({"br", "hr", "meta", "link", "img"})
_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
_KEPT = frozenset("\n\t")
ATTRIBUTE = 200_000  # characters: a plot's numbers must stand whole in one


class Html(str):
    """Markup that ``el`` or ``raw`` made. A plain ``str`` is never one."""

    __slots__ = ()


def visible(text: str, limit: int = 4000) -> str:
    """``text`` with nothing in it that a reader cannot see: U+202E becomes ‹U+202E›. Cut after ``limit``."""
    shown = text[:limit]
    if not (shown.isascii() and shown.isprintable()):  # what is both has nothing odd in it, and is nearly everything
        shown = "".join(map(_shown, shown))
    return shown if len(text) <= limit else f"{shown} ‹cut: {len(text) - limit} more characters›"


def one_line(text: str) -> str:
    """``visible`` text in one line, for what has no markup: comments, names, remarks.  # T-5"""
    return " ".join(visible(text).split())


@lru_cache(maxsize=4096)
def _shown(char: str) -> str:
    # Anything after a carriage return keeps it from passing as the end of a line.
    return f"‹U+{ord(char):04X}›" if char not in _KEPT and odd_character(char + ".") else char


def raw(markup: str) -> Html:
    """Vouch for markup made by this package (a figure). Never for anything read from the ledger."""
    return Html(markup)


def text(content: Html | str | int | None) -> Html:
    """One child, escaped unless it is markup already."""
    if content is None:
        return Html("")
    if isinstance(content, Html):
        return content
    return Html(html.escape(visible(str(content)), quote=True))


def join(*children: Html | str | int | None) -> Html:
    return Html("".join(text(child) for child in children))


def el(tag: str, *children: Html | str | int | None, **attributes: str | int | bool | None) -> Html:
    """``<tag attributes>children</tag>``. ``cls`` is ``class``, ``_`` is ``-``; None and False are left out."""
    parts = [_checked(tag)]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = "class" if key == "cls" else _checked(key.rstrip("_").replace("_", "-"))
        parts.append(name if value is True else f'{name}="{_quoted(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening) if tag in _VOID else Html(f"{opening}{join(*children)}</{tag}>")


def _quoted(value: str) -> str:
    return html.escape(visible(value, ATTRIBUTE), quote=True)


def _checked(name: str) -> str:
    if not _NAME.match(name) or name.startswith("on"):
        raise ValueError(f"{name!r} is no name for an element or attribute here")
    return name
