"""The vault: hidden items and generators, one folder a suite, outside every repository.  # T-1

Layout: ``DIR/SUITE/source.json`` names the current source by digest; ``DIR/SUITE/DIGEST.jsonl`` or
``DIGEST.py`` is the source itself, written once and never changed. Earlier sources stay, so that an old
record can be scored again. Folders are 0700, files 0600.

Who reads what: the engine reads only ``source.json`` (kind, digest, count) and so never holds a label;
the verifier's process reads the source before it gives up its rights, and checks it against the digest.
As root all files stay root's: neither the candidates' uid nor the verifier's own dropped uid can open them.
Without root everything has one owner and the separation is nominal (T-1); the sandbox's view hides the vault.

Does not cover: somebody who reads the vault as its owner, a backup of it, or items that were public before.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from pathlib import Path

from festina.errors import FestinaError, IntegrityError, UsageError
from festina.system.git import git
from festina.verify.parse import Malformed, decode, read_items
from festina.verify.types import Source, SourceKind

__all__ = ["Vault"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}\Z")  # as entries.Name
_SUFFIX: dict[SourceKind, str] = {"items": ".jsonl", "generator": ".py"}


class Vault:
    """A folder of hidden suites. Raises ``UsageError`` where it lies inside a repository."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(os.path.abspath(directory))
        _refuse_inside_repository(self.directory)

    def add_items(self, suite: str, path: Path, *, replace: bool = False) -> Source:
        """Take JSON lines ``{"id", "input", "label"[, "oracle", "cluster"]}`` as the suite's items."""
        data = _read_source(path)
        items = read_items(data, where=path.name)
        clusters = len({item.cluster for item in items}) if all(item.cluster for item in items) else None
        return self._store(suite, "items", data, len(items), clusters, replace=replace)

    def add_generator(self, suite: str, path: Path, *, replace: bool = False) -> Source:
        """Take a Python file with ``generate(seed, n) -> [{"input", "label"[, "oracle"]}]``; it is not run here."""
        data = _read_source(path)
        _check_generator(data, where=path.name)
        return self._store(suite, "generator", data, None, None, replace=replace)

    def describe(self, suite: str) -> Source:
        """Kind, digest and count, without opening the source."""
        path = self._folder(suite) / "source.json"
        try:
            value = decode(path.read_bytes(), max_bytes=4096)
        except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
            raise _unreadable(path, error) from None
        except FileNotFoundError:
            raise UsageError(
                "suite-not-in-vault",
                f"the vault holds no items for suite {suite}",
                fix=f"festina vault add {suite} ITEMS.jsonl, or festina vault add {suite} --generator GEN.py",
            ) from None
        except Malformed as error:
            raise IntegrityError("vault-damaged", f"source.json is damaged: {error}", where=str(path)) from None
        match value:
            case {"kind": "items", "digest": str(digest), "count": int(count), "clusters": int(clusters)}:
                return Source("items", digest, count, clusters)
            case {"kind": "items", "digest": str(digest), "count": int(count)}:
                return Source("items", digest, count)
            case {"kind": "generator", "digest": str(digest), "count": None}:
                return Source("generator", digest, None)
        raise IntegrityError("vault-damaged", "source.json does not name a source", where=str(path))

    def suites(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        return sorted(path.parent.name for path in self.directory.glob("*/source.json"))

    def read(self, suite: str) -> tuple[Source, bytes]:
        """The source itself, checked against its digest. For the verifier's process only."""
        source = self.describe(suite)
        path = self._folder(suite) / f"{source.digest}{_SUFFIX[source.kind]}"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise _unreadable(path, error) from None
        if hashlib.sha256(data).hexdigest() != source.digest:
            raise IntegrityError(
                "vault-damaged",
                f"the items of suite {suite} are not what was added",
                fix="restore the file from a copy, or add new items, which opens a new epoch",
                where=str(path),
            )
        return source, data

    def _folder(self, suite: str) -> Path:
        if not _NAME.match(suite):
            raise UsageError("suite-name", f"not a suite name: {suite[:100]!r}", fix="letters, digits and ._:@+-")
        return self.directory / suite

    def _store(
        self, suite: str, kind: SourceKind, data: bytes, count: int | None, clusters: int | None, *, replace: bool
    ) -> Source:
        folder = self._folder(suite)
        source = Source(kind, hashlib.sha256(data).hexdigest(), count, clusters)
        if (folder / "source.json").exists() and not replace:
            if self.describe(suite).digest == source.digest:
                return source
            raise UsageError(
                "suite-exists",
                f"suite {suite} already has other items",
                fix="say --replace: new items open a new epoch, and the error budget goes on from where it is",
            )
        for made in (self.directory, folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
            made.chmod(0o700)
        _write(folder / f"{source.digest}{_SUFFIX[kind]}", data)
        meta = {"clusters": clusters, "count": count, "digest": source.digest, "kind": kind}
        _write(folder / "source.json", json.dumps(meta, sort_keys=True).encode() + b"\n")
        return source


def _unreadable(path: Path, error: OSError) -> IntegrityError:
    return IntegrityError(
        "vault-unreadable", f"the vault cannot be read ({error.strerror})",
        fix="give the file back to Festina's user with mode 0600, or restore it from a copy; the run resumes then",
        where=str(path),
    )  # fmt: skip


def _write(path: Path, data: bytes) -> None:
    """Durable and whole or not at all: written aside, synced, renamed."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def _read_source(path: Path) -> bytes:
    _refuse_tracked(path)
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UsageError("no-such-file", f"cannot read {path}: {error.strerror}") from None


def _repository_above(path: Path, markers: tuple[str, ...]) -> Path | None:
    real = Path(os.path.realpath(path))
    for start in (path, real):  # a link into a repository is inside it too
        for folder in (start, *start.parents):
            if any((folder / marker).exists() for marker in markers):
                return folder
    return None


def _refuse_inside_repository(directory: Path) -> None:  # T-1
    found = _repository_above(directory, ("festina.toml",)) or _repository_above(directory, (".git",))
    if found is not None and not ((found / ".git").is_dir() and _ignored(found, directory)):
        raise UsageError(
            "vault-in-repository",
            f"the vault would lie inside the repository {found}, where candidates could come to see it",
            fix="set FESTINA_HOME to a folder outside every repository",
            where=str(directory),
        )


def _ignored(repository: Path, directory: Path) -> bool:
    """Whether git ignores the folder there, so that no commit of that repository can hold it."""
    if (repository / "festina.toml").exists():
        return False  # a system's own repository: never
    real = os.path.realpath(directory)
    try:
        asked = git(
            repository / ".git", "check-ignore", "-q", "--no-index", "--", real,
            env={"GIT_WORK_TREE": str(repository), "GIT_LITERAL_PATHSPECS": "0"}, ok=range(256),
        )  # fmt: skip
    except FestinaError:
        return False
    return asked.code == 0


def _refuse_tracked(path: Path) -> None:  # T-1: labels inside the system's own tree are public
    found = _repository_above(Path(os.path.abspath(path)).parent, ("festina.toml",))
    if found is not None:
        raise UsageError(
            "hidden-items-in-repository",
            f"{path.name} lies inside the system {found}: its proposals and candidates can read it",
            fix="move it out of the system's folder and out of its history, then add it",
            where=str(path),
        )


def _check_generator(data: bytes, *, where: str) -> None:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise UsageError("generator-broken", "the generator is not Python", where=f"{where}:{line}") from None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "generate":
            return
    raise UsageError(
        "generator-broken", "no function generate(seed, n)", fix="def generate(seed: int, n: int) -> list", where=where
    )
