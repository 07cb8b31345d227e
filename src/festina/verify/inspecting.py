"""Scorers that are Inspect tasks: a process of their own holds the task, each batch is a fork of it.  # T-1, T-6

The process (``inspect_child``) is started at the first need and again after it died; loading takes seconds, a batch
much less. Faults are those of ``programs``: scorer-failed where the record of a batch is not sound or its process
ended, scorer-timeout. Inspect judges sample by sample, so that sets of answers may share one call.

Inspect writes notes of its own (no label is in them) to a folder in memory: as root the verifier's own /dev/shm, which
is gone with it; else one that a verifier that is killed leaves behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from festina.errors import Fault
from festina.ledger.canonical import canonical
from festina.system.scratch import prefix
from festina.verify import wire
from festina.verify.programs import Caps, read_scores, search_path

__all__ = ["TaskScorer"]

START_S = 60.0
_BOOT = "import sys; sys.path[0:0] = sys.argv[5:6]; sys.path += sys.argv[6:]; " \
    "from festina.verify.inspect_child import main; main(int(sys.argv[1]), *sys.argv[2:5])"  # fmt: skip


class TaskScorer:
    """Judges batches with the scorer of one task. Callable as ``scoring.Batch``."""

    def __init__(self, name: str, folder: Path, file: str, task: str, caps: Caps) -> None:
        self._name, self._folder, self._file, self._task, self._caps = name, folder, file, task, caps
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._scratch = ""

    def start(self) -> None:
        """Load the task. Raises ``UsageError`` scorer-broken or inspect-missing, ``Fault`` scorer-timeout."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._scratch = tempfile.mkdtemp(prefix=prefix("inspect"), dir=_memory_folder())
        paths = [str(Path(__file__).parent.parent.parent), *_installed()]
        command = [
            sys.executable, "-I", "-c", _BOOT, str(theirs.fileno()), str(self._folder), self._file, self._task, *paths
        ]  # fmt: skip
        with theirs:
            self._sock = ours
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=_environment(self._scratch), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )  # fmt: skip
        head, _ = self._receive(time.monotonic() + START_S, START_S)
        error = wire.revive(head)
        if error is not None:
            self._end()
            raise error

    def __call__(self, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self.start()
        data = b"".join(canonical(row) + b"\n" for row in rows)
        deadline = time.monotonic() + self._caps.wall_s
        assert self._sock is not None
        try:
            wire.send(self._sock, {}, data, deadline=deadline)
        except OSError:
            raise self._failed("ended") from None
        head, scores = self._receive(deadline, self._caps.wall_s)
        status = head.get("status")
        if status != 0:
            raise self._failed("gave no sound record of the batch" if status == 3 else f"ended with status {status}")
        found = read_scores(scores, {str(row["id"]) for row in rows}, self._name)
        if len(found) != len(rows):  # a scorer that ends the process quietly
            raise self._failed("ended before it had judged all")
        return found

    def _receive(self, deadline: float, limit_s: float) -> tuple[dict[str, object], bytes]:
        assert self._sock is not None
        try:
            return wire.receive(self._sock, deadline=deadline)
        except TimeoutError:
            self._end()
            raise Fault(
                "scorer-timeout", f"scorer {self._name} did not come back within {limit_s:g} s and was ended",
                fix="bound its work, or raise verifier.wall in festina.toml",
            ) from None  # fmt: skip
        except OSError:
            self._end()
            raise self._failed("ended") from None

    def _failed(self, what: str) -> Fault:
        return Fault(
            "scorer-failed", f"scorer {self._name} {what}",
            fix="try the task by itself: inspect eval, with outputs such as the candidate's",
        )  # fmt: skip

    def _end(self) -> None:
        """End the process and its batches."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        process, self._process = self._process, None
        if process is None:
            return
        for pid in [*_children(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _children(pid: int) -> list[int]:
    """The batch that runs now, in the numbers of our own namespace: its group is its own."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for outer in Path(f"/proc/{_outer(pid)}/task/{_outer(pid)}/children").read_text().split():
            found.append(_inner(outer))
    return found


def _outer(pid: int) -> int:
    """How /proc calls our child ``pid``."""
    for entry in Path("/proc/self/task").iterdir():
        for child in (entry / "children").read_text().split():
            if _inner(child) == pid:
                return int(child)
    return pid


def _inner(outer: str) -> int:
    lines = Path(f"/proc/{outer}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _installed() -> list[str]:
    return [p for p in sys.path if os.path.basename(p) in {"site-packages", "dist-packages"}]


def _environment(scratch: str) -> dict[str, str]:
    return {
        "PATH": search_path(), "HOME": scratch, "XDG_DATA_HOME": scratch, "XDG_CACHE_HOME": scratch,
        "TMPDIR": scratch, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
        "INSPECT_TRACE_FILE": os.path.join(scratch, "trace.log"),  # Inspect removes it where a process ends by itself
        "INSPECT_TRACE_LEVEL": "critical", "INSPECT_DISPLAY": "none",
    }  # fmt: skip
