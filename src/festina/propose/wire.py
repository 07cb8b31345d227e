"""One HTTP request to a server that may do anything: every byte and every second is bounded.  # E-5, T-5

The standard library's parser reads from a socket of ours, which ends every read at the deadline of the *whole* request,
at a cap on all bytes, and when the caller says stop. Names are looked up in a thread that is left behind at the
deadline. Redirects are not followed (they would carry the key elsewhere), compressed replies are refused (a small one
can unpack to anything), proxies of the environment are not used, and certificates are checked as the system does.

Not covered: HTTP/2, proxies, client certificates.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from festina.ledger.calling import Ended

__all__ = ["Broken", "Each", "Got", "Patience", "post"]

HEADER_BYTES = 64 << 10
TICK_S = 0.2  # how soon a stop is noticed
PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class Patience:
    """What one request may take. ``stopped`` is asked every ``TICK_S``."""

    wall_s: float
    reply_bytes: int
    stopped: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Got:
    """A whole reply. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Broken(Exception):
    """No whole reply came. ``sent``: whether the server may have worked, and may want money for it."""

    def __init__(self, ended: Ended, what: str, *, sent: bool) -> None:
        super().__init__(what)
        self.ended = ended
        self.what = what
        self.sent = sent


class _Late(OSError):
    pass


class _Stopped(OSError):
    pass


class _TooMuch(OSError):
    pass


class _Raw(io.RawIOBase):
    """A socket as a stream that never outlives its deadline or its cap."""

    def __init__(self, sock: socket.socket, deadline: float, most: int, stopped: Callable[[], bool]) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = most
        self._stopped = stopped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the base class's own
        if self._left <= 0:
            raise _TooMuch("more bytes than a reply may have")
        view = memoryview(buffer)[: min(len(buffer), self._left)]
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise _Late("the deadline has passed")
            if self._stopped():
                raise _Stopped("stopped by the operator or the clock")
            self._sock.settimeout(min(left, TICK_S))
            try:
                count = self._sock.recv_into(view)
            except TimeoutError:
                continue
            self._left -= count
            return count


class _Conversation:
    """What the standard library's reply parser takes for a socket."""

    def __init__(self, raw: _Raw) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw, PIECE)


# Status, headers and a piece of the body as it comes; an answer of False: nobody wants the rest.
Each = Callable[[int, Mapping[str, str], bytes], bool]


def post(
    url: str, headers: Mapping[str, str], body: bytes, patience: Patience, each: Each | None = None
) -> Got:
    """POST ``body`` to ``url``. ``Broken`` for whatever is not one whole reply in time and in size.

    ``each`` sees a reply as it comes, for whoever passes a stream on.
    """
    deadline = time.monotonic() + patience.wall_s
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    sock = _connect(host, port, deadline, patience.stopped)
    try:
        if parts.scheme == "https":
            sock = _secured(sock, host, deadline, patience.stopped)
        name = f"[{host}]" if ":" in host else host
        name += f":{port}" if parts.port else ""
        lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {name}", "Connection: close",
                 "Accept-Encoding: identity", f"Content-Length: {len(body)}",
                 *(f"{key}: {value}" for key, value in headers.items())]  # fmt: skip
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        _send(sock, head + body, deadline, patience.stopped)
        raw = _Raw(sock, deadline, patience.reply_bytes + HEADER_BYTES, patience.stopped)
        return _receive(raw, patience.reply_bytes, each)
    finally:
        sock.close()


def _addresses(host: str, port: int, deadline: float) -> list[tuple[Any, ...]]:
    """The resolver has no deadline of its own, so it gets a thread that may be left behind."""
    found: list[Any] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not found:
        raise Broken("slow", "the server's name was not found in time", sent=False)
    if isinstance(found[0], Exception):
        raise Broken("down", "the server's name is not known", sent=False)
    rows: list[tuple[Any, ...]] = found[0]
    return rows


def _connect(host: str, port: int, deadline: float, stopped: Callable[[], bool]) -> socket.socket:
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or stopped():
            break
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue  # an address family that this host does not have
        try:
            if _reached(sock, address, deadline, stopped):
                return sock
        except OSError:
            pass
        sock.close()
    if stopped():
        raise Broken("cut", "stopped before the server was reached", sent=False)
    raise Broken("down", "nothing answers at the server's address", sent=False)


def _reached(sock: socket.socket, address: tuple[Any, ...], deadline: float, stopped: Callable[[], bool]) -> bool:
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)
    ready = select.poll()
    ready.register(sock, select.POLLOUT)
    while not ready.poll(1000 * TICK_S):
        if stopped() or time.monotonic() >= deadline:
            return False
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def _secured(sock: socket.socket, host: str, deadline: float, stopped: Callable[[], bool]) -> socket.socket:
    secured = ssl.create_default_context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or stopped():
                what = "stopped before a secure connection came about" if left > 0 else "no secure connection in time"
                raise Broken("cut" if left > 0 else "down", what, sent=False)
            secured.settimeout(min(left, TICK_S))
            with contextlib.suppress(TimeoutError):
                secured.do_handshake()
                return secured
    except ssl.SSLCertVerificationError as error:
        secured.close()
        raise Broken("down", "the server's certificate does not hold", sent=False) from error
    except OSError as error:
        secured.close()
        raise Broken("down", "no secure connection came about", sent=False) from error
    except Broken:
        secured.close()
        raise


def _send(sock: socket.socket, data: bytes, deadline: float, stopped: Callable[[], bool]) -> None:
    view = memoryview(data)
    while view:
        if time.monotonic() >= deadline:
            raise Broken("slow", "the server did not take the request in time", sent=True)
        if stopped():
            raise Broken("cut", "stopped while the request was sent", sent=True)
        sock.settimeout(TICK_S)
        try:
            view = view[sock.send(view) :]
        except TimeoutError:
            continue
        except OSError:
            return  # it may have answered early, with a refusal, and hung up: what it said is read next


def _receive(raw: _Raw, most: int, each: Each | None) -> Got:
    """Status, headers and body. Which class a failure has depends on how far the reply had come."""
    begun = declared = False
    try:
        reply = HTTPResponse(_Conversation(raw), method="POST")  # type: ignore[arg-type]  # it calls makefile() alone
        reply.begin()
        begun, declared = True, reply.length is not None
        headers = {name.lower(): value for name, value in reply.getheaders()}
        if declared and reply.length is not None and reply.length > most:
            raise Broken("huge", "the reply says that it is larger than a reply may be", sent=True)
        if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise Broken("schema", "the reply is compressed, which was not asked for", sent=True)
        pieces: list[bytes] = []
        size = 0
        while piece := reply.read(PIECE) if each is None else reply.read1(PIECE):
            size += len(piece)
            if size > most:
                raise _TooMuch("more bytes than a reply may have")
            pieces.append(piece)
            if each is not None and not each(reply.status, headers, piece):
                raise Broken("cut", "whoever asked hung up", sent=True)
        if declared and reply.length:
            raise Broken("down", "the reply broke off", sent=True)
        return Got(reply.status, headers, b"".join(pieces))
    except _TooMuch:
        ended: Ended = "huge" if declared else "endless"
        raise Broken(ended, "the reply is larger than a reply may be", sent=True) from None
    except _Late:
        ended = "endless" if begun and not declared else "slow"
        raise Broken(ended, "the reply did not end in time" if begun else "no reply came in time", sent=True) from None
    except _Stopped:
        raise Broken("cut", "stopped while a reply was awaited", sent=True) from None
    except (HTTPException, ValueError) as error:
        if isinstance(error, ConnectionError) or (not begun and not str(error)):
            raise Broken("down", "the server hung up without a reply", sent=True) from None
        raise Broken("schema" if not begun else "down", "the reply is not sound HTTP", sent=True) from None
    except OSError:
        raise Broken("down", "the connection broke", sent=True) from None
