"""Who may ask: every request passes here before any page is made.  # T-5

In order: the ``Host`` header names this server (a foreign name that was re-bound to loopback does not), the visitor
holds the token of this start (once in the address, then in a cookie), and a request that changes something comes from
one of our own pages (its origin, and a form value that no other site can read). Answers carry a policy under which a
page runs no script but ours, loads nothing from elsewhere and stands in no frame.

Not covered: other programs of the same user on this machine, which can read what the browser reads; another server on
this machine that the same browser visits is sent the cookie too (cookies know no ports).
"""

from __future__ import annotations

import hashlib
import hmac
import html
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_FORM_BYTES = 64 << 10  # a reason has at most 4,000 characters
MAX_PATH = 300  # characters; the longest of ours has a few dozen
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SAFE = ":/%#?=@[]!$&'()*+,;"  # what an address of a redirection holds as it is
LOST = "This page belongs to one start of `festina web`: open the address that it printed."


class Pass:
    """The secrets of one start: the token in the printed address, the cookie, and the value that forms carry."""

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self.cookie = f"festina-{port}"
        self._secret = secrets.token_bytes(32)
        self.session = self._derived("session")
        self.form = self._derived("form")
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    def _derived(self, use: str) -> str:
        return hmac.new(self._secret, use.encode(), hashlib.sha256).hexdigest()


def same(a: str, b: str) -> bool:
    """Equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(a.encode("utf-8", "surrogateescape"), b.encode())


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, door: Pass) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no page opens a socket of another kind

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        answer = self._refusal(scope)
        await (self.app if answer is None else answer)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why this request goes no further, or None."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self.door.hosts or len(headers.getlist("host")) != 1:
            return PlainTextResponse("This server answers to its own address alone.", 421)
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Not something that a page here does.", 405)
        if len(scope["path"]) > MAX_PATH:
            return PlainTextResponse("No page here has such an address.", 414)
        given = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        if "token" in given and method == "GET":
            return self._welcome(scope["path"], given, headers.get("sec-fetch-site", ""))
        if not same(_cookie(headers, self.door.cookie), self.door.session):
            return PlainTextResponse(LOST, 403)
        return self._foreign(headers) if method == "POST" else None

    def _welcome(self, path: str, given: dict[str, str], site: str) -> Response:
        """Trade the token for a cookie, so that no address that is shared or kept holds it.

        A browser that was led here by another page (the file that ``festina web`` opens) does not send the cookie
        along a redirection; a page of ours that leads on is answered with it.
        """
        if not same(given.pop("token"), self.door.token):
            return PlainTextResponse(LOST, 403)
        target = quote("/" + path.lstrip("/\\"), safe=SAFE) + (f"?{urlencode(given)}" if given else "")
        answer: Response = RedirectResponse(target, 303)  # never another host's
        if site == "cross-site":
            answer = HTMLResponse(
                '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
                f'<title>Festina</title><meta http-equiv="refresh" content="0;url={html.escape(target)}">'
            )
        answer.set_cookie(self.door.cookie, self.door.session, httponly=True, samesite="strict", path="/")
        return answer

    def _foreign(self, headers: Headers) -> Response | None:
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.door.hosts}:
            return PlainTextResponse("A form of another site.", 403)
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("A form of another site.", 403)
        size = headers.get("content-length", "")
        if not (size.isascii() and size.isdigit() and len(size) <= 15) or int(size) > MAX_FORM_BYTES:
            return PlainTextResponse("More than a form of ours holds.", 413)
        if headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
            return PlainTextResponse("Not a form of ours.", 415)
        return None


def _cookie(headers: Mapping[str, str], name: str) -> str:
    return cookie_parser(headers.get("cookie", "")).get(name, "")
