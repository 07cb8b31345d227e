"""Keys and a small ledger, made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ledger.support import Keys, make_keys, small_ledger


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    return small_ledger(tmp_path_factory.mktemp("pristine") / "ledger.db", keys)


@pytest.fixture
def ledger_file(tmp_path: Path, pristine: Path) -> Path:
    return Path(shutil.copyfile(pristine, tmp_path / "ledger.db"))
