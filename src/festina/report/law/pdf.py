"""A document as PDF: tagged for screen readers and fit for archives (PDF/UA-1 and PDF/A-2a).

Typst sets it, a library without system packages (``festina[pdf]``), imported only here. Words go in as data and are
never read as markup (T-5). Fonts are Typst's own and the date is the record's, so that the same record gives the same
bytes on every machine with the same version of Typst.  # C-2
Not covered: writing systems beyond Latin, Greek and Cyrillic. Typst's fonts lack them, and both standards forbid a
missing letter, so each such character stands as its number, like ‹U+4E2D›.
"""

from __future__ import annotations

import json
import unicodedata
from functools import lru_cache
from importlib import resources

from festina.errors import Fault, UsageError
from festina.report.law.documents import NOTE, Cell, Document, heading, mark, terms
from festina.report.markup import one_line

TEMPLATE = "document.typ"
# Each character of these was set once with Typst 0.15.2; what it lacks inside them is left out.
RANGES = (
    (0x20, 0x7E), (0xA1, 0x4FF), (0x1E00, 0x1FFF), (0x2010, 0x2040), (0x2042, 0x2042), (0x2044, 0x2052),
    (0x2070, 0x20BF), (0x2100, 0x211E), (0x2122, 0x2122), (0x2190, 0x23FF), (0x2500, 0x25FF),
)  # fmt: skip


def as_pdf(document: Document) -> bytes:
    """The file's bytes. Raises ``UsageError`` where Typst is not installed, ``Fault`` where it fails."""
    try:
        import typst
    except ImportError:
        raise UsageError("no-typst", "PDF needs Typst", fix='pip install "festina[pdf]"') from None
    template = resources.files("festina.report.law").joinpath(TEMPLATE).read_bytes()
    try:
        made = typst.compile(
            template, format="pdf", sys_inputs={"document": json.dumps(_data(document))},
            pdf_standards=["a-2a", "ua-1"], ignore_system_fonts=True,
        )  # fmt: skip
    except typst.TypstError as error:
        raise Fault("pdf-failed", f"Typst could not set it: {str(error)[:200]}") from None
    assert isinstance(made, bytes)
    return made


def _data(document: Document) -> dict[str, object]:
    about = f" (incident {document.incident})" if document.incident is not None else ""
    return {
        "title": plain(f"{document.title}{about}: {document.system}"), "heading": plain(heading(document)),
        "kicker": plain(f"{document.regime} · {document.law}"), "date": _date(document.at),
        "about": [plain(f"Asked for by: {document.source} (read: {document.checked})."),
                  plain(f"To: {', '.join(document.to)}.{terms(document)}")],
        "cells": [_cell(cell, document.cells[i - 1].group if i else "") for i, cell in enumerate(document.cells)],
        "proofs": list(document.proofs), "foot": plain(f"{document.size:,} entries, root {document.root}"),
        "note": [plain(f"{document.origin}, as of {document.at or 'no entry'}. {NOTE}")],
    }  # fmt: skip


def _cell(cell: Cell, before: str) -> dict[str, object]:
    return {
        "group": plain(cell.group) if cell.group and cell.group != before else None,
        "label": plain(cell.label), "level": 2 if cell.group else 1,
        "contradiction": cell.contradiction, "optional": cell.optional,
        "lines": [{"text": plain(line.text), "mark": plain(mark(line))} for line in cell.lines],
    }  # fmt: skip


def _date(at: str) -> list[int]:
    """Year to second of the record's last entry; an empty record has none."""
    day, _, clock = (at or "1970-01-01T00:00:00Z").partition("T")
    return [int(part) for part in (*day.split("-"), *clock[:8].split(":"))]


def plain(text: str) -> str:
    """One line in characters that the fonts have; others by number."""
    return "".join(map(_set, unicodedata.normalize("NFC", one_line(text))))


@lru_cache(maxsize=4096)
def _set(char: str) -> str:
    """Letters in which a text may break, combine or turn round are not set either: only what was tried."""
    point = ord(char)
    known = any(low <= point <= high for low, high in RANGES) and unicodedata.category(char)[0] not in "CMZ"
    return char if known or char == " " else f"‹U+{point:04X}›"
