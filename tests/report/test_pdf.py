"""Documents as PDF: the same bytes, readable by a screen reader, and no word of theirs is markup.  # C-1, C-2, T-5"""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import UsageError
from festina.report.law import pdf
from festina.report.law.documents import Cell, Document, Line
from tests.report.made_ledger import Log, made_run
from tests.report.test_law import made, say


def read(data: bytes) -> tuple[pypdf.PdfReader, str]:
    reader = pypdf.PdfReader(io.BytesIO(data))
    return reader, " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_C1_it_says_what_the_document_says_and_is_made_for_everybody() -> None:
    document = made(made_run(), "eu.model-report")
    data = pdf.as_pdf(document)
    reader, text = read(data)
    assert reader.metadata is not None
    assert reader.metadata.title == "Safety and Security Model Report: library"
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]  # tagged: headings, lists and paragraphs are named
    assert b"pdfuaid:part" in data
    assert b"pdfaid:part" in data
    assert "DRAFT" in text
    squeezed = text.replace(" ", "")
    for cell in document.cells:
        assert "".join(pdf.plain(cell.label).split()) in squeezed
        for line in cell.lines:
            assert "".join(pdf.plain(line.text).split()) in squeezed
    assert pdf.as_pdf(document) == data  # C-2


def test_C1_every_kind_of_document_can_be_set() -> None:
    for name in ("release-card", "eu.model-documentation", "us-ca.framework"):
        assert pdf.as_pdf(made(made_run(), name)).startswith(b"%PDF-")
    empty = made(Log(), "release-card")
    assert empty.at == ""
    assert "unknown" in read(pdf.as_pdf(empty))[1]


def test_T5_words_are_set_as_they_are_and_never_read_as_markup() -> None:
    log = made_run()
    words = '#import "@preview/x:1.0.0" #read("/etc/passwd") = Title *bold* $x^2$ <label> @ref // gone'
    say(log, "release-card", "contact", words)
    reader, text = read(pdf.as_pdf(made(log, "release-card")))
    assert '#read("/etc/passwd")' in text.replace("“", '"').replace("”", '"')
    assert "root:" not in text
    assert "// gone" in text
    assert reader.metadata is not None


BLANK = made(Log(), "release-card")


def holding(*texts: str) -> Document:
    lines = tuple(Line("person", text, (), "ann") for text in texts)
    return replace(BLANK, cells=(Cell("a", "a", "", False, lines, False),))


@settings(max_examples=4, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=8, max_size=30))
def test_T5_no_text_of_any_writing_system_keeps_a_document_from_being_made(texts: list[str]) -> None:
    assert pdf.as_pdf(holding(*texts)).startswith(b"%PDF-")


def test_T5_every_character_that_is_set_has_a_letter_and_others_stand_by_number() -> None:
    kept = [chr(c) for low, high in pdf.RANGES for c in range(low, high + 1) if pdf.plain(chr(c)) == chr(c)]
    assert len(kept) > 1500
    pdf.as_pdf(holding(" ".join(kept)))  # both standards refuse a letter that no font has
    assert pdf.plain("a\u4e2db\u0647\u202ec") == "a‹U+4E2D›b‹U+0647›‹U+202E›c"
    assert pdf.plain("e\u0301") == "é"


def test_pdf_without_typst_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(UsageError, match="Typst") as caught:
        pdf.as_pdf(BLANK)
    assert caught.value.name == "no-typst"


def test_help_imports_no_typst() -> None:
    code = "import sys; from festina.cli import main; import festina.cli.report; print('typst' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
