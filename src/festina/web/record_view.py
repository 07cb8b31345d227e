"""The ledger for a reader: entries by number, one entry with its proof. Never the whole ledger at once.  # L-1, L-2"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from festina.errors import UsageError
from festina.ledger.entries import KINDS
from festina.ledger.proof import prove
from festina.web import review_view
from festina.web.feed import Feed, tells_of

PAGE = 50


def view(feed: Feed, before: int | None = None, kind: str = "") -> dict[str, Any]:
    """A page of entries, newest first, below number ``before``; of one kind where ``kind`` names it."""
    size = feed.ledger.size
    top = size if before is None else max(0, min(before, size))
    if kind and kind not in KINDS:
        raise UsageError("no-such-kind", f"no entry is of the kind '{kind}'", fix="choose one from the list")
    known = feed.reading.entries
    numbers = islice((n for n in range(top - 1, -1, -1) if not kind or known[n].kind == kind), PAGE + 1)
    shown = list(numbers)
    older = shown[PAGE - 1] if len(shown) > PAGE else None
    rows = [feed.ledger.record(n) for n in shown[:PAGE]]
    return {
        "entries": [
            {"seq": r.seq, "kind": r.kind, "at": r.at, "role": type(r.body).role, "leaf": r.leaf} for r in rows
        ],
        "kind": kind, "kinds": sorted(KINDS), "size": size, "older": older,
        "newer": min(size, top + PAGE) if top < size else None,
        "root": feed.ledger.root().hex(), "covered": feed.ledger.covered, "origin": feed.ledger.origin,
    }  # fmt: skip


def entry(feed: Feed, seq: int, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """One entry: its body, who signed it, and the proof that it stands in the signed record."""
    record = feed.ledger.record(seq)
    sealed = tells_of(record, feed.reading) in hidden
    spoken = review_view.closed(feed.state, record.body)
    sealed = sealed or spoken
    found: dict[str, Any] = {
        "seq": seq, "kind": record.kind, "at": record.at, "role": type(record.body).role,
        "keyid": "" if spoken else record.keyid,  # whose it is would tell who has decided
        "leaf": record.leaf, "sealed": sealed, "size": feed.ledger.size,
        "says": (type(record.body).__doc__ or "").strip(),
        "body": None if sealed else json.dumps(record.body.model_dump(mode="json"), indent=2, sort_keys=True),
        "content": [] if sealed else list(record.entry.content), "proof": None,
    }  # fmt: skip
    if not sealed and seq < feed.ledger.covered:
        proven = feed.ledger.inclusion(seq)
        found["proof"] = {
            "size": proven.size, "root": proven.root.hex(), "hashes": [h.hex() for h in proven.hashes],
            "file": prove(feed.ledger, seq),
        }  # fmt: skip
    return found
