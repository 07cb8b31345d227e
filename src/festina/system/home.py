"""A system's home: ledger, vault, keys and scratch space, outside the repository.

``$FESTINA_HOME`` (default ``$XDG_STATE_HOME/festina`` or ``~/.local/state/festina``) holds one folder for each
system; the repository's local git configuration remembers which (``festina.home``), so that a repository
can be moved and a clone never shares its original's ledger. Nothing of a home is ever visible in a box.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from festina.errors import Busy, UsageError
from festina.system.repo import Repo

_KEY = "festina.home"
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "œ": "oe", "đ": "d"})
_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,63}-[0-9a-f]{8}$")


def held(lock: Path) -> bool:
    """Whether a live process holds this lock file; False where there is none."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything about one system lies."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def origin(self) -> str:
        """The name under which a ledger that begins here is known."""
        return f"festina.local/{self.id}"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def vault(self) -> Path:
        return self.path / "vault"

    @property
    def work(self) -> Path:
        """Scratch: exported trees, views. May be deleted at any time when no engine runs."""
        return self.path / "work"

    def key(self, role: str) -> Path:
        return self.path / "keys" / f"{role}.pem"

    def create(self) -> None:
        """Make the folders, private to their owner. Raises ``UsageError`` where that is impossible."""
        try:
            for folder in (self.path, self.path / "keys", self.work, self.path / "running", self.path / "halts"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                "home-not-writable", f"cannot create {error.filename}: {error.strerror}",
                fix="set FESTINA_HOME to a directory that you can write to",
            ) from error  # fmt: skip

    def wipe_scratch(self) -> None:
        """Remove what an earlier engine left in the scratch space. Call only under the lock."""
        for child in self.work.iterdir() if self.work.is_dir() else ():
            if child.is_dir() and not child.is_symlink():
                _make_removable(child)
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink(missing_ok=True)

    def engine_running(self) -> bool:
        """Whether a live engine holds this home."""
        return held(self.path / "lock")

    @contextmanager
    def engine_lock(self) -> Iterator[None]:
        """Hold this home for one engine. The kernel drops the lock when the process dies: none can be stale."""
        path = self.path / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise Busy(
                    "engine-already-running", f"process {holder} already runs an engine on this ledger",
                    fix="wait for it, or stop it with Ctrl-C; `festina status --live` shows what it does",
                    where=str(path),
                ) from None  # fmt: skip
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)


def base_directory() -> Path:
    """Where homes are kept."""
    explicit = os.environ.get("FESTINA_HOME")
    if explicit:
        return Path(explicit).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "festina"


def find(repo: Repo) -> Home | None:
    """The home that this repository remembers, if it exists."""
    name = repo.config_get(_KEY)
    if name is None:
        return None
    if not _ID.match(name):
        raise UsageError(
            "bad-home-name", f"the repository's git configuration names a home '{name[:80]}' that cannot be one",
            fix=f"git config --unset {_KEY}", where=".git/config",
        )  # fmt: skip
    home = Home(base_directory() / name)
    return home if home.ledger.exists() or home.path.is_dir() else None


def require(repo: Repo) -> Home:
    """The home of a system that has a ledger. Raises ``UsageError`` when there is none."""
    home = find(repo)
    if home is None or not home.ledger.exists():
        raise UsageError(
            "no-ledger", f"nothing has been run on {repo.root} yet: no record of it lies under {base_directory()}",
            fix="`festina run` (or `festina run -- COMMAND`) starts one; if it lies elsewhere, set FESTINA_HOME",
        )  # fmt: skip
    return home


def ensure(repo: Repo, name: str) -> Home:
    """The system's home, made and remembered if there is none."""
    home = find(repo)
    if home is None and (known := repo.config_get(_KEY)) is not None:
        raise UsageError(
            "home-missing", f"this repository's ledger is {known}, and there is none under {base_directory()}",  # S-1
            fix=f"set FESTINA_HOME to where it lies; only to give it up for good: git config --unset {_KEY}",
        )  # fmt: skip
    if home is None:
        slug = re.sub(r"[^a-z0-9]+", "-", latin(name).lower()).strip("-")[:48] or "system"
        identity = f"{slug}-{secrets.token_hex(4)}"
        home = Home(base_directory() / identity)
        _outside(home.path, repo.root)
        home.create()
        repo.config_set(_KEY, identity)
        return home
    _outside(home.path, repo.root)
    home.create()
    return home


def latin(text: str) -> str:
    """Its Latin letters without their marks, so that a folder Ähren gives a name like Ahren and not hren."""
    apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(c for c in apart if not unicodedata.combining(c))


def _outside(home: Path, root: Path) -> None:
    if home.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            "home-inside-repository", f"the home {home} would lie inside the repository {root}",  # T-1
            fix="set FESTINA_HOME to a directory outside of it",
        )  # fmt: skip


def _make_removable(folder: Path) -> None:
    """Exported trees are read-only; give their owner back the right to delete them."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o700)
