"""Start an evaluation under the warden and read back what it left: bounded bytes, exit status, time.

Invariants: an evaluation never sees the caller's home or temp folder; nothing it started lives on afterwards; at most
``KEEP`` bytes of each stream are read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Call:
    """What to start: ``argv`` in ``cwd`` with ``env``, streams into ``folder``."""

    argv: tuple[str, ...]
    cwd: Path
    env: dict[str, str]
    folder: Path
    timeout: float


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
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WARDEN)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            process.communicate(json.dumps(job).encode(), timeout=call.timeout + 30)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise Fault("drill-warden", "the process that guards an evaluation did not end") from error
    try:
        found = json.loads(account.read_bytes())
    except (OSError, ValueError):
        return Ended(-9, "warden lost", 0.0, _text(out), _text(err))
    return Ended(
        found["status"], found["ended"], found["seconds"], _text(out), _text(err) + found.get("error", ""),
        found["survivors"], found["peak"],
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
