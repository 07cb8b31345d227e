"""The frame of every page that is written to a file: no scripts, nothing fetched.  # T-5, C-2

The page carries its own content policy, which allows its one style sheet by hash and nothing else: even a hole in the
escaping could not run or load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources

from festina.report.markup import Html, el, raw


def page(title: str, body: Iterable[Html | None], foot: str) -> str:
    """A whole page as text. The same parts give the same bytes."""
    style = resources.files("festina.report").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    top = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        raw(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{el('html', top, el('body', el('main', *body), el('footer', foot)), lang='en')}\n"
