"""A witness at work on its folder: its key, the logs that it knows, the newest checkpoint of each, what it refused.

``witness.db`` is one SQLite file. Comparing with the newest checkpoint and keeping the next one is one transaction that
is on the disk before the cosignature leaves (tlog-witness: "MUST persist the new checkpoint before responding"). A
witness whose file is lost must be given another key: it no longer knows what it cosigned.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from festina.errors import Fault, IntegrityError, UsageError
from festina.ledger.checkpoint import Checkpoint, check_origin, parse_vkey, take_apart
from festina.ledger.cosignature import WitnessKey, cosign
from festina.ledger.signing import LocalKey
from festina.witness.protocol import Answer, Latest, Request, judge, origin_of, parse

__all__ = ["Keeper", "Known"]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY NOT NULL, key BLOB NOT NULL, size INTEGER, root BLOB, "
    "note TEXT) STRICT",
    "CREATE TABLE IF NOT EXISTS refused (at INTEGER NOT NULL, origin TEXT NOT NULL, status INTEGER NOT NULL, "
    "fork INTEGER NOT NULL, note TEXT NOT NULL) STRICT",
)
KEPT_REFUSALS = 1_000  # of each log: who holds a log's key could else fill a disk


@dataclass(frozen=True, slots=True)
class Known:
    """A log that this witness cosigns. ``note``: the newest cosigned checkpoint, "" while there is none.

    ``forks``: checkpoints that the log signed and that contradict what it signed before, each as it came.
    """

    origin: str
    size: int
    note: str
    forks: tuple[str, ...]


class Keeper:
    """One witness. Any number of threads and processes may use one folder, each with a keeper of its own."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder, self._clock = folder, clock
        try:
            self.name = (folder / "name").read_text("utf-8").strip()
        except OSError:
            raise UsageError(
                "no-witness", "there is no witness here", fix="festina witness init FOLDER --name NAME",
                where=str(folder),
            ) from None  # fmt: skip
        self._key = LocalKey.load(folder / "witness.key", "witness")
        with self._open():
            pass  # raises where the file is not what it should be

    @classmethod
    def create(cls, folder: Path, name: str) -> Keeper:
        """A new witness with a new key. Never overwrites one."""
        check_origin(name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        LocalKey.create(folder / "witness.key", "witness")
        (folder / "name").write_text(name + "\n", encoding="utf-8")
        return cls(folder)

    @property
    def key(self) -> WitnessKey:
        return WitnessKey(self.name, self._key.public)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone, and on the disk when it is over."""
        try:
            db = sqlite3.connect(self.folder / "witness.db", timeout=10, isolation_level=None)
            try:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    db.execute(table)
                yield db
                db.execute("COMMIT")
            finally:
                db.close()  # without a commit everything is as before
        except sqlite3.Error as error:
            raise Fault("witness-file", f"the witness's file cannot be used: {error}", where=str(self.folder)) from None

    def trust(self, key: str) -> str:
        """Cosign for the log with this verifier key from now on; its origin. A log's key is never changed."""
        origin, public = parse_vkey(key)
        with self._open() as db:
            row = db.execute("SELECT key FROM log WHERE origin = ?", (origin,)).fetchone()
            if row is not None and row[0] != public:
                raise UsageError(
                    "another-key", f"{origin} is known here with another key",
                    fix="find out why it changed; a record keeps its key, and a new record has a new origin",
                )  # fmt: skip
            db.execute("INSERT OR IGNORE INTO log (origin, key) VALUES (?, ?)", (origin, public))
        return origin

    def add(self, data: bytes) -> Answer:
        """Answer one ``add-checkpoint`` request."""
        try:
            request = parse(data)
            origin = origin_of(request)
        except IntegrityError as error:
            return Answer(400, f"{error.what}\n")
        with self._open() as db:
            row = db.execute("SELECT key, size, root FROM log WHERE origin = ?", (origin,)).fetchone()
            latest = Latest(row[1], row[2]) if row is not None and row[1] is not None else None
            found = judge(request, origin, row[0] if row is not None else None, latest)
            if isinstance(found, Answer):
                self._remember(db, origin, request, found)
                return found
            line = self._cosign(db, request, found)
        return Answer(200, line)

    def _cosign(self, db: sqlite3.Connection, request: Request, point: Checkpoint) -> str:
        text, _ = take_apart(request.note)
        line = cosign(text, self.name, self._key, int(self._clock()))
        own = [part for part in request.note.split("\n\n")[-1].split("\n") if part.startswith(f"— {point.origin} ")]
        note = "\n".join([text, *own, line])
        db.execute(
            "UPDATE log SET size = ?, root = ?, note = ? WHERE origin = ?",
            (point.size, point.root, note, point.origin),
        )
        return line

    def _remember(self, db: sqlite3.Connection, origin: str, request: Request, answer: Answer) -> None:
        """Keep what the log's own key signed and this witness refused: it may show that the log was rewritten."""
        if answer.status not in (409, 422):
            return
        count, known = db.execute(
            "SELECT count(*), coalesce(sum(note = ?), 0) FROM refused WHERE origin = ?", (request.note, origin)
        ).fetchone()
        if not known and (answer.fork or answer.status == 422) and count < KEPT_REFUSALS:
            row = (int(self._clock()), origin, answer.status, int(answer.fork), request.note)
            db.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?)", row)

    def logs(self) -> list[Known]:
        with self._open() as db:
            rows = db.execute("SELECT origin, coalesce(size, 0), coalesce(note, '') FROM log ORDER BY 1").fetchall()
            forks = db.execute("SELECT origin, note FROM refused WHERE fork = 1 ORDER BY at, rowid").fetchall()
        return [Known(o, size, note, tuple(n for origin, n in forks if origin == o)) for o, size, note in rows]
