"""What witnesses say about a ledger, as the whole check sees it: recomputed from the notes, entry by entry.  # L-2

Wrong is: a note that the engine or a claimed witness did not sign, or whose root the entries do not have. A finding is:
a witness that no epoch named; an entry dated before a time at which witnesses had already seen entries before it
(back-dated); a release without the quorum that its epoch asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from festina.errors import IntegrityError, UsageError
from festina.ledger.checkpoint import parse_and_verify
from festina.ledger.cosignature import Cosigned, WitnessKey, cosigned, witness_key
from festina.ledger.entries import Body, EpochOpened, ReleaseIntent, ReviewDecided, Witnessed, WitnessTerms

__all__ = ["SKEW_S", "Seen", "Witnesses", "check_note"]

RootAt = Callable[[int], bytes]
SKEW_S = 300.0  # how far the clocks of two honest machines may be apart
MAX_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest checkpoint that one witness cosigned, by an entry's word until its note was checked."""

    seq: int
    size: int
    at: int
    key: str
    note: str  # digest


def check_note(note: str, body: Witnessed, origin: str, engine: bytes, root_at: RootAt) -> tuple[Cosigned, ...]:
    """The cosignatures that ``body`` claims, each found to hold under ``note``. Raises ``IntegrityError``.

    ``root_at``: the ledger's root over its first so many entries, ``IndexError`` where it has fewer.
    """
    point = parse_and_verify(note, origin, engine)
    try:
        same = point.size == body.size and root_at(point.size) == point.root
    except IndexError:
        same = False
    if not same:
        raise IntegrityError("fork", "what the witnesses cosigned is not this ledger: its history differs")
    try:
        keys = [witness_key(each.key) for each in body.by]
    except UsageError as error:
        raise IntegrityError("bad-cosignature", error.what) from None
    found = cosigned(note, keys)
    if {(w.name, w.at) for w in found} != {(each.name, each.at) for each in body.by}:
        raise IntegrityError("bad-cosignature", "the note does not bear the cosignatures that the entry names")
    return found


@dataclass(slots=True)
class Witnesses:
    """Reads entries in order; ``check`` afterwards, when all of them are in the tree."""

    terms: WitnessTerms | None = None
    newest: dict[str, Seen] = field(default_factory=dict)
    findings: list[tuple[int, str]] = field(default_factory=list)
    _claims: list[tuple[int, Witnessed]] = field(default_factory=list)
    _floor: float = 0.0  # the newest time that any witness gave to what came before
    _decided: dict[int, int] = field(default_factory=dict)  # review -> its last decision

    def see(self, seq: int, at: str, body: Body) -> None:
        if self._floor and _seconds(at) < self._floor - SKEW_S:
            self._find(seq, f"back-dated: it says {at}, and entries before it were cosigned by a witness after that")
        if isinstance(body, EpochOpened):
            self.terms = body.witness
        elif isinstance(body, ReviewDecided):
            self._decided[body.review] = seq
        elif isinstance(body, ReleaseIntent) and body.cause == "release":
            self._release(seq, at, body)
        elif isinstance(body, Witnessed):
            self._witnessed(seq, body)

    def _find(self, seq: int, what: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append((seq, what))

    def _witnessed(self, seq: int, body: Witnessed) -> None:
        self._claims.append((seq, body))
        named = {each.key for each in self.terms.witnesses} if self.terms is not None else set()
        for each in body.by:
            if each.key not in named:
                self._find(seq, f"cosigned by {each.name}, which the rules in force do not name as a witness")
            self.newest[each.name] = Seen(seq, body.size, each.at, each.key, body.note)
            self._floor = max(self._floor, float(each.at))

    def _release(self, seq: int, at: str, body: ReleaseIntent) -> None:
        terms = self.terms
        if terms is None or not terms.release:
            return
        keys, since = {each.key for each in terms.witnesses}, _seconds(at) - terms.max_age_s - SKEW_S
        least = body.grant or 0  # without asking: the signed step has to be seen in place of an approval
        if body.review is not None:
            least = self._decided.get(body.review, seq)
        enough = [s for s in self.newest.values() if s.key in keys and s.size > least and s.at >= since]
        if len(enough) < terms.quorum:
            self._find(seq, f"a release that {len(enough)} of the {terms.quorum} witnesses asked for had seen approved")

    def check(
        self, note_of: Callable[[str], bytes], origin: str, engine: bytes, root_at: RootAt
    ) -> Iterator[tuple[int, str]]:
        """(entry, what is wrong with it) for every claim that does not hold."""
        for seq, body in self._claims:
            try:
                check_note(note_of(body.note).decode("utf-8"), body, origin, engine, root_at)
            except (IntegrityError, UnicodeDecodeError) as error:
                yield seq, f"witnessed: {error.what if isinstance(error, IntegrityError) else 'its note is not text'}"

    def trusted(self, keys: tuple[WitnessKey, ...]) -> tuple[tuple[str, Seen | None], ...]:
        """The newest checkpoint that each of ``keys`` cosigned; None for one that cosigned nothing here."""
        found = [(key.name, self.newest.get(key.name), key.text) for key in keys]
        return tuple((name, seen if seen is not None and seen.key == text else None) for name, seen, text in found)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
