"""Characters that deceive, and those that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.system.characters import folded, is_git_name, odd_character, path_problem, shown, skeleton

HONEST = [
    "model/net.py",
    "a-b_c.d/e+f@g.txt",
    "données/été.csv",
    "модель.py",
    "日本語/ファイル.txt",
    "über uns.md",
    ".hidden",
    "x~1",
]


@pytest.mark.parametrize("path", HONEST)
def test_P2_honest_paths_pass(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize(
    "line", ["x = 1", "\tindented", "café ☕ 日本", "crlf\r", "عربي", "", "naïve — “quoted” …", "a\u00a0b"]
)
def test_P2_honest_lines_pass(line: str) -> None:
    assert odd_character(line) is None


@pytest.mark.parametrize(
    "code",
    [
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0x200B,
        0x200D,
        0x200E,
        0x2060,
        0xFEFF,
        0xAD,
        0x0,
        0x1B,
        0x7F,
        0x85,
        0x9B,
        0x2028,
        0x2029,
        0xFE0F,
        0xE0041,
        0xE0101,
        0x3164,
        0xE000,
        0x34F,
    ],
)
def test_P2_deceptive_characters_are_found(code: int) -> None:
    assert f"U+{code:04X}" in (odd_character(f"a{chr(code)}b") or "")
    assert path_problem(f"a{chr(code)}b.py") is not None


@given(text=st.text(max_size=60))
def test_T5_whatever_is_shown_is_plain_ascii(text: str) -> None:
    assert shown(text).isascii()
    assert shown(text).isprintable()


@given(text=st.text(max_size=40))
def test_nothing_here_raises(text: str) -> None:
    path_problem(text)
    odd_character(text)
    is_git_name(text)
    assert skeleton(text) == skeleton(folded(text))
    assert folded(text) == folded(folded(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A.py", "a.py"),
        ("café", "cafe\u0301"),
        ("\ufb01le", "file"),
        ("STRASSE", "straße"),
        ("a\u200bb", "ab"),
        ("scope", "ѕсоре"),
        ("K", "\u212a"),
    ],
)
def test_P2_names_that_are_taken_for_each_other_share_a_key(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_P2_different_honest_names_do_not_collide() -> None:
    assert len({skeleton(path) for path in HONEST}) == len(HONEST)
