"""A visitor of the pages, without a socket: requests go straight into the application."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import html5lib
import httpx

from festina.web.acting import acts
from festina.web.app import Site, create
from festina.web.feed import Feed
from festina.web.gate import Pass

PORT = 8123
HOST = f"127.0.0.1:{PORT}"


@dataclass
class Visitor:
    """Holds the cookie unless told otherwise."""

    site: Site
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, feed: Feed, reviewer: str = "") -> Visitor:
        door = Pass(PORT)
        return cls(Site(feed, door, reviewer), {"host": HOST, "cookie": f"{door.cookie}={door.session}"})

    def ask(
        self, path: str, method: str = "GET", *, data: dict[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        sent = {k: v for k, v in (self.headers | headers).items() if v}

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(create(self.site, acts(self.site)))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
                request = client.build_request(method, path, data=data, headers=sent)
                if "host" not in sent:
                    del request.headers["host"]
                return await client.send(request)

        return asyncio.run(asked())

    def page(self, path: str) -> str:
        answer = self.ask(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:2000])
        return answer.text


def structure(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every element with the names of its attributes, in order: what the page *is*, whatever its words say."""
    parser = html5lib.HTMLParser(strict=False, namespaceHTMLElements=False)
    tree: Any = parser.parse(text)
    names = [(str(x.tag), tuple(sorted(map(str, x.attrib)))) for x in tree.iter() if isinstance(x.tag, str)]
    assert not [error for _, error, _ in parser.errors if error not in TOLERATED], parser.errors[:5]
    return names


TOLERATED = {"expected-doctype-but-got-start-tag"}
