"""Reading one request from a box and answering it: as little of HTTP/1.1 as clients of models need.

The peer is hostile. One request a connection, whatever it asks for: no keep-alive, so nothing that follows a request is
ever looked at. A request is read whole, under caps and one deadline, before anything is decided. What two readers could
take for two different requests is refused, never guessed: bare line feeds, folded or doubled headers, chunked bodies,
lengths that are no plain number.
"""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import dataclass, field

__all__ = ["BadRequest", "Refused", "Request", "Writer", "drain", "read_request"]

MAX_HEAD = 32 << 10
READ_S = 30.0
DRAIN_S, MAX_DRAIN = 0.5, 1 << 20
SEND_S = 30.0
_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,2000}) HTTP/1\.[01]")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_CONTROLS = bytes(each for each in range(32) if each != 9) + b"\x7f"  # none of these in a value
_REASONS = {200: "OK", 400: "Bad Request", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
            411: "Length Required", 413: "Content Too Large", 429: "Too Many Requests", 502: "Bad Gateway",
            503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """``path`` without the query, which is read by nobody."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An answer that is no reply of a model: what a client shows to its user. ``code``: one word for the record."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class BadRequest(Refused):
    """What cannot be read."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(status, "request", message)


def read_request(connection: socket.socket, max_body: int) -> Request | None:
    """The one request of this connection; None where the peer sent nothing. Raises ``Refused``, ``OSError``."""
    deadline = time.monotonic() + READ_S
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > MAX_HEAD:
            raise BadRequest("the head of the request is too long")
        chunk = _take(connection, deadline)
        if not chunk:
            if data:
                raise BadRequest("the request ends in its head")
            return None
        data += chunk
    if end > MAX_HEAD:
        raise BadRequest("the head of the request is too long")
    method, path, headers = _head(bytes(data[:end]))
    length = _length(headers, max_body)
    body = data[end + 4 :]
    while len(body) < length:
        chunk = _take(connection, deadline)
        if not chunk:
            raise BadRequest("the request ends in its body")
        body += chunk
    return Request(method, path, bytes(body[:length]), headers)


def _take(connection: socket.socket, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise BadRequest("the request took too long")
    connection.settimeout(left)
    return connection.recv(1 << 16)


def _head(data: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = data.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise BadRequest("the first line is no request")
    headers: dict[str, str] = {}
    for each in lines:
        field_name, colon, value = each.partition(b":")
        if not colon or not _NAME.fullmatch(field_name) or value.translate(None, _CONTROLS) != value:
            raise BadRequest("a header cannot be read")
        name = field_name.decode().lower()
        if name in headers and name in ("content-length", "host", "transfer-encoding"):
            raise BadRequest(f"{name} stands there twice")
        headers[name] = value.strip(b" \t").decode("latin-1")
    return line[1].decode(), line[2].decode().partition("?")[0], headers


def _length(headers: dict[str, str], max_body: int) -> int:
    if "transfer-encoding" in headers:
        raise BadRequest("a body needs a Content-Length here", 411)
    if "expect" in headers or "upgrade" in headers:
        raise BadRequest("Expect and Upgrade are not spoken here")
    text = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise BadRequest("Content-Length is no number")
    if int(text) > max_body:
        raise BadRequest(f"a request has at most {max_body} bytes", 413)
    return int(text)


def drain(connection: socket.socket) -> None:
    """Take what the peer still has to say, within bounds: closed over unread bytes, a socket takes its answer back."""
    deadline, left = time.monotonic() + DRAIN_S, MAX_DRAIN
    while left > 0 and (wait := deadline - time.monotonic()) > 0:
        connection.settimeout(wait)
        chunk = connection.recv(1 << 16)
        if not chunk:
            return
        left -= len(chunk)


class Writer:
    """Answers one request. ``started``: whether the head is on its way, after which there is no other answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.started = False

    def whole(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self._head(status, f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n")
        self._connection.sendall(body)

    def refuse(self, refused: Refused, *, anthropic: bool) -> None:
        """In the form that clients of either API show."""
        error = {"type": refused.code, "message": f"festina: {refused.message}"}
        body = {"type": "error", "error": error} if anthropic else {"error": {**error, "code": refused.code}}
        self.whole(refused.status, json.dumps(body).encode())

    def begin_stream(self, kind: str) -> None:
        self._head(200, f"Content-Type: {kind}\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n")

    def chunk(self, data: bytes) -> None:
        """Raises ``OSError`` where the peer reads no more."""
        if data:
            self._connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self._connection.sendall(b"0\r\n\r\n")

    def _head(self, status: int, fields: str) -> None:
        self.started = True
        self._connection.settimeout(SEND_S)
        text = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{fields}Connection: close\r\n\r\n"
        self._connection.sendall(text.encode())
