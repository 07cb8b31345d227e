"""Open a system's ledger and serve its pages on this machine's loopback until somebody stops it."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from festina.errors import UsageError
from festina.ledger.log import Ledger
from festina.review.desk import reviewer_key
from festina.system import home as homes
from festina.system.repo import Repo

if TYPE_CHECKING:
    from festina.web.feed import Feed

NEEDED = ("starlette", "uvicorn", "jinja2")
LOOPBACK = "127.0.0.1"


def require_extra() -> None:
    """UsageError with the remedy where the pages' libraries are missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            "web-extra-missing", f"the pages need {', '.join(missing)}, which this installation does not have",
            fix="pip install 'festina[web]'; everything is also there in a terminal: festina status, festina review",
        )  # fmt: skip


def bind(port: int) -> socket.socket:
    """A listening socket on loopback alone. ``port`` 0: a free one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError as error:
        sock.close()
        raise UsageError(
            "port-taken", f"port {port} cannot be used: {error.strerror}", fix="--port 0 takes a free one"
        ) from None
    sock.listen(128)
    return sock


def settle(feed: Feed) -> None:
    """Do now what the first visitor would wait for: compile the templates, certify the line, set the folds apart.

    Those stay for good, and a collection that walks through those of a long record takes half a second of some page's.
    """
    from festina.web.render import environment
    from festina.web.run_view import certified

    found = environment()
    for name in found.list_templates():
        found.get_template(name)
    certified(feed.state)
    gc.collect()
    gc.freeze()


def serve(root: Path, *, port: int, reviewer: str, started: Callable[[str], None]) -> None:
    """Serve the system at ``root``. ``started`` is told the address, token included, before the first request."""
    require_extra()
    import uvicorn

    from festina.web.acting import acts
    from festina.web.app import Site, create
    from festina.web.assets import assets
    from festina.web.feed import Feed
    from festina.web.gate import Pass

    repo = Repo.discover(root)
    home = homes.require(repo)
    assets()
    if reviewer:
        reviewer_key(reviewer, home=home.path)  # its owner started this, or it ends here
    with Ledger.open(home.ledger, readonly=not reviewer) as ledger:  # without the engine's key: only people's entries
        feed = Feed(ledger, repo, home)
        if reviewer and reviewer not in feed.state.reviewers:
            raise UsageError(
                "not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}"
            )
        settle(feed)
        sock = bind(port)
        door = Pass(sock.getsockname()[1])
        site = Site(feed, door, reviewer)
        config = uvicorn.Config(
            create(site, acts(site)), log_level="error", access_log=False, server_header=False, date_header=False,
            timeout_graceful_shutdown=1, h11_max_incomplete_event_size=32 << 10, limit_concurrency=400,
        )  # fmt: skip
        started(f"http://{LOOPBACK}:{sock.getsockname()[1]}/?token={door.token}")
        try:
            uvicorn.Server(config).run(sockets=[sock])
        finally:
            sock.close()
