"""Real HTTP traffic between the version in use and a new one: shadow, a share, or all of it.  # D-3

A proxy on loopback in front of two services. In *shadow* the version in use answers everybody and the new one sees a
copy of each request whose answer nobody gets; at a *canary* step a random share of the requests goes to the new version
alone; at the *full* step all do. Chance is drawn here for each request: no client chooses its version. A request failed
when the service could not be reached, was too slow, answered 500 or more, or where a score or an error class says so
(``verdicts``). In shadow also an answer of 400 to 499 where the other version answered with less: what clients ask
wrongly falls on both alike. ``retire`` sends everything to the version in use from the next request on, and needs no
disk and no ledger. ``close`` waits a moment for answers that are under way.

At the first two steps an answer also failed that says that it is JSON and is none, and, with ``slower``, one that took
so many times as long as the version in use usually does (``usual``): both versions are held to the same.

Too slow is the whole answer, not each read: whoever sends byte by byte is counted as late at the moment at which it is,
and cut off (a copy then, an answer to a client after ``PATIENCE`` times as long).

Requests in shadow reach the new version with what they do: give it a copy of its state, or shadow safe methods only
(``methods``). A version can tell a shadow from what follows: it sees no request that changes something unless all
methods are copied, all traffic instead of a share, and it sees it first. What it does differently later, canary and the
full step have to find. Not covered: streaming answers (they are read whole), upgrades (WebSocket), sticky sessions.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

from festina.errors import UsageError
from festina.watch.deadlines import Deadlines
from festina.watch.usual import Usual
from festina.watch.verdicts import (
    BROKEN,
    DOWN,
    LATE,
    NOTHING,
    OURS,
    REFUSED,
    SLOW,
    STATUS,
    UNSCORED,
    Judge,
    Word,
    broken,
    read,
)

MAX_BODY = 16 << 20  # bytes of a request or an answer
HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "content-length", "host", "expect",
})  # fmt: skip
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = SAFE | {"POST", "PUT", "PATCH", "DELETE"}
PATIENCE = 6.0  # times ``slow_s`` after which an answer to a client is cut off
_MARGIN_S = 0.05  # after it, so that what is cut off is late by any clock
DRAIN_S = 2.0  # longest that the end waits for answers under way
SHADOWS = 32  # copies under way at once: more are not made, and counted

Step = Literal["shadow", "canary", "full"]
Asked = tuple[str, str, tuple[tuple[str, str], ...], bytes]  # method, path, headers, body


@dataclass(frozen=True, slots=True)
class Target:
    """A service: http://HOST:PORT with an optional path before everything."""

    host: str
    port: int
    path: str = ""


def target(url: str) -> Target:
    """Raises ``UsageError`` for what is no plain HTTP address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = None, None
    if parts is None or parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment:
        raise UsageError("bad-service", f"'{url[:120]}' is no address of a service", fix="write http://HOST:PORT")
    return Target(parts.hostname, port or 80, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the monitor counts it. None: that version had no part in it."""

    new_failed: bool | None
    old_failed: bool | None
    kind: str = field(default="", compare=False)  # of the failure: the new version's, else the other's

    def event(self, step: Step) -> bool | None:
        """Whether it speaks against the new version; None where it says nothing."""
        if step == "full":
            return self.new_failed
        if step == "shadow":
            differ = None not in (self.new_failed, self.old_failed) and self.new_failed != self.old_failed
            return bool(self.new_failed) if differ else None
        return True if self.new_failed else False if self.old_failed else None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    failed: bool | None  # None: whoever judges said nothing
    kind: str = ""


@dataclass
class Split:
    """The proxy. ``seen`` is called for each finished request, from many threads, one at a time."""

    step: Step
    new: Target
    old: Target | None
    share: float
    seen: Callable[[Seen], None]
    slow_s: float = 10.0
    methods: frozenset[str] = SAFE
    retired: threading.Event = field(default_factory=threading.Event)
    least: float | None = None  # an answer with a lower score failed
    slower: float | None = None  # times what the version in use usually takes; None: only ``slow_s`` counts
    judge: Judge | None = None  # who says how good an answer was; None: the services themselves
    missed: int = 0  # copies that were not made, since too many were under way
    draw: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _copies: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(SHADOWS, "shadow"))
    _under_way: int = 0
    _open: int = 0  # requests whose answer is not sent yet
    _asking: set[_Connection] = field(default_factory=set)
    _deadlines: Deadlines = field(default_factory=Deadlines)
    _usual: Usual | None = None
    last_new: float = 0.0  # monotonic time at which the new version was last given a request
    _server: ThreadingHTTPServer | None = None

    def __post_init__(self) -> None:
        if self.slower is not None and self.step != "full":  # there nobody is beside it
            self._usual = Usual(self.slower)

    def serve(self, host: str, port: int) -> int:
        """Begin to answer; the port. Raises ``UsageError`` where that address cannot be had."""
        split = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def handle_any(self) -> None:
                split._handle(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: a client's words do not belong in a terminal."""

        for method in METHODS:
            setattr(Handler, f"do_{method}", Handler.handle_any)
        if port and any(t is not None and (t.host, t.port) == (host, port) for t in (self.new, self.old)):
            raise UsageError("split-to-itself", "the split would send requests to itself", fix="--listen another port")
        try:
            server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise UsageError(
                "cannot-listen", f"{host}:{port} cannot be had: {error.strerror}", fix="--listen HOST:PORT"
            ) from None
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="split").start()
        return int(server.server_address[1])

    def retire(self) -> None:
        """From the next request on the new version gets nothing, and the version in use everything."""
        self.retired.set()

    def close(self) -> None:
        """Take no further request, let what is under way be answered within ``DRAIN_S``, and end."""
        if self._server is not None:
            self._server.shutdown()
            ends = time.monotonic() + DRAIN_S
            time.sleep(0.02)  # what was accepted just now is being read
            while self._open and time.monotonic() < ends:
                time.sleep(0.01)
            self._server.server_close()
        self._copies.shutdown(wait=False, cancel_futures=True)
        self._deadlines.close()
        with self.lock:
            left = tuple(self._asking)
        for connection in left:
            _cut_off(connection)

    # -- one request ---------------------------------------------------------------------------------

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        with self.lock:
            self._open += 1
        try:
            body = _body(request)
            if body is not None:
                self._serve(request, body)
        finally:
            with self.lock:
                self._open -= 1

    def _serve(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        asked = (request.command, request.path, tuple(request.headers.items()), body)
        to_new = not self.retired.is_set() and (
            self.step == "full" or (self.step == "canary" and self.draw() < self.share)
        )
        copied = not self.retired.is_set() and self.step == "shadow" and request.command in self.methods
        limit = self._limit()
        copy = self._copy(asked, limit) if copied else None
        chosen = self.new if to_new else self.old
        if chosen is None:  # the full step, taken back, and nobody named the version before
            _reply(request, _Answer(503, (), b"the version in use was taken back\n", True, DOWN))
            return
        told = _Once(self._tell)
        kind = LATE if limit >= self.slow_s else SLOW
        late = Seen(True, None, kind) if chosen is self.new else Seen(None, True, kind)
        # told at the moment at which it is late, not when it has come at last
        with self._deadlines.at(limit, lambda: told(late)) if copy is None else nullcontext():
            answer = self._ask(chosen, asked, self.slow_s * PATIENCE, limit)
        _reply(request, answer)
        answer = self._judged(asked, answer)
        if chosen is self.new:
            told(Seen(answer.failed, None, answer.kind))
        elif copy is not None:
            copy.add_done_callback(lambda done: self._compared(done, answer, asked))
        else:
            told(Seen(None, answer.failed, answer.kind))

    def _limit(self) -> float:
        """Seconds from which on an answer is late, as far as is known when it is asked for."""
        known = self._usual.limit_s if self._usual is not None else None
        return self.slow_s if known is None else min(self.slow_s, known)

    def _judged(self, asked: Asked, answer: _Answer) -> _Answer:
        """What the judge says of an answer that came in time; else the answer as it is."""
        if self.judge is None or answer.failed:
            return answer
        kind = next((value for name, value in answer.headers if name.lower() == "content-type"), "")
        word = self.judge.word(asked[0], asked[1], answer.status, answer.body, kind)
        return replace(answer, failed=word.failed, kind=word.kind)

    def _copy(self, asked: Asked, limit: float) -> Future[_Answer] | None:
        with self.lock:
            if self._under_way >= SHADOWS:
                self.missed += 1
                return None
            self._under_way += 1
        try:
            return self._copies.submit(self._ask, self.new, asked, self.slow_s, limit)
        except RuntimeError:  # closed meanwhile
            with self.lock:
                self._under_way -= 1
            return None

    def _compared(self, done: Future[_Answer], old: _Answer, asked: Asked) -> None:
        with self.lock:
            self._under_way -= 1
        if not done.cancelled() and done.exception() is None:
            new = self._judged(asked, done.result())
            if self.judge is None and not new.failed and not old.failed:
                new, old = _refused(new, old), _refused(old, new)
            self._tell(Seen(new.failed, old.failed, new.kind or old.kind))

    def _tell(self, seen: Seen) -> None:
        if self.retired.is_set():
            return
        with self.lock:
            self.seen(seen)

    def _ask(self, to: Target, asked: Asked, most_s: float, limit: float) -> _Answer:
        """What a service answers, late after ``limit``; it is cut off after ``most_s``, and then none is passed on."""
        connection, cut = _Connection(to.host, to.port, timeout=self.slow_s), threading.Event()

        def end() -> None:
            cut.set()
            _cut_off(connection)

        with self.lock:
            self._asking.add(connection)
        try:
            with self._deadlines.at(most_s + _MARGIN_S, end):
                answer = self._asked(connection, to, asked, limit)
        finally:
            with self.lock:
                self._asking.discard(connection)
        return _Answer(502, (), b"the service did not finish\n", True, LATE) if cut.is_set() else answer

    def _asked(self, connection: HTTPConnection, to: Target, asked: Asked, limit: float) -> _Answer:
        method, path, headers, body = asked
        if to is self.new:
            self.last_new = time.monotonic()
        began = time.monotonic()
        try:
            connection.putrequest(method, to.path + path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", f"{to.host}:{to.port}")
            for name, value in headers:
                if name.lower() not in HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            came = connection.getresponse()
            with came:  # what ends with the connection would keep it
                data, left = came.read(MAX_BODY + 1), came.length
            took = time.monotonic() - began
            if len(data) > MAX_BODY:
                return _Answer(502, (), b"the answer is too large\n", True, DOWN)
            if left:  # it said that more would come
                raise HTTPException("cut short")
            kept = tuple((n, v) for n, v in came.getheaders() if n.lower() not in HOP | OURS)
            if to is self.old and self._usual is not None and came.status < 500:
                self._usual.took(took)
            if kind := self._plainly(method, came, data, took, limit):
                return _Answer(came.status, kept, data, True, kind)
            word = read(came.getheaders(), self.least) if self.judge is None else NOTHING
            if word is NOTHING and self.judge is None and self.least is not None:  # T-6
                word = Word(True, UNSCORED) if to is self.new else NOTHING
                return _Answer(came.status, kept, data, word.failed, word.kind)
            return _Answer(came.status, kept, data, bool(word.failed), word.kind)
        except (OSError, HTTPException, ValueError):
            late = time.monotonic() - began >= self.slow_s
            return _Answer(502, (), b"the service did not answer\n", True, LATE if late else DOWN)
        finally:
            connection.close()

    def _plainly(self, method: str, came: HTTPResponse, data: bytes, took: float, limit: float) -> str:
        """The class of a failure that shows without anybody's word; empty where none does."""
        if took >= limit:
            return LATE if took >= self.slow_s else SLOW
        if came.status >= 500:
            return STATUS
        plain = self.step != "full" and method != "HEAD"
        return BROKEN if plain and broken(came.status, came.getheaders(), data) else ""


@dataclass
class _Once:
    """Tells the first thing that it is told, and nothing after it."""

    tell: Callable[[Seen], None]
    done: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, seen: Seen) -> None:
        if self.done.acquire(blocking=False):  # never given back
            self.tell(seen)


class _Connection(HTTPConnection):
    """Keeps its socket, which the original forgets once an answer's head says that it ends with the connection."""

    wire: socket.socket | None = None

    def connect(self) -> None:
        super().connect()
        self.wire = self.sock


def _cut_off(connection: _Connection) -> None:
    """End whatever is being read; from another thread."""
    with suppress(OSError):  # ended meanwhile
        if connection.wire is not None:  # else not connected yet: then its timeout is enough
            connection.wire.shutdown(socket.SHUT_RDWR)


def _refused(mine: _Answer, other: _Answer) -> _Answer:
    """A failure where this version refuses what the other one answers."""
    return replace(mine, failed=True, kind=REFUSED) if 400 <= mine.status < 500 and other.status < 400 else mine


def _body(request: BaseHTTPRequestHandler) -> bytes | None:
    """A request's body; None, and an answer, for one that is too large or of unknown length."""
    text = request.headers.get("Content-Length", "0")
    number = text.isascii() and text.isdigit()
    if request.headers.get("Transfer-Encoding") or not number or len(text) > 15 or int(text) > MAX_BODY:
        request.close_connection = True
        request.send_error(413 if number else 411)
        return None
    return request.rfile.read(int(text))


def _reply(request: BaseHTTPRequestHandler, answer: _Answer) -> None:
    try:
        request.send_response_only(answer.status)
        for name, value in answer.headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(answer.body)
    except OSError:  # the client has gone: no failure of either version
        request.close_connection = True
