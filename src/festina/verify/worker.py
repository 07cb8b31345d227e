"""The verifier's own process: it alone holds vault, labels, scorers and the verifier's signing key.  # T-1, T-3

Started by ``client.Verifier`` with an empty environment and one inherited socket; everything else, paths
included, comes as the first frame. In order: read key and items with the starter's rights, separate (own uid,
own view), load generator and scorers, say hello, answer one request at a time until the socket closes.

What leaves: inputs without labels, means, counts, error types and places, receipts, signatures. What it signs: only
DSSE statements of the kinds that are the verifier's to sign, and of these only what follows (``notary``). Standard
output and error go nowhere, so a scorer that prints leaks nothing and breaks nothing.

A scorer that hangs or kills the process is the client's to handle: it kills, restarts and reports a fault.
"""

from __future__ import annotations

import hmac
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from festina.errors import Fault, FestinaError, IntegrityError, UsageError
from festina.ledger.signing import LocalKey
from festina.system.scorers import Command, Form, Function, InspectTask, parse
from festina.verify import confine, controls, probes, programs, wire
from festina.verify.draws import Dealer
from festina.verify.inspecting import TaskScorer
from festina.verify.parse import Item, Malformed, decode, read_items, read_predictions, right_answers
from festina.verify.receipts import Receipts, digest_of
from festina.verify.scoring import Range, Scorer, broken, install, judge, load, loaded_digest
from festina.verify.types import Source, UnitScore
from festina.verify.vault import Vault

if TYPE_CHECKING:
    from festina.verify.notary import Notary

__all__ = ["SIGNED_KINDS", "main"]

#: The entry kinds whose ``role`` is "verifier"; a test compares them with ``ledger.entries``.
SIGNED_KINDS = frozenset({
    "attributed", "batch-ended", "characterised", "control-ended", "controls-checked", "crossplay-problem",
    "final-scored", "internals-compared", "public-compared", "soaked", "verdict",
})  # fmt: skip
SPARE_MEMORY = 512 << 20  # for the verifier's own work, beside what a scorer may use
MAX_SHOWN = 32 << 20  # receipts of one entry
MAX_STATEMENT = 65_536  # an envelope is smaller than this (L-2)

Reply = tuple[dict[str, object], bytes]


@dataclass(frozen=True, slots=True)
class Setup:
    """The first frame: who to be and what to judge."""

    vault: Path
    evaluator: Path
    key: Path
    suite: Mapping[str, object]
    guards: tuple[Mapping[str, object], ...]
    uid: int
    parent: int
    reach: tuple[Path, ...]
    caps: programs.Caps
    itemwise: bool  # tell the score of every drawn item: for calibration

    @classmethod
    def read(cls, head: Mapping[str, object]) -> Setup:
        match head:
            case {
                "do": "start", "vault": str(vault), "evaluator": str(evaluator), "key": str(key),
                "suite": dict(suite), "guards": list(guards), "uid": int(uid), "parent": int(parent),
                "reach": list(reach), "wall_s": float(wall_s), "memory": int(memory), "itemwise": bool(itemwise),
            }:  # fmt: skip
                return cls(
                    Path(vault), Path(evaluator), Path(key), suite, tuple(dict(each) for each in guards), uid, parent,
                    tuple(Path(str(each)) for each in reach), programs.Caps(wall_s, memory), itemwise,
                )  # fmt: skip
        raise wire.Closed("not a start frame")


class Worker:
    def __init__(self, setup: Setup) -> None:
        self._roots = (setup.evaluator,)
        self._key = LocalKey.load(setup.key, "verifier")
        source, data = self._read_items(setup)
        self._itemwise = setup.itemwise
        if setup.itemwise and (source is None or source.kind != "generator" or setup.suite["mode"] != "fresh"):
            raise UsageError(
                "items-are-secret", "single scores are told of fresh draws of a generator only",  # T-1, V-3
                fix="name items that are no secret: festina calibrate --items FILE",
            )  # fmt: skip
        secret = hmac.digest(setup.key.read_bytes(), b"festina: which hidden items are drawn", "sha256")
        self._receipts = Receipts(
            hmac.digest(setup.key.read_bytes(), b"festina: scores that this verifier gave", "sha256"),
            digest_of(setup.suite, setup.guards),
        )
        self._notary: Notary | None = None
        separation = confine.separate(setup.uid, (*setup.reach, setup.evaluator))
        confine.harden(setup.caps.memory_bytes + SPARE_MEMORY)
        confine.die_with_parent(None if confine.enclosed() else setup.parent)
        programs.adopt_orphans()
        scored = [terms for terms in (setup.suite, *setup.guards) if not _self_reported(terms)]
        forms = [parse(str(terms["scorer"])) for terms in scored]
        install(setup.evaluator, [form.module for form in forms if isinstance(form, Function)])
        loaded = [_load(terms, form, setup) for terms, form in zip(scored, forms, strict=True)]
        self._suite: Scorer | None = None if _self_reported(setup.suite) else loaded.pop(0)
        self._guards: tuple[Scorer, ...] = tuple(loaded)
        self._dealer: Dealer | None = None
        if source is not None:
            name, mode = str(setup.suite["name"]), str(setup.suite["mode"])
            unit = str(setup.suite["unit"])
            self._dealer = Dealer(source, data, secret, suite=name, mode=mode, roots=self._roots, unit=unit)
        self.hello: dict[str, object] = {
            "public": self._key.public.hex(),
            "keyid": self._key.keyid,
            "source": None if source is None else asdict(source),
            "evaluator": loaded_digest(setup.evaluator, [path for form in forms for path in _files(form)]),
            "separated": separation.separated,
            "notes": list(separation.notes),
            "pid": confine.outer_pid(),
        }

    @staticmethod
    def _read_items(setup: Setup) -> tuple[Source | None, bytes]:
        """The suite's hidden items where it has some; a suite without them can still score public ones."""
        if _self_reported(setup.suite) or setup.suite["assurance"] != "hidden":
            return None, b""
        name, pinned = str(setup.suite["name"]), setup.suite["source"]
        source, data = Vault(setup.vault).read(name)
        if pinned is not None and pinned != source.digest:
            raise UsageError(
                "vault-changed",
                f"the hidden items of suite {name} are not those that this epoch was opened with",
                fix="open a new epoch for the new items",
            )
        return source, data

    def answer(self, head: Mapping[str, object], payload: bytes) -> Reply:
        match head:
            case {"do": "draw", "seed": int(seed), "n": int(n), "first": int(first)}:
                batch = self._need_dealer().deal(seed, n, first)
                return {"batch": batch.id}, batch.inputs
            case {"do": "score", "batch": str(batch_id), "given": bool(given), "role": str(role)}:
                items = self._need_dealer().find(batch_id).items
                found = self._score(items, payload if given else None, each=self._itemwise)
                receipt = self._receipts.score(role, batch_id, found.mean, found.guards, found.failed)
                return asdict(replace(found, receipt=receipt)), b""
            case {"do": "probe", "batch": str(batch_id)}:
                items = self._need_dealer().find(batch_id).items
                self._score(items, right_answers(items))
                return {}, b""
            case {"do": "public", "items": int(size), "given": bool(given)} if 0 <= size <= len(payload):
                public = {item.id: item for item in read_items(payload[:size], where="public items")}
                return asdict(self._score(public, payload[size:] if given else None, each=True)), b""
            case {"do": "controls", "seed": int(seed), "n": int(n), "further": int(further)}:
                sample = self._need_dealer().sample
                scorer, others = (self._need_suite(), self._guards) if further < 0 else (self._guards[further], ())
                seen = controls.check(scorer, others, sample, seed, n, self._roots)
                receipt = self._receipts.controls(further, seen.constant, seen.random, seen.oracle, seen.ok)
                return asdict(replace(seen, receipt=receipt)), b""
            case {"do": "tricks", "set": str(what), "seed": int(seed), "n": int(n), "guard": int(guard)}:
                scorer = self._need_suite() if guard < 0 else self._guards[guard]
                rows = probes.tricks(scorer, what, self._need_dealer().sample, seed, n, self._roots)
                return {"rows": [asdict(row) for row in rows]}, b""
            case {"do": "entries", "sizes": list(sizes)}:
                return {"size": self._books().enter(_cut(payload, sizes))}, b""
            case {"do": "sign", "size": int(size)} if 0 <= size <= len(payload):
                return self._sign(payload[:size], payload[size:])
        raise wire.Closed("no such request")

    def _sign(self, data: bytes, shown: bytes) -> Reply:
        """Sign, or say from which entry on the books lack what this statement continues."""
        from festina.verify.notary import Behind, take_apart

        _refuse_foreign(data)
        try:
            entry = take_apart(data, self._key.keyid)
            return {}, self._books().sign(entry, data, decode(shown, max_bytes=MAX_SHOWN))
        except Behind as behind:
            return {"behind": behind.size}, b""
        except Malformed as error:
            raise IntegrityError("not-a-receipt", f"what was shown for a signature cannot be read: {error}") from None

    def _books(self) -> Notary:
        """Loaded when first needed: a verifier that signs nothing starts faster."""
        if self._notary is None:
            from festina.verify.notary import Notary

            self._notary = Notary(self._key, self._receipts)
        return self._notary

    def _score(self, items: dict[str, Item], output: bytes | None, *, each: bool = False) -> UnitScore:
        """``each``: every item's score too, which only public items and a calibration's draws may have.

        Lines beyond the items lower all alike.
        """
        suite = self._need_suite()
        predictions = read_predictions(output, items)
        unit, marks = judge(suite, items, predictions, self._roots)
        guards = [(guard, judge(guard, items, predictions, self._roots)[0]) for guard in self._guards]
        failed = sum(not mark.valid for mark in marks)
        own = tuple(guard.range.own(score) for guard, score in guards)
        part = len(marks) / max(len(marks), predictions.lines) if marks else 1.0
        single = tuple(suite.range.own(mark.unit * part) for mark in marks) if each else ()
        return UnitScore(suite.range.own(unit), own, len(items), failed, single)

    def _need_suite(self) -> Scorer:
        if self._suite is None:
            raise UsageError(
                "self-reported", "this suite's score is printed by the candidate itself: there is nothing to score",
                fix='name a scorer, scorer = "module:function", in festina.toml',
            )  # fmt: skip
        return self._suite

    def _need_dealer(self) -> Dealer:
        self._need_suite()
        if self._dealer is None:
            raise UsageError(
                "no-hidden-items", "this suite has no hidden items", fix="festina vault add SUITE ITEMS.jsonl"
            )
        return self._dealer


def _cut(payload: bytes, sizes: list[object]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        if not isinstance(size, int) or not 0 <= size <= len(payload) - at:
            raise wire.Closed("not a frame of entries")
        yield payload[at : at + size]
        at += size


def _self_reported(terms: Mapping[str, object]) -> bool:
    return str(terms["scorer"]).startswith("stdout:")


def _load(terms: Mapping[str, object], form: Form, setup: Setup) -> Scorer:
    """A scorer of any form, ready to judge. Raises ``UsageError`` scorer-broken."""
    name, bounds = str(terms["scorer"]), _range(terms)
    if isinstance(form, Function):
        return load(name, bounds, setup.evaluator)
    if isinstance(form, InspectTask):
        task = TaskScorer(name, setup.evaluator, form.file, form.task, setup.caps)
        task.start()
        return Scorer(name, None, bounds, task, together=True)
    path = programs.search_path()
    found = programs.find(form.argv[0], setup.evaluator, path)
    if found is None:
        raise broken(name, f"cannot be started: there is no program {form.argv[0]!r} that may be run", form.argv[0])
    argv = (found, *form.argv[1:])
    return Scorer(name, None, bounds, programs.Program(name, argv, setup.evaluator, setup.caps, path))


def _files(form: Form) -> tuple[str, ...]:
    """The files of a scorer that is not imported here."""
    return form.paths if isinstance(form, Command) else (form.file,) if isinstance(form, InspectTask) else ()


def _range(terms: Mapping[str, object]) -> Range:
    low, high = terms["low"], terms["high"]
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low < high:
        raise UsageError(
            "range-missing", f"{terms['name']} has a scorer but no range, so a failed item has no worst score",
            fix="declare range = [worst possible, best possible] in festina.toml",
        )  # fmt: skip
    return Range(float(low), float(high), str(terms["direction"]))


def _refuse_foreign(data: bytes) -> None:
    """Sign statements of the verifier's own kinds and nothing else: no engine entry, no bare bytes.  # T-1"""
    try:
        head, kind, payload = data[:MAX_STATEMENT].split(b" ", 2)[0], data.split(b" ", 4), b""
        if head == b"DSSEv1" and kind[2] == b"application/vnd.in-toto+json" and len(kind) == 5:
            payload = kind[4] if int(kind[3]) == len(kind[4]) and int(kind[1]) == len(kind[2]) else b""
        statement = decode(payload, max_bytes=MAX_STATEMENT)
    except (Malformed, ValueError, IndexError):
        statement = None
    named = statement.get("predicateType") if isinstance(statement, dict) else None
    if named not in {f"urn:festina:entry:{kind}:1" for kind in SIGNED_KINDS}:
        raise UsageError("not-the-verifiers", "the verifier signs its own kinds of entry only")


def _watch(sock: socket.socket) -> None:
    """End the process when the engine's end closes, whatever a scorer is busy with."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLRDHUP)
    while not poll.poll():
        pass
    os._exit(0)


def _report_crash(sock: socket.socket) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """A bug of this process: its type and line, never its message, go to the engine; then it ends.  # T-6"""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        place = ""
        while trace is not None:
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            trace = trace.tb_next
        fault = Fault("verifier-crashed", f"the verifier failed ({kind.__name__})", where=place)
        wire.send(sock, wire.reply_error(fault))

    return hook


def serve(sock: socket.socket) -> None:
    head, _ = wire.receive(sock)
    try:
        worker = Worker(Setup.read(head))
    except FestinaError as error:
        wire.send(sock, wire.reply_error(error))
        return
    threading.Thread(target=_watch, args=(sock,), daemon=True).start()
    wire.send(sock, worker.hello)
    while True:
        try:
            head, payload = wire.receive(sock)
        except wire.Closed:
            return
        try:
            reply, body = worker.answer(head, payload)
        except FestinaError as error:
            reply, body = wire.reply_error(error), b""
        wire.send(sock, reply, body)


def main(descriptor: int, uid: int) -> None:
    """Serve the engine on the inherited socket ``descriptor`` until it closes. ``uid`` is the waiting shell's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's to handle
    confine.enclose(uid)
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    sys.excepthook = _report_crash(sock)
    serve(sock)

