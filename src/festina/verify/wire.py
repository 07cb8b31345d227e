"""The wire between engine and verifier: frames of a small JSON head and a raw payload, both bounded.

One frame is ``>IQ`` (head bytes, payload bytes), the head, the payload. Both sides read strictly. An error
crosses as its class, name and words, never as an exception's own message: that might quote a label.  # T-1
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping

from festina.errors import Fault, FestinaError, IntegrityError, UsageError
from festina.ledger.canonical import canonical
from festina.verify.parse import MAX_OUTPUT_BYTES, Malformed, decode

__all__ = ["Closed", "receive", "reply_error", "revive", "send"]

MAX_HEAD = 1 << 20
MAX_PAYLOAD = 4 * MAX_OUTPUT_BYTES
_FRAME = struct.Struct(">IQ")
_ROOTS: dict[str, type[FestinaError]] = {kind.__name__: kind for kind in (UsageError, IntegrityError, Fault)}


class Closed(ConnectionError):
    """The other side is gone, or what it sent is no frame."""


def send(
    sock: socket.socket, head: Mapping[str, object], payload: bytes = b"", *, deadline: float | None = None
) -> None:
    """Write one frame; ``TimeoutError`` after ``deadline`` (monotonic), ``OSError`` when nobody listens."""
    packed = canonical(head)
    _arm(sock, deadline)
    sock.sendall(_FRAME.pack(len(packed), len(payload)) + packed)
    if payload:
        _arm(sock, deadline)
        sock.sendall(payload)


def receive(sock: socket.socket, *, deadline: float | None = None) -> tuple[dict[str, object], bytes]:
    """Read one frame; raises ``Closed`` at the end and ``TimeoutError`` after ``deadline``."""
    head_size, payload_size = _FRAME.unpack(_exactly(sock, _FRAME.size, deadline))
    if head_size > MAX_HEAD or payload_size > MAX_PAYLOAD:
        raise Closed("frame too large")
    try:
        head = decode(_exactly(sock, head_size, deadline))
    except Malformed as error:
        raise Closed(f"not a frame: {error}") from None
    if not isinstance(head, dict):
        raise Closed("not a frame")
    return head, _exactly(sock, payload_size, deadline)


def _exactly(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        _arm(sock, deadline)
        got = sock.recv_into(view)
        if not got:
            raise Closed("the other side is gone")
        view = view[got:]
    return bytes(buffer)


def _arm(sock: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        sock.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)


def reply_error(error: FestinaError) -> dict[str, object]:
    root = next((name for name, kind in _ROOTS.items() if isinstance(error, kind)), "Fault")
    return {"error": {"root": root, "name": error.name, "what": error.what, "fix": error.fix, "where": error.where}}


def revive(head: Mapping[str, object]) -> FestinaError | None:
    """The error that a reply carries, or None."""
    match head.get("error"):
        case None:
            return None
        case {"root": str(root), "name": str(name), "what": str(what), "fix": str(fix), "where": str(where)}:
            return _ROOTS.get(root, Fault)(name, what, fix=fix, where=where)
    return Fault("verifier-died", "the verifier sent a reply that makes no sense")
