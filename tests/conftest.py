"""Fixtures that several rooms share. Each test has homes and reviewers' keys of its own."""

from __future__ import annotations

import signal
import socketserver
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, here and in CI, and no deadline: a busy machine is no finding, and what luck finds
# is nobody's change. `--hypothesis-profile=explore` looks at other examples each time.
SLOW = [HealthCheck.too_slow]
settings.register_profile("same", derandomize=True, deadline=None, database=None, suppress_health_check=SLOW)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background of a script: Ctrl-C is tested, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SAID = socketserver.BaseServer.handle_error


def _only_faults(server: socketserver.BaseServer, request: Any, client: Any) -> None:
    """A client that left is no fault of a test's server, whose words would stand in what a later test captures."""
    if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
        _SAID(server, request, client)


socketserver.BaseServer.handle_error = _only_faults  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _own_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test ever touches the operator's own homes or keys."""
    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    monkeypatch.setenv("FESTINA_REVIEWER_KEYS", str(tmp_path / "reviewers"))
