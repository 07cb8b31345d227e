"""An endpoint's reply on its way to a box, and what a reply that is no success means.  # T-1, T-6"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from festina.ledger.calling import Ended
from festina.propose.chat import scrubbed
from festina.propose.gateway.http import Writer
from festina.propose.wire import Got

__all__ = ["Relay", "class_of", "flaw_of"]

PASSING = (429, 500, 502, 503, 504, 529)
_ANSWERS = ("choices", "output", "content")  # the list that a whole reply has, by API


class Relay:
    """A reply on its way to the box. Whole replies wait until they are whole; streams are passed on as they come.

    Neither with the key: the end of a piece that could be its beginning waits for the next piece.  # T-1
    """

    def __init__(self, writer: Writer, key: str, *, stream: bool) -> None:
        self._writer = writer
        self._key = key
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
        data, key = scrubbed(self._waiting + piece, self._key), self._key.encode()
        held = next((size for size in range(len(key) - 1, 0, -1) if data.endswith(key[:size])), 0)
        self._waiting = data[len(data) - held :]
        return data[: len(data) - held]

    def finish(self, got: Got) -> None:
        with contextlib.suppress(OSError):
            if self.begun:
                self._writer.chunk(self._waiting)
                self._writer.end_stream()
            else:
                self._writer.whole(200, scrubbed(got.body, self._key))


def class_of(got: Got) -> tuple[Ended, str, int, float | None]:
    """Of a reply that is no success: (class, words, status for the box, seconds until it may be tried again).

    None: it is the request that is wrong. Below 0: trying again is of no use.
    """
    if got.status in PASSING:
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


def flaw_of(body: bytes, *, stream: bool) -> Ended | None:
    """What is wrong with a reply of status 200, whole or streamed: an ``error`` that it speaks of itself, or that it is
    no answer at all, such as a page of a proxy, or a stream that nobody asked for. None: nothing is.
    """
    whole = _object(body)
    if whole is not None:
        events, sound = [whole], any(isinstance(whole.get(key), list) for key in _ANSWERS)
    else:
        lines = (line[5:] for line in body.splitlines() if line.startswith(b"data:"))
        events = [event for line in lines if (event := _object(line)) is not None]
        sound = stream and bool(events)
    if any(event.get("error") or event.get("type") in ("error", "response.failed") for event in events):
        return "error"
    return None if sound else "schema"


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
