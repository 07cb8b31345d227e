from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.review.conftest import world, worlds  # noqa: F401 - fixtures
from tests.web.signed import SignedLoop, made
from tests.web.visiting import Visitor


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedLoop]:
    """One signed run that no test adds to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESTINA_REVIEWER_KEYS", str(tmp_path_factory.mktemp("reviewers")))
        found = made(tmp_path_factory.mktemp("web") / "run")
        yield found
    assert found.ledger is not None
    found.ledger.close()


@pytest.fixture
def visitor(loop: SignedLoop) -> Iterator[Visitor]:
    feed = loop.feed()
    yield Visitor.of(feed)
    feed.ledger.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run"
