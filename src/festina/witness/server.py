"""A witness over HTTP: ``POST /add-checkpoint`` (C2SP tlog-witness), and the newest checkpoints for whoever compares.

``GET /checkpoint/DIGEST`` (sha256 of the origin, in hex) gives the newest cosigned checkpoint of a log: the protocol
leaves open how monitors read one. ``GET /`` names the witness's key. Requests are short, are read whole before anything
is done, and have a time limit; how many are answered at once is limited, and so is how long a connection lasts, however
slowly its bytes come, and how many there are.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from festina.errors import FestinaError
from festina.witness.keeper import Keeper
from festina.witness.protocol import MAX_REQUEST, Answer

__all__ = ["Server"]

STEP_S = 10.0  # of one wait on a client
WHOLE_S = 60.0  # of a connection
AT_ONCE = 32
CONNECTIONS = 256


class Server(ThreadingHTTPServer):
    """Serves one keeper. ``port`` 0: any free one."""

    daemon_threads = True

    def __init__(self, keeper: Keeper, host: str, port: int) -> None:
        self.keeper = keeper
        self.free = threading.BoundedSemaphore(AT_ONCE)
        self.room = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        if not self.room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self.room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        end = threading.Timer(WHOLE_S, _cut, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self.room.release()

    def read(self, path: str) -> Answer:
        """What is at a path for reading."""
        if path == "/":
            known = "".join(f"{each.origin} {each.size}\n" for each in self.keeper.logs())
            return Answer(200, f"{self.keeper.key.text}\n{known}")
        for each in self.keeper.logs():
            if path == f"/checkpoint/{sha256(each.origin.encode()).hexdigest()}" and each.note:
                return Answer(200, each.note)
        return Answer(404, "nothing is here\n")


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is over already
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "festina-witness", ""
    timeout = STEP_S
    server: Server

    def do_GET(self) -> None:
        self._answer(lambda: self.server.read(self.path))

    def do_POST(self) -> None:
        if self.path != "/add-checkpoint":
            self._send(Answer(404, "nothing is here\n"), close=True)
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) <= 7) or int(length) > MAX_REQUEST:
            self._send(Answer(400, "a request with a length of its own, and not too long, is needed\n"), close=True)
            return
        data = self.rfile.read(int(length))
        self._answer(lambda: self.server.keeper.add(data))

    def _answer(self, make: Callable[[], Answer]) -> None:
        if not self.server.free.acquire(blocking=False):
            self._send(Answer(503, "busy\n"), close=True)
            return
        try:
            answer = make()
        except FestinaError as error:
            answer = Answer(500, f"{error.name}\n")
        finally:
            self.server.free.release()
        self._send(answer)

    def _send(self, answer: Answer, *, close: bool = False) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(body)))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what a witness cosigned stands in its file."""
