"""Fixtures that tests of the split share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.watch.services import Service


@pytest.fixture
def pair() -> Iterator[tuple[Service, Service]]:
    old, new = Service("old"), Service("new")
    yield old, new
    for service in (old, new):
        if service.server is not None:
            service.server.shutdown()
            service.server.server_close()
