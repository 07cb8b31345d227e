"""What every OSCAL document here is made of: metadata, properties, identifiers.

Without a clock or chance: identifiers are UUIDs of version 5 over names, dates are the record's and the catalog's own,
so that the same record gives the same bytes.  # C-2
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from festina import __version__
from festina.report.markup import one_line

OSCAL = "1.2.3"
NS = "urn:festina:oscal"  # of properties that OSCAL does not define
SPACE = UUID("e311341e-e3c5-47a6-bc0f-d71dd0a85d03")  # of all names; chosen once, at random

Node = dict[str, Any]


def metadata(title: str, modified: str, version: str, remarks: str) -> Node:
    return {
        "title": one_line(title), "last-modified": modified, "version": version, "oscal-version": OSCAL,
        "props": [prop("made-by", f"festina {__version__}")], "remarks": remarks,
    }  # fmt: skip


def prop(name: str, value: str, remarks: str = "") -> Node:
    node: Node = {"name": name, "ns": NS, "value": value}
    return node | {"remarks": one_line(remarks)} if remarks else node


def time(at: str) -> str:
    """A record's time; an empty record has none."""
    return at or "1970-01-01T00:00:00Z"


def identifier(*names: str) -> str:
    return str(uuid5(SPACE, "\x1f".join(names)))
