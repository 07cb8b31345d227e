"""The files that pages load: ours, and two that were written elsewhere and are kept as exact copies.

A name outside this list does not exist, so no address can reach another file. ``VENDORED`` holds the sha256 of each
copy; the server refuses to start on a changed one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from festina.errors import IntegrityError

VENDORED = {
    "vendor/htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "vendor/uPlot-1.6.32.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "vendor/uPlot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
OWN = ("festina.css", "festina.js", "icon.svg")
TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. ``tag`` changes with its bytes."""

    data: bytes
    type: str
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """All of them by name. IntegrityError when a vendored copy is not the one that was looked at."""
    found = {}
    root = resources.files("festina.web") / "static"
    for name in (*OWN, *VENDORED):
        data = root.joinpath(*name.split("/")).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if VENDORED.get(name, digest) != digest:
            raise IntegrityError(
                "changed-asset", f"{name} is not the file that this version was made with", fix="install Festina again"
            )
        found[name] = Asset(data, TYPES[name.rpartition(".")[2]], digest[:16])
    return found


def address(name: str) -> str:
    """Where a page finds a file: the tag makes it safe to keep for good."""
    return f"/static/{name}?{assets()[name].tag}"
