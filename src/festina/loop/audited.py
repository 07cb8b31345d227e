"""Enrolling auditors, and entering what they signed elsewhere.  # L-2, T-1"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.audits import Said, check_claim, digest_of, read
from festina.ledger.log import Draft, Ledger, Record
from festina.loop import acts
from festina.loop.state import State
from festina.loop.stating import checked

__all__ = ["enrol", "take"]


def enrol(ledger: Ledger, state: State, name: str, organisation: str, public: bytes) -> None:
    """Let another organisation's key sign notes and opinions. Raises ``UsageError`` for a name or key in use."""
    if name in state.outside.auditors or name in state.reviewers:
        raise UsageError("known-here", f"'{name}' is enrolled here already", fix="choose another name")
    words = checked(organisation, "organisation's name").decode()
    key = base64.b64encode(public).decode()
    body = e.AuditorEnrolled(auditor=name, organisation=words[:300], key=key)
    acts.write(ledger, state, lambda _: [Draft(body)])


def take(ledger: Ledger, state: State, name: str, note: str, words: str) -> Record:
    """Enter what an enrolled auditor signed. Raises ``IntegrityError`` where that auditor did not, or not of this."""
    auditor = state.outside.auditors.get(name)
    if auditor is None:
        raise UsageError("no-such-auditor", f"'{name[:60]}' is no auditor of this record", fix="festina auditor add")
    public, raw = base64.b64decode(auditor.key), checked(words, "auditor's text")
    said: Said = read(note, name, public)
    if said.text != digest_of(raw.decode()):
        raise IntegrityError("bad-audit", "the text is not the one that the auditor signed")
    body = e.AuditReceived(
        auditor=name, size=said.size, entry=said.entry, opinion=said.opinion, note=digest_of(note), text=said.text
    )
    check_claim(note.encode(), body, public, ledger.origin, ledger.root)
    if any(known.note == body.note for _, known in state.outside.audits):
        raise UsageError("taken-already", "this was entered before", fix="festina auditor list")

    def make(now: State) -> Sequence[Draft]:
        return [Draft(body, blobs=(note.encode(), raw))]

    return acts.write(ledger, state, make)[0]
