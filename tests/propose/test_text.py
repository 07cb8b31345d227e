"""T-5: whatever a proposer wrote, a reader sees every character of it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.propose.text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("if admin:\u202e }cni", "if admin:<U+202E> }cni"),  # turns the line around
        ("pass\u200bword", "pass<U+200B>word"),  # zero width
        ("a\u00a0b", "a<U+00A0>b"),  # looks like a blank
        ("a\u3000b\u2003c", "a<U+3000>b<U+2003>c"),
        ("\x1b[2J\x1b[1;1H", "<U+001B>[2J<U+001B>[1;1H"),  # clears the terminal
        ("ok\rREJECTED", "ok<U+000D>REJECTED"),  # overprints the line
        ("a\u2028b", "a<U+2028>b"),
        ("x\U000e0041y", "x<U+E0041>y"),  # tag letters: text that only a machine reads
        ("a\ufe0fb", "a<U+FE0F>b"),
        ("\ud800", "<U+D800>"),
        ("\u3164", "<U+3164>"),  # Hangul filler: a letter that is drawn as nothing
        ("\u2800", "<U+2800>"),
        ("\x00", "<U+0000>"),
    ],
)
def test_T5_unseen_characters_are_written_out(text, shown):
    assert visible(text) == shown


def test_T5_ordinary_text_in_any_script_stays():
    text = "Größe ½ → 漢字 кириллица é\n\tindented 🙂"
    assert visible(text) == text


def test_T5_combining_marks_cannot_flood_the_neighbouring_lines():
    shown = visible("a" + "\u0301" * 50)
    assert sum(unicodedata.combining(char) > 0 for char in shown) <= 4


def test_T5_one_line_contexts_have_one_line():
    assert visible("a\nb\tc", lines=False) == "a<U+000A>b<U+0009>c"


def test_T5_the_limit_counts_what_is_shown_and_the_cut_is_visible():
    assert visible("\u200b" * 100, limit=20) == "<U+200B><U+200B>…"
    assert visible("short", limit=20) == "short"


@given(st.text(st.characters(codec=None)))
def test_T5_visible_text_is_printable_and_stays_the_same_when_shown_twice(text):
    shown = visible(text)
    assert visible(shown) == shown
    assert all(char in "\n\t" or char.isprintable() for char in shown)
    shown.encode("utf-8")
