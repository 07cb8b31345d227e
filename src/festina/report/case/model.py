"""What a safety case is made of, and how one is read from TOML.

Nodes form one tree below the one claim without a parent. ``ground`` ties evidence to a ground of ``festina trust``;
``stated`` says that a person has to: in the field of that node's name of the document ``safety-case``.
"""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.errors import UsageError
from festina.report.reading import read_toml

Kind = Literal["claim", "argument", "evidence", "context", "assumption", "defeater"]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
MAX_CASE = 256 << 10
MAX_NODES = 500
DOCUMENT = "safety-case"  # under which people's statements about nodes stand


class Node(BaseModel):
    """One node. ``until``: when an assumption ends; ``ground``: "STAGE/NAME" of a judgement of trust."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Id
    kind: Kind
    text: Annotated[str, Field(min_length=1, max_length=300)]
    parent: Id | None = None
    ground: Annotated[str, Field(pattern=r"^[a-z ]{1,40}/[a-z' ]{1,80}$")] | None = None
    stated: bool = False
    until: date | None = None


class Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    title: Annotated[str, Field(min_length=1, max_length=300)]
    version: Annotated[str, Field(min_length=1, max_length=40)]


class Case(BaseModel):
    """A whole case, as its file says it; whether it holds is ``check``'s business."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    case: Head
    node: Annotated[tuple[Node, ...], Field(min_length=1, max_length=MAX_NODES)]

    def children(self, node: Node) -> tuple[Node, ...]:
        return tuple(other for other in self.node if other.parent == node.id)

    @property
    def top(self) -> Node:
        return next(node for node in self.node if node.parent is None)


def load(path: Path | None = None) -> Case:
    """The case of a file, or ours. Raises ``UsageError`` that names file and field."""
    if path is None:
        raw = resources.files("festina.report.case").joinpath("default.toml").read_bytes()
        return parse(raw, "default.toml")
    if path.stat().st_size > MAX_CASE:
        raise _wrong(str(path), f"it is larger than {MAX_CASE:,} bytes")
    return parse(path.read_bytes(), str(path))


def parse(raw: bytes, where: str) -> Case:
    """A case from its bytes, its tree checked: one top claim, known parents, no cycle."""
    try:
        case = read_toml(Case, raw)
    except ValueError as error:
        raise _wrong(where, str(error)) from None
    by_id = {node.id: node for node in case.node}
    if len(by_id) != len(case.node):
        raise _wrong(where, "two nodes have one id")
    tops = [node for node in case.node if node.parent is None]
    if len(tops) != 1 or tops[0].kind != "claim":
        raise _wrong(where, "there is exactly one node without a parent, and it is a claim")
    for node in case.node:
        _rooted(node, by_id, where)
        if node.ground is not None and node.kind not in ("evidence", "defeater"):
            raise _wrong(where, f"node {node.id}: a ground belongs to evidence or to a defeater")
        if node.until is not None and node.kind != "assumption":
            raise _wrong(where, f"node {node.id}: only an assumption ends")
    return case


def _rooted(node: Node, by_id: dict[str, Node], where: str) -> None:
    """Raise unless parents lead to the top."""
    seen = {node.id}
    at = node
    while at.parent is not None:
        if at.parent not in by_id:
            raise _wrong(where, f"node {at.id}: no node '{at.parent}'")
        at = by_id[at.parent]
        if at.id in seen:
            raise _wrong(where, f"node {node.id}: its parents run in a circle")
        seen.add(at.id)
        if at.kind not in ("claim", "argument"):
            raise _wrong(where, f"node {at.id}: a {at.kind} supports others, and has nothing below it")


def _wrong(where: str, what: str) -> UsageError:
    return UsageError("bad-safety-case", what, fix="mend that file", where=where)
