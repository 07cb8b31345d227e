"""The gateway as one run of a box sees it: what it may ask, what that costs, and what was asked.  # E-5, E-6

A run's whole allowance is held in the book before it starts, and what it used takes its place when it is over; in
between, each request is held against that allowance and settled. So a run meets its own caps only: the budget of the
whole run of the loop ends before a box is started, never inside one.

The answer goes to the box as it comes. A server that is away or says that it has too much to do is tried again for as
long as one call may take; whatever it does wrong after that is an answer with a status that clients show, and
``trouble`` names it: whether the box's run may be held against its candidate is ``Passage.endpoint_failed``.  # T-6

A candidate's requests stand in the record as salted hashes, for they may hold hidden items, and few words are soon
guessed; the salt is sealed beside the entry.  # L-5

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
import os
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
from festina.propose.gateway.relay import Relay, class_of, flaw_of
from festina.propose.gateway.rules import Accepted, judge
from festina.propose.gateway.usage import usage_in
from festina.propose.meter import Account, Cap, Caps, Cost, Price, prompt_bound
from festina.propose.wire import Broken, Patience, post

__all__ = ["Allowance", "Gateway", "Passage", "Spent"]

MAX_BODY = 4 << 20
MAX_REPLY = 8 << 20
MAX_KEPT = 8 << 20  # of requests and replies that stand in a record word for word
UNDER_WAY = 4
REFUSALS = 100
MORE = 200  # connections beside two for each call: lists of models, and refusals
TRIES = 9
TRIES_OF_AN_ERROR = 3  # 500 is said of what passes, and of requests that never will
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0  # with TRIES: a server that is started anew within half a minute ends no trial
_READING = threading.Lock()  # one at a time in the whole process: 4 MiB of brackets are 200 MiB while they are read
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
    offered: set[tuple[str, str]] = field(default_factory=set, repr=False)  # path and model: the endpoint has answered

    def passage(
        self, allowed: Allowance, asker: Literal["improver", "candidate"], *, proposal: int | None = None
    ) -> Passage:
        """Hold a run's whole allowance. Raises ``Spent``."""
        most = self.most(allowed)
        text = canonical({"allowance": {"calls": allowed.calls, "tokens": allowed.tokens}, "models": list(self.names)})
        call = self.book.hold(Ask("gateway", text, most, asker, proposal))
        if isinstance(call, str):
            raise Spent(call)
        return Passage(self, allowed, call, keep=asker == "improver")

    def most(self, allowed: Allowance) -> Cost:
        """What a run with this allowance may cost."""
        dearest = max((max(price.input, price.output) for price in self.prices.values()), default=0.0)
        return Cost.of(Price(dearest, dearest), allowed.tokens, 0, allowed.calls)

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
            asked = {"max_output_tokens": 16, "input": "1+1=", "store": False}
        elif path == "completions":
            asked = {"max_tokens": 16, "prompt": "1+1="}
        data = canonical({"model": model, **asked})
        most = Cost.of(self.prices.get(model, Price()), prompt_bound([data.decode()]), 16)
        return self._answers(path, model, data, most, recorded=data)

    def answers_again(self, lost: Lost) -> bool:
        """Whether the endpoint now answers the very request that it failed. Paid for; its words are not kept.  # L-5"""
        asked = lost.asked
        note = canonical({"again": lost.name, "model": asked.model, "path": asked.path})
        return self._answers(
            asked.path, asked.model, asked.body, lost.most, recorded=note, version=lost.version, stream=asked.stream
        )

    def _answers(
        self, path: str, model: str, data: bytes, most: Cost, *, recorded: bytes, version: str = "",
        stream: bool = False,
    ) -> bool:
        """``recorded`` stands in the record for the request; the reply stands there where that is the request."""
        call = self.book.hold(Ask(model, recorded, most, "candidate"))
        if isinstance(call, str):
            return False
        began = time.monotonic()
        patience = Patience(self.call_s, MAX_REPLY, self.book.stopped)
        ended: Ended = "ok"
        reply: bytes | None = None
        used = most
        try:
            got = post(f"{self.url}/{path}", self.headers(path, version), data, patience)
            reply = self.scrubbed(got.body)
            ended = "error" if got.status != 200 else flaw_of(got.body, stream=stream) or "ok"
            used = most if got.status == 200 else Cost(calls=1)
        except Broken as broken:
            ended = broken.ended
            used = most if broken.sent else Cost(calls=1)
        usage = usage_in(reply or b"", stream=stream)
        used = Cost.of(self.prices.get(model, Price()), *usage) if usage else used
        kept = reply if recorded is data else None
        self.book.settle(call, Answer(ended, kept, used, usage is not None, time.monotonic() - began))
        return ended == "ok"


@dataclass(frozen=True, slots=True)
class Lost:
    """A request that the endpoint failed at last. ``alone``: the box had no other under way meanwhile."""

    asked: Accepted = field(repr=False)
    most: Cost
    version: str
    name: str  # its hash in the record
    ended: Ended
    alone: bool


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
        self._lost: Lost | None = None
        self._crowded = 0  # how often another request of this box was let in beside one
        self.salt = b"" if keep else os.urandom(32)  # of the hashes in ``rows``  # L-5

    @property
    def used(self) -> Cost:
        return self._account.spent

    @property
    def trouble(self) -> Ended | None:
        """What the endpoint did at last, after all tries; None where it was asked the same again and answered."""
        return self._lost.ended if self._lost is not None else None

    @property
    def denied(self) -> tuple[str, ...]:
        """What was asked for and is never given, as it stands beside denied system calls in a trial's record."""
        return tuple(f"gateway({code})" for code in sorted(self.refused) if code in _EVIDENCE)

    def endpoint_failed(self) -> bool:
        """Whether a request failed at the endpoint, and not the endpoint at the request.  # T-6

        It failed where a question of our own fails there, too. Where that one is answered, the very request is asked
        again: what is answered now was let down by a short outage, unless the box may have caused it, with several
        requests at a time or one that takes too long. A path or model that it never answered has not failed as long
        as others answer: it does not offer this one, and who asks there buys no other roll.
        """
        gateway, lost = self._gateway, self._lost
        if lost is None:
            return False
        place = (lost.asked.path, lost.asked.model)
        if gateway.well(*place):
            return lost.ended in ("down", "error") and lost.alone and gateway.answers_again(lost)
        if place in gateway.offered:
            return True
        return not any(gateway.well(path, model) for path, model in sorted(gateway.offered))

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
            wall = time.monotonic() - self._began
            answer = Answer(self.trouble or "ok", text or None, self.used, metered, wall, salt=self.salt.hex())
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
                        self._crowded += len(self._under_way)
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

    def _hash(self, data: bytes) -> str:
        """Of a request or a reply, in the record.  # L-5"""
        return digest(self.salt + data)

    def _answer(self, request: Request, writer: Writer) -> None:
        gateway = self._gateway
        if request.method == "GET" and request.path == "/v1/models":
            rows = [{"id": name, "object": "model", "created": 0, "owned_by": "festina"} for name in gateway.names]
            writer.whole(200, json.dumps({"object": "list", "data": rows}).encode())
            return
        with _READING:
            asked = judge(request, gateway.names, gateway.max_output, new_length=gateway.new_length)
        price = gateway.prices.get(asked.model, Price())
        prompt = prompt_bound([asked.body.decode("utf-8", "surrogatepass")]) + asked.unseen
        most = Cost.of(price, prompt, asked.max_output)
        row: dict[str, Any] = {"path": asked.path, "model": asked.model, "request": self._hash(asked.body)}
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
                "status": status, "ended": ended, "reply": self._hash(reply) if reply else None, "metered": metered,
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
        gateway, version = self._gateway, headers.get("anthropic-version", "")
        url, sent = f"{gateway.url}/{asked.path}", gateway.headers(asked.path, version)
        with self._lock:
            alone, crowded = len(self._under_way) <= 1, self._crowded
        ended: Ended = "down"
        what, status = "the endpoint does not answer", 502
        wait = 0.0
        began = time.monotonic()
        tries = TRIES

        def lost(used: Cost, data: bytes, *, metered: bool) -> tuple[Ended, bytes, Cost, bool, int]:
            with self._lock:
                by_itself = alone and crowded == self._crowded
                if self._lost is None and ended != "cut":
                    name = self._hash(asked.body)
                    self._lost = Lost(asked, most, version, name, ended, by_itself)
            self._say(writer, status, ended, what, asked)
            return ended, data, used, metered, status

        for attempt in range(TRIES):
            wait = wait or min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
            late = time.monotonic() + wait - began > gateway.call_s
            if attempt and (attempt >= tries or late or self._closed.wait(wait)):
                break
            relay = Relay(writer, gateway.key, stream=asked.stream)
            patience = Patience(gateway.call_s, MAX_REPLY, lambda: self._closed.is_set() or gateway.book.stopped())
            try:
                got = post(url, sent, asked.body, patience, relay.take)
            except Broken as broken:
                ended, what, status = broken.ended, broken.what, 504 if broken.ended == "slow" else 502
                if ended == "cut" and not relay.begun and self._closed.is_set() and not gateway.book.stopped():
                    ended = "slow"  # the box's time was over before anything came
                if relay.begun or broken.sent:  # it may have worked: charged in full, and not asked again
                    return lost(most, bytes(relay.data), metered=False)
                wait = 0.0
                continue
            if got.status == 200:
                usage = usage_in(got.body, stream=asked.stream)
                used = most if usage is None else Cost.of(price, *usage)
                flaw = flaw_of(got.body, stream=asked.stream)
                if flaw is None or relay.begun:
                    relay.finish(got)
                if flaw is not None:
                    ended, what, status = flaw, "the endpoint's reply is no answer", 502
                    return lost(used, got.body, metered=usage is not None)
                self._answered(asked)
                return "ok", got.body, used, usage is not None, 200
            ended, what, status, again = class_of(got)
            if again is None:  # the request's own fault, in the endpoint's words
                with contextlib.suppress(OSError):
                    writer.whole(400, gateway.scrubbed(got.body)[: 64 << 10])
                return ended, got.body, Cost(calls=1), True, 400
            if again < 0:
                break
            wait, tries = again, TRIES_OF_AN_ERROR if got.status == 500 else TRIES
        return lost(Cost(calls=1), b"", metered=True)

    def _answered(self, asked: Accepted) -> None:
        self._gateway.offered.add((asked.path, asked.model))
        with self._lock:
            if self._lost is not None and self._lost.asked == asked:  # a client that tries again has lost nothing
                self._lost = None

    def _say(self, writer: Writer, status: int, code: str, what: str, asked: Accepted) -> None:
        if not writer.started:
            with contextlib.suppress(OSError):
                writer.refuse(Refused(status, code, what), anthropic=asked.path == "messages")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()
