"""A plain process, as a loop without any sandbox would start it: the control for what even L0 prevents.

Only for the suite's own programs. It takes results the naive way, by opening names, and kills nothing.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from festina.sandbox.job import Ended, Job, Level, Limits, Outcome
from festina.system.scratch import prefix

__all__ = ["Bare", "as_uid"]


def as_uid(uid: int | None) -> dict[str, Any]:
    """Options that start a process under ``uid``, if any."""
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


class Bare:
    """Not a sandbox: the same seam without any of its promises."""

    level = Level.L0
    missing = ("everything",)
    policy_hash = ""

    def __init__(self, uid: int | None) -> None:
        self._uid = uid

    def kill_all(self) -> None:
        """Nothing to end: every run is waited for."""

    def run(self, job: Job, limits: Limits) -> Outcome:
        with tempfile.TemporaryDirectory(prefix=prefix("bare")) as folder:
            Path(folder).chmod(0o777)
            env = {**os.environ, "FESTINA_OUT": folder, "FESTINA_IN": folder, "TMPDIR": folder, **job.env}
            started = time.monotonic()
            process = subprocess.Popen(
                job.argv,
                env=env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                **as_uid(self._uid),
            )
            out, err = _communicate(process, limits.wall_s)
            outputs = _naively(Path(folder), job.outputs)
        code = process.returncode
        return Outcome(
            ended=Ended.OK if code == 0 else Ended.NONZERO,
            exit_code=code,
            signal=None,
            wall_s=time.monotonic() - started,
            cpu_s=0.0,
            peak_memory_bytes=None,
            outputs=outputs,
            stdout=out,
            stderr=err,
            denied=(),
            level=self.level,
            missing=self.missing,
            policy_hash=self.policy_hash,
        )


def _communicate(process: subprocess.Popen[bytes], wall_s: float) -> tuple[bytes, bytes]:
    """Until the main process ends: what it left behind still holds the pipes, so their end is not waited for."""
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("no pipes")
    try:
        process.wait(wall_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    found = []
    for pipe in (process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)
        try:
            found.append(os.read(pipe.fileno(), 1 << 20))
        except BlockingIOError:
            found.append(b"")
        pipe.close()
    return found[0], found[1]


def _naively(folder: Path, names: tuple[str, ...] | None) -> dict[str, bytes]:
    found = {}
    for name in sorted(os.listdir(folder)) if names is None else names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = file.read(1 << 16)
    return found
