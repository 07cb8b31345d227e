"""The ledger for a reader: entries by number, one entry with its proof. Never the whole ledger at once.  # L-1, L-2"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

from festina.errors import UsageError
from festina.ledger.entries import KINDS
from festina.ledger.proof import prove
from festina.ledger.record import Record
from festina.web.feed import Feed

PAGE = 50
SCANNED = 3000  # entries looked at, at most, for a page of one kind
# kinds that tell of a test's evidence, and so stay closed to a reviewer who has not spoken yet  # R-2
TELLING = frozenset({"batch-ended", "verdict", "public-compared", "attributed", "measure-ended", "final-scored"})


def view(feed: Feed, before: int | None = None, kind: str = "") -> dict[str, Any]:
    """A page of entries, newest first, below number ``before``; of one kind where ``kind`` names it."""
    size = feed.ledger.size
    top = size if before is None else max(0, min(before, size))
    if kind and kind not in KINDS:
        raise UsageError("no-such-kind", f"no entry is of the kind '{kind}'", fix="choose one from the list")
    rows: list[Record] = []
    at = top
    while at > 0 and len(rows) < PAGE and top - at < SCANNED:
        start = max(0, at - PAGE)
        chunk = []
        with closing(feed.ledger.records(start)) as records:
            for record in records:
                if record.seq >= at:
                    break
                if not kind or record.kind == kind:
                    chunk.append(record)
        rows += reversed(chunk)
        at = start
    rows = rows[:PAGE]
    older = rows[-1].seq if len(rows) == PAGE else at
    return {
        "entries": [
            {"seq": r.seq, "kind": r.kind, "at": r.at, "role": type(r.body).role, "leaf": r.leaf} for r in rows
        ],
        "kind": kind, "kinds": sorted(KINDS), "size": size, "older": older if older > 0 else None,
        "newer": min(size, top + PAGE) if top < size else None,
        "root": feed.ledger.root().hex(), "covered": feed.ledger.covered, "origin": feed.ledger.origin,
    }  # fmt: skip


def entry(feed: Feed, seq: int, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """One entry: its body, who signed it, and the proof that it stands in the signed record."""
    record = feed.ledger.record(seq)
    sealed = record.kind in TELLING and _proposal(feed, record) in hidden
    found: dict[str, Any] = {
        "seq": seq, "kind": record.kind, "at": record.at, "role": type(record.body).role, "keyid": record.keyid,
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


def _proposal(feed: Feed, record: Record) -> int | None:
    body: Any = record.body
    number = getattr(body, "proposal", None)
    if number is None and getattr(body, "test", None) is not None:
        test = feed.reading.tests.get(body.test)
        number = test.proposal if test is not None else None
    if number is None and getattr(body, "generation", None) is not None:
        generation = feed.state.generations.get(body.generation)
        number = generation.proposal if generation is not None else None
    return number
