"""The gateway from a box to models: what passes, what it costs, what a hostile box gets. Real sockets.  # E-5, E-6"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.cli.estimates import boxes
from festina.errors import UsageError
from festina.propose.book import PaperBook
from festina.propose.gateway import Allowance, Gateway, Passage, Spent
from festina.propose.gateway.http import Refused, Request, read_request
from festina.propose.gateway.rules import judge
from festina.propose.gateway.usage import usage_in
from festina.propose.meter import Caps, Cost, Price
from festina.system.manifest import parse_manifest
from tests.modelserver import Bad, Served, reply, serving
from tests.waiting import until

KEY = "sk-the-operators-own"
PLENTY = Allowance(calls=20, tokens=100_000)
GOOD: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hällo"}], "max_tokens": 50}


def gateway(served: Served, caps: Caps | None = None, **changes: Any) -> Gateway:
    fields = {"call_s": 20.0, "max_output": 64, "names": ("m", "n"), "prices": {"m": Price(1.0, 2.0)}, **changes}
    return Gateway(served.url, KEY, book=PaperBook(caps), **fields)


@contextmanager
def door(gate: Gateway, allowed: Allowance = PLENTY) -> Iterator[tuple[Passage, int]]:
    """A passage whose listener stands on the host, where a box has it on its own loopback."""
    passage = gate.passage(allowed, "candidate")
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    passage.open(listener)
    try:
        yield passage, listener.getsockname()[1]
    finally:
        passage.close()


def raw(port: int, data: bytes) -> bytes:
    """What comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        got = b""
        try:
            while chunk := connection.recv(1 << 16):
                got += chunk
        except ConnectionResetError:
            pass  # it closed with something of ours unread
        return got


def request_of(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


def ask(port: int, body: object, path: str = "/v1/chat/completions", method: str = "POST", head: str = "") -> Any:
    """(status, body of the answer)"""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    got = raw(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    top, _, rest = got.partition(b"\r\n\r\n")
    return int(top.split()[1]), rest


def test_E6_what_is_allowed_passes_and_nothing_else_of_the_box_goes_along() -> None:
    with serving("fine") as served, door(gateway(served)) as (passage, port):
        head = "Authorization: Bearer mine\r\nX-Evil: 1\r\nCookie: a\r\nX-Forwarded-For: b\r\n"
        assert ask(port, {**GOOD, "max_tokens": 5000}, "/v1/chat/completions?beta=true", head=head) == (
            200, reply("fine"))  # fmt: skip
        assert served.asked == [{**GOOD, "max_tokens": 64}]  # the cap on the answer is written in, and nothing else
        sent = {name.lower(): value for name, value in served.seen[0].items()}
        assert sent["authorization"] == f"Bearer {KEY}"
        assert set(sent) == {"host", "connection", "accept-encoding", "content-length", "content-type", "user-agent",
                             "authorization"}  # fmt: skip
        status, listed = ask(port, b"", "/v1/models", "GET")
        assert (status, [row["id"] for row in json.loads(listed)["data"]]) == (200, ["m", "n"])
    (row,) = passage.rows
    assert row["reply"] == hashlib.sha256(passage.salt + reply("fine")).hexdigest()
    assert (row["ended"], row["tokens_in"], row["tokens_out"], row["metered"]) == ("ok", 10, 5, True)
    assert "asked" not in row  # a candidate's prompts may hold hidden items: hashes alone  # L-5
    book = passage._gateway.book
    assert isinstance(book, PaperBook)
    assert book.account.spent == Cost(10, 5, 20e-6, 1)


def _with(**changes: object) -> dict[str, object]:
    return {**GOOD, **changes}


REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "another path": (404, "path", {"path": "/v1/files"}),
    "an administrator's path": (404, "path", {"path": "/v1/chat/completions/../../admin"}),
    "no path of the API": (404, "path", {"path": "/chat/completions"}),
    "another method": (404, "path", {"method": "DELETE"}),
    "another model": (403, "model", {"body": _with(model="gpt-9")}),
    "a model in a list": (403, "model", {"body": _with(model=["m"])}),
    "an unknown key": (400, "key", {"body": _with(webhook="http://x")}),
    "a dearer service": (400, "key", {"body": _with(service_tier="priority")}),
    "many answers": (400, "key", {"body": _with(n=64)}),
    "a length that is no number": (400, "key", {"body": _with(max_tokens=True)}),
    "a search by the provider": (403, "tool", {"body": _with(tools=[{"type": "web_search_20250305", "name": "s"}])}),
    "a server of the provider's tools": (403, "tool", {"body": {"model": "m", "input": "x", "tools": [
        {"type": "mcp", "server_url": "http://x"}]}, "path": "/v1/responses"}),
    "one hidden in a bundle": (403, "tool", {"body": {"model": "m", "input": "x", "tools": [
        {"type": "namespace", "tools": [{"type": "function"}, {"type": "web_search"}]}]}, "path": "/v1/responses"}),
    "a conversation that is kept": (400, "key", {"body": _with(store=True)}),
    "a context that a model sums up": (400, "key", {"body": {**_with(context_management={
        "edits": [{"type": "compact_20260112"}]})}, "path": "/v1/messages"}),
    "an earlier conversation": (400, "key", {"body": {"model": "m", "input": "x", "previous_response_id": "r"},
                                             "path": "/v1/responses"}),
    "an address to fetch": (403, "content", {"body": _with(messages=[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}])}),
    "an address in a part of no kind": (403, "content", {"body": _with(messages=[{"role": "user", "content": [
        {"image_url": {"url": "http://169.254.169.254/"}}]}])}),
    "an address in a tool's output": (400, "content", {"body": {"model": "m", "input": [
        {"type": "function_call_output", "output": {"image_url": "http://x"}}]}, "path": "/v1/responses"}),
    "a kind that is none": (403, "content", {"body": _with(messages=[{"type": []}])}),
    "a template that repeats a word": (400, "key", {"body": _with(chat_template_kwargs={
        "chat_template": "{% for i in range(10**9) %}x{% endfor %}"})}),
    "a number beyond all numbers": (400, "request", {"body": b'{"model": "m", "messages": [], "top_p": 1e999}'}),
    "a file within a result": (403, "content", {"body": {"model": "m", "max_tokens": 5, "messages": [{
        "role": "user", "content": [{"type": "tool_result", "content": [{"type": "document", "source": {
            "type": "url", "url": "http://x"}}]}]}]}, "path": "/v1/messages"}),
    "a key twice": (400, "request", {"body": b'{"model": "m", "model": "gpt-9", "messages": []}'}),
    "no JSON": (400, "request", {"body": b"\xff{"}),
    "no number": (400, "request", {"body": b'{"model": "m", "messages": [], "top_p": NaN}'}),
    "a deep nest": (400, "request", {"body": b'{"model": "m", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}"}),
}  # fmt: skip


def test_E6_what_is_not_known_to_be_harmless_never_reaches_the_endpoint() -> None:
    with serving("fine") as served, door(gateway(served)) as (passage, port):
        for name, (status, code, how) in REFUSED.items():
            path, method = how.get("path", "/v1/chat/completions"), how.get("method", "POST")
            got, body = ask(port, how.get("body", GOOD), path, method)
            told = json.loads(body)["error"]
            assert (name, got, told["type"]) == (name, status, code)
            assert told["message"].startswith("festina: ")
        assert served.asked == []
        assert ask(port, GOOD)[0] == 200  # control
        assert passage.denied == ("gateway(content)", "gateway(model)", "gateway(path)", "gateway(tool)")
        assert sum(passage.refused.values()) == len(REFUSED)


SMUGGLED = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 50\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "an obscured header": b"Transfer-Encoding\x0b: chunked\r\nContent-Length: 5\r\n",
    "a blank before the colon": b"Content-Length : 5\r\n",
    "a folded header": b"X: a\r\n Content-Length: 9\r\nContent-Length: 5\r\n",
    "a bare line feed": b"X: a\nContent-Length: 5\r\n",
    "a signed length": b"Content-Length: +5\r\n",
    "a length beyond all": b"Content-Length: 999999999999\r\n",
    "a negative length": b"Content-Length: -1\r\n",
    "a handshake": b"Content-Length: 5\r\nUpgrade: h2c\r\n",
    "a value to read for long": b"X: " + b" " * 30_000 + b"\x00\r\n",
    "much of nothing": b"X: " + b"a" * 40_000 + b"\r\n",
    "another host twice": b"Host: a\r\nContent-Length: 5\r\n",
}


def test_T5_requests_that_two_readers_could_read_differently_are_refused() -> None:
    body = json.dumps(GOOD).encode()
    line = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    good = line + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serving("fine") as served, door(gateway(served)) as (_, port):
        for name, fields in SMUGGLED.items():
            got = raw(port, line + fields + b"\r\n" + body)
            assert (name, got[:12]) in ((name, b"HTTP/1.1 400"), (name, b"HTTP/1.1 411"), (name, b"HTTP/1.1 413"))
        for bad in (
            b"\x16\x03\x01\x02\x00\x01" + bytes(600) + b"\r\n\r\n", b"GET http://evil/ HTTP/1.1\r\n\r\n",
            b"POST /v1/chat/completions HTTP/2.0\r\n\r\n", line + b"Content-Length: 900\r\n\r\n{}",
        ):  # fmt: skip
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(bad)
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(12) == b"HTTP/1.1 400"
        assert served.asked == []
        both = raw(port, good + good)  # what follows a request is looked at by nobody
        assert both.count(b"HTTP/1.1 200") == 1
        assert len(served.asked) == 1


@given(st.one_of(st.binary(max_size=400), st.lists(st.sampled_from(
    [b"POST /v1/models HTTP/1.1\r\n", b"Content-Length: 3\r\n", b"\r\n", b"a: b\r\n", b"abc", b"\x00", b" ", b":"]
), max_size=12).map(b"".join)))  # fmt: skip
def test_T5_any_bytes_are_a_request_or_a_refusal(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        try:
            request = read_request(theirs, 100)
        except Refused:
            return
        assert request is None or (data.startswith(request.method.encode()) and request.body in data)


_VALUES = st.sampled_from([
    None, True, False, 0, 1, -1, 50, 10**9, 1.5, "", "m", "x", [], {}, [1], ["m"], [[]], [None], [{}], {"type": "text"},
    [{"role": "user", "content": "x"}], [{"content": [{"type": "text", "text": "x"}]}],
    [{"content": [{"type": "image"}]}],
    [{"type": "function"}], [{"type": "mcp"}], [{"content": {"url": "http://x"}}], "\ud800",
])


@given(st.dictionaries(st.sampled_from([*GOOD, "tools", "n", "stream", "input", "system", "prompt"]), _VALUES),
       st.sampled_from(["chat/completions", "completions", "responses", "messages"]))  # fmt: skip
def test_E6_what_is_sent_on_names_an_allowed_model_and_a_bounded_answer(body: dict[str, Any], path: str) -> None:
    body["model"] = body.get("model") or "m"
    try:
        found = judge(Request("POST", f"/v1/{path}", json.dumps(body).encode()), ("m",), 64)
    except Refused:
        return
    sent = json.loads(found.body)
    assert sent["model"] == "m"
    lengths = [sent[key] for key in ("max_tokens", "max_completion_tokens", "max_output_tokens") if key in sent]
    assert lengths
    assert max(lengths) == found.max_output <= 64
    assert sent.pop("store", False) is False
    assert all(sent[key] == body[key] for key in sent if "max" not in key)


def test_E5_a_box_has_an_allowance_and_a_run_has_caps() -> None:
    with serving("fine") as served:
        gate = gateway(served, Caps(tokens=10_000))
        with door(gate, Allowance(calls=2, tokens=5_000)) as (_, port):
            assert [ask(port, GOOD)[0] for _ in range(3)] == [200, 200, 402]
        with door(gate, Allowance(calls=9, tokens=800)) as (passage, port):  # 256 + bytes + 50, for each
            status, body = ask(port, {**GOOD, "messages": [{"role": "user", "content": "x" * 900}]})
            assert (status, json.loads(body)["error"]["code"]) == (402, "budget")
            assert ask(port, GOOD)[0] == 200
        assert passage.refused == {"budget": 1}
        assert len(served.asked) == 3
        book = gate.book
        assert isinstance(book, PaperBook)
        assert book.account.spent.tokens == 45  # what was held and not used is there again
        with pytest.raises(Spent) as caught:
            gate.passage(Allowance(calls=1, tokens=9_990), "candidate")
        assert caught.value.cap == "tokens"
        assert len(book.calls) == 2  # a refused run of a box is entered nowhere


def test_E5_a_reply_that_does_not_say_what_it_used_is_charged_in_full() -> None:
    replies = (reply("a", usage=None), reply("a", usage=(-1, 5)), reply("a", usage=("x", True)),
               reply("a", usage=(10**400, 5)), reply("a", usage=(None, 5)), reply("a", usage=(7, None)))  # fmt: skip
    with serving(*(Bad("body", body=each) for each in replies)) as served, door(gateway(served)) as (passage, port):
        for _ in replies:
            assert ask(port, GOOD)[0] == 200
    assert [row["metered"] for row in passage.rows] == [False] * 6
    assert all(row["tokens_in"] > len(json.dumps(GOOD)) and row["tokens_out"] == 50 for row in passage.rows)


STREAM = b"".join(
    b"data: " + json.dumps(event).encode() + b"\n\n"
    for event in ({"choices": [{"delta": {"content": "hi"}}]}, {"choices": [], "usage": {"prompt_tokens": 7,
                                                                                        "completion_tokens": 3}})
) + b"data: [DONE]\n\n"  # fmt: skip


def test_E6_a_stream_passes_as_it_comes_and_is_metered() -> None:
    kind = (("Content-Type", "text/event-stream"),)
    with serving(Bad("chunked", body=STREAM, headers=kind), Bad("drip", headers=kind)) as served:
        with door(gateway(served)) as (passage, port):
            status, body = ask(port, {**GOOD, "stream": True})
            pieces = [line for i, line in enumerate(body.split(b"\r\n")) if i % 2]
            assert (status, b"".join(pieces)) == (200, STREAM)
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(request_of({**GOOD, "stream": True}))
                while b"1\r\n \r\n" not in connection.recv(1 << 16):
                    pass  # this reply never ends, and its first bytes are here
        first, second = passage.rows
        assert (first["tokens_in"], first["tokens_out"]) == (7, 3)
        assert (second["ended"], second["metered"], second["tokens_out"]) == ("cut", False, 50)
        assert passage.trouble is None  # whoever hangs up is not let down by the endpoint


TROUBLE = {  # what the endpoint does, what the box is told, how often it is asked, whether a short outage is believed
    "overloaded": (Bad("body", status=503), 502, "error", 9, True),
    "broken": (Bad("body", status=500), 502, "error", 3, True),
    "limited": (Bad("body", status=429), 429, "limited", 9, False),
    "no key": (Bad("body", status=401, body=KEY.encode()), 502, "auth", 1, False),
    "elsewhere": (Bad("body", status=302, headers=(("Location", "http://evil/"),)), 502, "error", 1, True),
    "hung up": (Bad("hang_up"), 502, "down", 1, True),
    "silent": (Bad("silent"), 504, "slow", 1, False),
    "garbage": (Bad("garbage"), 502, "schema", 1, False),
    "compressed": (Bad("gzip"), 502, "schema", 1, False),
    "a proxy's page": (Bad("body", body=b"<html>be back soon</html>"), 502, "schema", 1, False),
    "an error that says 200": (Bad("body", body=b'{"error": {"code": 503}}'), 502, "error", 1, True),
    "a stream that nobody asked for": (Bad("body", body=b'data: {"choices": []}\n\n'), 502, "schema", 1, False),
    "an array": (Bad("body", body=b'[{"choices": []}]'), 502, "schema", 1, False),
    "huge": (Bad("huge"), 502, "huge", 1, False),
}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries."""
    for name in ("FIRST_WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(f"festina.propose.gateway.passage.{name}", 0.01)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", TROUBLE)
def test_T6_what_the_endpoint_does_wrong_is_told_and_is_not_the_boxs(name: str) -> None:
    bad, status, ended, tries, believed = TROUBLE[name]
    with serving(*[bad] * tries, "well again", "the same again", "well", bad) as served:
        gate = gateway(served, call_s=0.5 if name == "silent" else 20.0)
        with door(gate) as (passage, port):
            got, body = ask(port, GOOD)
            assert (got, json.loads(body)["error"]["code"]) == (status, ended)
            assert KEY.encode() not in body
            assert len(served.asked) == tries
            assert passage.trouble == ended
        assert passage.endpoint_failed() is believed  # it answers again: was it a short outage, or the box's doing?
        if believed:
            assert served.asked[-1] == GOOD  # the very request was asked again, and answered
            assert not passage.endpoint_failed()  # the control: the same request fails again while others are answered
    assert passage.endpoint_failed()  # the server is gone: held against nobody


def test_T6_a_stream_that_ends_in_an_error_or_is_none_is_the_endpoints_failure() -> None:
    """It has been passed on by then, and is charged; the box's run is not held against its candidate."""
    broken = STREAM.replace(b"[DONE]", b'{"type": "error", "error": {"type": "overloaded_error"}}')
    cases = [(broken, "error"), (b"<html>\n</html>", "schema"), (b"data: [DONE]\n\n", "schema"), (STREAM, None)]
    for body, ended in cases:
        with serving(Bad("body", body=body)) as served, door(gateway(served)) as (passage, port):
            status, got = ask(port, {**GOOD, "stream": True})
            assert status == 200
            assert body.split(b"\n")[0] in got
            assert got.endswith(b"0\r\n\r\n")
            assert passage.trouble == ended  # the last is the control
        (row,) = passage.rows
        assert row["ended"] == (ended or "ok")
        assert row["tokens_out"] == (3 if b"usage" in body else 50)
        if ended:
            assert passage.endpoint_failed()  # a question of the engine's own is answered no better


@pytest.mark.usefixtures("at_once")
def test_T6_a_short_outage_is_ridden_out_and_one_that_a_box_may_have_caused_is_its_own() -> None:
    down = Bad("body", status=503)
    with serving(*[down] * 5, "here again") as served, door(gateway(served)) as (passage, port):
        assert ask(port, GOOD)[0] == 200  # five tries in vain, of which the box knows nothing
        assert passage.trouble is None
    with serving(*[down] * 9, "at last") as served, door(gateway(served)) as (passage, port):
        assert ask(port, GOOD)[0] == 502
        assert passage.trouble == "error"
        assert ask(port, GOOD)[0] == 200  # the client tries again, and has lost nothing
        assert passage.trouble is None
    with serving(Bad("silent"), *[down] * 9, "well", "well") as served:
        gate = gateway(served)
        with door(gate) as (passage, port), socket.create_connection(("127.0.0.1", port), timeout=30) as other:
            other.sendall(request_of({**GOOD, "max_tokens": 2}))
            until(lambda: len(served.asked) == 1, 30.0)
            assert ask(port, GOOD)[0] == 502
        assert not passage.endpoint_failed()  # several requests at a time: the load may have been its own


@pytest.mark.usefixtures("at_once")
def test_T6_a_box_whose_time_ends_while_the_endpoint_is_dead_is_nobodys_failure() -> None:
    with serving(Bad("silent"), "well") as served:
        gate = gateway(served)
        with door(gate) as (passage, port), socket.create_connection(("127.0.0.1", port), timeout=30) as box:
            box.sendall(request_of(GOOD))
            until(lambda: len(served.asked) == 1, 30.0)
        assert passage.trouble == "slow"
        assert not passage.endpoint_failed()  # the control: it answers others, so this request took too long
    assert passage.endpoint_failed()


def test_T1_the_endpoints_own_words_about_a_bad_request_pass_without_the_key() -> None:
    with serving(Bad("body", status=400, body=b'{"error": "too long; your key: %b"}' % KEY.encode())) as served:
        with door(gateway(served)) as (passage, port):
            assert ask(port, GOOD) == (400, b'{"error": "too long; your key: [key]"}')
        assert passage.trouble is None
        assert passage.rows[0]["tokens_in"] == 0


@pytest.mark.usefixtures("at_once")
def test_T6_a_path_or_model_that_the_endpoint_does_not_offer_buys_no_other_roll() -> None:
    lost = Bad("body", status=501)
    with serving("fine", lost, lost, "fine", lost, lost, "fine", lost, lost) as served:
        gate = gateway(served)
        with door(gate) as (passage, port):
            assert ask(port, GOOD)[0] == 200
            assert ask(port, {"model": "m", "prompt": "x"}, "/v1/completions")[0] == 502
            assert not passage.endpoint_failed()
        with door(gate) as (passage, port):  # a model that another path or nobody ever had an answer of
            assert ask(port, {**GOOD, "model": "n"})[0] == 502
            assert not passage.endpoint_failed()
        with door(gate) as (passage, port):  # the control: where it used to answer, it has failed
            assert ask(port, GOOD)[0] == 502
            assert passage.endpoint_failed()


def test_L5_short_items_cannot_be_guessed_from_a_candidates_record_and_its_salt_proves_them() -> None:
    with serving("4") as served:
        gate = gateway(served)
        with door(gate) as (passage, port):
            assert ask(port, GOOD)[0] == 200
        sent = json.dumps(GOOD, ensure_ascii=False, separators=(",", ":")).encode()
        (row,) = passage.rows
        assert row["request"] == hashlib.sha256(passage.salt + sent).hexdigest()
        assert row["reply"] == hashlib.sha256(passage.salt + reply("4")).hexdigest()
        book = gate.book
        assert isinstance(book, PaperBook)
        _, answer = book.calls[passage.call]
        assert answer is not None
        assert answer.salt == passage.salt.hex()
        assert len(passage.salt) == 32
        assert answer.salt.encode() not in (answer.reply or b"")
        mine = gate.passage(PLENTY, "improver")  # what a proposer asked stands there word for word
        assert mine.salt == b""


def test_E5_what_tools_add_to_a_prompt_unseen_is_held_too() -> None:
    def held(tools: object, path: str = "/v1/messages") -> int:
        body = json.dumps({"model": "m", "messages": [], "max_tokens": 5, "tools": tools}).encode()
        return judge(Request("POST", path, body), ("m",), 64).unseen

    assert held([]) == 0
    assert held([{"type": "function", "function": {"name": "f"}}], "/v1/chat/completions") >= 346
    bash, editor = ({"type": kind, "name": "x"} for kind in ("bash_20250124", "text_editor_20250728"))
    assert held([bash, editor]) >= 346 + 245 + 700
    with serving("fine") as served, door(gateway(served)) as (passage, port):
        got = ask(port, {"model": "m", "input": "x", "tools": [{"type": "local_shell"}]}, "/v1/responses")
        assert got[0] == 200
        assert served.asked[0]["store"] is False  # a provider that keeps everything keeps nothing of this
    assert passage.used.tokens_in == 10  # what the reply says takes the place of what was held


def test_T1_no_reply_carries_the_key_into_a_box_or_a_record() -> None:
    said = reply(f"your key is {KEY}")
    kind = (("Content-Type", "text/event-stream"),)
    stream = Bad("chunked", body=b"data: " + said + b"\n\ndata: " + KEY[:9].encode(), headers=kind)
    bad = Bad("body", status=400, body=said)
    with serving(Bad("body", body=said), stream, bad, Bad("body", status=500, body=said)) as served:
        gate = gateway(served)
        passage = gate.passage(PLENTY, "improver")
        listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        passage.open(listener)
        port = listener.getsockname()[1]
        assert ask(port, GOOD) == (200, said.replace(KEY.encode(), b"[key]"))
        _, body = ask(port, {**GOOD, "stream": True})
        pieces = b"".join(line for i, line in enumerate(body.split(b"\r\n")) if i % 2)
        assert pieces == stream.body.replace(KEY.encode(), b"[key]")  # the key came in pieces of seven bytes
        assert ask(port, GOOD)[0] == 400
        passage.close()
        assert not gate.well("chat/completions", "m")
    book = gate.book
    assert isinstance(book, PaperBook)
    kept = [answer.reply for _, answer in book.calls if answer is not None and answer.reply]
    assert len(kept) == 2
    assert [one.count(b"[key]") for one in kept] == [3, 1]
    assert KEY.encode() not in b"".join(kept)


def test_E5_the_answers_length_is_named_by_the_key_that_the_endpoint_knows() -> None:
    body = {"model": "m", "messages": [], "max_completion_tokens": 5}
    request = Request("POST", "/v1/chat/completions", json.dumps(body).encode())
    plain, new = judge(request, ("m",), 64), judge(request, ("m",), 64, new_length=True)
    assert json.loads(plain.body) == {"model": "m", "messages": [], "max_tokens": 5}  # one that knows no other obeys
    assert json.loads(new.body) == body
    assert plain.max_output == new.max_output == 5


def test_E5_a_question_of_the_engines_own_is_charged_like_any_other() -> None:
    with serving(Bad("body", body=reply("2", usage=None)), Bad("hang_up"), Bad("body", body=reply("2"))) as served:
        gate = gateway(served)
        assert [gate.well("chat/completions", "m") for _ in range(3)] == [True, False, True]
        book = gate.book
        assert isinstance(book, PaperBook)
        in_full = book.calls[0][0].most
        assert [answer.used for _, answer in book.calls if answer] == [in_full, in_full, Cost(10, 5, 20e-6, 1)]


def test_E1_when_the_run_is_over_nobody_is_answered_and_everything_is_settled() -> None:
    with serving(Bad("silent")) as served:
        gate = gateway(served)
        with door(gate) as (passage, port):
            waiting = threading.Thread(target=raw, args=(port, request_of(GOOD)))
            waiting.start()
            idle = socket.create_connection(("127.0.0.1", port))
            while not served.asked:
                waiting.join(0.01)
        waiting.join(10)
        assert not waiting.is_alive()
        idle.settimeout(10)
        assert idle.recv(1) == b""
        idle.close()
        passage.close()  # once more changes nothing
        book = gate.book
        assert isinstance(book, PaperBook)
        ((_, answer),) = book.calls
        assert answer is not None
        assert not answer.metered
        assert book.account.held == {}
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).recv(1)


def test_E5_games_with_connections_end() -> None:
    with serving("fine") as served, door(gateway(served), Allowance(calls=1, tokens=5_000)) as (passage, port):
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        while len(passage._under_way) < 4:
            pass
        status, body = ask(port, GOOD)
        assert (status, json.loads(body)["error"]["code"]) == (429, "busy")
        for one in held:
            one.close()
        assert raw(port, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 4")
        with pytest.raises(ConnectionError):  # after so many refusals nobody listens
            [raw(port, b"nonsense\r\n\r\n") for _ in range(130)]
        assert served.asked == []


def test_E5_usage_is_read_in_the_form_of_each_api() -> None:
    anthropic = b"".join(b"event: x\ndata: " + json.dumps(each).encode() + b"\n\n" for each in (
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "cache_creation_input_tokens": 5,
                                                        "output_tokens": 1}}},
        {"type": "message_delta", "usage": {"output_tokens": 30}},
    ))  # fmt: skip
    assert usage_in(anthropic, stream=True) == (19, 30)  # writing to a cache costs up to twice as much
    assert usage_in(b'{"usage": {"input_tokens": 4, "output_tokens": 2}}', stream=False) == (4, 2)
    responses = b'data: {"type": "response.completed", "response": {"usage": {"input_tokens": 4, "output_tokens": 2}}}'
    assert usage_in(responses, stream=True) == (4, 2)
    assert usage_in(b'{"usage": {"output_tokens": 2}}', stream=False) is None
    assert usage_in(b"[" * 100_000, stream=False) is None


ASKING = """
run = ["python3", "a.py"]
metric = "x:lower"
allow = ["a.py"]
{0}
[model]
endpoint = "http://127.0.0.1:1/v1"
names = ["m"]
calls = 99
"""


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ("[experiment]\nmodel = true\n[model]", "nothing says where models are"),
        ('[improver]\nuse = "command"\npreset = "codex"\n[model]', "nothing says where models are"),
        ('[improver]\nuse = "search"\nmodel = true', "only a program of yours asks by itself"),
        ('[improver]\nuse = "own"\nrun = ["a"]\ncode = ["a"]\npreset = "codex"', "a preset is a command"),
        ('[improver]\nuse = "command"\nrun = ["a"]\nmodel = true', "may use 100 calls, and a whole run has 99"),
        ("[experiment]\nmodel = true\nlimits = { model_tokens = 100_001 }", "may use 100,001 tokens"),
    ],
)
def test_E5_a_manifest_that_asks_says_where_and_within_what(tables: str, words: str) -> None:
    text = ASKING.format(tables.removesuffix("[model]"))
    if tables.endswith("[model]"):
        text = text.partition("[model]")[0]
    with pytest.raises(UsageError) as caught:
        parse_manifest((text + ("tokens = 100_000\n" if "[model]" in text else "")).encode())
    assert words in caught.value.what


def test_E5_a_manifest_that_asks_within_its_means_is_read() -> None:
    manifest = parse_manifest(ASKING.format("[experiment]\nmodel = true").encode())
    assert manifest.experiment.model
    assert not manifest.improver.asks
    told = " ".join(boxes(manifest))  # what `festina run` says before it starts
    assert "20 calls and 100,000 tokens for each box of a trial; the run's caps are enough for 4 of them" in told
    assert boxes(parse_manifest(ASKING.format('[improver]\nuse = "model"').encode())) == []
