"""The ledger's one file: SQLite, and nothing about what the bytes mean.  # L-1

Tables: ``entry`` (number, envelope), ``blob`` (content by digest), ``opening`` (salts and values of sealed
fields, L-5) and ``checkpoint`` (the newest only: an old signed checkpoint left in the file would let
somebody without the engine's key cut the tail off, so it is overwritten, with ``secure_delete``).

Invariants: a transaction is all or nothing, also over ``kill -9``; after a durable one the write-ahead log is
folded in before it returns (a long reader can delay that), so the one file is complete and everything beside it may
be lost; only after a kill in the instant of folding the two belong together until the ledger is opened again. The
file's header and schema must be exactly what this module writes. SQLite's own errors never escape: damage is
``IntegrityError``, a full or failing disk is ``Fault``, another writer is ``Busy``, a wrong path is ``UsageError``.
Not covered: content over 256 MiB; network file systems, whose locks SQLite cannot trust.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from festina.errors import Busy, Fault, FestinaError, IntegrityError, UsageError
from festina.ledger.entries import SCHEMA

APPLICATION_ID = 0x46455354  # "FEST"
PAGE = 4096
MAX_BLOB_BYTES = 256 << 20  # SQLite's own limit is 1e9; a row is held in memory as a whole
BUSY_S = 30.0
READ_ROWS = 500  # rows fetched at once: bounds memory and the time that a reader holds a snapshot

TABLES = {
    "blob": "CREATE TABLE blob (digest BLOB PRIMARY KEY NOT NULL, data BLOB NOT NULL) STRICT",
    "checkpoint": "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY NOT NULL, note TEXT NOT NULL) STRICT",
    "entry": "CREATE TABLE entry (seq INTEGER PRIMARY KEY NOT NULL, envelope BLOB NOT NULL) STRICT",
    "opening": (
        "CREATE TABLE opening (seq INTEGER NOT NULL, field TEXT NOT NULL, salt BLOB NOT NULL, "
        "value TEXT NOT NULL, PRIMARY KEY (seq, field)) STRICT"
    ),
}
_AUTOINDEX = {"blob": "sqlite_autoindex_blob_1", "opening": "sqlite_autoindex_opening_1"}
# what sqlite3 raises over a damaged file: its own errors, a length that no memory holds, a message that is not UTF-8
_RAISED = (sqlite3.Error, MemoryError, UnicodeDecodeError)
_DAMAGED_READ = {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


def damaged(what: str, path: Path) -> IntegrityError:
    return IntegrityError(
        "ledger-damaged", what, where=str(path), fix="`festina ledger verify` names what is wrong; restore a copy"
    )


def explain(error: Exception, path: Path) -> FestinaError:
    """One of our errors for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    where, primary = str(path), code & 0xFF
    if code in _DAMAGED_READ:
        return damaged(f"the file is shorter than it says ({error})", path)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("ledger-busy", "another process is writing this ledger", fix="wait, or stop it", where=where)
    if primary == sqlite3.SQLITE_FULL:
        return Fault("disk-full", "the disk is full: nothing was recorded", fix="make room", where=where)
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT):
        return Fault("ledger-io", f"the file cannot be read or written: {error}", fix="check the disk", where=where)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return UsageError("ledger-unreadable", f"the file cannot be opened: {error}", where=where)
    return damaged(f"the file is damaged: {error}", path)


def check_file(path: Path) -> None:
    """A readable, plain, not empty file, or an error that says what it is instead."""
    try:
        if os.path.isdir(path):
            raise UsageError("ledger-is-a-directory", "this is a directory, not a ledger", where=str(path))
        head = read_plain(path, 100)
    except FileNotFoundError:
        raise UsageError(
            "no-ledger", "there is no ledger here", fix="`festina run` starts one", where=str(path)
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError("ledger-unreadable", f"the file cannot be read: {error}", where=str(path)) from None
    _check_header(head, path)


def read_plain(path: Path, limit: int = -1) -> bytes:
    """Bytes of a plain file; OSError for anything else, and without waiting for what a pipe may never say."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        return file.read(limit)


def _check_header(head: bytes, path: Path) -> None:
    """What this module always writes into SQLite's header; flipped bits there change nothing but are named."""
    if not head:
        raise damaged("the file is empty", path)
    if len(head) < 100 or head[:16] != b"SQLite format 3\x00":
        raise damaged("this is not a ledger, or its first bytes were changed", path)
    (page,) = struct.unpack(">H", head[16:18])
    fixed = head[18:24] == bytes((2, 2, 0, 64, 32, 32)) and head[44:48] == b"\x00\x00\x00\x04"
    zeros = not any(head[48:56]) and not any(head[64:68]) and not any(head[72:92])
    (encoding,) = struct.unpack(">I", head[56:60])
    (application,) = struct.unpack(">I", head[68:72])
    if application != APPLICATION_ID:
        raise damaged("this is a database but not a ledger", path)
    if page != PAGE or not fixed or not zeros or encoding != 1:
        raise damaged("the file's header was changed", path)


def _uri(path: Path, options: str) -> str:
    return f"{path.absolute().as_uri()}?{options}"


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def has_wal(path: Path) -> bool:
    """Whether a write-ahead log with anything in it lies beside the file."""
    try:
        return _wal(path).stat().st_size > 0
    except OSError:
        return False


class Store:
    """An open file. One thread and one process; others open their own."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, readonly: bool) -> None:
        self._db = connection
        self.path = path
        self.readonly = readonly
        self._inode = os.stat(path).st_ino
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    # -- opening and closing

    @classmethod
    def create(cls, path: Path) -> None:
        """Write an empty store at ``path``, which must not exist."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.close(fd)
        with _errors(path):
            db = sqlite3.connect(_uri(path, "mode=rw"), uri=True, isolation_level=None)
            try:
                db.execute(f"PRAGMA page_size={PAGE}")
                db.execute("PRAGMA encoding='UTF-8'")
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.execute("BEGIN IMMEDIATE")
                db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={SCHEMA}")
                for _, sql in sorted(TABLES.items()):
                    db.execute(sql)
                db.execute("COMMIT")
            finally:
                db.close()

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, settled: bool = False) -> Store:
        """Open and check header and schema. ``settled``: leave no trace beside the file if nobody writes it."""
        path = Path(path)
        check_file(path)
        with _errors(path):
            if not readonly:
                store = cls(cls._connect(path, "mode=rw"), path, readonly=False)
            elif settled and not _wal(path).exists():
                store = cls(cls._connect(path, "mode=ro&immutable=1"), path, readonly=True)
            else:
                store = cls._open_shared(path)
        try:
            store.check_schema()
        except FestinaError:
            store.close()
            raise
        return store

    @staticmethod
    def _connect(path: Path, options: str) -> sqlite3.Connection:
        db = sqlite3.connect(_uri(path, options), uri=True, isolation_level=None, timeout=BUSY_S)
        try:
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "secure_delete=ON", "mmap_size=0"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except _RAISED:
            db.close()
            raise
        return db

    @classmethod
    def _open_shared(cls, path: Path) -> Store:
        """Read beside a writer. A directory that may not be written needs a detour around SQLite's shared memory."""
        try:
            return cls(cls._connect(path, "mode=ro"), path, readonly=True)
        except sqlite3.OperationalError as error:
            if explain(error, path).name != "ledger-unreadable":
                raise
        if not has_wal(path):
            return cls(cls._connect(path, "mode=ro&immutable=1"), path, readonly=True)
        copy = tempfile.TemporaryDirectory(prefix="festina-ledger-")
        target = Path(copy.name) / path.name
        shutil.copyfile(path, target)
        shutil.copyfile(_wal(path), _wal(target))
        store = cls(cls._connect(target, "mode=rw"), path, readonly=True)
        store._copy = copy
        return store

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        if not self.readonly:
            try:
                self._db.execute("PRAGMA busy_timeout=0")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error:
                pass  # another process reads or writes; the last one to close folds, and nothing is lost either way
        self._db.close()
        if self._copy is not None:
            self._copy.cleanup()

    def check_schema(self) -> None:
        """The schema number and tables of exactly this version."""
        with _errors(self.path):
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            rows = self._db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
        if version != SCHEMA:
            self._other_version(version)
        expected: list[tuple[str, str, str, str | None]] = [("table", n, n, sql) for n, sql in TABLES.items()]
        expected += [("index", index, table, None) for table, index in _AUTOINDEX.items()]
        if rows != sorted(expected, key=lambda row: row[1]):
            raise damaged("the file's tables are not those of a ledger", self.path)

    def _other_version(self, version: int) -> None:
        """A newer Festina's ledger says so in its signed first entry too; else somebody changed the number."""
        from festina.ledger.statement import decode  # not at the top: the store knows nothing else of entries

        try:
            first = next(self.entries())
            entry = decode(first[1])
            claimed = entry.body.get("schema_number")
        except (IntegrityError, StopIteration):
            claimed = None
        if version > SCHEMA and claimed == version:
            raise UsageError(
                "ledger-newer-schema", f"a newer Festina wrote this ledger (schema {version}, this one knows {SCHEMA})",
                fix="install the newer version", where=str(self.path),
            )  # fmt: skip
        raise damaged(f"the schema number was changed to {version}", self.path)

    # -- transactions

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[None]:
        """One transaction, all or nothing; when ``durable``, on disk and folded in before it returns."""
        with _errors(self.path):
            self._same_file()
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            if durable:
                self._fold()

    def _fold(self) -> None:
        """Copy the log into the file. A reader's snapshot may delay it; the commit is durable all the same."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.OperationalError:
            pass  # a full disk: the commit lies in the log, and the next fold or close tries again

    def _same_file(self) -> None:
        """Refuse to write into a file that was unlinked or replaced behind us."""
        try:
            inode = os.stat(self.path).st_ino
        except OSError:
            inode = -1
        if inode != self._inode:
            raise damaged("the ledger's file was removed or replaced while it was open", self.path)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One snapshot for several reads."""
        with _errors(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    # -- reading

    def _rows(self, sql: str, args: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with _errors(self.path):
            yield from self._db.execute(sql, args)

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Numbers and envelopes from ``start`` on, in order, whatever numbers stand there."""
        at = start
        while True:
            count = 0
            for seq, envelope in self._rows(
                f"SELECT seq, envelope FROM entry WHERE seq >= ? ORDER BY seq LIMIT {READ_ROWS}", (at,)
            ):
                if type(seq) is not int or type(envelope) is not bytes or seq < at:
                    raise damaged("a row of another type", self.path)
                at, count = seq + 1, count + 1
                yield seq, envelope
            if count < READ_ROWS:
                return

    def strays(self) -> int:
        """Entries with negative numbers: no ledger has any."""
        return int(next(self._rows("SELECT count(*) FROM entry WHERE seq < 0"))[0])

    def checkpoints(self) -> list[tuple[int, str]]:
        rows = list(self._rows("SELECT size, note FROM checkpoint ORDER BY size LIMIT 3"))
        if any(type(size) is not int or type(note) is not str for size, note in rows):
            raise damaged("a checkpoint of another type", self.path)
        return [(size, note) for size, note in rows]

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """All content, as stored: the digest is only what the row says."""
        for digest, data in self._rows("SELECT digest, data FROM blob ORDER BY digest"):
            if type(digest) is not bytes or type(data) is not bytes:
                raise damaged("content of another type", self.path)
            yield digest.hex(), data

    def blob(self, digest: str) -> bytes:
        """Content, re-hashed.  # L-2"""
        for (data,) in self._rows("SELECT data FROM blob WHERE digest = ?", (bytes.fromhex(digest),)):
            if type(data) is bytes and sha256(data).hexdigest() == digest:
                return data
            raise damaged(f"content {digest} was changed", self.path)
        raise damaged(f"content {digest} is not in the ledger", self.path)

    def has_blob(self, digest: str) -> bool:
        return any(self._rows("SELECT 1 FROM blob WHERE digest = ?", (bytes.fromhex(digest),)))

    def openings(self) -> Iterator[tuple[int, str, bytes, str]]:
        for seq, name, salt, value in self._rows("SELECT seq, field, salt, value FROM opening ORDER BY seq, field"):
            if (type(seq), type(name), type(salt), type(value)) != (int, str, bytes, str):
                raise damaged("an opening of another type", self.path)
            yield seq, name, salt, value

    def opening(self, seq: int, name: str) -> tuple[bytes, str] | None:
        for salt, value in self._rows("SELECT salt, value FROM opening WHERE seq = ? AND field = ?", (seq, name)):
            if type(salt) is bytes and type(value) is str:
                return salt, value
            raise damaged("an opening of another type", self.path)
        return None

    def problems(self) -> str:
        """What SQLite itself finds wrong with the file, or nothing."""
        rows = list(self._rows("PRAGMA integrity_check(1)"))
        text = str(rows[0][0]) if rows else "no answer"
        if text != "ok":
            return text
        size = os.stat(self.path).st_size
        if not has_wal(self.path):
            (pages,) = next(self._rows("PRAGMA page_count"))
            if size != pages * PAGE:
                return f"{size} bytes where {pages} pages of {PAGE} belong"
        return ""

    # -- writing (inside ``writing``)

    def add_entry(self, seq: int, envelope: bytes) -> None:
        self._db.execute("INSERT INTO entry (seq, envelope) VALUES (?, ?)", (seq, envelope))

    def set_checkpoint(self, size: int, note: str) -> None:
        self._db.execute("DELETE FROM checkpoint")
        self._db.execute("INSERT INTO checkpoint (size, note) VALUES (?, ?)", (size, note))

    def add_blob(self, data: bytes) -> str:
        if len(data) > MAX_BLOB_BYTES:
            raise UsageError(
                "content-too-large", f"{len(data)} bytes of content, over {MAX_BLOB_BYTES}",
                fix="record the digest, and keep the bytes outside the ledger",
            )  # fmt: skip
        digest = sha256(data)
        self._db.execute("INSERT OR IGNORE INTO blob (digest, data) VALUES (?, ?)", (digest.digest(), data))
        return digest.hexdigest()

    def add_opening(self, seq: int, name: str, salt: bytes, value: str) -> None:
        self._db.execute("INSERT INTO opening (seq, field, salt, value) VALUES (?, ?, ?, ?)", (seq, name, salt, value))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _RAISED as error:
        raise explain(error, path) from None
