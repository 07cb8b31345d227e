"""Globs: checked against a slow and obvious matcher."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.system.globs import matches, problem

pieces = st.lists(st.sampled_from(["a", "b", "*", "?", "**", "ab"]), min_size=1, max_size=4)
patterns = st.lists(pieces, min_size=1, max_size=4).map(
    lambda parts: "/".join("**" if "**" in part else "".join(part) for part in parts)
)
paths = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


def slow_text(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(slow_text(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and slow_text(pattern[1:], text[1:])


def slow(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        least = 1 if len(pattern) == 1 else 0
        return any(slow(pattern[1:], path[n:]) for n in range(least, len(path) + 1))
    return bool(path) and slow_text(pattern[0], path[0]) and slow(pattern[1:], path[1:])


@settings(max_examples=150)
@given(pattern=patterns, path=paths)
def test_P2_globs_mean_what_the_obvious_matcher_says(pattern: str, path: str) -> None:
    parts = pattern.split("/")
    assert matches(pattern, path) == slow(parts, path.split("/"))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("train.py", "train.py", True),
        ("train.py", "x/train.py", False),
        ("*.py", "x/a.py", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "x/y/a.py", True),
        ("model/**", "model/a/b", True),
        ("model/**", "model", False),
        ("model/**", "models/a", False),
        ("**", "anything/at/all", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("?.py", "ab.py", False),
        ("*", ".hidden", True),
    ],
)
def test_globs_by_example(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_T5_hostile_paths_cost_no_time() -> None:
    before = time.process_time()
    assert not matches("**/" * 20 + "a*" * 30 + "b", "/".join(["a" * 200] * 40))
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    "pattern", ["", "/a", "a/", "a//b", "../a", "./a", "a[0-9]", "{a,b}", "!a", "a\\b", "a**", "a\nb"]
)
def test_odd_globs_are_named(pattern: str) -> None:
    assert problem(pattern)


@pytest.mark.parametrize("pattern", ["a", "*", "**", "**/*.py", "a/**/b?.txt", "ünï/*"])
def test_good_globs_pass(pattern: str) -> None:
    assert problem(pattern) is None


@given(path=st.text(max_size=40))
def test_any_text_can_be_matched(path: str) -> None:
    assert matches("**", path)
