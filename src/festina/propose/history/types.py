"""What readers of other loops' files hand back, and the limits under which they read.  # T-3, T-5

Everything in a row is a stranger's text or number: told, never verified. ``Finding`` words are ours; what they quote
was made visible. A reader never raises for what a file holds: it names what is wrong and goes on.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import BufferedReader
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from festina.errors import IntegrityError
from festina.ledger.canonical import canonical, parse_strict
from festina.propose.text import visible

Status = Literal["accepted", "rejected", "failed", "unknown"]
MAX_FILE = 32 << 20  # bytes of one file
MAX_FILES = 20_000
MAX_ROWS = 50_000
MAX_CONTENT = 256 << 10  # bytes of one program that is kept
MAX_KEPT = 16 << 20  # of all of them, in one reading
MAX_DEPTH = 60
MAX_NAME, MAX_WORDS, MAX_SCORES = 200, 500, 20
MAX_FINDINGS = 500  # of one kind: however many there are of another, a grave one is never pushed out

GRAVE = frozenset({
    "contradiction", "gap", "no-score", "no-generation", "withdrawn", "back-dated", "clock-skew", "wrong-hash",
    "wrong-origin", "wrong-sum", "wrong-name", "kept-worse", "not-finite", "unreadable", "too-large",
})  # fmt: skip
# The others are worth knowing: unknown-field, odd-name, no-trace, no-parent, same-content, not-kept, link, half-line,
# in-flight, off-branch


@dataclass(frozen=True, slots=True)
class Told:
    """One generation as an outside loop tells of it. Empty strings and None: not told."""

    key: str  # its name in the source, as it stands there (cut at MAX_NAME)
    parent: str = ""
    number: int | None = None
    at: str = ""  # RFC 3339 in UTC, by the source's clock
    score: float | None = None
    decimals: int = 0  # of the score as it was written; 17 where a float's own digits stand for it
    status: Status = "unknown"
    commit: str = ""  # full object name, where this repository has it
    tree: str = ""
    content: str = ""  # sha256 of the program or artifact itself, as hashed here
    path: str = ""  # where in a tree that content belongs
    by: str = ""
    words: str = ""
    scores: tuple[tuple[str, float], ...] = ()
    source: str = ""  # file and line; no part of the claim

    def plain(self) -> dict[str, Any]:
        """As JSON, without what was not told."""
        found = {k: v for k, v in asdict(self).items() if v not in ("", None, ())}
        return found | ({"scores": [list(pair) for pair in self.scores]} if self.scores else {})

    @property
    def digest(self) -> str:
        """Names the claim, wherever it stands."""
        return hashlib.sha256(canonical({k: v for k, v in self.plain().items() if k != "source"})).hexdigest()


def told_of(row: dict[str, Any]) -> Told:
    """What ``plain`` wrote."""
    return Told(**{**row, "scores": tuple((str(k), float(v)) for k, v in row.get("scores", ()))})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit, or that may hide something. ``key``: whose; may be empty."""

    kind: str
    key: str
    words: str


@dataclass(slots=True)
class History:
    """One reading, being filled."""

    rows: list[Told] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[tuple[str, str, int]] = field(default_factory=list)  # name, sha256, bytes
    contents: dict[str, bytes] = field(default_factory=dict)
    metric: str = ""  # NAME:direction
    claimed_origin: str = ""
    chain: Literal["none", "signature", "ledger"] = "none"
    attester: str = ""
    kept: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # findings by kind, also those that were not listed

    def find(self, kind: str, key: str, words: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_FINDINGS:
            self.findings.append(Finding(kind, key[:MAX_NAME], words[:MAX_WORDS]))

    def add(self, row: Told) -> None:
        if len(self.rows) == MAX_ROWS:
            self.find("too-large", row.key, f"more than {MAX_ROWS:,} generations: the rest was not read")
        if len(self.rows) <= MAX_ROWS:
            self.rows.append(row)

    def keep(self, key: str, data: bytes) -> str:
        """The content's digest; its bytes are kept where they are not too many."""
        digest = hashlib.sha256(data).hexdigest()
        if digest in self.contents:
            return digest
        if len(data) > MAX_CONTENT or self.kept + len(data) > MAX_KEPT:
            self.find("not-kept", key, f"{len(data):,} bytes are recorded by their hash alone and cannot be run again")
            return digest
        self.contents[digest] = data
        self.kept += len(data)
        return digest

    def take(self, folder: Path, path: Path, most: int = MAX_FILE) -> bytes | None:
        """The bytes of a regular file below ``folder``; None, with a finding, for anything else."""
        name = shown(os.path.relpath(path, folder))
        file = self._opened(folder, path, name, most)
        if file is None:
            return None
        with file:
            data = file.read(most + 1)
        if len(data) > most:  # it grew while it was read
            self.find("too-large", name, f"{name}: more than {most:,} bytes")
            return None
        self.files.append((name, hashlib.sha256(data).hexdigest(), len(data)))
        return data

    def artifact(self, folder: Path, path: Path, most: int) -> str | None:
        """The sha256 of a file that may be large; what is small enough to be run again is kept."""
        name = shown(os.path.relpath(path, folder))
        file = self._opened(folder, path, name, most)
        if file is None:
            return None
        with file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            data = file.read(MAX_CONTENT + 1) if size <= MAX_CONTENT else b""
        self.files.append((name, digest, size))
        if hashlib.sha256(data).hexdigest() == digest:
            return self.keep(name, data)
        self.find("not-kept", name, f"{name}: {size:,} bytes are recorded by their hash alone and cannot be run again")
        return digest

    def _opened(self, folder: Path, path: Path, name: str, most: int) -> BufferedReader | None:
        """An open regular file below ``folder`` of at most ``most`` bytes; None, with a finding, for anything else."""
        if not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder)):
            self.find("link", name, f"{name} is not read: a link leads out of the folder")
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.find("link" if path.is_symlink() else "unreadable", name, f"{name} is not read: {error.strerror}")
            return None
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode) and about.st_size <= most:
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        why = f"{about.st_size:,} bytes, over {most:,}" if stat.S_ISREG(about.st_mode) else "no plain file"
        self.find("too-large" if stat.S_ISREG(about.st_mode) else "unreadable", name, f"{name}: {why}")
        return None

    def json(self, name: str, data: bytes) -> Any:  # noqa: ANN401 - hostile JSON
        """What a JSON document holds; None, with a finding, where it is none that is accepted."""
        try:
            return parse_strict(data, max_bytes=MAX_FILE, max_depth=MAX_DEPTH)
        except IntegrityError as error:
            self.find("unreadable", shown(name), f"{shown(name)}: {error.what}")
            return None


def files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with these endings, in order of their names; links to folders are not followed."""
    found: list[Path] = []
    for here, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(here, name) for name in sorted(names) if name.endswith(suffixes) and len(name) < 256]
        if len(found) > MAX_FILES:
            break
    return found


def shown(text: str, limit: int = MAX_NAME) -> str:
    """A stranger's text, safe within one line.  # T-5"""
    return visible(text, lines=False, limit=limit)


def cut(value: object, limit: int = MAX_NAME) -> str:
    """A stranger's string as it stands, no longer than ``limit``; empty for what is none."""
    return value.encode("utf-8", "replace").decode()[:limit] if isinstance(value, str) else ""


def number_of(value: object) -> float | None:
    """A finite number, and no boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def count_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def decimals_of(text: str) -> int:
    """How many decimals a number was written with; exponents count."""
    mantissa, _, exponent = text.strip().lower().partition("e")
    places = len(mantissa.partition(".")[2])
    try:
        return min(17, max(0, places - (int(exponent) if exponent else 0)))
    except ValueError:
        return 17


def utc(value: object) -> str:
    """A time told as RFC 3339 or as seconds since 1970, in UTC with milliseconds; empty where it is none."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                return ""
        elif (seconds := number_of(value)) is not None:
            moment = datetime.fromtimestamp(seconds, UTC)
        else:
            return ""
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""


def odd_name(history: History, key: str, where: str) -> None:
    """Say where a name holds what a reader would not see as itself."""
    if shown(key) != key:
        history.find("odd-name", key, f"{where}: a name with characters that are not what they seem: {shown(key)}")


def scores_of(metrics: Iterable[tuple[object, object]]) -> tuple[tuple[str, float], ...]:
    """Other numbers told beside the score."""
    found = [(cut(name, 60), value) for name, told in metrics if (value := number_of(told)) is not None]
    return tuple(sorted(found)[:MAX_SCORES])
