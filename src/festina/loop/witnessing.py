"""Asking witnesses for their cosignatures, and recording them.  # L-2"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.checkpoint import key_hash, parse_and_verify, take_apart
from festina.ledger.cosignature import Cosigned, WitnessKey, cosigned, joined, witness_key
from festina.ledger.log import Draft, Ledger
from festina.ledger.witnesses import SKEW_S, Seen
from festina.loop import acts
from festina.loop.outside import terms_of
from festina.loop.state import State
from festina.witness.client import Unreached, fetch, submit
from festina.witness.protocol import Answer, Request

__all__ = ["Asked", "ask", "compare", "request", "take"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one witness did. ``trouble``: why it did not cosign, in words; "" when it did. ``fork``: two histories."""

    name: str
    trouble: str = ""
    fork: bool = False


def request(ledger: Ledger, note: str, old: int) -> Request | None:
    """What to send to a witness that is at ``old`` entries; None where the checkpoint covers fewer."""
    size = ledger.covered
    return Request(old, ledger.consistency(old, size).hashes, note) if old <= size else None


def ask(ledger: Ledger, state: State) -> list[Asked]:
    """Have every witness that has an address cosign the newest checkpoint, and record what they signed."""
    terms = terms_of(state)
    note = ledger.cover()
    for record in ledger.refresh():
        state.apply(record)
    reachable = [(witness_key(each.key), each.url) for each in terms.witnesses if each.url]
    olds = [state.outside.seen[key.name].size if key.name in state.outside.seen else 0 for key, _ in reachable]

    def one(place: int) -> Answer | str:
        try:
            return submit(str(reachable[place][1]), lambda old: request(ledger, note, old), olds[place])
        except Unreached as error:
            return str(error)

    with ThreadPoolExecutor(max(1, len(reachable))) as pool:
        answers = list(pool.map(one, range(len(reachable))))
    done, lines = [], ""
    for (key, _), answer in zip(reachable, answers, strict=True):
        trouble = answer if isinstance(answer, str) else _refusal(answer, ledger.covered)
        if not trouble and isinstance(answer, Answer):
            trouble, lines = _added(note, lines, answer.body, key)
        done.append(Asked(key.name, trouble))
    done += [Asked(witness_key(each.key).name, "it is asked by files") for each in terms.witnesses if not each.url]
    if lines:
        take(ledger, state, note + lines)
    return done


def _refusal(answer: Answer, size: int) -> str:
    """Why a witness did not cosign; "" where it says that it did."""
    if answer.status == 200:
        return ""
    if answer.status == 404:
        return "it does not know this ledger: festina witness trust, at its place"
    newest = answer.body.strip()[:20]
    if answer.status == 409 and newest.isascii() and newest.isdigit():
        if int(newest) > size:
            return f"it has seen {newest} entries, and this ledger has {size}: the ledger was cut, or is an older copy"
        return f"at {newest} entries it has seen another history than this ledger's: one of the two was rewritten"
    if answer.status == 422:
        return "it does not find that this ledger continues what it has seen: one of the two was rewritten"
    return f"it answered {answer.status}"


def _added(note: str, lines: str, answer: str, key: WitnessKey) -> tuple[str, str]:
    """(trouble, all cosignature lines so far): the answer's cosignature, when it holds and is of about now."""
    try:
        whole = joined(note, answer, (key,))
        found = cosigned(whole, (key,))
    except IntegrityError as error:
        return error.what, lines
    if not found:
        return "its answer holds no cosignature with the key that the rules name", lines
    if found[0].at > time.time() + SKEW_S:
        return "its cosignature is dated in the future", lines
    return "", lines + whole.removeprefix(note)


def take(ledger: Ledger, state: State, note: str) -> tuple[Cosigned, ...]:
    """Record a cosigned checkpoint of this ledger, wherever it comes from. Raises ``IntegrityError`` for another's.

    Lines of keys that the rules do not name are left out.
    """
    terms = terms_of(state)
    keys = [witness_key(each.key) for each in terms.witnesses]
    point = parse_and_verify(note, ledger.origin, ledger.engine_key)
    _continues(ledger, point.size, point.root, "the cosigned checkpoint")
    found = cosigned(note, keys)
    late = [each.name for each in found if each.at > time.time() + SKEW_S]
    if not found or late:
        why = f"dated in the future: {', '.join(late)}" if late else "no witness that the rules name cosigned it"
        raise UsageError("no-cosignature", f"this note cannot be taken: {why}", fix="festina witness ask")
    own = joined(_bare(note, ledger), note.rpartition("\n\n")[2], keys)
    by = tuple(e.WitnessedBy(name=c.name, key=next(k.text for k in keys if k.name == c.name), at=c.at) for c in found)
    body = e.Witnessed(size=point.size, note=sha256(own.encode()).hexdigest(), by=by)

    def make(now: State) -> Sequence[Draft]:
        newer = [each for each in by if _is_newer(now.outside.seen.get(each.name), body.size, each)]
        return [Draft(body, blobs=(own.encode(),))] if newer else []

    acts.write(ledger, state, make)
    return found


def _bare(note: str, ledger: Ledger) -> str:
    """The note with the log's own signature alone; another key's line in its name is not it."""
    text, lines = take_apart(note)
    own = key_hash(ledger.origin, ledger.engine_key)
    mine = next(line for line in lines if (line.name, line.key) == (ledger.origin, own))  # it was verified
    return f"{text}\n— {mine.name} {base64.b64encode(mine.key + mine.signature).decode()}\n"


def _is_newer(known: Seen | None, size: int, each: e.WitnessedBy) -> bool:
    return known is None or (size, each.at) > (known.size, known.at)


def _continues(ledger: Ledger, size: int, root: bytes, what: str) -> None:
    """Raise ``IntegrityError`` unless this ledger has that root at that size."""
    if size > ledger.size:
        raise IntegrityError(
            "ledger-cut", f"{what} covers {size} entries, this ledger has {ledger.size}: cut, or an older copy"
        )
    if ledger.root(size) != root:
        raise IntegrityError(
            "fork", f"{what} over {size} entries has another root than this ledger: the same key signed two histories"
        )


def compare(ledger: Ledger, state: State) -> list[Asked]:
    """Whether what every witness holds as newest is a beginning of this ledger. A fork is in ``trouble``.  # L-2

    Each witness alone shows a rewrite since it last looked; two that were shown different histories both show it here.
    """
    done = []
    for each in terms_of(state).witnesses:
        key = witness_key(each.key)
        if not each.url:
            continue
        try:
            note = fetch(each.url, ledger.origin)
            point = parse_and_verify(note, ledger.origin, ledger.engine_key)
            if not cosigned(note, (key,)):
                raise Unreached("what it gave bears no cosignature of its own")
            _continues(ledger, point.size, point.root, f"what {key.name} cosigned")
            done.append(Asked(key.name))
        except Unreached as error:
            done.append(Asked(key.name, str(error)))
        except IntegrityError as error:
            done.append(Asked(key.name, error.what, fork=error.name in ("fork", "ledger-cut")))
    return done
