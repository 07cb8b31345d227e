"""Start an evaluation under the warden and read back what it left: bounded bytes, exit status, time.

Invariants: an evaluation never sees the caller's home or temp folder; nothing it started lives on afterwards; at most
``KEEP`` bytes of each stream are read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from festina.errors import Fault

KEEP = 1 << 20
MEMORY = 3 << 30
LINGER = 2.0  # seconds that a survivor may go on writing; a loop that reads to the end of the pipe waits longer
WARDEN = Path(__file__).with_name("warden.py")


@dataclass(frozen=True)
class Ended:
    """How one evaluation ended."""

    status: int  # exit status, negative for a signal
    ended: str  # exit | timeout | memory | not started | warden lost
    seconds: float
    stdout: str
    stderr: str
    survivors: int = 0
    peak: int = 0  # bytes resident, the whole tree
    cpu: float = 0.0  # seconds of processor time


@dataclass(frozen=True)
class Call:
    """What to start: ``argv`` in ``cwd`` with ``env``, streams into ``folder``."""

    argv: tuple[str, ...]
    cwd: Path
    env: dict[str, str]
    folder: Path
    timeout: float


class Wardens:
    """The evaluations that run at the moment, so that a drill that is ended can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Raises ``Fault`` once the drill is being ended."""
        with self._lock:
            if self._stopped:
                raise Fault("drill-stopped", "the drill was ended")
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WARDEN)],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
            self._alive.add(process)
            return process

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._alive.discard(process)

    def stop(self) -> None:
        """No evaluation begins any more, and each warden is asked to kill what it guards."""
        with self._lock:
            self._stopped = True
            for process in self._alive:
                process.terminate()


WARDENS = Wardens()


def run(call: Call) -> Ended:
    """Run to the end. A warden that dies (killed by what it guards) leaves no account: that is no score, too."""
    call.folder.mkdir(parents=True, exist_ok=True)
    out, err, account = call.folder / "stdout", call.folder / "stderr", call.folder / "account"
    for path in (out, err, account):
        path.unlink(missing_ok=True)
    job = {
        "argv": list(call.argv), "cwd": str(call.cwd), "env": call.env, "timeout": call.timeout, "memory": MEMORY,
        "linger": LINGER, "stdout": str(out), "stderr": str(err), "account": str(account),
    }  # fmt: skip
    with (call.folder / "warden").open("wb") as errors:
        process = WARDENS.start(errors)
        try:
            process.communicate(json.dumps(job).encode(), timeout=call.timeout + 30)
        except (KeyboardInterrupt, SystemExit):
            process.terminate()
            process.wait()
            raise
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise Fault("drill-warden", "the process that guards an evaluation did not end") from error
        finally:
            WARDENS.ended(process)
    try:
        found = json.loads(account.read_bytes())
    except (OSError, ValueError):
        return Ended(-9, "warden lost", 0.0, _text(out), _text(err))
    return Ended(
        found["status"], found["ended"], found["seconds"], _text(out), _text(err) + found.get("error", ""),
        found["survivors"], found["peak"], found.get("cpu", 0.0),
    )  # fmt: skip


def _text(path: Path) -> str:
    """The first and the last half of ``KEEP`` bytes."""
    if not path.is_file():
        return ""
    size = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(KEEP // 2)
        if size > KEEP // 2:
            file.seek(max(KEEP // 2, size - KEEP // 2))
            data += file.read(KEEP // 2)
    return data.decode("utf-8", "replace")


def environment(home: Path, tmp: Path, extra: dict[str, str]) -> dict[str, str]:
    """The caller's environment with home and temp folders of the drill's own."""
    for folder in (home, tmp):
        folder.mkdir(parents=True, exist_ok=True)
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("FESTINA_", "XDG_", "PYTEST_", "COV_"))
    }
    env |= {
        "HOME": str(home), "TMPDIR": str(tmp), "TMP": str(tmp), "TEMP": str(tmp),
        "XDG_CACHE_HOME": str(home / ".cache"), "XDG_DATA_HOME": str(home / ".local/share"),
    }  # fmt: skip
    here = str(Path(sys.executable).parent)
    env["PATH"] = os.pathsep.join([*(part for part in (env.get("PATH", ""),) if part), here])
    return env | extra
