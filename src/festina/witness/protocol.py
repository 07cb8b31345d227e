"""C2SP tlog-witness: what is sent to a witness, and what it answers. Pure; requests are hostile input.  # L-2

A witness cosigns a checkpoint only when the log's key signed it and a consistency proof shows that it continues the
newest one that it cosigned. Statuses are the protocol's: 400 no request, 404 unknown log, 403 not signed by it, 409
another size than the newest (which the answer names), 422 no continuation.
Not covered: ``sign-subtree``; answering who asks (there is no authentication beyond the log's signature).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import NoReturn

from festina.errors import IntegrityError, UsageError
from festina.ledger.checkpoint import Checkpoint, check_origin, parse_and_verify
from festina.ledger.merkle import EMPTY_ROOT, HASH, verify_consistency

__all__ = ["MAX_REQUEST", "SIZE_TYPE", "Answer", "Latest", "Request", "judge", "origin_of", "parse", "render"]

MAX_HASHES = 63
MAX_REQUEST = 110_000  # bytes: 63 hashes and the longest note
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})", re.ASCII)
_HASH = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """``old``: entries of the checkpoint that the witness should have; ``proof``: from there to ``note``'s size."""

    old: int
    proof: tuple[bytes, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest checkpoint that a witness cosigned for one log."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and body. ``fork``: both this checkpoint and one cosigned before bear the log's signature."""

    status: int
    body: str = ""
    type: str = "text/plain; charset=utf-8"
    fork: bool = False


def render(request: Request) -> bytes:
    hashes = "".join(base64.b64encode(each).decode() + "\n" for each in request.proof)
    return f"old {request.old}\n{hashes}\n{request.note}".encode()


def _bad(what: str) -> NoReturn:
    raise IntegrityError("bad-request", f"this is no request to a witness: {what}")


def parse(data: bytes) -> Request:
    """Raises ``IntegrityError`` for anything but the one form."""
    if len(data) > MAX_REQUEST:
        _bad(f"{len(data)} bytes, over {MAX_REQUEST}")
    try:
        head, gap, note = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError:
        _bad("not text")
    first, *hashes = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not gap:
        _bad("it does not begin with the old size and a proof")
    if len(hashes) > MAX_HASHES or not all(map(_HASH.fullmatch, hashes)):
        _bad("a proof of other things than at most 63 hashes")
    proof = tuple(base64.b64decode(each) for each in hashes)
    if [base64.b64encode(each).decode() for each in proof] != hashes or any(len(each) != HASH for each in proof):
        _bad("a hash that is not written in the one way")
    return Request(int(old[1]), proof, note)


def origin_of(request: Request) -> str:
    """The log that the request says it is about. Raises ``IntegrityError`` for a name that is none."""
    origin = request.note.partition("\n")[0]
    try:
        check_origin(origin)
    except UsageError:
        _bad("a checkpoint without a log's name")
    return origin


def judge(request: Request, origin: str, key: bytes | None, latest: Latest | None) -> Answer | Checkpoint:
    """The checkpoint to keep and cosign, or the answer that refuses it. ``key``: the log's; None: unknown here."""
    if key is None:
        return Answer(404, "this witness does not know that log\n")
    try:
        point = parse_and_verify(request.note, origin, key)
    except IntegrityError as error:
        return Answer(403, f"{error.what}\n")
    if request.old > point.size:
        return Answer(400, "the old size is over the checkpoint's\n")
    kept = latest or Latest(0, EMPTY_ROOT)
    if request.old != kept.size:
        return Answer(409, f"{kept.size}\n", SIZE_TYPE, fork=point.size == kept.size and point.root != kept.root)
    if point.size == kept.size and point.root != kept.root:
        return Answer(409, f"{kept.size}\n", SIZE_TYPE, fork=kept.size > 0)
    if not verify_consistency(kept.size, point.size, request.proof, kept.root, point.root):
        return Answer(422, "the proof does not show that this checkpoint continues the one cosigned before\n")
    return point
