"""A proposer's text on every page where it stands: it changes words, never what a page is.  # T-5"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.propose.text import visible
from festina.web import patch
from festina.web.render import environment
from tests.web.signed import SignedLoop
from tests.web.visiting import Visitor, structure

MARKUP = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'\"></td></tr></table><form action=/halt>",
    "<!--", "-->", "{{ 7*7 }}", "{% raw %}", "</code></pre><svg/onload=x>", "javascript:alert(1)", "&lt;b&gt;",
    "<style>*{}</style>", "]]>", "\x00", "\x1b[2J", "\u202e", "\u2066", "\u200b", "\ufeff", "\U000e0041", "раypal",
    "\r", "\x85", "\u2028", "<U+202E>", "\t", "<mark>", "`\"'", "a" * 700, "á" * 9,
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(MARKUP), st.text(max_size=20)), max_size=6).map("".join)
COUNTER = itertools.count()


def seen(text: str) -> bool:
    """Whether nothing in ``text`` hides from a reader; line feeds and tabs are layout."""
    return visible(text) == text


def words_of(page: str) -> str:
    tree: Any = html5lib.parse(page, namespaceHTMLElements=False)
    return "".join(tree.itertext())


def hostile_diff(name: str, lines: list[str]) -> bytes:
    flat = [line.replace("\n", " ") for line in lines]
    body = "".join(f"+{line}\n" for line in flat)
    return f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -0,0 +1,{len(flat)} @@\n{body}".encode(
        "utf-8", "replace"
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["a.py", "b.json", "c.toml", "d.txt", "e.svg"]), st.lists(TEXT, min_size=1, max_size=5))
def test_T5_any_patch_becomes_lines_in_which_everything_is_seen(name: str, lines: list[str]) -> None:
    shown = patch.shown(hostile_diff(name, lines))
    for line in shown.lines:
        tree: Any = html5lib.parseFragment(f"<code>{line.markup}</code>", namespaceHTMLElements=False)
        inside = [x for x in tree.iter() if isinstance(x.tag, str)]
        assert {x.tag for x in inside} <= {"DOCUMENT_FRAGMENT", "code", "span", "mark"}
        assert {a for x in inside for a in x.attrib} <= {"class", "title"}
        assert seen("".join(tree.itertext()))
    assert sum(line.sort == "add" and not line.more for line in shown.lines) == len(lines)


@settings(max_examples=40, deadline=None)
@given(TEXT)
def test_T5_a_template_shows_any_text_as_words(text: str) -> None:
    template = environment().from_string('<p title="{{ t }}">{{ t }}</p>')
    made = template.render(t=text)
    honest = template.render(t="x")
    assert structure(f"<!doctype html><title>x</title>{made}") == structure(f"<!doctype html><title>x</title>{honest}")
    assert seen(words_of(made))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run whose every proposal carries the same text; pages of it by text."""

    def staged(text: str) -> dict[str, str]:
        lines = [text.replace("\n", " ")] * 2
        plan = {"rationale": text, "weakness": text, "predicted": 0.1}
        place = tmp_path_factory.mktemp("hostile") / str(next(COUNTER))
        loop = SignedLoop(seed=3, proposals=3, guards=1, place=place, change=lambda n: (
            hostile_diff("d.txt", [*lines, f"proposal {n}"]), plan))  # fmt: skip
        loop.begin()
        loop.run()
        feed = loop.feed()
        visitor = Visitor.of(feed)
        accepted = [g.proposal for g in loop.state.generations.values() if g.proposal is not None]
        assert accepted
        found = {p: visitor.page(p) for p in ("/", "/lineage", "/proposals", *(f"/proposal/{n}" for n in accepted))}
        found["json"] = visitor.ask(f"/proposal/{accepted[0]}.json").text
        feed.ledger.close()
        assert loop.ledger is not None
        loop.ledger.close()
        return found

    return staged


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "\u202ex\u2066\u200b</p><form>"]
)
def test_T5_whole_pages_with_hostile_text_have_the_structure_of_honest_ones(stage: Any, text: str) -> None:
    honest, hostile = stage("an honest sentence"), stage(text)
    assert honest.keys() == hostile.keys()
    for path in honest:
        if path == "json":
            assert hostile[path].isascii()
            continue
        warned = r"<p class=\"banner bad\" role=\"alert\">\d+ places? in this change.*?</p>"
        unmarked = re.sub(rf"</?mark>|{warned}", "", hostile[path])
        assert structure(unmarked) == structure(honest[path]), path
        assert seen(words_of(hostile[path])), path


def test_T5_hidden_and_lookalike_characters_are_counted_and_marked() -> None:
    shown = patch.shown(hostile_diff("a.py", ["if аdmin:", "x = 1\u202e", "naïve = 'Привет'", "plain"]))
    assert shown.odd == 2  # honest words of other languages are none
    marks = [line.text for line in shown.lines if "<mark" in line.markup]
    assert marks == ["if аdmin:", "x = 1\u202e"]
    assert 'reads as admin">аdmin</mark>' in shown.lines[4].markup
    assert "&lt;U+202E&gt;" in shown.lines[5].markup
    spoken = patch.shown(hostile_diff("a.py", ["x = 1 <U+202E>"]))  # somebody writes what we would write
    assert (spoken.odd, "<mark" in spoken.lines[4].markup) == (0, False)


def test_T5_long_patches_come_in_parts(place: Path) -> None:
    data = hostile_diff("a.py", [f"x{i} = {i}" for i in range(1000)])
    first, last = patch.shown(data), patch.shown(data, 800)
    assert (len(first.lines), first.total, len(last.lines)) == (patch.LINES, 1004, 204)
    assert last.lines[0].new == 797
    assert sum(len(line.markup) for line in first.lines) < 200_000


@pytest.mark.parametrize("length", [patch.LINE_CHARACTERS, patch.LINE_CHARACTERS + 1, 5_000])
def test_R1_no_part_of_a_long_line_is_left_out(length: int) -> None:
    line = "x = 1" + " " * (length - 13) + "; evil()"
    shown = patch.shown(hostile_diff("a.py", [line, "y = 2"]))
    added = [row for row in shown.lines if row.sort == "add"]
    assert "".join(row.text for row in added) == line + "y = 2"
    assert len(line) == length
    assert "evil" in "".join(row.markup for row in added)
    assert [row.more for row in added] == [False, *[True] * (len(added) - 2), False]
    assert [row.new for row in added if not row.more] == [1, 2]
    assert all(len(row.text) <= patch.LINE_CHARACTERS for row in shown.lines)
