"""The engine's side of the verifier: starts the process, asks, and never sees a label.  # T-1, T-3

``Verifier`` is safe to use from several threads; requests go one at a time. A request that takes longer than
``timeout_s``, or a process that dies, is a ``Fault`` (T-6): the process is killed with its group, and the next
request finds a new one. Nothing is lost by that, since draws are functions of their numbers (``draws``).

Faults: ``scorer-timeout``, ``scorer-died`` (a scorer ended the process), ``scorer-failed`` (a program as a whole),
``verifier-crashed`` (a bug of ours), ``verifier-start``. A candidate's output can provoke the first three (a scorer
whose regular expression explodes): whoever calls must not let that buy another roll; ``probe`` tells whether the scorer
is well on right answers, and scoring the same batch with ``None`` counts it as the worst.  # T-6

Time: a request has ``timeout_s`` for each scorer. After the controls, which show how long a row takes, scoring has
``SLACK`` times that, at least ``LEAST_S``: an answer that makes the scorer hang cannot keep the run waiting for long.
"""

from __future__ import annotations

import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import festina
from festina.errors import Fault, IntegrityError, UsageError
from festina.ledger.canonical import canonical
from festina.system.scorers import Command, Form, InspectTask, parse
from festina.verify import wire
from festina.verify.confine import DEFAULT_UID
from festina.verify.parse import MAX_OUTPUT_BYTES
from festina.verify.types import Controls, Issued, Probed, Source, UnitScore

if TYPE_CHECKING:
    from festina.ledger.entries import GuardTerms, JudgeTerms, SuiteTerms

__all__ = ["PROVOKED", "RemoteSigner", "Verifier"]

START_S = 60.0
LEAST_S = 5.0
SLACK = 50.0
SIGN_TRIES = 4  # a process that dies in between has to be told everything again
FRAME_BYTES = 1 << 20
CONTROL_SETS = 16  # sets of answers that the controls score, about
PROVOKED = ("scorer-timeout", "scorer-died", "scorer-failed")  # faults that an answer can bring about
# ``-I`` shuts out PYTHONPATH, the user's own packages and the current folder; what is installed is handed over by name.
_BOOT = "import sys; sys.path[0:0] = sys.argv[3:4]; sys.path += sys.argv[4:]; " \
    "from festina.verify.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"  # fmt: skip


class RemoteSigner:
    """Signs through the verifier's process: the key never comes here, and it signs what follows from its scores."""

    role: Literal["verifier"] = "verifier"

    def __init__(self, verifier: Verifier, keyid: str, public: bytes, shown: object = None) -> None:
        self._verifier = verifier
        self.keyid = keyid
        self.public = public
        self._shown = shown

    def showing(self, shown: object) -> RemoteSigner:
        """The same signer with the receipts that an entry needs: rows of each unit (``receipts``)."""
        return RemoteSigner(self._verifier, self.keyid, self.public, shown)

    def sign(self, data: bytes) -> bytes:
        """Raises ``IntegrityError`` not-signed where a number does not follow."""
        return self._verifier._sign(data, self._shown)


class Verifier:
    """A running verifier. Made by ``start``; a context manager."""

    def __init__(self, setup: dict[str, object], *, timeout_s: float, used: int | None) -> None:
        self._setup = setup
        self._timeout_s = timeout_s
        self._row_s = 0.0  # how long scoring one answer takes, as the controls showed
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        # The parent-death signal follows the *thread* that started the child: this one lives as long as we do.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="festina-verifier")
        self._hello: dict[str, object] = {}
        self._next = used
        self._closed = False
        self._entries: Callable[[int], Iterable[bytes]] | None = None

    @classmethod
    def start(
        cls,
        *,
        vault: Path,
        evaluator: Path,
        key: Path,
        suite: SuiteTerms,
        guards: Sequence[GuardTerms | JudgeTerms] = (),
        uid: int = DEFAULT_UID,
        timeout_s: float = 60.0,
        memory_bytes: int = 4 << 30,
        used: int | None = None,
        itemwise: bool = False,
    ) -> Verifier:
        """Start the process and wait until scorers and items are loaded.

        ``uid`` is the verifier's own as root, no candidate's. ``used`` is how many items of a finite
        hidden suite the ledger has counted already (V-3): without it such items are drawn by position only, so that
        a resumed run cannot show used ones again unawares. ``itemwise``: tell the score of every drawn item, which is
        granted only for fresh draws of a generator, with a key that no run will ever use.

        Raises what the worker raises: ``UsageError`` scorer-broken, generator-broken, range-missing,
        suite-not-in-vault …, ``IntegrityError`` vault-damaged.
        """
        _check_uid(uid)
        setup: dict[str, object] = {
            "do": "start",
            "vault": str(vault.absolute()),
            "evaluator": os.path.realpath(evaluator),
            "key": str(key.absolute()),
            "suite": suite.model_dump(mode="json"),
            "guards": [guard.model_dump(mode="json") for guard in guards],
            "uid": uid,
            "parent": os.getpid(),
            "reach": _reach(),
            "wall_s": float(timeout_s),
            "memory": memory_bytes,
            "itemwise": itemwise,
        }
        verifier = cls(setup, timeout_s=timeout_s, used=used)
        with ExitStack() as undo:
            undo.callback(verifier.close)
            with verifier._lock:
                verifier._spawn()
            undo.pop_all()
        return verifier

    @property
    def signer(self) -> RemoteSigner:
        return RemoteSigner(self, str(self._hello["keyid"]), bytes.fromhex(str(self._hello["public"])))

    def follow(self, entries: Callable[[int], Iterable[bytes]]) -> None:
        """The ledger on which it signs: ``entries(n)`` gives the envelopes from number n on."""
        self._entries = entries

    def _sign(self, data: bytes, shown: object) -> bytes:
        """Hand over the entries that the process lacks, all of them after a restart, and have the statement signed."""
        rest = canonical(shown)
        for left in reversed(range(SIGN_TRIES)):
            try:
                head, signature = self._ask({"do": "sign", "size": len(data)}, data + rest)
                behind = head.get("behind")
                if not isinstance(behind, int):
                    return signature
                if self._entries is None:
                    raise UsageError("no-ledger-to-sign-on", "the verifier signs only on a ledger that it follows")
                for envelopes in _frames(self._entries(behind)):
                    self._ask({"do": "entries", "sizes": [len(each) for each in envelopes]}, b"".join(envelopes))
            except Fault as fault:
                if fault.name != "scorer-died" or left == 0:
                    raise
        raise Fault("verifier-behind", "the verifier's process kept losing the entries that it was handed")

    @property
    def source(self) -> Source | None:
        """Where the hidden items come from; None where the suite has none."""
        found = self._hello["source"]
        return Source(**found) if isinstance(found, dict) else None

    @property
    def separated(self) -> bool:
        """True when the process has a uid of its own; else the separation is nominal.  # T-1"""
        return self._hello["separated"] is True

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the separation is missing here, in words for a report."""
        notes = self._hello["notes"]
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    @property
    def pid(self) -> int:
        return int(str(self._hello["pid"]))

    def draw(self, seed: int, n: int, *, first: int | None = None) -> Issued:
        """``n`` hidden items by the engine's seed, as the candidate gets them.

        ``first`` is the position in a finite suite (or of a sealed block); without it items are taken one after the
        other, never twice. A generator in fresh mode needs no position. Raises ``UsageError`` suite-spent.
        """
        with self._lock:
            place = self._place() if first is None else first
            head, inputs = self._request({"do": "draw", "seed": seed, "n": n, "first": place}, b"")
            if first is None and self._next is not None:
                self._next += n
        return Issued(str(head["batch"]), inputs)

    def score(self, batch_id: str, output: bytes | None, role: str = "") -> UnitScore:
        """Score one candidate's output. ``None``: its trial did not end ok, every item has the worst score.  # V-1

        ``role`` is whose answer it is; its receipt counts for that role only.  # T-1
        """
        given, payload = _bounded(output)
        limit_s = self._pace(_items_of(batch_id))
        head, _ = self._ask({"do": "score", "batch": batch_id, "given": given, "role": role}, payload, limit_s)
        return _unit_score(head)

    def probe(self, batch_id: str) -> None:
        """Raises a ``Fault`` where the scorers fail on this batch's right answers, too.  # T-6"""
        self._ask({"do": "probe", "batch": batch_id}, b"", self._pace(_items_of(batch_id)))

    def public(self, items: bytes, output: bytes | None) -> UnitScore:
        """The same scorers on public items (JSON lines with labels), item by item too."""
        given, payload = _bounded(output)
        head, _ = self._ask({"do": "public", "items": len(items), "given": given}, items + payload)
        return _unit_score(head)

    def controls(self, seed: int, n: int, *, further: int = -1) -> Controls:
        """Constant and random answers must fail, the oracle must pass. ``further``: for that other scorer.  # V-2"""
        began = time.monotonic()
        try:
            asked = {"do": "controls", "seed": seed, "n": n, "further": further}
            head, _ = self._ask(asked, b"", CONTROL_SETS * self._limit_s)
        except Fault as fault:
            if fault.name not in ("scorer-failed", "scorer-timeout"):
                raise
            raise UsageError("scorer-broken", f"during the controls, {fault.what}", fix=fault.fix) from None
        if further < 0:
            self._row_s = (time.monotonic() - began) / (CONTROL_SETS * n)
        match head:
            case {"constant": float(low), "random": float(chance), "oracle": float() | None as top, "ok": bool(ok)}:
                return Controls(low, chance, top, ok, str(head.get("note", "")), str(head.get("receipt", "")))
        raise _nonsense()

    def tricks(
        self, what: str, seed: int, n: int, *, guard: int = -1, limit_s: float | None = None
    ) -> tuple[Probed, ...]:
        """Trick answers for the suite's scorer, or for the guard of that number; see ``probes``.  # V-2

        They are made and scored in the verifier's process, on a sample that is no look. A scorer that hangs or dies
        raises the same faults as in ``score``.
        """
        head, _ = self._ask({"do": "tricks", "set": what, "seed": seed, "n": n, "guard": guard}, b"", limit_s)
        rows = head.get("rows")
        if not isinstance(rows, list):
            raise _nonsense()
        return tuple(Probed(**row) for row in rows)

    def close(self) -> None:
        """End the process. May be called twice."""
        with self._lock:
            self._closed = True
            self._kill()
        self._starter.shutdown()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place(self) -> int:
        """The next position of a finite suite; a generator in fresh mode never runs dry and needs none."""
        source, suite = self._hello["source"], self._setup["suite"]
        endless = isinstance(source, dict) and source["kind"] == "generator"
        if source is None or (endless and isinstance(suite, dict) and suite["mode"] == "fresh"):
            return 0
        if self._next is None:  # V-3
            raise UsageError(
                "looks-not-counted", "which of the suite's hidden items are used already was not said",
                fix="start the verifier with used=, the ledger's count of items issued in this epoch",
            )  # fmt: skip
        return self._next

    @property
    def _limit_s(self) -> float:
        """For all scorers of one batch. Programs have their own clock; ours must be the later one."""
        terms = [self._setup["suite"], *list(_rows(self._setup["guards"]))]
        programs = sum(isinstance(form, Command | InspectTask) for form in map(_form, terms))
        return self._timeout_s * max(1, programs) + (LEAST_S if programs else 0.0)

    def _pace(self, items: int) -> float:
        return min(self._limit_s, max(LEAST_S, SLACK * self._row_s * items)) if self._row_s else self._limit_s

    def _ask(
        self, head: Mapping[str, object], payload: bytes, limit_s: float | None = None
    ) -> tuple[dict[str, object], bytes]:
        with self._lock:
            return self._request(head, payload, limit_s)

    def _request(
        self, head: Mapping[str, object], payload: bytes, limit_s: float | None = None
    ) -> tuple[dict[str, object], bytes]:
        if self._closed:
            raise UsageError("verifier-closed", "this verifier was closed", fix="start another")
        if self._sock is None or self._gone():
            self._kill()
            self._spawn()
        return self._exchange(head, payload, self._limit_s if limit_s is None else limit_s, what=str(head["do"]))

    def _exchange(
        self, head: Mapping[str, object], payload: bytes, limit_s: float, *, what: str
    ) -> tuple[dict[str, object], bytes]:
        sock = self._sock
        assert sock is not None  # both callers have just started the process
        deadline = time.monotonic() + limit_s
        with ExitStack() as undo:
            undo.callback(self._kill)  # an interrupted exchange, Ctrl-C included, would leave its reply to the next one
            try:
                wire.send(sock, head, payload, deadline=deadline)
                reply, body = wire.receive(sock, deadline=deadline)
            except TimeoutError:
                raise _late(what, limit_s) from None
            except OSError:
                raise _died(what, self._kill()) from None
            undo.pop_all()
        error = wire.revive(reply)
        if error is not None:
            raise error
        return reply, body

    def _gone(self) -> bool:
        """True when the process is dead already: found before a request, that costs nothing but a restart."""
        if self._sock is None or self._process is None or self._process.poll() is not None:
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._sock = ours
            uid = str(self._setup["uid"])
            command = [sys.executable, "-I", "-c", _BOOT, str(theirs.fileno()), uid, _package_root(), *_installed()]
            start = self._starter.submit(_popen, command, theirs.fileno())
            try:
                self._process = start.result()
            except OSError as error:
                raise Fault("verifier-start", f"the verifier's process cannot be started: {error.strerror}") from None
        hello, _ = self._exchange(self._setup, b"", START_S, what="start")
        for pinned in ("public", "source", "evaluator"):
            if self._hello and self._hello[pinned] != hello.get(pinned):
                self._kill()
                raise IntegrityError(
                    "verifier-changed", f"the verifier's {pinned} changed while it ran",
                    fix="stop the run; find out who changed the home or the evaluator's folder",
                )  # fmt: skip
        self._hello = hello

    def _kill(self) -> str:
        """Stop the process and what it started; how it ended, in words."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        process, self._process = self._process, None
        if process is None:
            return "never started"
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        return f"signal {-code}" if code < 0 else f"exit status {code}"


def _frames(envelopes: Iterable[bytes]) -> Iterator[list[bytes]]:
    """In frames of about a megabyte."""
    frame: list[bytes] = []
    size = 0
    for envelope in envelopes:
        frame.append(envelope)
        size += len(envelope)
        if size >= FRAME_BYTES:
            yield frame
            frame, size = [], 0
    if frame:
        yield frame


def _rows(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _form(terms: object) -> Form | None:
    """What kind of scorer the terms name; None where the run prints its own score."""
    scorer = str(terms["scorer"]) if isinstance(terms, dict) else ""
    return None if scorer.startswith("stdout:") else parse(scorer)


def _items_of(batch_id: str) -> int:
    """How many items a batch holds, as its name tells."""
    try:
        return int(batch_id.split(".")[1], 16)
    except (IndexError, ValueError):
        return 0


def _late(what: str, limit_s: float) -> Fault:
    name, who = ("generator", "the generator") if what == "draw" else ("scorer", "a scorer")
    return Fault(
        f"{name}-timeout",
        f"{who} did not come back within {limit_s:g} s and was stopped",
        fix="bound its work, or raise the verifier's timeout",
    )


def _died(what: str, how: str) -> Fault:
    return Fault(
        "verifier-start" if what == "start" else "scorer-died",
        f"the verifier's process ended during {what} ({how})",
        fix="a scorer may return or raise, but not end its process or exhaust its memory",
    )


def _popen(command: Sequence[str], descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env={}, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,), start_new_session=True,
    )  # fmt: skip


def _check_uid(uid: int) -> None:
    """As root: a uid that nobody else has, or that one could signal and impersonate the verifier.  # T-1"""
    if os.geteuid() != 0:
        return
    with suppress(KeyError):
        name = pwd.getpwuid(uid).pw_name
        raise UsageError(
            "uid-in-use", f"uid {uid} belongs to the account {name}", fix="choose a uid without an account"
        )


def _reach() -> list[str]:
    """Folders that the worker's Python needs after it gave up root."""
    paths = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *_installed(), _package_root()}
    return sorted(path for path in paths if os.path.isdir(path) and os.path.isabs(path))


def _package_root() -> str:
    return str(Path(festina.__path__[0]).parent)


def _installed() -> list[str]:
    """Where packages are installed; never the engine's current folder, which may be the system's repository."""
    return [p for p in sys.path if os.path.isabs(p) and os.path.basename(p) in {"site-packages", "dist-packages"}]


def _bounded(output: bytes | None) -> tuple[bool, bytes]:
    """More than the verifier would read is as good as nothing: the bytes need not cross."""
    if output is None or len(output) > MAX_OUTPUT_BYTES:
        return False, b""
    return True, output


def _unit_score(head: Mapping[str, object]) -> UnitScore:
    match head:
        case {
            "mean": float(mean), "guards": list(guards), "items": int(items), "failed": int(failed), "each": list(each),
        }:  # fmt: skip
            single, receipt = tuple(map(float, each)), str(head.get("receipt", ""))
            return UnitScore(mean, tuple(map(float, guards)), items, failed, single, receipt)
    raise _nonsense()


def _nonsense() -> Fault:
    return Fault("verifier-died", "the verifier sent a reply that makes no sense")
