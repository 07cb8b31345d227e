"""What auditors sign: a note over a state of the record, made and checked.  # L-2

A C2SP signed note by the auditor's key, over eight lines: the form, the log, size and root as in a checkpoint, the
entry that it is about ("-": none), the opinion ("-": a note), and the digest of the words. It binds the words to
exactly that record; one over another record, or under another name, does not hold.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, get_args

from festina.errors import IntegrityError
from festina.ledger.auditing import AuditorEnrolled, AuditReceived, Opinion
from festina.ledger.checkpoint import open_note, sign_note
from festina.ledger.entries import Body
from festina.ledger.rules import raw_key
from festina.ledger.signing import Signer

__all__ = ["Audits", "Said", "read", "sign"]

FORM = "festina-audit/v1"
_TEXT = re.compile(
    rf"{FORM}\n([^\n]+)\n(0|[1-9][0-9]{{0,17}})\n([A-Za-z0-9+/]{{43}}=)\n(-|0|[1-9][0-9]{{0,17}})\n([a-z-]+)\n([0-9a-f]{{64}})\n",
    re.ASCII,
)  # fmt: skip
RootAt = Callable[[int], bytes]


class Said(NamedTuple):
    """What an auditor says about the first ``size`` entries of a record; ``text``: digest of the words."""

    origin: str
    size: int
    root: bytes
    entry: int | None
    opinion: Opinion | None
    text: str


def sign(said: Said, name: str, signer: Signer) -> str:
    root = base64.b64encode(said.root).decode()
    entry = "-" if said.entry is None else str(said.entry)
    lines = (FORM, said.origin, str(said.size), root, entry, said.opinion or "-", said.text)
    return sign_note("\n".join(lines) + "\n", name, signer)


def read(note: str, name: str, public: bytes) -> Said:
    """What the auditor of that name and key signed. Raises ``IntegrityError`` where it did not."""
    found = _TEXT.fullmatch(open_note(note, name, public, exact=True))
    opinion = next((each for each in get_args(Opinion) if found and each == found[5]), None)
    if found is None or (opinion is None) != (found[5] == "-"):
        raise IntegrityError("bad-audit", "this is no auditor's note")
    entry = None if found[4] == "-" else int(found[4])
    return Said(found[1], int(found[2]), base64.b64decode(found[3]), entry, opinion, found[6])


@dataclass(slots=True)
class Audits:
    """Auditors and what they signed, as the whole check sees it: it reads entries in order, ``check`` comes last."""

    auditors: dict[str, bytes] = field(default_factory=dict)
    _claims: list[tuple[int, AuditReceived, bytes | None]] = field(default_factory=list)

    def see(self, seq: int, body: Body) -> None:
        if isinstance(body, AuditorEnrolled):
            self.auditors.setdefault(body.auditor, raw_key(body.key))
        elif isinstance(body, AuditReceived):
            self._claims.append((seq, body, self.auditors.get(body.auditor)))

    def check(self, content: Callable[[str], bytes], origin: str, root_at: RootAt) -> Iterator[tuple[int, str]]:
        """(entry, what is wrong with it) for every claim that does not hold."""
        for seq, body, public in self._claims:
            try:
                check_claim(content(body.note), body, public, origin, root_at)
            except IntegrityError as error:
                yield seq, f"audit-received: {error.what}"


def check_claim(note: bytes, body: AuditReceived, public: bytes | None, origin: str, root_at: RootAt) -> None:
    """Raise ``IntegrityError`` unless the enrolled auditor signed exactly what the entry says, of this record."""
    if public is None:
        raise IntegrityError("unknown-auditor", f"{body.auditor} was not enrolled as an auditor before it")
    said = read(note.decode("utf-8", "replace"), body.auditor, public)
    if (said.size, said.entry, said.opinion, said.text) != (body.size, body.entry, body.opinion, body.text):
        raise IntegrityError("bad-audit", f"{body.auditor} signed something else than the entry says")
    try:
        same = said.origin == origin and root_at(said.size) == said.root
    except IndexError:
        same = False
    if not same or (said.entry is not None and said.entry >= said.size):
        raise IntegrityError("bad-audit", f"what {body.auditor} signed is about another record")


def digest_of(words: str) -> str:
    return sha256(words.encode("utf-8")).hexdigest()
