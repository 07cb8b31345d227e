"""How good an answer was, where somebody says so: the service in a header, or a judge beside it.  # D-3, D-4

A service may say of its own answer ``Festina-Error: CLASS`` (it failed, and how) and ``Festina-Score: 0.83`` (from 0,
worst, to 1). A judge is another HTTP service: it is sent what was answered and says the same two headers in its own
answer; where there is one, nobody listens to the services. An answer failed that has an error class, or a score below
what the watch asks for. The headers are taken out of what clients get.

What a service says of itself is *self-reported*: a version that flatters itself is not found by it.  # V-10
Not covered: a judge that is wrong. One that does not answer says nothing, about neither version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Protocol

from festina.ledger.watching import CLASS

ERROR, SCORE = "festina-error", "festina-score"
OURS = frozenset({ERROR, SCORE})
LATE, DOWN, STATUS, LOW = "late", "unreachable", "status", "low-score"  # classes that the split itself gives
REFUSED = "refused"  # in shadow, where the other version answered
SLOW = "slow"  # beside what the version in use usually takes
BROKEN = "broken"  # says that it is JSON, and is none
UNSCORED = "no-score"  # of the new version, where scores are asked for
_JUDGE_S = 5.0  # longest that a judge may take
_MOST_JSON = 1 << 20  # bytes; what is longer is not read

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Word:
    """``failed`` None: nobody said anything. ``kind``: the class of the failure."""

    failed: bool | None
    kind: str = ""


NOTHING = Word(None)


class Judge(Protocol):
    """Says how good an answer was."""

    def word(self, method: str, path: str, status: int, body: bytes, content_type: str) -> Word: ...


def read(headers: Headers, least: float | None) -> Word:
    """What these headers say. A score that is none, or out of range, is a failure; one that nobody asked for is not."""
    found = {name.lower(): value.strip() for name, value in headers if name.lower() in OURS}
    kind = found.get(ERROR, "")
    if kind:
        return Word(True, kind if re.fullmatch(CLASS, kind) else "unnamed")
    if SCORE not in found or least is None:
        return NOTHING
    score = _score(found[SCORE])
    return Word(True, LOW) if score is None or score < least else Word(False)


def broken(status: int, headers: Headers, body: bytes) -> bool:
    """Whether a good answer to anything but HEAD says that it is JSON and is none, such as one cut off half-way."""
    found = {name.lower(): value for name, value in headers}
    kind = found.get("content-type", "").partition(";")[0].strip().lower()
    if not 200 <= status < 300 or status == 204 or "content-encoding" in found or len(body) > _MOST_JSON:
        return False
    if kind != "application/json" and not kind.endswith("+json"):
        return False
    try:
        json.loads(body, parse_int=str, parse_float=str)
    except RecursionError:
        return False  # as deep as it likes
    except ValueError:
        return True
    return False


def _score(text: str) -> float | None:
    try:
        value = float(text) if len(text) <= 32 else -1.0
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


@dataclass(frozen=True, slots=True)
class HttpJudge:
    """A judge at http://HOST:PORT, asked by POST with the answer as the body."""

    host: str
    port: int
    path: str
    least: float | None

    def word(self, method: str, path: str, status: int, body: bytes, content_type: str) -> Word:
        """``NOTHING`` where it cannot be reached, is late, or fails."""
        connection = HTTPConnection(self.host, self.port, timeout=_JUDGE_S)
        about = {"Festina-Method": method, "Festina-Path": path, "Festina-Status": str(status)}
        if content_type.isascii() and content_type.isprintable():
            about["Content-Type"] = content_type[:200]
        try:
            connection.request("POST", self.path or "/", body=body, headers=about)
            came = connection.getresponse()
            came.read(1 << 16)
            return read(came.getheaders(), self.least) if came.status < 300 else NOTHING
        except (OSError, HTTPException, ValueError):
            return NOTHING
        finally:
            connection.close()
