"""Asking a model over the OpenAI protocol, whatever the server does: classified, charged, entered, bounded.  # E-5, T-5

``ChatModel.complete`` is the seam. ``HttpModel`` holds the worst case of a call in the book, makes it, and settles it;
what fails in a way that may pass (nothing there, too many requests, an overloaded server) is tried again after a
while that doubles up to a minute, or that the server names, as long as the time given allows: a server that is started
anew ends no run. Every attempt is a call of its own in the
book. A reply that was paid for before a crash is taken from the book and not asked for again.

What a failed attempt costs: nothing where the server cannot have worked or said that it refused (no connection, an HTTP
error); all that was held where it may have worked and did not say what it used.

Not covered: streaming (never asked for), tools, images, logprobs; what the words of a reply mean.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from festina.errors import IntegrityError, UsageError
from festina.ledger.calling import Ended
from festina.ledger.canonical import canonical, parse_strict
from festina.propose.book import Answer, Ask, Book
from festina.propose.meter import Cap, Cost, Price, prompt_bound, usage_of
from festina.propose.wire import Broken, Got, Patience, post

__all__ = ["ChatModel", "Completion", "Endpoint", "Failed", "HttpModel", "Request", "key_from", "scrubbed"]

SENT_ATTEMPTS = 4  # of one completion that end without an answer after the request was sent: each may cost money
SLOW_ATTEMPTS = 2  # each costs the whole time, and is charged in full
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
REPLY_BYTES = 4 << 20
REPLY_DEPTH = 32
OVERLOADED = (500, 502, 503, 504, 529)
SECRET = 8
SAID_BYTES = 16 << 10  # of an error that are read for the field that it does not take
_DENIED = re.compile(
    r"un(?:supported|known|recogni[sz]ed|expected)|deprecated|only the default|extra[_ ](?:forbidden|fields|inputs)"
    r"|(?:not|n't) (?:been |yet )?(?:support|implement|allow|permit|accept|recogni|available|take)"
)
OPTIONAL = ("response_format", "max_tokens", "temperature", "seed")  # what a server may not know, and say so


@dataclass(frozen=True, slots=True)
class Request:
    """One completion. ``messages`` are (role, text)."""

    model: str
    messages: Sequence[tuple[Literal["system", "user", "assistant"], str]]
    temperature: float
    seed: int
    max_output: int
    wall_s: float  # for all attempts together
    proposal: int | None = None
    schema: Mapping[str, Any] | None = None  # the answer is a JSON object like this, where the server can see to it


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said. ``cut_short``: it ran into ``max_output``."""

    text: str
    cut_short: bool
    used: Cost


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing that can be used came. ``ended`` is a cap's name where the budget allows no call."""

    ended: Ended | Cap
    what: str  # in the engine's words
    paid: bool = False  # it was charged as if the server had worked

    @property
    def spent(self) -> bool:
        return self.ended in ("tokens", "money", "calls")


class ChatModel(Protocol):
    """Must not raise for what a server does. Safe to use from several threads."""

    def complete(self, request: Request) -> Completion | Failed: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where models are asked. ``key`` never leaves this process but in the one header."""

    url: str
    key: str = field(default="", repr=False)
    call_s: float = 120.0
    prices: Mapping[str, Price] = field(default_factory=dict)


def key_from(variable: str | None) -> str:
    """The key in the environment. UsageError: none is there, or it cannot stand in a header."""
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        what = f"the variable {variable} holds no key" if not key else f"the key in {variable} is no plain text"
        raise UsageError("no-model-key", what, fix=f"export {variable}=…, or name another in model.key_env",
                         where="festina.toml: model.key_env")  # fmt: skip
    return key


def scrubbed(body: bytes, key: str) -> bytes:
    """What a server said, without the key, which it may quote.  # T-1

    A key of fewer than ``SECRET`` characters guards nothing, and may be a piece of any word: "token", "test", "x".
    """
    return body.replace(key.encode(), b"[key]") if len(key) >= SECRET else body


class HttpModel:
    """The models behind one endpoint. Remembers, for as long as it lives, what a server said that it does not know."""

    def __init__(self, endpoint: Endpoint, book: Book) -> None:
        self._at = endpoint
        self._book = book
        self._left_out: dict[str, frozenset[str]] = {}

    def complete(self, request: Request) -> Completion | Failed:
        deadline = time.monotonic() + request.wall_s
        coins = random.Random(request.seed)
        failed = Failed("slow", "there is no time for a call")
        attempt = sent = slow = 0
        while time.monotonic() < deadline and not self._book.stopped():
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt) * (0.5 + coins.random())
            found = self._once(request, deadline)
            if isinstance(found, Completion):
                return found
            failed, again = found
            if again is None:
                return failed
            if again == "at once":  # with fewer options; happens at most once for each of them
                continue
            attempt += 1
            sent += failed.paid
            slow += failed.ended == "slow"
            wait = max(wait, again) if failed.ended != "slow" else 0.0
            if sent >= SENT_ATTEMPTS or slow >= SLOW_ATTEMPTS or time.monotonic() + wait >= deadline:
                return failed
            self._sleep(wait)
        return failed if not self._book.stopped() else Failed("cut", "stopped by the operator or the clock")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._book.stopped():
            time.sleep(min(left, 0.1))

    def _once(
        self, request: Request, deadline: float
    ) -> Completion | tuple[Failed, float | Literal["at once"] | None]:
        """One call: what came, or how it failed and after how many seconds it may be tried again (None: not)."""
        data = self._bytes(request)
        price = self._at.prices.get(request.model, Price())
        paid = self._book.paid(data)
        if paid is not None:
            return _read(paid, Cost()) or (Failed("schema", "the recorded reply cannot be read"), None)
        texts = [text for _, text in request.messages]
        texts += [canonical(request.schema).decode()] if request.schema is not None else []  # a prompt may hold it
        most = Cost.of(price, prompt_bound(texts), request.max_output)
        call = self._book.hold(Ask(request.model, data, most, proposal=request.proposal))
        if isinstance(call, str):
            return Failed(call, f"the run's cap on {call} allows no other call"), None
        began = time.monotonic()
        patience = Patience(
            max(0.05, min(self._at.call_s, deadline - began)), REPLY_BYTES, self._book.stopped
        )
        try:
            got = post(f"{self._at.url}/chat/completions", self._headers(), data, patience)
        except Broken as broken:
            used = most if broken.sent else Cost(calls=1)
            self._settle(call, broken.ended, None, used, began, metered=not broken.sent)
            again = 0.0 if broken.ended in ("down", "slow") else None
            return Failed(broken.ended, broken.what, paid=broken.sent), again
        return self._judge(request, call, got, most, price, began)

    def _judge(
        self, request: Request, call: int, got: Got, most: Cost, price: Price, began: float
    ) -> Completion | tuple[Failed, float | Literal["at once"] | None]:
        body = scrubbed(got.body, self._at.key)
        if got.status != 200:
            ended, what = _refusal(got.status, body)
            self._settle(call, ended, body or None, Cost(calls=1), began, metered=True)
            if ended == "error" and got.status in (400, 422) and self._fewer(request.model, body):
                return Failed(ended, what), "at once"
            passing = ended == "limited" or got.status in OVERLOADED
            return Failed(ended, what), _retry_after(got.headers) if passing else None
        reply = _json(body)
        usage = usage_of(reply)
        used = most if usage is None else Cost.of(price, *usage)
        found = _read(body, used)
        ended = "ok" if isinstance(found, Completion) else _class_of(reply)
        self._settle(call, ended, body, used, began, metered=usage is not None)
        if found is not None:
            return found
        if ended == "error":  # it may pass, as one that comes with its own status may
            return Failed(ended, "the server answered with an error under status 200", paid=usage is None), 0.0
        words = {"empty": "the reply is empty", "refused": "the server's filter refused to answer"}
        return Failed(ended, words.get(ended, "the reply is not what the protocol says")), None

    def _settle(
        self, call: int, ended: Ended, reply: bytes | None, used: Cost, began: float, *, metered: bool
    ) -> None:
        self._book.settle(call, Answer(ended, reply, used, metered, time.monotonic() - began))

    def _bytes(self, request: Request) -> bytes:
        """The request's body: the same request gives the same bytes, by which a paid reply is found again."""
        out = self._left_out.get(request.model, frozenset())
        fields: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": role, "content": text} for role, text in request.messages],
            "temperature": request.temperature, "seed": request.seed, "max_tokens": request.max_output, "stream": False,
        }  # fmt: skip
        if request.schema is not None:
            described = {"name": "change", "strict": True, "schema": request.schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": described}
        if "max_tokens" in out:
            fields["max_completion_tokens"] = fields["max_tokens"]
        return canonical({name: value for name, value in fields.items() if name not in out})

    def _fewer(self, model: str, body: bytes) -> bool:
        """Whether the server says that it does not take an optional field; it is left out from then on."""
        out = self._left_out.get(model, frozenset())
        named = not_taken(body)
        for name in OPTIONAL:
            if name in named and name not in out:
                self._left_out[model] = out | {name}
                return True
        return False

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._at.key}"} if self._at.key else {}
        return {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "festina", **key}


def not_taken(body: bytes) -> set[str]:
    """The optional fields that an error says are unknown or not supported; not those that it merely speaks of.

    "You asked for 5000 tokens (max_tokens)" is no reason to ask for an answer without an end.
    """
    error = _json(body)
    inner = error.get("error", error) if isinstance(error, Mapping) else None
    param, code = (inner.get(key) if isinstance(inner, Mapping) else None for key in ("param", "code"))
    denied = isinstance(param, str) and isinstance(code, str) and _DENIED.search(code)
    found = {str(param).split(".")[0]} if denied else set()
    said = body[:SAID_BYTES].decode("utf-8", "replace").replace("json_schema", "response_format").lower()
    for sentence in re.split(r"[.!?;\n]\s", said):
        if _DENIED.search(sentence):
            found |= {name for name in OPTIONAL if re.search(rf"(?<![a-z_]){name}(?![a-z_])", sentence)}
    return found & set(OPTIONAL)


def _refusal(status: int, body: bytes) -> tuple[Ended, str]:
    said = body.decode("utf-8", "replace").lower()
    if status == 429:
        return "limited", "the server says that there were too many requests"
    if status in (401, 403):
        return "auth", f"the server does not accept the key (HTTP {status})"
    if status == 400 and ("content_filter" in said or "content_policy" in said):
        return "refused", "the server's filter refused the question"
    if status == 404:
        return "error", "the server knows no such place or model (HTTP 404): see endpoint and names in [model]"
    if 300 <= status < 400:
        return "error", f"the server points elsewhere (HTTP {status}), which is not followed"
    return "error", f"the server answered HTTP {status}"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks for; dates are not read."""
    try:
        value = float(headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 86400.0 else 0.0


def _json(body: bytes) -> object:
    try:
        return parse_strict(body, max_bytes=REPLY_BYTES, max_depth=REPLY_DEPTH)
    except IntegrityError:
        return None


def _choice(reply: object) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return None
    message = choices[0].get("message")
    return (choices[0], message) if isinstance(message, Mapping) else None


def _text(message: Mapping[str, Any]) -> str | None:
    content = message.get("content")
    if isinstance(content, list):  # parts, as some servers write them
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _read(body: bytes, used: Cost) -> Completion | None:
    """The words of a reply; None where there are none."""
    found = _choice(_json(body))
    if found is None or found[0].get("finish_reason") == "content_filter" or found[1].get("refusal"):
        return None
    text = _text(found[1])
    if text is None or not text.strip():
        return None
    return Completion(text, found[0].get("finish_reason") == "length", used)


def _class_of(reply: object) -> Ended:
    found = _choice(reply)
    if found is None:
        return "error" if isinstance(reply, Mapping) and reply.get("error") else "schema"
    choice, message = found
    if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
        return "refused"
    text = message.get("content", "")
    return "empty" if text is None or (_text(message) is not None and not str(_text(message)).strip()) else "schema"
