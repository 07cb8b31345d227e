"""The gateway as one run of a box sees it: what it may ask, what that costs, and what was asked.  # E-5, E-6

A run's whole allowance is held in the book before it starts, and what it used takes its place when it is over; in
between, each request is held against that allowance and settled. So a run meets its own caps only: the budget of the
whole run of the loop ends before a box is started, never inside one.

The answer goes to the box as it comes. Whatever the endpoint does wrong, after three tries, is an answer with a status
that clients show, and ``trouble`` names it: whether the box's run may be held against its candidate is for the caller
to find out (``Gateway.well``).  # T-6

Invariants: the key is in one header of requests to the endpoint and nowhere else; nothing of the box's headers is
passed on but a version of the protocol; a run has few requests under way, and a bounded number of refusals, after which
nobody listens.

Not covered: what a prompt says to the provider (whoever answers prompts can be told secrets of the box); whether an
endpoint counts honestly.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from festina.ledger.calling import Ended
from festina.ledger.canonical import canonical
from festina.propose.book import Answer, Ask, Book, digest
from festina.propose.chat import scrubbed
from festina.propose.gateway.http import Refused, Request, Writer, drain, read_request
from festina.propose.gateway.rules import Accepted, judge
from festina.propose.gateway.usage import usage_in
from festina.propose.meter import Account, Cap, Caps, Cost, Price, prompt_bound
from festina.propose.wire import Broken, Got, Patience, post

__all__ = ["Allowance", "Gateway", "Passage", "Spent"]

MAX_BODY = 4 << 20
MAX_REPLY = 8 << 20
MAX_KEPT = 8 << 20  # of requests and replies that stand in a record word for word
UNDER_WAY = 4
REFUSALS = 100
MORE = 200  # connections beside two for each call: lists of models, and refusals
TRIES = 3
FIRST_WAIT_S = 0.5
_READING = threading.Lock()  # one at a time in the whole process: 4 MiB of brackets are 200 MiB while they are read
_PASSING = (429, 500, 502, 503, 504, 529)
_EVIDENCE = ("path", "model", "tool", "content")  # tries for what is never given; the others may be mistakes
_VERSION = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


class Spent(Exception):
    """The run's budget for models does not allow another box."""

    def __init__(self, cap: Cap) -> None:
        super().__init__(cap)
        self.cap = cap


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one run of a box may use at most."""

    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where models are asked, which, at what price, and for how much in one box."""

    url: str
    key: str = field(repr=False)
    names: tuple[str, ...]
    prices: Mapping[str, Price]
    max_output: int
    call_s: float
    book: Book = field(repr=False)
    offered: set[str] = field(default_factory=set, repr=False)  # paths on which the endpoint has answered

    def passage(
        self, allowed: Allowance, asker: Literal["improver", "candidate"], *, proposal: int | None = None
    ) -> Passage:
        """Hold a run's whole allowance. Raises ``Spent``."""
        dearest = max((max(price.input, price.output) for price in self.prices.values()), default=0.0)
        most = Cost.of(Price(dearest, dearest), allowed.tokens, 0, allowed.calls)
        text = canonical({"allowance": {"calls": allowed.calls, "tokens": allowed.tokens}, "models": list(self.names)})
        call = self.book.hold(Ask("gateway", text, most, asker, proposal))
        if isinstance(call, str):
            raise Spent(call)
        return Passage(self, allowed, call, keep=asker == "improver")

    def headers(self, path: str, version: str) -> dict[str, str]:
        """Of a request to the endpoint."""
        found = {"Content-Type": "application/json", "User-Agent": "festina"}
        if path == "messages":
            found["anthropic-version"] = version if _VERSION.fullmatch(version) else "2023-06-01"
            if self.key:
                found["x-api-key"] = self.key
        if self.key and not (path == "messages" and self._host.endswith(".anthropic.com")):
            found["Authorization"] = f"Bearer {self.key}"
        return found

    @property
    def _host(self) -> str:
        return self.url.partition("://")[2].partition("/")[0].partition(":")[0]

    @property
    def new_length(self) -> bool:
        """Whether chat requests name the answer's length by the newer key alone."""
        return self._host == "api.openai.com" or self._host.endswith(".openai.azure.com")

    def scrubbed(self, body: bytes) -> bytes:
        """What the endpoint said, without the key.  # T-1"""
        return scrubbed(body, self.key)

    def well(self, path: str, model: str) -> bool:
        """Whether the endpoint answers a question of our own there now. It is paid for like any other."""
        key = "max_completion_tokens" if self.new_length else "max_tokens"
        asked: dict[str, Any] = {key: 16, "messages": [{"role": "user", "content": "1+1="}]}
        if path == "responses":
            asked = {"max_output_tokens": 16, "input": "1+1="}
        elif path == "completions":
            asked = {"max_tokens": 16, "prompt": "1+1="}
        data = canonical({"model": model, **asked})
        price = self.prices.get(model, Price())
        most = Cost.of(price, prompt_bound([data.decode()]), 16)
        call = self.book.hold(Ask(model, data, most, "candidate"))
        if isinstance(call, str):
            return False
        began = time.monotonic()
        patience = Patience(self.call_s, MAX_REPLY, self.book.stopped)
        ended: Ended = "ok"
        reply: bytes | None = None
        used = most
        try:
            got = post(f"{self.url}/{path}", self.headers(path, ""), data, patience)
            ended, reply = "ok" if got.status == 200 else "error", self.scrubbed(got.body)
            used = most if ended == "ok" else Cost(calls=1)
        except Broken as broken:
            ended = broken.ended
            used = most if broken.sent else Cost(calls=1)
        usage = usage_in(reply or b"", stream=False)
        used = Cost.of(price, *usage) if usage else used
        self.book.settle(call, Answer(ended, reply, used, usage is not None, time.monotonic() - began))
        return ended == "ok"


class Passage:
    """The door of one run. ``rows`` is the record of what was asked; ``refused`` names what was not let through."""

    def __init__(self, gateway: Gateway, allowed: Allowance, call: int, *, keep: bool) -> None:
        self._gateway = gateway
        self._caps = Caps(tokens=allowed.tokens, calls=allowed.calls)
        self.call = call  # its number in the book
        self._keep = keep
        self._most = 2 * allowed.calls + MORE  # connections
        self._lock = threading.Lock()
        self._account = Account()
        self._kept = 0
        self._listener: socket.socket | None = None
        self._doorman: threading.Thread | None = None
        self._threads: list[threading.Thread] = []
        self._under_way: set[socket.socket] = set()
        self._closed = threading.Event()
        self._settled = False
        self._began = time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self.refused: dict[str, int] = {}
        self.trouble: Ended | None = None  # what the endpoint did at last, after all tries
        self._where = ("", "")  # on which path, asked for which model

    @property
    def used(self) -> Cost:
        return self._account.spent

    @property
    def denied(self) -> tuple[str, ...]:
        """What was asked for and is never given, as it stands beside denied system calls in a trial's record."""
        return tuple(f"gateway({code})" for code in sorted(self.refused) if code in _EVIDENCE)

    def endpoint_failed(self) -> bool:
        """Whether a request failed at the endpoint and a question of our own fails there, too.  # T-6

        On a path where it never answered, it has not failed as long as it answers on another: it does not offer this
        one, and who asks there buys no other roll.
        """
        gateway, (path, model) = self._gateway, self._where
        if self.trouble is None or gateway.well(path, model):
            return False
        return path in gateway.offered or not any(gateway.well(other, model) for other in sorted(gateway.offered))

    # -- the door

    def open(self, listener: socket.socket) -> None:
        self._listener = listener
        self._doorman = threading.Thread(target=self._listen, args=(listener,), name="gateway", daemon=True)
        self._doorman.start()

    def close(self) -> None:
        """Hang up on everybody, wait for what is under way, enter what it came to. Once."""
        self._closed.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        if self._doorman is not None:
            self._doorman.join()  # from here on nobody new is let in
        with self._lock:
            live, threads = list(self._under_way), list(self._threads)
        for connection in live:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        if self._listener is not None:
            self._listener.close()
        if not self._settled:
            self._settled = True
            text = b"".join(canonical(row) + b"\n" for row in self.rows)
            metered = all(row.get("metered", True) for row in self.rows)
            answer = Answer(self.trouble or "ok", text or None, self.used, metered, time.monotonic() - self._began)
            self._gateway.book.settle(self.call, answer)

    def _start(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(connection,), name="gateway", daemon=True)
        with self._lock:
            self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    def _listen(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # shut down: the run is over
            while not self._closed.is_set():
                connection, _ = listener.accept()
                with self._lock:
                    busy = len(self._under_way) >= UNDER_WAY
                    self._most -= 1
                    games = self._most < 0 or sum(self.refused.values()) >= REFUSALS or self._closed.is_set()
                    if not busy and not games:
                        self._under_way.add(connection)
                if games:  # nobody listens any more, so that a flood costs the engine nothing
                    connection.close()
                    listener.shutdown(socket.SHUT_RDWR)
                elif busy:
                    self._turn_away(connection)
                else:
                    self._start(connection)

    def _turn_away(self, connection: socket.socket) -> None:
        self._note("busy")
        with connection, contextlib.suppress(OSError):
            text = f"at most {UNDER_WAY} requests at a time"
            Writer(connection).refuse(Refused(429, "busy", text), anthropic=False)

    def _serve(self, connection: socket.socket) -> None:
        """One request, one answer; then the connection is over."""
        writer = Writer(connection)
        path = ""
        try:
            request = read_request(connection, MAX_BODY)
            if request is not None:
                path = request.path
                self._answer(request, writer)
        except Refused as refused:
            self._note(refused.code)
            with contextlib.suppress(OSError):
                if not writer.started:
                    writer.refuse(refused, anthropic=path.endswith("/messages"))
        except OSError:
            pass  # the box hung up, or its run is over
        finally:
            with self._lock:
                self._under_way.discard(connection)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                drain(connection)
            connection.close()

    def _note(self, code: str) -> None:
        with self._lock:
            self.refused[code] = self.refused.get(code, 0) + 1

    # -- one request

    def _answer(self, request: Request, writer: Writer) -> None:
        gateway = self._gateway
        if request.method == "GET" and request.path == "/v1/models":
            rows = [{"id": name, "object": "model", "created": 0, "owned_by": "festina"} for name in gateway.names]
            writer.whole(200, json.dumps({"object": "list", "data": rows}).encode())
            return
        with _READING:
            asked = judge(request, gateway.names, gateway.max_output, new_length=gateway.new_length)
        price = gateway.prices.get(asked.model, Price())
        most = Cost.of(price, prompt_bound([asked.body.decode("utf-8", "surrogatepass")]), asked.max_output)
        row: dict[str, Any] = {"path": asked.path, "model": asked.model, "request": digest(asked.body)}
        with self._lock:
            number = len(self.rows)
            cap = self._account.over(self._caps, most)
            if cap is None:
                self._account = self._account.hold(number, most)
                self.rows.append(row)
        if cap is not None:
            limit = self._caps.calls if cap == "calls" else self._caps.tokens
            raise Refused(402, "budget", f"this run may use {limit} {cap}, and this request could pass that")
        began = time.monotonic()
        ended, reply, used, metered, status = self._ask(asked, request.headers, writer, most, price)
        reply = gateway.scrubbed(reply)
        with self._lock:
            self._account = self._account.settle(number, used)
            row |= {
                "status": status, "ended": ended, "reply": digest(reply) if reply else None, "metered": metered,
                "tokens_in": used.tokens_in, "tokens_out": used.tokens_out,
                "wall_s": round(time.monotonic() - began, 3),
            }  # fmt: skip
            if self._keep and self._kept + len(asked.body) + len(reply) <= MAX_KEPT:
                self._kept += len(asked.body) + len(reply)
                row |= {"asked": _text(asked.body), "answered": _text(reply)}

    def _ask(
        self, asked: Accepted, headers: Mapping[str, str], writer: Writer, most: Cost, price: Price
    ) -> tuple[Ended, bytes, Cost, bool, int]:
        """Ask the endpoint, pass on what comes. (class, reply, used, whether the reply said so, status for the box)"""
        gateway = self._gateway
        url, sent = f"{gateway.url}/{asked.path}", gateway.headers(asked.path, headers.get("anthropic-version", ""))
        ended: Ended = "down"
        what, status = "the endpoint does not answer", 502
        wait = 0.0
        for attempt in range(TRIES):
            if attempt and self._closed.wait(wait or FIRST_WAIT_S * 2**attempt):
                break
            relay = _Relay(writer, gateway, stream=asked.stream)
            patience = Patience(gateway.call_s, MAX_REPLY, lambda: self._closed.is_set() or gateway.book.stopped())
            try:
                got = post(url, sent, asked.body, patience, relay.take)
            except Broken as broken:
                ended, what, status = broken.ended, broken.what, 504 if broken.ended == "slow" else 502
                if relay.begun or broken.sent:  # it may have worked: charged in full, and not asked again
                    self._trouble(ended, asked)
                    self._say(writer, status, ended, what, asked)
                    return ended, bytes(relay.data), most, False, status
                continue
            if got.status == 200:
                usage = usage_in(got.body, stream=asked.stream)
                used = most if usage is None else Cost.of(price, *usage)
                relay.finish(got)
                gateway.offered.add(asked.path)
                return "ok", got.body, used, usage is not None, 200
            ended, what, status, again = _class_of(got)
            if again is None:  # the request's own fault, in the endpoint's words
                with contextlib.suppress(OSError):
                    writer.whole(400, gateway.scrubbed(got.body)[: 64 << 10])
                return ended, got.body, Cost(calls=1), True, 400
            if again < 0:
                break
            wait = again
        self._trouble(ended, asked)
        self._say(writer, status, ended, what, asked)
        return ended, b"", Cost(calls=1), True, status

    def _trouble(self, ended: Ended, asked: Accepted) -> None:
        if not self._closed.is_set() and ended != "cut":
            self.trouble, self._where = ended, (asked.path, asked.model)

    def _say(self, writer: Writer, status: int, code: str, what: str, asked: Accepted) -> None:
        if not writer.started:
            with contextlib.suppress(OSError):
                writer.refuse(Refused(status, code, what), anthropic=asked.path == "messages")


class _Relay:
    """A reply on its way to the box. Whole replies wait until they are whole; streams are passed on as they come.

    Neither with the key: the end of a piece that could be its beginning waits for the next piece.  # T-1
    """

    def __init__(self, writer: Writer, gateway: Gateway, *, stream: bool) -> None:
        self._writer = writer
        self._gateway = gateway
        self._waiting = b""
        self._stream = stream
        self.begun = False
        self.data = bytearray()

    def take(self, status: int, headers: Mapping[str, str], piece: bytes) -> bool:
        self.data += piece
        if status != 200 or not self._stream:
            return True
        try:
            if not self.begun:
                self.begun = True
                kind = headers.get("content-type", "")
                self._writer.begin_stream("text/event-stream" if "event-stream" in kind else "application/json")
            self._writer.chunk(self._harmless(piece))
        except OSError:
            return False
        return True

    def _harmless(self, piece: bytes) -> bytes:
        data, key = self._gateway.scrubbed(self._waiting + piece), self._gateway.key.encode()
        held = next((size for size in range(len(key) - 1, 0, -1) if data.endswith(key[:size])), 0)
        self._waiting = data[len(data) - held :]
        return data[: len(data) - held]

    def finish(self, got: Got) -> None:
        with contextlib.suppress(OSError):
            if self.begun:
                self._writer.chunk(self._waiting)
                self._writer.end_stream()
            else:
                self._writer.whole(200, self._gateway.scrubbed(got.body))


def _class_of(got: Got) -> tuple[Ended, str, int, float | None]:
    """Of a reply that is no success: (class, words, status for the box, seconds until it may be tried again).

    None: it is the request that is wrong. Below 0: trying again is of no use.
    """
    if got.status in _PASSING:
        try:
            after = float(got.headers.get("retry-after", "0"))
        except ValueError:
            after = 0.0
        wait = after if 0 <= after <= 10 else 0.0
        if got.status == 429:
            return "limited", "the endpoint says that there were too many requests", 429, wait
        return "error", f"the endpoint answered {got.status}", 502, wait
    if got.status in (401, 403):
        return "auth", "the endpoint does not accept the operator's key", 502, -1.0
    if 400 <= got.status < 500:
        return "refused", "the endpoint refused the request", 400, None
    return "error", f"the endpoint answered {got.status}", 502, -1.0


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()
