from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.review.desk_world import RULES, World


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Makes worlds with ann and bob enrolled; ``rules`` are changes to the usual ones."""
    monkeypatch.setenv("FESTINA_REVIEWER_KEYS", str(tmp_path / "reviewers"))
    made: list[World] = []

    def make(**rules: object) -> World:
        world = World(tmp_path / f"world{len(made)}", RULES.model_copy(update=rules))
        made.append(world)
        for name in ("ann", "bob"):
            world.enrol(name)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    """One of them, with a change that waits as review 0."""
    made = worlds()
    made.accept()
    made.ask()
    return made
