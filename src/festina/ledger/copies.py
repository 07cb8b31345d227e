"""Copies: one file again, or plain files that need no SQLite to read.  # L-1, L-5

A public copy leaves out the openings of sealed fields; the entries, and so every hash, signature and
checkpoint, are the same bytes, and it verifies against the same root. Copies are written whole or not at all,
and the same ledger gives the same plain files (C-2).

Plain files: ``entries.jsonl`` (one envelope a line), ``checkpoint.txt``, ``content/DIGEST``, ``openings.jsonl``.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path

from festina.errors import UsageError
from festina.ledger.audit import LIMITS
from festina.ledger.canonical import canonical, parse_canonical
from festina.ledger.statement import MAX_ENVELOPE_BYTES
from festina.ledger.store import Store, damaged, read_plain

README = """\
A copy of a Festina ledger as plain files. Check it: festina ledger verify THIS-DIRECTORY
entries.jsonl    one DSSE envelope a line; line n is leaf n of an RFC 6962 Merkle tree
checkpoint.txt   C2SP signed note over size and root of that tree
content/         what the entries name, by sha256
openings.jsonl   salts and values of sealed fields (empty in a public copy)

"""


def export(source: Path, target: Path, *, public: bool = False) -> None:
    """Copy the ledger file ``source``; to one file when ``target`` ends in ``.db``, else to a directory.

    Never overwrites. Copies what is there: check it with ``verify``, before or after.
    """
    target = Path(target)
    if target.exists() or target.is_symlink():
        raise UsageError("export-exists", "something lies here already", fix="name a new place", where=str(target))
    scratch = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    store = Store.open(Path(source), readonly=True)
    try:
        with _removed_on_failure(scratch), store.reading():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix == ".db":
                _to_file(store, scratch, public)
            else:
                _to_directory(store, scratch, public)
            os.rename(scratch, target)
    finally:
        store.close()


@contextmanager
def _removed_on_failure(scratch: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError("export-failed", f"the copy cannot be written: {error.strerror}", where=str(scratch)) from None
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            for tail in ("", "-wal", "-shm"):
                scratch.with_name(scratch.name + tail).unlink(missing_ok=True)


def _to_file(store: Store, scratch: Path, public: bool) -> None:
    Store.create(scratch)
    copy = Store.open(scratch)
    try:
        with copy.writing(durable=True):
            for seq, envelope in store.entries():
                copy.add_entry(seq, envelope)
            for size, note in store.checkpoints():
                copy.set_checkpoint(size, note)
            for _, data in store.blobs():
                copy.add_blob(data)
            for opening in () if public else store.openings():
                copy.add_opening(*opening)
    finally:
        copy.close()


def _to_directory(store: Store, scratch: Path, public: bool) -> None:
    (scratch / "content").mkdir(parents=True)
    with (scratch / "entries.jsonl").open("wb") as file:
        for _, envelope in store.entries():
            file.write(envelope + b"\n")
    with (scratch / "checkpoint.txt").open("wb") as file:
        for _, note in store.checkpoints():
            file.write(note.encode())
    for digest, data in store.blobs():
        (scratch / "content" / digest).write_bytes(data)
    with (scratch / "openings.jsonl").open("wb") as file:
        for seq, name, salt, value in () if public else store.openings():
            file.write(canonical([seq, name, base64.b64encode(salt).decode(), value]) + b"\n")
    (scratch / "README.txt").write_text(README + LIMITS + "\n", encoding="utf-8")


class PlainFiles:
    """The plain-files copy, as ``verify`` reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "entries.jsonl").is_file():
            raise UsageError("ledger-is-a-directory", "a directory, and not a copy of a ledger", where=str(path))

    def reading(self) -> nullcontext[None]:
        return nullcontext()

    def close(self) -> None:
        return

    def _lines(self, name: str, limit: int) -> Iterator[bytes]:
        try:
            with io.BytesIO(read_plain(self.path / name)) as file:
                while line := file.readline(limit + 2):
                    if not line.endswith(b"\n"):
                        raise damaged(f"{name} has a line that is cut off or too long", self.path)
                    yield line[:-1]
        except OSError as error:
            raise damaged(f"{name} cannot be read: {error.strerror}", self.path) from None

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        for seq, envelope in enumerate(self._lines("entries.jsonl", MAX_ENVELOPE_BYTES)):
            if seq >= start:
                yield seq, envelope

    def strays(self) -> int:
        return 0

    def checkpoints(self) -> list[tuple[int, str]]:
        try:
            note = read_plain(self.path / "checkpoint.txt", 100_000).decode("utf-8")
            size = int(note.split("\n")[1])
        except (OSError, ValueError, IndexError):
            raise damaged("checkpoint.txt cannot be read", self.path) from None
        return [(size, note)]

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        try:
            for name in sorted(os.listdir(self.path / "content")):
                yield name, read_plain(self.path / "content" / name)
        except OSError as error:
            raise damaged(f"content cannot be read: {error.strerror}", self.path) from None

    def blob(self, digest: str) -> bytes:
        try:
            data = read_plain(self.path / "content" / digest)
        except OSError as error:
            raise damaged(f"content {digest} cannot be read: {error.strerror}", self.path) from None
        if sha256(data).hexdigest() != digest:
            raise damaged(f"content {digest} was changed", self.path)
        return data

    def openings(self) -> Iterator[tuple[int, str, bytes, str]]:
        for line in self._lines("openings.jsonl", 1 << 20):
            row = parse_canonical(line)
            if not isinstance(row, list) or [type(item) for item in row] != [int, str, str, str]:
                raise damaged("openings.jsonl has a line that is no opening", self.path)
            try:
                yield row[0], row[1], base64.b64decode(row[2], validate=True), row[3]
            except ValueError:
                raise damaged("openings.jsonl has a salt that is none", self.path) from None

    def problems(self) -> str:
        return ""
