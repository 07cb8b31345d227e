"""A model server for tests: real HTTP on loopback, answering as scripted, well or badly.

``answers`` are taken in turn, the last one again and again. A string is what the model says; a ``Bad`` is how the
server misbehaves; a function of the request's body gives either.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Any


@dataclass(frozen=True)
class Bad:
    """``how``: see ``_Handler._misbehave``."""

    how: str
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Served:
    """``asked``: the bodies of all requests; ``seen``: their headers."""

    url: str
    answers: Sequence[Answer]
    asked: list[dict[str, Any]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def reply(text: object, *, usage: object = (10, 5), finish: str = "stop", **message: object) -> bytes:
    """A sound reply."""
    body: dict[str, Any] = {
        "id": "x", "object": "chat.completion", "model": "m",
        "choices": [{"finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
    }  # fmt: skip
    if usage is not None:
        tokens_in, tokens_out = usage  # type: ignore[misc]
        body["usage"] = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    served: Served

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        served = self.served
        body = json.loads(data)
        served.asked.append(body)
        served.seen.append(dict(self.headers))
        answer = served.answers[min(len(served.asked), len(served.answers)) - 1]
        if callable(answer):
            answer = answer(body)
        if isinstance(answer, str):
            answer = Bad("body", body=reply(answer))
        try:
            self._give(answer)
        except OSError:
            pass  # the client has hung up, as it may
        self.close_connection = True

    def _give(self, bad: Bad) -> None:
        getattr(self, f"_{bad.how}")(bad)

    def _head(self, bad: Bad, *headers: tuple[str, str]) -> None:
        self.send_response(bad.status)
        for name, value in (*bad.headers, *headers):
            self.send_header(name, value)
        self.end_headers()

    def _body(self, bad: Bad) -> None:
        self._head(bad, ("Content-Length", str(len(bad.body))))
        self.wfile.write(bad.body)

    def _chunked(self, bad: Bad) -> None:
        self._head(bad, ("Transfer-Encoding", "chunked"))
        for at in range(0, len(bad.body), 7):
            piece = bad.body[at : at + 7]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _silent(self, bad: Bad) -> None:
        self.served.stop.wait(30)

    def _hang_up(self, bad: Bad) -> None:
        self.connection.close()

    def _short(self, bad: Bad) -> None:
        self._head(bad, ("Content-Length", str(len(bad.body) + 100)))
        self.wfile.write(bad.body)

    def _endless(self, bad: Bad) -> None:
        self._head(bad, ("Transfer-Encoding", "chunked"))
        while not self.served.stop.is_set():
            self.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    def _drip(self, bad: Bad) -> None:
        self._head(bad, ("Transfer-Encoding", "chunked"))
        while not self.served.stop.wait(0.05):
            self.wfile.write(b"1\r\n \r\n")

    def _drip_head(self, bad: Bad) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.served.stop.wait(0.05):
            self.wfile.write(b"a")

    def _huge(self, bad: Bad) -> None:
        self._head(bad, ("Content-Length", str(1 << 40)))
        self.served.stop.wait(30)

    def _many_headers(self, bad: Bad) -> None:
        self._head(bad, *((f"X-{n}", "a" * 60) for n in range(5000)))

    def _gzip(self, bad: Bad) -> None:
        data = gzip.compress(b" " * (8 << 20))
        self._head(bad, ("Content-Encoding", "gzip"), ("Content-Length", str(len(data))))
        self.wfile.write(data)

    def _garbage(self, bad: Bad) -> None:
        self.wfile.write(b"\x00\xff not http at all\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serving(*answers: Answer | Callable[[dict[str, Any]], Answer], port: int = 0) -> Iterator[Served]:
    """A server on a port of its own until the block ends."""
    handler = type("Handler", (_Handler,), {"protocol_version": "HTTP/1.1"})
    server = _Server(("127.0.0.1", port), handler)
    served = handler.served = Served(f"http://127.0.0.1:{server.server_address[1]}/v1", answers)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def edit(path: str, old: str, new: str, plan: str = "PLAN: better\nWEAKNESS: bad\nPREDICTED: 0.1\n") -> str:
    """An answer in the edits format."""
    return f"{plan}\n{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
