"""Model servers that misbehave, over real HTTP: each call is classified, charged and bounded.  # E-5, T-5"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from festina.errors import UsageError
from festina.propose import chat
from festina.propose.book import PaperBook
from festina.propose.chat import Completion, Endpoint, Failed, HttpModel, Request, key_from, not_taken
from festina.propose.meter import Caps, Price
from tests.modelserver import Bad, reply, serving

KEY = "sk-secret-0123456789"
PRICES = {"m": Price(1000.0, 2000.0)}


def request(text: str = "hello", *, wall_s: float = 20.0, max_output: int = 100) -> Request:
    return Request("m", (("system", "be brief"), ("user", text)), 0.5, 7, max_output, wall_s)


def model(url: str, book: PaperBook, *, call_s: float = 20.0) -> HttpModel:
    return HttpModel(Endpoint(url, KEY, call_s, PRICES), book)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "FIRST_WAIT_S", 0.02)


def test_E5_a_sound_answer_costs_what_it_says() -> None:
    book = PaperBook()
    with serving(Bad("chunked", body=reply("hi", usage=(12, 3)))) as server:
        found = model(server.url, book).complete(request())
    assert isinstance(found, Completion)
    assert found.text == "hi"
    assert (book.account.settled.tokens_in, book.account.settled.tokens_out) == (12, 3)
    assert book.account.settled.money == pytest.approx((12 * 1000 + 3 * 2000) / 1e6)
    assert not book.account.held
    asked = server.asked[0]
    assert asked["model"] == "m"
    assert asked["max_tokens"] == 100
    assert asked["stream"] is False
    assert server.seen[0]["Authorization"] == f"Bearer {KEY}"


MANY = -1
# how the server misbehaves, the class it gets, how many calls were made, whether the whole intent is charged
FAILURES = [
    (Bad("silent"), "slow", 1, True),
    (Bad("drip_head"), "slow", 1, True),
    (Bad("drip"), "endless", 1, True),
    (Bad("endless"), "endless", 1, True),
    (Bad("huge"), "huge", 1, True),
    (Bad("many_headers"), "schema", 1, True),
    (Bad("gzip"), "schema", 1, True),
    (Bad("garbage"), "schema", 1, True),
    (Bad("hang_up"), "down", 4, True),
    (Bad("short", body=reply("hi")), "down", 4, True),
    (Bad("body", status=429), "limited", MANY, False),
    (Bad("body", status=429, headers=(("Retry-After", "3600"),)), "limited", 1, False),
    (Bad("body", status=503), "error", MANY, False),
    (Bad("body", status=404), "error", 1, False),
    (Bad("body", status=302, headers=(("Location", "http://127.0.0.1:9/"),)), "error", 1, False),
    (Bad("body", status=401, body=KEY.encode()), "auth", 1, False),
    (Bad("body", status=400, body=b'{"error": {"code": "content_filter"}}'), "refused", 1, False),
    (Bad("body", body=reply("x", finish="content_filter", usage=None)), "refused", 1, True),
    (Bad("body", body=reply(None, refusal="no", usage=None)), "refused", 1, True),
    (Bad("body", body=reply("", usage=None)), "empty", 1, True),
    (Bad("body", body=reply(None, usage=None)), "empty", 1, True),
    (Bad("body"), "schema", 1, True),
    (Bad("body", body=b'{"error": {"code": 503}}'), "error", 4, True),
    (Bad("body", body=b'{"error": null, "choices": []}'), "schema", 1, True),
    (Bad("body", body=b"[" * 100_000), "schema", 1, True),
    (Bad("body", body=b'{"choices": []}'), "schema", 1, True),
    (Bad("body", body=b'{"choices": [{"message": {"content": 5}}]}'), "schema", 1, True),
    (Bad("body", body=b'{"choices": NaN}'), "schema", 1, True),
    (Bad("body", body=reply("\ud800").replace(b"\\\\", b"\\")), "schema", 1, True),
]


@pytest.mark.parametrize(("bad", "ended", "calls", "in_full"), FAILURES, ids=lambda value: str(value)[:40])
def test_E5_a_misbehaving_server_is_classified_charged_and_bounded(
    bad: Bad, ended: str, calls: int, in_full: bool
) -> None:
    book = PaperBook()
    wall = 20.0 if calls != MANY and ended not in ("slow", "endless", "limited") else 3.0 if calls == MANY else 0.8
    with serving(bad) as server:
        began = time.monotonic()
        found = model(server.url, book, call_s=wall).complete(request(wall_s=wall))
        took = time.monotonic() - began
        asked = len(server.asked)
    assert isinstance(found, Failed)
    assert found.ended == ended
    if calls == MANY:  # as long as there is time, and ever more slowly
        assert 3 <= asked <= 12
        calls = asked
    assert asked == calls
    assert took < 40.0
    ends = [answer.ended for _, answer in book.calls if answer is not None]
    assert ends == [ended] * calls  # every attempt is entered, and none is left open
    most = sum((ask.most for ask, _ in book.calls[1:]), book.calls[0][0].most)
    assert book.account.settled.calls == calls
    if in_full and ended != "endless":
        assert book.account.settled.tokens == most.tokens
    if not in_full:
        assert book.account.settled.money == 0.0
    assert KEY.encode() not in b"".join(answer.reply or b"" for _, answer in book.calls if answer is not None)  # T-1


def test_E5_nothing_at_the_address_costs_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    book = PaperBook()
    found = model(f"http://127.0.0.1:{port}/v1", book).complete(request(wall_s=3.0))
    assert isinstance(found, Failed)
    assert found.ended == "down"
    assert book.account.settled.tokens == 0
    assert book.account.settled.calls == len(book.calls) >= 3


def test_E5_a_server_that_comes_back_is_found_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found: list[Completion | Failed] = []
    asking = model(f"http://127.0.0.1:{port}/v1", PaperBook())
    thread = threading.Thread(target=lambda: found.append(asking.complete(request(wall_s=60.0))))
    thread.start()
    time.sleep(0.5)
    with serving("back", port=port):
        thread.join(60.0)
    assert isinstance(found[0], Completion)


def test_E5_what_passes_is_tried_again_and_what_came_is_kept() -> None:
    limited = Bad("body", status=429, headers=(("Retry-After", "0.1"),))
    with serving(Bad("body", status=503), limited, "at last") as server:
        found = model(server.url, PaperBook()).complete(request())
    assert isinstance(found, Completion)
    assert found.text == "at last"
    assert len({str(asked) for asked in server.asked}) == 1  # the very same request


def test_a_server_that_does_not_know_an_option_is_asked_without_it() -> None:
    def picky(body: dict[str, object]) -> object:
        for name in ("max_tokens", "seed", "temperature"):
            if name in body:
                return Bad("body", status=400, body=f"Unsupported parameter: '{name}'".encode())
        return "fine" if "max_completion_tokens" in body else Bad("body", status=500)

    with serving(picky) as server:
        asking = model(server.url, PaperBook())
        assert isinstance(asking.complete(request()), Completion)
        before = len(server.asked)
        assert isinstance(asking.complete(request()), Completion)
    assert (before, len(server.asked)) == (4, 5)  # it is remembered


ERRORS: list[tuple[object, set[str]]] = [
    ({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"}},
     {"max_tokens"}),
    ({"error": {"message": "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default "
                "(1) value is supported."}}, {"temperature"}),
    ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
     {"seed"}),
    ("json_schema is not supported", {"response_format"}),
    # An error that speaks of a length is no reason to ask for an answer without an end.
    ({"error": {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
                "(4000 in the messages, 1000 in max_tokens). Please reduce max_tokens.", "param": "max_tokens",
                "code": "context_length_exceeded"}}, set()),
    ({"error": {"message": "max_tokens is too large: 5000"}}, set()),
    ({"error": {"message": "Unknown model. The request was: temperature=0.7, seed=3"}}, set()),
    ("the server exceeded its seeds; unsupported", set()),
]  # fmt: skip


@pytest.mark.parametrize(("said", "fields"), ERRORS, ids=range(len(ERRORS)))
def test_E5_only_what_a_server_says_it_does_not_take_is_left_out(said: object, fields: set[str]) -> None:
    assert not_taken(said.encode() if isinstance(said, str) else json.dumps(said).encode()) == fields


def test_E5_a_call_that_does_not_fit_is_not_made() -> None:
    with serving("hi") as server:
        book = PaperBook(Caps(tokens=2000))
        asking = model(server.url, book)
        found = [asking.complete(request(max_output=300)) for _ in range(200)]
        last = found[-1]
        assert isinstance(last, Failed)
        assert (last.ended, last.spent) == ("tokens", True)
        assert book.account.spent.tokens <= 2000
        assert len(server.asked) == len(book.calls) == sum(isinstance(one, Completion) for one in found) > 50
        found_money = model(server.url, PaperBook(Caps(money=0.001))).complete(request(max_output=300))
        assert isinstance(found_money, Failed)
        assert found_money.ended == "money"


def test_G5_a_stop_cuts_a_call_off_within_a_second_or_so() -> None:
    book, stop = PaperBook(), threading.Event()
    book.stopped = stop.is_set  # type: ignore[method-assign]
    with serving(Bad("silent")) as server:
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        found = model(server.url, book).complete(request())
        assert time.monotonic() - began < 15.0  # of a call's whole time
    assert isinstance(found, Failed)
    assert found.ended == "cut"
    assert book.account.settled.tokens == book.calls[0][0].most.tokens  # it may have worked: charged in full


@pytest.mark.parametrize("key", ["x", "test", "tokens"])
def test_a_key_that_is_no_secret_leaves_words_as_they_are(key: str) -> None:
    book = PaperBook()
    with serving("text for testers") as server:
        found = HttpModel(Endpoint(server.url, key), book).complete(request())
    assert isinstance(found, Completion)
    assert found.text == "text for testers"
    assert book.account.settled.tokens == 15  # and the reply's own keys can be read


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_G5_a_stop_is_heard_before_anybody_has_answered(scheme: str) -> None:
    """A port whose queue is full (http), and one that never says a word of TLS (https)."""
    book, stop = PaperBook(), threading.Event()
    book.stopped = stop.is_set  # type: ignore[method-assign]
    with socket.socket() as deaf, ExitStack() as queue:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0 if scheme == "http" else 16)
        for _ in range(3 if scheme == "http" else 0):
            one = queue.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        found = model(f"{scheme}://127.0.0.1:{deaf.getsockname()[1]}", book).complete(request())
        assert time.monotonic() - began < 15.0  # of a call's whole time
    assert isinstance(found, Failed)
    assert found.ended == "cut"
    assert book.account.settled.tokens == 0  # nothing was sent


def test_E5_what_an_answer_is_held_to_may_be_part_of_the_prompt() -> None:
    book = PaperBook()
    with serving("fine") as server:
        model(server.url, book).complete(replace(request(), schema={"type": "x" * 5000}))
    assert book.calls[0][0].most.tokens_in > 5000


def test_T1_a_key_that_could_smuggle_a_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ("", "a\r\nX-Evil: 1", "schlüssel"):
        monkeypatch.setenv("SOME_KEY", bad)
        with pytest.raises(UsageError) as caught:
            key_from("SOME_KEY")
        assert caught.value.name == "no-model-key"
        assert "Evil" not in str(caught.value)
    assert key_from(None) == ""
    assert KEY not in repr(Endpoint("http://x", KEY))


def test_E6_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving("direct") as server:
        assert isinstance(model(server.url, PaperBook()).complete(request()), Completion)


def test_the_longest_reply_that_is_allowed_is_read_and_one_byte_more_is_not() -> None:
    text = "a" * (chat.REPLY_BYTES - len(reply("")))
    with serving(Bad("body", body=reply(text)), Bad("body", body=reply(text + "a"))) as server:
        asking = model(server.url, PaperBook())
        first, second = asking.complete(request()), asking.complete(request())
    assert isinstance(first, Completion)
    assert isinstance(second, Failed)
    assert second.ended == "huge"
