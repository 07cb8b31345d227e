"""A long record is read in one pass, and readers skip what they do not look at: nothing else may be skipped."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.loop import called
from festina.report import abilities, certified, outside, tries
from festina.report.markup import visible
from festina.report.trust import seen
from festina.system.characters import odd_character

READERS: list[tuple[ModuleType, Callable[..., Any]]] = [
    (called, called.Called.take), (abilities, abilities.Abilities.take), (certified, certified.Steps.take),
    (outside, outside.Outsides.take), (tries, tries.Tries.take), (seen, seen.Seen.take),
]  # fmt: skip


@pytest.mark.parametrize(("module", "take"), READERS, ids=lambda x: getattr(x, "__name__", "").rpartition(".")[2])
def test_every_kind_that_a_reader_looks_at_is_one_that_it_does_not_skip(
    module: ModuleType, take: Callable[..., Any]
) -> None:
    looked = {getattr(e, name) for name in re.findall(r"\be\.([A-Z]\w+)", inspect.getsource(take))} - {e.Body}
    known = module._READ
    assert looked
    assert {body.kind if isinstance(next(iter(known)), str) else body for body in looked} == known


@given(st.text(max_size=60))
def test_T5_text_is_shown_as_if_each_character_were_looked_at(text: str) -> None:
    def one(char: str) -> str:
        return f"‹U+{ord(char):04X}›" if char not in "\n\t" and odd_character(char + ".") else char

    assert visible(text) == "".join(map(one, text))
