"""Asking witnesses, over HTTP: their answers are not trusted, only their signatures are.  # L-2

Every wait has a limit, and so has all of an answer, however slowly its bytes come: whoever asks holds the record
meanwhile. A redirect is a refusal; no more is read than an answer can have.
"""

from __future__ import annotations

import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from hashlib import sha256
from http.client import HTTPException

from festina.ledger.checkpoint import MAX_NOTE_BYTES
from festina.witness.protocol import SIZE_TYPE, Answer, Request, render

__all__ = ["Unreached", "fetch", "submit"]

STEP_S = 10.0  # one wait
WHOLE_S = 30.0  # one answer


class Unreached(Exception):
    """No answer came; the text says why."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def submit(url: str, make: Callable[[int], Request | None], old: int) -> Answer:
    """Send a checkpoint; once more when the witness is at another size. Raises ``Unreached``.

    ``make`` gives the request from an old size on, None where the log has no such size.
    """
    request = make(old)
    answer = _call(f"{url}/add-checkpoint", render(request)) if request is not None else Answer(409, "0\n", SIZE_TYPE)
    if answer.status == 409 and answer.type == SIZE_TYPE:
        size = answer.body.removesuffix("\n")
        if size.isascii() and size.isdigit() and len(size) < 19 and int(size) != old:
            again = make(int(size))
            return answer if again is None else _call(f"{url}/add-checkpoint", render(again))
    return answer


def fetch(url: str, origin: str) -> str:
    """The newest checkpoint that a witness cosigned for a log. Raises ``Unreached``."""
    answer = _call(f"{url}/checkpoint/{sha256(origin.encode()).hexdigest()}", None)
    if answer.status != 200:
        raise Unreached(f"it answered {answer.status}")
    return answer.body


def _call(url: str, data: bytes | None) -> Answer:
    found: queue.SimpleQueue[Answer | Unreached] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(_exchange(url, data))
        except Unreached as error:
            found.put(error)

    threading.Thread(target=ask, name="witness", daemon=True).start()  # left to itself when it is too late
    try:
        answer = found.get(timeout=WHOLE_S)
    except queue.Empty:
        raise Unreached(f"no whole answer within {WHOLE_S:g} s") from None
    if isinstance(answer, Unreached):
        raise answer
    return answer


def _exchange(url: str, data: bytes | None) -> Answer:
    opener = urllib.request.build_opener(_NoRedirect())
    request = urllib.request.Request(url, data=data, headers={"User-Agent": "festina", "Content-Type": "text/plain"})
    try:
        try:
            with opener.open(request, timeout=STEP_S) as found:
                return _read(found.status, found.headers.get_content_type(), found.read(MAX_NOTE_BYTES + 1))
        except urllib.error.HTTPError as error:
            with error:
                return _read(error.code, error.headers.get_content_type(), error.read(MAX_NOTE_BYTES + 1))
    except (OSError, HTTPException, ValueError) as error:
        raise Unreached(f"{type(error).__name__}: {error}"[:200]) from None


def _read(status: int, kind: str, body: bytes) -> Answer:
    if len(body) > MAX_NOTE_BYTES:
        raise Unreached("an answer that is too long")
    try:
        return Answer(status, body.decode("utf-8"), kind)
    except UnicodeDecodeError:
        raise Unreached("an answer that is not text") from None
