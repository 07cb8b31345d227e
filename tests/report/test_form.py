"""A form goes out with what the record says and comes back signed, or is refused with its mistake.  # C-1"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.loop import stating
from festina.report.fold import fold
from festina.report.law import form, incidents
from festina.report.law.documents import Document, as_markdown, build
from festina.report.law.packs import find, load
from tests.report.made_ledger import Log, made_run
from tests.report.test_law import ann as ann  # a fixture
from tests.report.test_law import made, say

CARD = "release-card"


def filled(text: str, **words: str) -> bytes:
    for name, said in words.items():
        assert f'{name} = ""' in text
        text = text.replace(f'{name} = ""', f"{name} = '''{said}'''")
    return text.encode()


def book(log: Log) -> Callable[[str, int | None], Document]:
    """Every document of one record, which is read once."""
    data, people, packs = fold(log.records, log.blob, root="ab" * 32), incidents.fold(log.records, log.blob), load()

    def of(name: str, incident: int | None) -> Document:
        pack, kind = find(packs, name)
        about = people.incidents[incident] if incident is not None else None
        return build(pack, kind, data, people, lambda seq: f"{seq:064x}", about)

    return of


def test_C1_every_document_has_a_form_that_comes_back_empty_as_nothing() -> None:
    each = book(made_run())
    for pack in load():
        for kind in pack.document:
            if kind.incident:
                continue
            document = each(kind.id, None)
            back = form.read(form.write(document).encode(), "form.toml")
            assert (back.document, back.incident, back.fields) == (kind.id, None, {})
            assert set(tomllib.loads(form.write(document))["fields"]) == {cell.name for cell in document.cells}


def test_C1_a_filled_form_states_its_fields_and_nothing_that_stands_already() -> None:
    log = made_run()
    say(log, CARD, "contact", "the team\nin two lines")
    document = made(log, CARD)
    text = form.write(document)
    assert "#   the team in two lines (stated by ann" in text
    back = form.read(filled(text, contact="the team\nin two lines", intended_use="  tests "), "form.toml")
    assert form.new(back, document) == {"intended_use": "tests"}


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=80))
def test_T5_no_statement_leaves_its_comment_in_a_form(words: str) -> None:
    log = Log()
    say(log, CARD, "contact", words)
    assert form.read(form.write(made(log, CARD)).encode(), "form.toml").fields == {}


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"\xff", "UTF-8"),
        (b"document = ", "Invalid value"),
        (b'document = "release-card"', r"\[fields\]"),
        (b'document = "release-card"\nmood = 1\n[fields]', "no 'mood'"),
        (b'document = "release-card"\nincident = true\n[fields]', "number"),
        (b'document = "release-card"\n[fields]\ncontact = 3', "contact"),
        (b" " * (form.MAX_FORM + 1), "larger"),
    ],
)
def test_C1_a_mistake_in_a_form_is_named_with_its_file(raw: bytes, word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        form.read(raw, "form.toml")
    assert (caught.value.name, caught.value.where) == ("bad-form", "form.toml")


def test_C1_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="no field 'mood'"):
        form.new(form.Filled(CARD, None, {"mood": "good"}), made(made_run(), CARD))


def test_C1_a_form_is_signed_whole_or_not_at_all(ann: stating.Person) -> None:
    size = ann.ledger.size
    with pytest.raises(UsageError, match="'intended_use'"):
        stating.state_fields(ann, CARD, {"contact": "the team", "intended_use": "a\u202eb"})
    assert ann.ledger.size == size
    records = stating.state_fields(ann, CARD, {"contact": "the team", "intended_use": "tests"})
    assert [r.seq for r in records] == [size, size + 1]
    assert all(isinstance(r.body, e.Stated) and r.entry.keyid == ann.key.keyid for r in records)
    assert stating.state_fields(ann, CARD, {}) == []


def test_C1_every_sentence_of_every_document_ends_with_a_citation_or_a_mark() -> None:
    log = made_run()
    incident = {"incident": 1, "reviewer": "ann", "without_person": False}
    log.add(e.IncidentOpened(aware="2026-11-22T10:00:00.000Z", text=log.text("it got out"), about=None, **incident))
    log.add(e.IncidentClassified(classes=("eu.harm", "us-ca.control", "us-ny.safety"), causal="suspected",
                                 text=log.text("so"), **incident))  # fmt: skip
    for kind in [kind for pack in load() for kind in pack.document]:
        for field in [f.name for f in kind.fields][::2]:  # statements in every second field
            say(log, f"{kind.id}:1" if kind.incident else kind.id, field, "as it is")
    sentences, each = 0, book(log)
    for pack in load():
        for kind in pack.document:
            text = as_markdown(each(kind.id, 1 if kind.incident else None)).split("## Entries cited")[0]
            for line in text.splitlines():
                if line.startswith("- "):
                    sentences += 1
                    assert line.endswith(("\\]", ")")), line
                    assert "\\[" in line or "stated by ann, entry" in line, line
                else:  # a heading, what a field lacks, or the document's own words about itself
                    assert not line or line[0] in "#*" or line.startswith(pack.regime.title.split(",")[0]), line
    assert sentences > 150


def test_C1_from_form_to_statement_on_the_command_line_needs_one_way_to_say_it(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from festina.cli.report import command

    (tmp_path / "f").write_text("x")
    for words, name in (
        (("contact", "--text", "a", "--retract"), "nothing-stated"),
        (("--text", "a"), "which-field"),
        (("contact", "--form", str(tmp_path / "f")), "which-field"),
    ):
        wrong = CliRunner().invoke(command, ["state", CARD, *words, "--as", "ann"]).exception
        assert isinstance(wrong, UsageError)
        assert wrong.name == name
