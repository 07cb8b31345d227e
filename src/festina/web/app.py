"""The pages and their addresses. Every page is there as HTML and, with ``.json`` behind its address, as values.

A handler makes values from the folds (``*_view`` modules); a template lays them out. Finished pages are kept by
address for as long as the ledger stands still, so that many viewers cost what one does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from festina.errors import FestinaError, IntegrityError, UsageError
from festina.propose.text import visible
from festina.report.markup import Html
from festina.web import growth_view, proposal_view, record_view, review_view, run_view, tree
from festina.web.assets import address, assets
from festina.web.feed import Feed
from festina.web.gate import Gate, Pass
from festina.web.render import page

KEPT_PAGES = 400
QUIET_S = 15.0  # an open stream says something at least so often, so that a dead one is noticed
PER_PAGE = 100
MOVED = frozenset({"binding-differs", "review-patch-differs"})  # what was shown is not what waits: look again  # R-1
STATUS = {"bad-address": 404, "no-entry": 404, "foreign-form": 403}
Values = dict[str, Any]


class Site:
    """One start of the server: what it reads, who may ask, who decides (``reviewer``; empty: nobody does here)."""

    def __init__(
        self, feed: Feed, door: Pass, reviewer: str = "", now: Callable[[], datetime | None] = lambda: None
    ) -> None:
        self.feed, self.door, self.reviewer = feed, door, reviewer
        self.now = now  # a clock for tests; None: the machine's
        self.stopping = asyncio.Event()
        self._pages: dict[tuple[str, str], tuple[object, Response]] = {}

    def hidden(self) -> frozenset[int]:
        """Proposals whose evidence this start may not show yet.  # R-2"""
        return review_view.sealed(self.feed.state, self.reviewer)

    def forget(self) -> None:
        """Drop the finished pages that are kept."""
        self._pages.clear()

    # -- answering

    def json(self, values: Values) -> Response:
        """Values as an answer."""
        return Response(as_json(values), media_type="application/json")

    def frame(self, here: str, title: str) -> Values:
        """What every page has around it."""
        s = self.feed.state
        return {
            "here": here, "title": title, "system": s.genesis.system if s.genesis else "", "asset": address,
            "badge": run_view.state_word(self.feed), "waiting": len(s.waiting), "form": self.door.form,
            "reviewer": self.reviewer, "size": self.feed.ledger.size, "last_at": s.last_at, "notice": "",
            "broken": str(self.feed.broken) if self.feed.broken is not None else "",
        }  # fmt: skip

    def answer(
        self, request: Request, here: str, title: str, values: Callable[[], Values],
        drawn: Callable[[Values], Values] | None = None,
    ) -> Response:  # fmt: skip
        """A page from its values: JSON where the address asks for it, else the template ``here``.html."""
        key = (request.url.path, request.url.query)
        mark = (self.feed.mark, self.hidden())
        kept = self._pages.get(key)
        if kept is not None and kept[0] == mark:
            return kept[1]
        found = values()
        if request.url.path.endswith(".json"):
            answer = self.json(found)
        else:
            pictures = drawn(found) if drawn is not None else {}
            body = page(f"{here}.html", self.frame(here, title) | {"v": found} | pictures)
            answer = Response(body, media_type="text/html")
        if len(self._pages) >= KEPT_PAGES:
            self.forget()
        self._pages[key] = (mark, answer)
        return answer


def as_json(values: Values) -> bytes:
    """Values as JSON; ASCII alone, so that nothing in it can deceive a terminal.  # T-5"""

    def plain(value: object) -> object:
        if isinstance(value, Html):
            return str(value)
        if is_dataclass(value) and not isinstance(value, type):
            return {k: v for k, v in asdict(value).items() if k != "markup"}
        raise TypeError(f"{type(value).__name__} is no value of a page")

    return (json.dumps(values, default=plain, indent=1) + "\n").encode()


def number(request: Request, name: str, *, least: int = 0) -> int | None:
    """A whole number from the address, or None where it is not given. UsageError for anything else."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15) or int(text) < least:
        raise UsageError("bad-address", f"'{name}' in the address is not a number", fix="use the links of the page")
    return int(text)


Handler = Callable[[Request], Awaitable[Response]]


def pages(site: Site) -> list[Route]:
    """The reading pages."""
    feed = site.feed

    async def run(request: Request) -> Response:
        return site.answer(
            request,
            "run",
            "Run",
            lambda: run_view.view(feed, site.hidden()),
            lambda v: run_view.pictures(feed, v, site.hidden()),
        )

    async def lineage(request: Request) -> Response:
        until = number(request, "until")
        return site.answer(
            request, "lineage", "Lineage", lambda: tree.view(feed.state, until, site.hidden()),
            lambda v: {"picture": tree.picture(v)},
        )  # fmt: skip

    async def proposals(request: Request) -> Response:
        before = number(request, "before")
        return site.answer(
            request, "proposals", "Proposals", lambda: proposal_view.listed(feed.state, before, PER_PAGE, site.hidden())
        )

    async def proposal(request: Request) -> Response:
        n, first = request.path_params["number"], number(request, "line") or 0
        return site.answer(
            request, "proposal", f"Proposal {n}",
            lambda: proposal_view.view(
                feed, n, first=first, hidden=site.hidden(), veiled=review_view.veiled(feed.state, site.reviewer)
            ),
            proposal_view.pictures,
        )  # fmt: skip

    async def growth(request: Request) -> Response:
        return site.answer(
            request, "growth", "Growth", lambda: growth_view.view(feed, site.hidden()), growth_view.pictures
        )

    async def ledger(request: Request) -> Response:
        before, kind = number(request, "before"), request.query_params.get("kind", "")[:60]
        return site.answer(request, "ledger", "Ledger", lambda: record_view.view(feed, before, kind))

    async def entry(request: Request) -> Response:
        n = request.path_params["number"]
        return site.answer(request, "entry", f"Entry {n}", lambda: record_view.entry(feed, n, site.hidden()))

    return [
        *both("/", run, name="/run"), *both("/lineage", lineage), *both("/proposals", proposals),
        *both("/proposal/{number:int}", proposal), *both("/growth", growth), *both("/ledger", ledger),
        *both("/ledger/{number:int}", entry),
    ]  # fmt: skip


def both(path: str, handler: Handler, *, name: str = "") -> list[Route]:
    """A page's two addresses."""
    return [Route(path, handler), Route(f"{name or path}.json", handler)]


def machinery(site: Site) -> list[Route]:
    """Files, and the stream that tells a page that something is new."""

    async def static(request: Request) -> Response:
        found = assets().get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        kept = "private, max-age=31536000, immutable" if request.url.query == found.tag else "no-cache"
        return Response(found.data, media_type=found.type, headers={"Cache-Control": kept})

    async def events(_: Request) -> Response:
        return StreamingResponse(_stream(site), media_type="text/event-stream")

    return [Route("/static/{name:path}", static), Route("/events", events)]


async def _stream(site: Site) -> AsyncIterator[bytes]:
    """Server-sent events: the ledger's size whenever a page may look different."""
    version = site.feed.version
    yield b"retry: 1000\n\n" + _event(site)
    while not site.stopping.is_set():
        newer = await site.feed.wait(version, QUIET_S)
        yield _event(site) if newer > version else b": still here\n\n"
        version = newer


def _event(site: Site) -> bytes:
    feed, hidden = site.feed, site.hidden()
    news = next((n.text for n in reversed(feed.news) if n.about not in hidden), "")
    said = {
        "size": feed.ledger.size,
        "state": run_view.state_word(feed),
        "waiting": len(feed.state.waiting),
        "news": visible(news, limit=300),
    }
    return f"event: entry\ndata: {json.dumps(said)}\n\n".encode()


def create(site: Site, extra: list[Route] | None = None) -> ASGIApp:
    """The application behind its gate."""

    async def wrong(request: Request, error: Exception) -> Response:
        status, what, fix, name = told(error)
        if request.url.path.endswith(".json"):
            body = as_json({"error": name, "what": what, "fix": fix})
            return Response(body, status, media_type="application/json")
        values = site.frame("error", "Not shown") | {"v": {"what": what, "fix": fix, "name": name, "status": status}}
        return Response(page("error.html", values), status, media_type="text/html")

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        follower = asyncio.create_task(site.feed.follow())
        yield
        site.stopping.set()
        await site.feed.tell()
        follower.cancel()
        site.feed.foresight.close()

    async def icon(_: Request) -> Response:
        return RedirectResponse(address("icon.svg"), 302)

    routes = [*pages(site), *(extra or []), *machinery(site), Route("/favicon.ico", icon)]
    app = Starlette(routes=routes, lifespan=life, exception_handlers={FestinaError: wrong, HTTPException: wrong})
    return Gate(app, site.door)


def told(error: Exception) -> tuple[int, str, str, str]:
    """Status, what happened, what to do, and the stable name of an error, for a page."""
    if isinstance(error, HTTPException):
        words = {404: "There is no such page.", 405: "Not something that this page does."}
        return error.status_code, words.get(error.status_code, error.detail), "Go back to the run.", "no-such-page"
    if isinstance(error, IntegrityError):
        return (409 if error.name in MOVED else 500), error.what, error.fix, error.name
    if isinstance(error, FestinaError):
        return (
            STATUS.get(error.name, 404 if error.name.startswith("no-such-") else 409),
            error.what,
            error.fix,
            error.name,
        )
    return 500, "Something of Festina's own failed.", "", "fault"
