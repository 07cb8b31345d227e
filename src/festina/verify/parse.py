"""Strict bounded readers for what candidates and people hand in: bytes in, values out.  # T-3

A candidate's predictions are JSON lines ``{"id": ..., "output": ...}``. Nothing in them is ever executed,
imported or unpickled; only JSON values come out, so no object with a dishonest ``__eq__`` can. Each line
stands alone: a line that cannot be read costs the item that it should have answered, not its neighbours.

Does not judge content: whether an output is right is the scorer's business.

Invariants, in order: the whole is small enough (bytes, lines); a line is small enough (bytes, members);
it is UTF-8 without a byte-order mark; it is one JSON value with nothing behind it, no NaN, no infinity
(``1e999`` included), no duplicate key, no over-long integer, no lone surrogate, no deep nesting.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from festina.errors import IntegrityError, UsageError
from festina.ledger.canonical import canonical, parse_strict

__all__ = [
    "Item", "Malformed", "Predictions", "decode", "make_item", "read_items", "read_predictions",
    "right_answers",
]  # fmt: skip

MAX_OUTPUT_BYTES = 64 << 20  # a candidate's whole answer; Limits.output_bytes of the sandbox
MAX_LINE_BYTES = 4 << 20
MAX_MEMBERS = 1_000_000  # commas and opening brackets of the whole answer: bounds time (2 s) and memory
MAX_DEPTH = 64
MAX_ID = 200
MAX_ITEMS_BYTES = 1 << 30


class Malformed(ValueError):
    """Bytes that are not one strict JSON value. The message never quotes them."""


def decode(line: bytes, *, max_bytes: int = MAX_LINE_BYTES) -> object:
    """One strict JSON value from ``line``; raises ``Malformed``."""
    if _members(line) > MAX_MEMBERS:
        raise Malformed("more members than allowed")
    try:
        # The reader stops at the interpreter's own depth; its exact count is one step a character, ours one a member.
        value = parse_strict(line, max_bytes=max_bytes, max_depth=len(line))
    except (IntegrityError, RecursionError):
        raise Malformed("not strict JSON within the limits") from None
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise Malformed("nested too deep")
    return value


def _members(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{") + data.count(b",")


def _too_deep(value: object) -> bool:
    level: list[object] = [value]  # containers only, one depth at a time
    for _ in range(MAX_DEPTH):
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list))
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Predictions:
    """Where each issued id is answered. ``lines`` counts every line that is not blank, readable or not."""

    data: bytes
    spans: dict[str, tuple[int, int]]
    lines: int

    def output(self, item_id: str) -> object:
        """A fresh copy of the output for ``item_id``: no scorer sees what another one did to it."""
        start, stop = self.spans[item_id]
        return json.loads(self.data[start:stop])["output"]  # these very bytes passed the strict reader


def _lines(data: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start)
        stop = len(data) if stop < 0 else stop
        yield start, stop
        start = stop + 1


def read_predictions(data: bytes | None, issued: Collection[str]) -> Predictions:
    """Which issued ids are answered exactly once by a well-formed line.  # T-6

    Unknown ids answer nothing; an id that stands twice is not answered; an output too large as a whole
    or with far more lines than items answers nothing at all.
    """
    nothing = Predictions(b"", {}, 0)
    if data is None or len(data) > MAX_OUTPUT_BYTES or data.count(b"\n") > 2 * len(issued) + 100:
        return nothing
    if _members(data) > MAX_MEMBERS + 10 * len(issued):
        return nothing
    spans: dict[str, tuple[int, int]] = {}
    twice: set[str] = set()
    lines = 0
    for start, stop in _lines(data):
        if stop - start <= 2 and not data[start:stop].strip(b" \t\r"):
            continue
        lines += 1
        item_id = _answered(data[start:stop])
        if item_id is None or item_id not in issued:
            continue
        if item_id in spans or item_id in twice:
            spans.pop(item_id, None)
            twice.add(item_id)
            continue
        spans[item_id] = (start, stop)
    return Predictions(data, spans, lines)


def _answered(line: bytes) -> str | None:
    try:
        value = decode(line)
    except Malformed:
        return None
    if not isinstance(value, dict) or value.keys() != {"id", "output"}:
        return None
    item_id = value["id"]
    return item_id if isinstance(item_id, str) and len(item_id) <= MAX_ID else None


@dataclass(frozen=True, slots=True)
class Item:
    """One item, kept as bytes: every scorer call decodes its own copy, so none can change it for the next."""

    id: str
    input: bytes
    label: bytes
    oracle: bytes | None  # an output that is right, where the label itself is none
    cluster: str = ""  # items that stand and fall together; never shown to a candidate  # E-3

    def line(self, shown_id: str) -> bytes:
        return b'{"id":' + canonical(shown_id) + b',"input":' + self.input + b"}\n"


def make_item(value: object, *, index: int, where: str, need_id: bool = True) -> Item:
    """One item from a decoded line or from a generator; raises ``UsageError`` without quoting it."""
    problem = ""
    if not isinstance(value, dict):
        problem = "is not an object"
    elif not {"input", "label"} <= value.keys():
        problem = "lacks " + " and ".join(sorted({"input", "label"} - value.keys()))
    elif not value.keys() <= {"id", "input", "label", "oracle", "cluster"}:
        problem = "has fields other than id, input, label, oracle and cluster"
    elif not isinstance(value.get("cluster", ""), str) or len(value.get("cluster", "")) > MAX_ID:
        problem = f"has a cluster that is no text of at most {MAX_ID} characters"
    elif need_id and not (isinstance(value.get("id"), str) and 0 < len(value["id"]) <= MAX_ID):
        problem = f"lacks an id (text of 1 to {MAX_ID} characters)"
    if problem or not isinstance(value, dict):
        raise UsageError(
            "item-malformed",
            f"item {index} {problem}",
            fix='each item is {"id": ..., "input": ..., "label": ...}, "oracle" if the label is not itself a '
            'right output, and "cluster" where items belong together',
            where=where,
        )
    try:
        oracle = canonical(value["oracle"]) if "oracle" in value else None
        item_id, cluster = str(value.get("id", "")), str(value.get("cluster", ""))
        return Item(item_id, canonical(value["input"]), canonical(value["label"]), oracle, cluster)
    except (TypeError, ValueError, RecursionError):
        raise UsageError(
            "item-malformed",
            f"item {index} holds something that is not JSON",
            fix="use text, finite numbers, booleans, null, lists and objects only",
            where=where,
        ) from None


def right_answers(items: Mapping[str, Item]) -> bytes:
    """The right output of each item under the id shown, as a candidate would hand it in."""
    return b"".join(
        b'{"id":' + canonical(shown) + b',"output":' + (item.oracle or item.label) + b"}\n"
        for shown, item in items.items()
    )


def read_items(data: bytes, *, where: str) -> list[Item]:
    """Items from JSON lines; raises ``UsageError`` naming the line."""
    if len(data) > MAX_ITEMS_BYTES:
        raise UsageError("suite-too-large", "more than 1 GiB of items", fix="use a generator", where=where)
    items: list[Item] = []
    seen: dict[str, int] = {}
    for number, (start, stop) in enumerate(_lines(data), 1):
        line = data[start:stop]
        if not line.strip(b" \t\r"):
            continue
        place = f"{where}:{number}"
        try:
            value = decode(line, max_bytes=16 * MAX_LINE_BYTES)
        except Malformed as error:
            raise UsageError(
                "item-malformed", f"line {number} is not an item: {error}", fix="one JSON object a line", where=place
            ) from None
        item = make_item(value, index=number, where=place)
        if item.id in seen:
            raise UsageError(
                "item-duplicate",
                f"line {number} repeats the id of line {seen[item.id]}",
                fix="give every item an id of its own",
                where=place,
            )
        seen[item.id] = number
        items.append(item)
    if not items:
        raise UsageError("suite-empty", "no items", fix="one JSON object a line", where=where)
    return items
