"""The host as an attacker would like to find it: listeners, secrets, a victim process, canary folders.

One ``World`` for a whole suite, one ``Ground`` for each attempt at each level. Everything lies in one temporary
folder and carries one tag, so that what is left over can be found and removed: ``leftovers`` looks for it.

Not covered: effects that leave no trace outside the box and none in its output; those attempts are judged by
their own word.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from festina.sandbox.escapes.attempt import Attempt
from festina.sandbox.escapes.bare import as_uid

__all__ = ["Ground", "World", "leftovers"]

_VICTIM = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
libc.prctl(4, 1, 0, 0, 0); libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
fd = os.memfd_create('held'); os.write(fd, sys.stdin.buffer.read()); os.dup2(fd, 9)
print('ready', flush=True); time.sleep(90)
"""
_VSOCK = 40
_ANY = 0xFFFFFFFF
_MARK = "FESTINA_ESCAPES"  # a variable of the engine for the time of the suite
_libc = ctypes.CDLL(None, use_errno=True)


class World:
    """Listeners and secrets that all attempts share. ``uid``: of victims and of plain processes; None: one's own."""

    def __init__(self, python: str, uid: int | None) -> None:
        self.python, self.uid = python, uid
        self.tag = f"fe{os.getpid() % 65536:04x}{secrets.token_hex(3)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.folder.chmod(0o755)
        self.engine_secret = secrets.token_hex(8)
        self.heard: set[tuple[str, str]] = set()
        self.ports: dict[str, object] = {"tcp": 0, "tcp6": 0, "udp": 0, "vsock": 0, "abstract": self.tag}
        self._listeners: dict[int, tuple[str, socket.socket]] = {}
        self._listen()
        self._wake, self._wake_end = os.pipe2(os.O_CLOEXEC)
        self._acks = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve, name="escapes-listeners", daemon=True)
        self._thread.start()
        (self.folder / "locked").write_text("x")
        self._lock = os.open(self.folder / "locked", os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.environ[_MARK] = self.engine_secret

    @property
    def locked(self) -> str:
        """How the lock that this world holds looks in /proc/locks."""
        return f":{os.fstat(self._lock).st_ino} "

    def _listen(self) -> None:
        loop, loop6 = ("127.0.0.1", 0), ("::1", 0)
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        wanted: list[tuple[str, int, int, str | tuple[Any, ...]]] = [
            ("tcp", socket.AF_INET, stream, loop),
            ("tcp6", socket.AF_INET6, stream, loop6),
            ("udp", socket.AF_INET, datagram, loop),
            ("unix path", socket.AF_UNIX, stream, str(self.folder / "sock")),
            ("unix path datagram", socket.AF_UNIX, datagram, str(self.folder / "dsock")),
            ("unix abstract", socket.AF_UNIX, stream, f"\0{self.tag}"),
            ("unix abstract datagram", socket.AF_UNIX, datagram, f"\0{self.tag}d"),
            ("vsock", _VSOCK, stream, (_ANY, _ANY)),
        ]
        for kind, family, how, where in wanted:
            try:
                listener = socket.socket(family, how)
                if kind == "tcp":
                    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
                listener.bind(where)
                if how == stream:
                    listener.listen(64)
            except OSError:
                continue  # this host lacks the family: the attempt is judged by the program's word
            self._listeners[listener.fileno()] = (kind, listener)
            name = listener.getsockname()
            if kind in self.ports:
                self.ports[kind] = name[1]
        for path in self.folder.glob("*sock"):
            path.chmod(0o777)

    def _serve(self) -> None:
        while True:
            ready = select.select([*self._listeners, self._wake], [], [])[0]
            for fd in ready:
                if fd in self._listeners:
                    self._hear(*self._listeners[fd])
            if self._wake in ready:
                word = os.read(self._wake, 1)
                if word != b"s":
                    return
                while more := select.select([*self._listeners], [], [], 0)[0]:
                    for fd in more:
                        self._hear(*self._listeners[fd])
                self._acks.release()

    def _hear(self, kind: str, listener: socket.socket) -> None:
        try:
            if listener.type == socket.SOCK_DGRAM:
                word = listener.recv(64)
            else:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(0.3)
                    word = connection.recv(64)
        except OSError:
            return
        self.heard.add((kind, word.decode(errors="replace")))

    def settle(self) -> None:
        """Return when everything that has arrived is in ``heard``."""
        os.write(self._wake_end, b"s")
        self._acks.acquire(timeout=10)

    def close(self) -> None:
        os.environ.pop(_MARK, None)
        os.write(self._wake_end, b"e")
        self._thread.join(10)
        for _, listener in self._listeners.values():
            listener.close()
        for fd in (self._wake, self._wake_end, self._lock):
            os.close(fd)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(slots=True)
class _Victim:
    """A process beside the box, and how it looked before."""

    process: subprocess.Popen[bytes]
    before: tuple[object, ...] = ()

    def look(self) -> tuple[object, ...]:
        pid = self.process.pid
        return (
            tuple(sorted(os.sched_getaffinity(pid))),
            os.getpriority(os.PRIO_PROCESS, pid),
            Path(f"/proc/{pid}/limits").read_text(),
            Path(f"/proc/{pid}/oom_score_adj").read_text(),
        )


_LOOKS = ("bound to fewer processors", "slowed down", "its limits lowered", "made the first to be killed")


@dataclass(slots=True)
class Ground:
    """The host's side of one attempt: what it may find, and what became of it."""

    world: World
    attempt: Attempt
    nonce: str = field(default_factory=lambda: secrets.token_hex(6))
    _secrets: dict[str, str] = field(default_factory=dict)
    _victim: _Victim | None = None
    _files: dict[str, tuple[object, ...]] = field(default_factory=dict)
    place: Path = field(init=False)

    @property
    def shown(self) -> Path:
        """The folder that a job shows; programs are not told its name."""
        return self.place / f"shown-{self._secrets['path']}"

    def __post_init__(self) -> None:
        self.nonce = f"{self.nonce}{self.world.tag}"
        for kind in ("file", "environment", "command line", "open file", "file name", "link target", "path"):
            self._secrets[kind] = secrets.token_hex(8)
        self._secrets["environment of the engine"] = self.world.engine_secret
        self.place = self.world.folder / self.nonce
        self._lay_out()
        if self.attempt.victim:
            self._victim = self._start_victim()

    def _lay_out(self) -> None:
        place = self.place
        for name in (".", "named", "site", "bin", ".git/hooks", self.shown.name):
            (place / name).mkdir(parents=True, exist_ok=True)
        for path in self._kept():
            path.write_text("as it was")
        (place / "secret").write_text(f"label={self._secrets['file']}\n")
        (place / "named" / self._secrets["file name"]).touch()
        (place / "link").symlink_to(self._secrets["link target"])
        size = 10_000_000 + secrets.randbelow(80_000_000)
        with open(place / "measured", "wb") as file:
            file.truncate(size)
        self._secrets["file size"] = str(size)
        for path in (place, *place.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777 if path.is_dir() else 0o644 if path.name in ("secret", "measured") else 0o666)
        if self.world.uid is not None:
            os.chown(place / "own", self.world.uid, self.world.uid)
        self._files = self._state()

    def _kept(self) -> tuple[Path, ...]:
        return (*(self.place / name for name in ("writable", ".bashrc", "own")), self.shown / "kept")

    def _state(self) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in self._kept():
            if path.exists():
                status = path.stat()
                attributes = tuple(os.listxattr(path))
                found[path.name] = (path.read_bytes(), status.st_mode, status.st_uid, status.st_mtime_ns, attributes)
        return found

    def _start_victim(self) -> _Victim:
        process = subprocess.Popen(
            [self.world.python, "-I", "-S", "-c", _VICTIM, self._secrets["command line"]],
            env={"LABELS": self._secrets["environment"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.place,
            start_new_session=True,
            **as_uid(self.world.uid),
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        process.stdin.write(self._secrets["open file"].encode())
        process.stdin.close()
        process.stdout.readline()
        victim = _Victim(process)
        victim.before = victim.look()
        return victim

    def facts(self) -> dict[str, object]:
        """What the program is told."""
        pid = self._victim.process.pid if self._victim else 0
        return {
            **self.world.ports,
            "pid": pid,
            "group": pid,
            "parent": os.getpid(),
            "dir": str(self.place),
            "home": os.path.expanduser("~"),
            "nonce": self.nonce,
            "locked": self.world.locked,
            "tag": self.world.tag,
        }

    def secret(self, kind: str) -> str:
        if kind in self._secrets:
            return self._secrets[kind]
        paths = {
            "machine id": "/etc/machine-id",
            "boot id": "/proc/sys/kernel/random/boot_id",
            "kernel command line": "/proc/cmdline",
        }
        if kind == "host name":
            return os.uname().nodename or "-"
        try:
            return Path(paths[kind]).read_text().strip() or "\0none"
        except OSError:
            return "\0none"  # this host has none: nothing can be learned

    def knocked(self, kind: str) -> bool:
        self.world.settle()
        return (kind, self.nonce) in self.world.heard

    def planted(self) -> str:
        known = {"secret", "writable", ".bashrc", "own", "kept", "link", "measured", self._secrets["file name"]}
        known |= {"named", "site", "bin", ".git", "hooks", self.shown.name}
        new = [path for path in self.place.rglob("*") if path.name not in known]
        return f"{new[0].relative_to(self.place)} lies in a folder of the host" if new else ""

    def changed(self) -> str:
        now = self._state()
        other = [name for name, state in self._files.items() if now.get(name) != state]
        if not other and self.attempt.shown and any(path.name != "kept" for path in self.shown.iterdir()):
            other = ["the shown folder"]
        return f"{other[0]} of the host was changed" if other else ""

    def victim_harmed(self) -> str:
        victim = self._victim
        if victim is None:
            return ""
        try:
            state = Path(f"/proc/{victim.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            state = "Z"
        if state in "ZX" or victim.process.poll() is not None:
            return "the process beside it was ended"
        if state in "Tt":
            return "the process beside it was stopped"
        differ = [words for words, a, b in zip(_LOOKS, victim.before, victim.look(), strict=True) if a != b]
        return f"the process beside it was {differ[0]}" if differ else ""

    def survivors(self) -> int:
        time.sleep(0.05)
        return len(_marked(self.nonce))

    def close(self) -> None:
        """End and remove what belongs to this attempt, whatever it did."""
        if self._victim is not None:
            self._victim.process.kill()
            self._victim.process.wait()
            if self._victim.process.stdout is not None:
                self._victim.process.stdout.close()
        for pid in _marked(self.nonce):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for top in _SHARED:
            with contextlib.suppress(OSError):
                os.unlink(f"{top}/{self.nonce}")
        remove_ipc(self.nonce)
        shutil.rmtree(self.place, ignore_errors=True)


_SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/lock", "/var/crash", "/run/user", "/dev/mqueue")


def _marked(word: str) -> list[int]:
    """Processes with ``word`` in their command line, this one left out; the dead have none."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                found.append(int(entry))
    return found


def remove_ipc(nonce: str) -> None:
    key = int(nonce[:7], 16)
    shm = _libc.shmget(key, 0, 0)
    if shm >= 0:
        _libc.shmctl(shm, 0, None)
    queue = _libc.msgget(key, 0)
    if queue >= 0:
        _libc.msgctl(queue, 0, None)
    semaphore = _libc.semget(key, 0, 0)
    if semaphore >= 0:
        _libc.semctl(semaphore, 0, 0)
    if hasattr(_libc, "mq_unlink"):
        _libc.mq_unlink(b"/" + nonce.encode())  # the C library wants the slash that the kernel's own call does not


def leftovers(tag: str) -> list[str]:
    """What a finished suite should not have left on this machine."""
    found = [f"process {pid}" for pid in _marked(tag)]
    for top in _SHARED:
        with contextlib.suppress(OSError):
            found += [f"{top}/{name}" for name in os.listdir(top) if tag in name]
    return found
