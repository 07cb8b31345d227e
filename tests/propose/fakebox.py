"""A box without confinement, for tests of the propose room: a real process in a temporary directory.

Binds are copied below a root of its own, and the fixed paths (``/view``, ``/improver``, ``/out`` …) are rewritten in
argv, cwd and environment. It keeps to the contract of ``sandbox.job``: results are read when the process is over.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from festina.sandbox.job import Ended, Job, Level, Limits, Outcome


class FakeBox:
    level = Level.L0

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.seen: list[dict[str, bytes]] = []  # every file of the binds, as the job could read it

    def run(self, job: Job, limits: Limits) -> Outcome:
        self.jobs.append(job)
        root = Path(tempfile.mkdtemp(prefix="fakebox-"))
        try:
            return self._run(root, job, limits)
        finally:
            shutil.rmtree(root)

    def _run(self, root: Path, job: Job, limits: Limits) -> Outcome:
        out = root / "out"
        out.mkdir()
        (root / "tmp").mkdir()
        for bind in job.binds:
            target = root / bind.target.lstrip("/")
            if bind.source.is_dir():
                shutil.copytree(bind.source, target, dirs_exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(bind.source, target)
        self.seen.append({str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()})
        if job.work is not None:
            shutil.copytree(job.work, out / "work")
            for path in (out / "work").rglob("*"):
                path.chmod(path.stat().st_mode | stat.S_IWUSR)

        def inside(text: str) -> str:
            for top in ("/view", "/improver", "/out", "/in"):
                if text == top or text.startswith(top + "/"):
                    return str(root) + text
            return text

        env = {"PATH": os.environ["PATH"], "HOME": str(root / "tmp"), "TMPDIR": str(root / "tmp"),
               "PYTHONDONTWRITEBYTECODE": "1", "FESTINA_OUT": str(out)}  # fmt: skip
        env.update({name: inside(value) for name, value in job.env.items()})
        argv = [sys.executable if word == "python" else inside(word) for word in job.argv]
        started = time.monotonic()
        process = subprocess.Popen(
            argv, cwd=inside(job.cwd), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        ended = Ended.OK
        try:
            stdout, stderr = process.communicate(timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            ended = Ended.TIMEOUT_WALL
        code = process.returncode
        if ended is Ended.OK and code:
            ended = Ended.SIGNAL if code < 0 else Ended.NONZERO
        outputs, unread = {}, set()
        for path in sorted(out.rglob("*")):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                outputs[str(path.relative_to(out))] = path.read_bytes()
            elif not stat.S_ISDIR(status.st_mode):
                unread.add(str(path.relative_to(out)))
        if sum(map(len, outputs.values())) > limits.output_bytes or len(outputs) > limits.output_files:
            ended = Ended.OUTPUT_LIMIT
        return Outcome(
            ended, None if code < 0 else code, -code if code < 0 else None, time.monotonic() - started, 0.0, None,
            outputs, stdout, stderr, (), Level.L0, ("everything",), "0" * 64,
            unread=frozenset(unread),
        )  # fmt: skip
