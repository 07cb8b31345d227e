"""One entry as bytes: an in-toto Statement v1 inside a DSSE envelope, in exactly one spelling.  # L-2

The envelope's bytes are the Merkle leaf. The predicate says, besides the body: ``seq`` and ``prev`` (number of
this entry and leaf hash of the one before), so that every signature also covers order and a dropped, moved or
copied entry names itself; ``content`` (digests that the content store must hold); ``commitments`` (L-5).
``decode`` and ``check_exact`` look at form only; who may sign what is ``rules.py``'s business.
"""

from __future__ import annotations

import base64
import json
import re
from binascii import a2b_base64, b2a_base64
from calendar import monthrange
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn

from pydantic import ValidationError

from festina.errors import IntegrityError
from festina.ledger.canonical import canonical
from festina.ledger.entries import KINDS, SCHEMA, Body
from festina.ledger.signing import pae

MAX_ENVELOPE_BYTES = 65_535  # tile bundles of C2SP tlog-tiles use uint16 lengths  # L-2
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
FORMAT = 1  # of the statement; the body's schema number stands in the predicate
NO_PREV = "0" * 64  # the first entry has none before it

_ENVELOPE = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/]+={0,2})","payloadType":"application/vnd\.in-toto\+json",'
    rb'"signatures":\[\{"keyid":"([0-9a-f]{16})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)
_DECODE = json.JSONDecoder().decode  # json.loads would guess the encoding first
_AT = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_TYPE = re.compile(r"urn:festina:entry:([a-z][a-z-]{0,40}):1", re.ASCII)
_BEFORE, _AFTER = b'{"payload":"', b'","payloadType":"'
_HEAD = b'{"_type":"%s","predicate":{"at":"' % STATEMENT_TYPE.encode()
_KIND = b'"predicateType":"urn:festina:entry:'
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class Entry(NamedTuple):
    """An envelope taken apart. ``body`` is plain JSON; ``model()`` is its checked type."""

    seq: int
    prev: str
    kind: str
    at: str
    schema: int
    body: dict[str, Any]
    commitments: dict[str, str]
    content: tuple[str, ...]
    subjects: tuple[tuple[str, str], ...]
    keyid: str
    sig: bytes
    payload: bytes

    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return pae(PAYLOAD_TYPE, self.payload)

    def model(self) -> Body:
        """The frozen type of the body. IntegrityError for unknown kinds and bodies that do not fit."""
        return model_of(self.kind, self.payload)

    def check_exact(self, model: Body) -> None:
        """Refuse every spelling but the one that ``statement`` writes for the same meaning."""
        try:
            same = self.payload == statement(
                seq=self.seq, prev=self.prev, at=self.at, body=model, content=self.content,
                commitments=self.commitments, subjects=self.subjects, schema=self.schema,
            )  # fmt: skip
        except (ValueError, TypeError):
            same = False
        if not same:
            bad("a statement that is not written in the one canonical way", "not-canonical")


def bad(what: str, name: str = "bad-entry") -> NoReturn:
    raise IntegrityError(name, what)


def commitment(salt: bytes, value: str) -> str:
    """Hides ``value`` until the salt (32 random bytes) is shown.  # L-5"""
    return sha256(salt + value.encode("utf-8")).hexdigest()


def _subject(name: str, digest: str) -> dict[str, Any]:
    if not name or len(name) > 300 or not _HEX.fullmatch(digest):
        raise ValueError(f"a subject is a name and a git object name or sha256: {name!r}, {digest!r}")
    kind = "sha256" if len(digest) == 64 else "gitTree" if name.endswith("tree") else "gitCommit"
    return {"digest": {kind: digest}, "name": name}


def _in_calendar(at: str) -> bool:
    """Whether that year has that day: no reader of the record has to reckon with 30 February."""
    year, day = int(at[:4]), int(at[8:10])
    return year > 0 and (day < 29 or day <= monthrange(year, int(at[5:7]))[1])


def statement(
    *, seq: int, prev: str, at: str, body: Body, content: Sequence[str], commitments: Mapping[str, str],
    subjects: Sequence[tuple[str, str]], schema: int = SCHEMA,
) -> bytes:  # fmt: skip
    """The payload to sign. ``subjects`` may not be empty (in-toto). ValueError for what may not stand in it."""
    if not _AT.fullmatch(at) or not _in_calendar(at):
        raise ValueError(f"a time is written 2026-01-31T09:30:00.000Z, not {at!r}")
    for field, digest in commitments.items():
        if not _FIELD.fullmatch(field) or not _HEX.fullmatch(digest):
            raise ValueError(f"not a sealed field: {field!r}")
    if not subjects or not all(map(_HEX.fullmatch, (prev, *content))):
        raise ValueError("no subject, or a digest that is none")
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "predicate": {
                "at": at,
                "body": body.model_dump(mode="json", exclude_unset=True),  # fields newer than the entry stay out of it
                "commitments": dict(commitments),
                "content": sorted(set(content)),
                "prev": prev,
                "schema": schema,
                "seq": seq,
            },
            "predicateType": f"urn:festina:entry:{body.kind}:{FORMAT}",
            "subject": [_subject(name, digest) for name, digest in subjects],
        }
    )


def seal(payload: bytes, keyid: str, sig: bytes) -> bytes:
    """The envelope's bytes."""
    return b'{"payload":"%s","payloadType":"%s","signatures":[{"keyid":"%s","sig":"%s"}]}' % (
        base64.b64encode(payload), PAYLOAD_TYPE.encode(), keyid.encode(), base64.b64encode(sig),
    )  # fmt: skip


def _base64(text: bytes) -> bytes:
    """``text`` has the right characters in whole groups of four; only its last group can still have two spellings."""
    raw = a2b_base64(text)
    if b2a_base64(raw[-(len(raw) % 3 or 3) :], newline=False) != text[-4:]:
        bad("base64 that is not canonical", "not-canonical")
    return raw


def unseal(envelope: bytes) -> tuple[bytes, str, bytes]:
    """Payload, key id and signature of an envelope in its one spelling."""
    if len(envelope) > MAX_ENVELOPE_BYTES:
        bad(f"{len(envelope)} bytes, over {MAX_ENVELOPE_BYTES}", "entry-too-large")
    match = _ENVELOPE.fullmatch(envelope)
    if match is None or len(match[1]) % 4:
        bad("not an envelope in the one canonical spelling", "not-canonical")
    return _base64(match[1]), match[2].decode(), _base64(match[3])


def decode(envelope: bytes) -> Entry:
    """Take an envelope apart. That nothing else stands in it is ``check_exact``'s business."""
    payload, keyid, sig = unseal(envelope)
    try:
        value = _DECODE(payload.decode("utf-8"))
        named, predicate = _TYPE.fullmatch(value["predicateType"]), value["predicate"]
        entry = Entry(
            predicate["seq"], predicate["prev"], named[1] if named else "", predicate["at"], predicate["schema"],
            predicate["body"], predicate["commitments"], tuple(predicate["content"]),
            tuple((subject["name"], *subject["digest"].values()) for subject in value["subject"]),
            keyid, sig, payload,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        bad("not a statement of this ledger's form")
    if (type(entry.seq), type(entry.schema), type(entry.prev), type(entry.at)) != (int, int, str, str) or (
        (type(entry.body), type(entry.commitments)) != (dict, dict) or not entry.kind or entry.schema < 1
    ):
        bad("a statement with fields of another type")
    return entry


def model_of(kind: str, payload: bytes) -> Body:
    """The frozen type of a payload's body. IntegrityError for unknown kinds and bodies that do not fit."""
    if kind not in KINDS:
        bad(f"unknown kind of entry {kind!r}", "unknown-kind")
    start = payload.find(b'"body":') + 7  # before it stand only fixed words and a time
    end = payload.rfind(b',"commitments":')  # after it no string holds unescaped quotes
    try:
        return KINDS[kind].model_validate_json(payload[start:end])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        bad(f"its body does not fit: {'.'.join(str(p) for p in first['loc'])}: {first['msg']}")


def glance(envelope: bytes) -> tuple[str, str, bytes]:
    """Kind, time and payload of an envelope whose hash was checked, without taking the rest apart.

    A resume reads every entry this way. Anything but the one canonical layout is left to ``decode``.
    """
    try:
        payload = a2b_base64(envelope[len(_BEFORE) : envelope.rindex(_AFTER)])
        kind = payload.rindex(_KIND) + len(_KIND)
        at = len(_HEAD)
        if payload.startswith(_HEAD) and payload[at + 24 : at + 33] == b'","body":':
            return payload[kind : payload.index(b":", kind)].decode(), payload[at : at + 24].decode(), payload
    except ValueError:
        pass
    entry = decode(envelope)
    return entry.kind, entry.at, entry.payload


def peek_kind(envelope: bytes) -> str:
    """The kind that damaged bytes still seem to name, for people; never used to decide anything."""
    for raw in re.findall(rb"[A-Za-z0-9+/]{64,}", envelope[: 2 * MAX_ENVELOPE_BYTES])[:1]:
        text = base64.b64decode(raw[: len(raw) // 4 * 4])
        match = re.search(rb"urn:festina:entry:([a-z-]{1,40}):", text)
        if match and match[1].decode() in KINDS:
            return match[1].decode()
    return "unreadable"
