"""What an attacker would like to find on the host, planted for the drill; and a run without any defence.

A random secret (the canary) stands in a world-readable file, in the environment, arguments and memory of a decoy
process with the candidates' own uid, in the engine's environment, behind TCP, UDP and unix sockets, and in a
repository's references. An attack reached something when the canary, or a mark, came out. ``bare`` runs the same
program as a careless loop would: on the host, as another user where we are root, with everything inherited.

Not covered: secrets of the user's own. None is planted, opened or looked for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from festina.sandbox.place import CANDIDATE_UID, remove

BARE_S = 30.0
SYSTEM_PYTHON = "/usr/bin/python3"
_VARIABLE = "FESTINA_DRILL_SECRET"


@dataclass(frozen=True, slots=True)
class World:
    """Where everything planted lies."""

    canary: str
    folder: Path  # readable, and writable, for everybody
    secret: Path
    evaluator: Path  # a copy of a scorer that a careless owner left writable
    decoy: int
    port: int
    udp_port: int
    socket_path: str
    socket_name: str

    def mark(self, attack: str) -> Path:
        """A file of one attack's own: what it executed, or outlived, comes to exist."""
        return self.folder / f"{attack.replace('/', '-')}.mark"

    def parameters(self, attack: str) -> dict[str, object]:
        """What the program of one attack is told."""
        return {
            "canary": self.canary, "secret": str(self.secret), "paths": [str(self.secret)], "decoy": self.decoy,
            "port": self.port, "udp_port": self.udp_port, "socket_path": self.socket_path,
            "socket_name": self.socket_name, "evaluator": str(self.evaluator), "signal": int(signal.SIGCONT),
            "repository": str(self.folder / "repository"), "mark": str(self.mark(attack)),
        }  # fmt: skip


@contextmanager
def planted() -> Iterator[World]:
    """Plant everything, and take it away again."""
    canary = f"canary-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="festina-drilled-"))
        stack.callback(remove, folder)
        folder.chmod(0o777)
        secret, evaluator = folder / "labels.jsonl", folder / "scoring.py"
        secret.write_text(f'{{"id": "1", "output": "{canary}"}}\n')
        evaluator.write_text("def score(item, output):\n    return 0.0\n")
        evaluator.chmod(0o666)
        (folder / "repository" / "refs" / "heads").mkdir(parents=True)
        (folder / "repository" / "packed-refs").write_text(f"# {canary}\n")
        for path in (secret, folder / "repository" / "packed-refs"):
            path.chmod(0o644)
        decoy = _decoy(canary, stack)
        port, udp_port = _network(canary, folder, stack)
        os.environ[_VARIABLE] = canary
        stack.callback(os.environ.pop, _VARIABLE, None)
        yield World(
            canary, folder, secret, evaluator, decoy.pid, port, udp_port, str(folder / "socket"), f"{canary}-socket"
        )


def _decoy(canary: str, stack: ExitStack) -> subprocess.Popen[bytes]:
    code = "import ctypes, time\nctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\ntime.sleep(3600)"
    decoy: subprocess.Popen[bytes] = subprocess.Popen(
        [python(), "-I", "-c", code, canary], env={"LABELS": canary}, stdin=subprocess.DEVNULL, cwd="/", **_drop()
    )
    stack.callback(_end, decoy)
    return decoy


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _network(canary: str, folder: Path, stack: ExitStack) -> tuple[int, int]:
    """Listeners that hand the canary to whoever reaches them; (TCP port, UDP port)."""
    tcp, path, abstract = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.bind(("127.0.0.1", 0))
    udp.bind(("127.0.0.1", 0))
    path.bind(str(folder / "socket"))
    (folder / "socket").chmod(0o777)
    abstract.bind(f"\0{canary}-socket")
    stop = threading.Event()
    for listener in (tcp, path, abstract, udp):
        if listener is not udp:
            listener.listen(16)
        listener.settimeout(0.2)
        thread = threading.Thread(target=_serve, args=(listener, canary.encode(), stop), daemon=True)
        thread.start()
        stack.callback(listener.close)
        stack.callback(thread.join)
    stack.callback(stop.set)
    return tcp.getsockname()[1], udp.getsockname()[1]


def _serve(listener: socket.socket, data: bytes, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(OSError):
            if listener.type == socket.SOCK_DGRAM:
                _, sender = listener.recvfrom(100)
                listener.sendto(data, sender)
            else:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(data)


def python() -> str:
    """A Python that every uid can start."""
    return SYSTEM_PYTHON if os.path.exists(SYSTEM_PYTHON) else sys.executable


def _drop() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": CANDIDATE_UID, "group": CANDIDATE_UID, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Bare:
    """How a run without any defence ended."""

    text: str  # both streams
    exit_code: int | None  # None: it was still running when we stopped waiting
    predictions: bytes | None  # as a careless reader gets them, links followed
    files: int
    bytes_written: int


def bare(world: World, program: str, items: bytes, *, name: str = "answer.py", wrapper: str = "") -> Bare:
    """Run ``program`` on the host. ``wrapper`` is shell text around ``$@``; the folder is the same for a second run."""
    place = world.folder / "bare" / name.replace("/", "-")
    for folder in (place, place / "in", place / "out", place / "home"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
    (place / "in" / "items.jsonl").write_bytes(items)
    (place / "in" / "items.jsonl").chmod(0o666)
    (place / "answer.py").write_text(program)
    (place / "answer.py").chmod(0o666)
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place / "home"), "FESTINA_IN": str(place / "in"),
        "FESTINA_OUT": str(place / "out"), "FESTINA_SEED": "1", _VARIABLE: world.canary,
    }  # fmt: skip
    argv = [python(), str(place / "answer.py")]
    if wrapper:
        argv = ["/bin/sh", "-c", wrapper, "sh", *argv]
    process: subprocess.Popen[bytes] = subprocess.Popen(
        argv, env=env, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, **_drop(),
    )  # fmt: skip
    code: int | None = None
    try:
        out, err = process.communicate(timeout=BARE_S)
        code = process.returncode
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    written = [path for path in (place / "out").rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in written)
    return Bare(
        (out[-100_000:] + err[-100_000:]).decode(errors="replace"), code, _follow(place / "out"), len(written), size
    )


def _follow(out: Path) -> bytes | None:
    """The predictions as ``open(path).read()`` gives them, except that a pipe does not make us wait."""
    path = out / "predictions.jsonl"
    try:
        return path.read_bytes()[:10_000_000] if path.is_file() else None
    except OSError:
        return None


def tidy(world: World, name: str) -> None:
    """Remove what a run of ``bare`` left."""
    shutil.rmtree(world.folder / "bare" / name.replace("/", "-"), ignore_errors=True)
    for top in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        for left in Path(top).glob(f"*-{world.canary}"):
            with contextlib.suppress(OSError):
                left.unlink()


def wait_for(path: Path, seconds: float) -> bool:
    """Whether ``path`` comes to exist within ``seconds``; it is removed then."""
    until = time.monotonic() + seconds
    while True:
        if path.exists():
            path.unlink(missing_ok=True)
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
