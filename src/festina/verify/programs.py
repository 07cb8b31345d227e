"""Scorers that are programs: one process tree a batch, in the verifier's own view, strictly read.  # T-1, T-3, T-6

The program finds one JSON object a line on standard input, ``{"id", "input", "label", "output"}``, and writes one a
line to standard output, ``{"id", "score"}``: each id once, nothing else. Its folder is the evaluator, the tree pinned
at the start of the epoch; its environment holds a PATH and no secret, and no label is in it or in its arguments.

- A score that is missing, given twice, not a number or out of range costs its own item.
- A program that ends in anything but 0, is late, writes too much or anything else than scores has failed as a whole:
  ``Fault`` scorer-failed or scorer-timeout, and nothing of what it wrote counts. Whoever calls finds out who is to
  blame (``experiment.batch``).

Whatever happens, every process that the program started is dead before its output is read: as root the verifier is
the first process of its own namespace and ends all others there; elsewhere orphans come to it and are found by their
parent. Standard error is thrown away: it may quote a label.

Does not cover: what a pinned program does with the labels that it is given; without root it keeps the host's network.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from festina.errors import Fault
from festina.ledger.canonical import canonical
from festina.verify.confine import enclosed
from festina.verify.parse import MAX_ID, Malformed, decode

__all__ = ["Caps", "Program", "adopt_orphans", "find", "read_scores", "search_path"]

MAX_PROCESSES = 512
MAX_LINE = 1000  # bytes of one score's line
SPARE = 64 << 10  # bytes of output beyond the lines asked for
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_NOT_FINITE = re.compile(rb"(?<=[:\s])-?(NaN|Infinity)(?=\s*[,}])")  # as many programs write it; no score, but a line
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Caps:
    """What one batch of a scorer may use."""

    wall_s: float = 60.0
    memory_bytes: int = 4 << 30  # of each process: its private writable memory


class Program:
    """Judges a batch by starting ``argv`` once. Callable as ``scoring.Batch``."""

    def __init__(self, name: str, argv: Sequence[str], folder: Path, caps: Caps, path: str | None = None) -> None:
        self._name, self._argv, self._folder, self._caps = name, list(argv), folder, caps
        self._path = path if path is not None else search_path()

    def __call__(self, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
        data = b"".join(canonical(row) + b"\n" for row in rows)
        limit = SPARE + len(rows) * MAX_LINE
        return read_scores(self._run(data, limit), {str(row["id"]) for row in rows}, self._name)

    def _run(self, data: bytes, limit: int) -> bytes:
        """The program's whole output. Raises ``Fault``; leaves no process behind."""
        deadline = time.monotonic() + self._caps.wall_s
        try:
            process = subprocess.Popen(
                self._argv, cwd=self._folder, env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=_confined(self._caps),  # noqa: PLW1509 -- the one other thread only polls and holds no lock
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise self._failed(f"cannot be started ({getattr(error, 'strerror', None) or 'no process'})") from None
        try:
            output = self._exchange(process, data, limit, deadline)
        except TimeoutError:
            raise Fault(
                "scorer-timeout", f"scorer {self._name} did not come back within {self._caps.wall_s:g} s and was ended",
                fix="bound its work, or raise verifier.wall in festina.toml",
            ) from None  # fmt: skip
        finally:
            end_all(process)
        code = process.returncode
        if code != 0:
            raise self._failed(f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}")
        return output

    def _exchange(self, process: subprocess.Popen[bytes], data: bytes, limit: int, deadline: float) -> bytes:
        """Feed and read at once, until all that the program started is gone. It need not read all that it is given."""
        assert process.stdin is not None
        assert process.stdout is not None
        found, view, ended = bytearray(), memoryview(data), os.pidfd_open(process.pid)
        with selectors.DefaultSelector() as ways, process.stdout as stdout, closing_quietly(process.stdin) as stdin:
            for stream, events in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ)):
                os.set_blocking(stream.fileno(), False)
                ways.register(stream, events)
            ways.register(ended, selectors.EVENT_READ)
            try:
                while stdout in {key.fileobj for key in ways.get_map().values()}:
                    ready = {key.fileobj for key, _ in ways.select(max(0.0, deadline - time.monotonic()))}
                    if time.monotonic() >= deadline:
                        raise TimeoutError
                    if stdin in ready:
                        view = _feed(stdin.fileno(), view)
                        if not view:
                            ways.unregister(stdin)
                            with contextlib.suppress(BrokenPipeError):
                                stdin.close()
                    if stdout in ready:
                        chunk = os.read(stdout.fileno(), 1 << 16)
                        found += chunk
                        if len(found) > limit:
                            raise self._failed(f"wrote more than {limit} bytes")
                        if not chunk:
                            ways.unregister(stdout)
                    if ended in ready:  # what it left running would hold the pipe open
                        ways.unregister(ended)
                        end_all(process)
            finally:
                os.close(ended)
        self._await_end(process, deadline)
        return bytes(found)

    @staticmethod
    def _await_end(process: subprocess.Popen[bytes], deadline: float) -> None:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": self._path, "HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        }  # fmt: skip

    def _failed(self, what: str) -> Fault:
        return _failed(self._name, what)


def _failed(name: str, what: str) -> Fault:
    return Fault(
        "scorer-failed", f"scorer {name} {what}",
        fix='it reads {"id", "input", "label", "output"} a line, writes {"id", "score"} a line, and ends with 0',
    )  # fmt: skip


@contextlib.contextmanager
def closing_quietly(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Close ``stream`` at the end, whether or not somebody still reads it."""
    try:
        yield stream
    finally:
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def _feed(descriptor: int, view: memoryview) -> memoryview:
    """What is left to write; nothing, once nobody reads any more."""
    try:
        return view[os.write(descriptor, view[: 1 << 16]) :]
    except BlockingIOError:
        return view
    except BrokenPipeError:
        return view[:0]


def read_scores(data: bytes, asked: set[str], name: str) -> dict[str, object]:
    """Scores by id. Raises ``Fault`` for anything that is not one line a score; an id given twice has none."""
    found: dict[str, object] = {}
    twice: set[str] = set()
    for line in data.split(b"\n"):
        if not line.strip(b" \t\r"):
            continue
        try:
            value = decode(_NOT_FINITE.sub(b"null", line), max_bytes=MAX_LINE)
        except Malformed:
            value = None
        if not isinstance(value, dict) or value.keys() != {"id", "score"}:
            raise _failed(name, "wrote a line that is no score")
        item_id = value["id"]
        if not isinstance(item_id, str) or len(item_id) > MAX_ID or item_id not in asked:
            raise _failed(name, "wrote a score for an item that it was not asked about")
        if item_id in found:
            twice.add(item_id)
        found[item_id] = value["score"]
    return {item_id: score for item_id, score in found.items() if item_id not in twice}


def search_path() -> str:
    """Where a bare ``python3`` is the interpreter that runs Festina, as in a candidate's box."""
    own = [str(Path(prefix) / "bin") for prefix in (sys.prefix, sys.base_prefix)]
    return ":".join(dict.fromkeys([*own, "/usr/local/bin", "/usr/bin", "/bin"]))


def find(program: str, folder: Path, path: str) -> str | None:
    """Where the program lies: in the evaluator, or on the PATH."""
    if "/" in program:
        inside = folder / program
        return str(inside) if inside.is_file() and os.access(inside, os.X_OK) else None
    return shutil.which(program, path=path)


def _confined(caps: Caps) -> Callable[[], None]:
    parent, own_uid = os.getpid(), enclosed()

    def enter() -> None:
        """Between fork and exec: caps, and death together with the verifier."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (caps.memory_bytes, caps.memory_bytes))
        seconds = int(caps.wall_s) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if own_uid:  # else the number would count everything that the engine's user runs
            resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
        _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return enter


def adopt_orphans() -> None:
    """Let what a dying child leaves behind come to this process, where ``end_all`` finds it."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def end_all(process: subprocess.Popen[bytes]) -> None:
    """End ``process`` and everything that it started, and wait until all of it is dead."""
    alone = enclosed()  # whatever else runs in the namespace was started here
    while True:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL) if alone else os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid in [] if alone else _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """This process's own children, adopted orphans included."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found
