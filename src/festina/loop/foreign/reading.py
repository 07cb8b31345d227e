"""Bringing an outside loop's history in: read, compare with what was told before, record what is new.

Reading again brings in what is new and nothing twice; where nothing is, nothing is recorded. A source is never written
to. What stands in the record then is what somebody told, with whose word it is; nothing of it counts as evidence.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from festina.errors import Busy, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft, Ledger
from festina.ledger.outside import MOST_FILES, Tool
from festina.ledger.signing import parse_public, verify
from festina.loop.foreign.examining import Before, examine
from festina.loop.foreign.folding import DETAILS_BYTES, Loop, Story, tell
from festina.loop.foreign.ledgers import read_festina
from festina.loop.holds import tell as tell_people
from festina.loop.opening import name_of, opened
from festina.loop.state import State, fold
from festina.propose.guess import direction_of
from festina.propose.history import (
    Finding,
    History,
    Told,
    read_autoresearch,
    read_git,
    read_inspect,
    read_lines,
    read_openevolve,
)
from festina.propose.history.types import files_below, shown
from festina.system import home as homes
from festina.system.commits import Commits, tip_of
from festina.system.manifest import FILE_NAME, Manifest, parse_manifest
from festina.system.policy import Policy
from festina.system.repo import Repo

TRIES = 5  # somebody else appended while we read
_MANY = ("openevolve", "git")  # their rows stand in more than one file, and a signature covers one
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_METRIC = re.compile(r"[A-Za-z_][\w./ -]{0,99}:(higher|lower)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a loop's history lies and how it is to be read. ``name`` empty: called after the tool."""

    tool: Tool
    path: Path
    name: str = ""
    metric: str = ""
    branch: str = ""
    since: str = ""
    origin: str = ""
    key: bytes | None = None  # whose signature must hold
    signature: bytes = b""

    @property
    def loop(self) -> str:
        return self.name or self.tool


@dataclass(frozen=True, slots=True)
class Brought:
    """What a reading brought. ``seq`` None: nothing was new."""

    seq: int | None
    fresh: tuple[Told, ...]
    findings: tuple[Finding, ...]
    story: Story


def bring(root: Path, source: Source) -> Brought:
    """Read ``source`` into the ledger of the system at ``root``; the ledger is made where there is none."""
    _checked(source)
    repo = Repo.discover(root)
    manifest = manifest_of(repo)
    name = name_of(repo, manifest)
    home = homes.ensure(repo, name)
    alpha = float(manifest.policy.alpha) if manifest is not None else float(Policy().alpha)
    with opened(home, name, alpha=alpha, demo=None) as ledger:
        for _ in range(TRIES):
            state = fold(ledger.records())
            try:
                brought = _once(ledger, state, repo, manifest, source)
            except Busy:
                ledger.refresh()
                continue
            if brought.seq is not None:
                tell_people(ledger, home, brought.seq)
            return brought
        raise Busy("ledger-moved", "others keep appending to this ledger", fix="try again")


def _checked(source: Source) -> None:
    if not _NAME.fullmatch(source.loop):
        raise UsageError("bad-loop-name", f"{source.name[:80]!a} is no name for a loop", fix="letters, digits, . _ -")
    if source.metric and not _METRIC.fullmatch(source.metric):
        raise UsageError("bad-metric", f"{source.metric[:80]!a} is no metric", fix="--metric NAME:higher or NAME:lower")
    if not source.path.exists():
        raise UsageError("no-folder", "there is nothing", fix="name the loop's folder or file", where=str(source.path))
    if bool(source.signature) != (source.key is not None) and source.tool != "festina":
        raise UsageError("half-a-signature", "a signature and the key that made it belong together",
                         fix="--key PUBLIC-KEY --signature FILE")  # fmt: skip


def manifest_of(repo: Repo) -> Manifest | None:
    """The manifest as it lies in the working tree; None where there is none."""
    path = repo.root / FILE_NAME
    return parse_manifest(path.read_bytes()) if path.is_file() else None


def _once(ledger: Ledger, state: State, repo: Repo, manifest: Manifest | None, source: Source) -> Brought:
    loop = state.foreign.loops.get(source.loop, Loop(source.loop))
    before = loop.last.body if loop.readings else None
    if before is not None:
        source = replace(source, metric=source.metric or before.metric)
        if before.tool != source.tool or (source.metric != before.metric):
            raise UsageError(
                "another-loop", f"'{source.loop}' was read as {before.tool} by {before.metric or 'no metric'} before",
                fix="--name OTHER: one name, one loop",
            )  # fmt: skip
    story = tell(loop, ledger.get_blob)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    history = gather(source, repo, manifest)
    unread = [each for each in history.findings if each.kind == "unreadable"]
    if unread and not history.rows and not loop.readings:  # a wrong folder leaves no loop in the record
        raise UsageError(
            "nothing-to-read", unread[0].words, fix="name what the loop writes, and by which tool: docs/attach.md",
            where=str(source.path),
        )  # fmt: skip
    _signed(history, source)
    _origin(history, source, ledger.origin)
    direction = history.metric.rpartition(":")[2]
    known = Before(story.rows, loop.last.at if loop.readings else "")
    fresh, found = examine(history.rows, known, now, direction)
    told_before = {each for _, each in story.findings}
    findings = tuple(each for each in dict.fromkeys([*history.findings, *found]) if each not in told_before)
    if not fresh and not findings and loop.readings:
        return Brought(None, (), (), story)
    body, blobs = _entry(source, history, fresh, findings, story)
    (record,) = ledger.append([Draft(body, blobs=blobs)], expected_size=state.size)
    state.apply(record)
    return Brought(record.seq, tuple(fresh), findings, tell(state.foreign.loops[source.loop], ledger.get_blob))


def gather(source: Source, repo: Repo, manifest: Manifest | None) -> History:
    """What the source tells now."""
    folder = source.path if source.path.is_dir() else source.path.parent
    if source.tool == "openevolve":
        return read_openevolve(folder, source.metric, _place(manifest))
    if source.tool == "festina":
        return read_festina(source.path, source.key)
    if source.tool == "autoresearch":
        return read_autoresearch(folder, source.metric, _commits(folder, source.branch))
    if source.tool == "inspect":
        return read_inspect(source.path, source.metric, _commits(repo.root, source.branch))
    if source.tool == "git":
        return read_git(Commits(Repo.discover(source.path), source.branch), source.metric, source.since)
    if source.path.is_dir():
        raise UsageError("no-file", "JSON lines are one file", fix="name it", where=str(source.path))
    return read_lines(folder, source.path.name, source.metric, _commits(repo.root, source.branch))


def glance(source: Source, root: Path) -> tuple[object, ...]:
    """What changes when the source does: sizes and times of its files, the tip of its branch. Cheap, and no proof."""
    found: list[object] = []
    for each in (source.path if source.path.is_dir() else source.path.parent, root):
        try:
            found.append(tip_of(Repo.discover(each), source.branch))
        except UsageError:
            found.append("")
    paths = [source.path] if source.path.is_file() else files_below(source.path, (".tsv", ".json", ".jsonl", ".eval"))
    for path in paths:
        with suppress(OSError):
            about = path.lstat()
            found.append((str(path), about.st_mtime_ns, about.st_size))
    return tuple(found)


def _commits(folder: Path, branch: str) -> Commits | None:
    """The loop's branch; None where the folder is in no repository that has a commit."""
    try:
        return Commits(Repo.discover(folder), branch)
    except UsageError:
        if branch:
            raise
        return None


def _place(manifest: Manifest | None) -> str:
    """Where a program belongs in this system: the one file that may change, where that is one."""
    allow = manifest.scope_rules().allow if manifest is not None else ()
    return allow[0] if len(allow) == 1 and not set("*?") & set(allow[0]) else ""


def _signed(history: History, source: Source) -> None:
    """Hold a detached signature against the file's bytes, which have to be all that the rows were read from."""
    if source.tool == "festina" or source.key is None:
        return
    data = source.path.read_bytes() if source.path.is_file() else b""
    about = shown(source.path.name), hashlib.sha256(data).hexdigest(), len(data)
    if source.tool not in _MANY and about in history.files and verify(source.key, source.signature, data):
        history.chain, history.attester = "signature", base64.b64encode(source.key).decode()
    else:
        history.find("wrong-origin", "", "the signature does not hold for these bytes and that key")


def _origin(history: History, source: Source, ours: str) -> None:
    """Hold what is said of the origin against what the source says of itself."""
    says = history.claimed_origin
    if source.origin and says and says != source.origin:
        history.find("wrong-origin", "", f"said to come from {shown(source.origin, 80)}; it says {shown(says, 80)}")
    if says == ours:
        history.find("wrong-origin", "", "it is this very record, or says that it is")


def _entry(
    source: Source, history: History, fresh: Sequence[Told], findings: Sequence[Finding], story: Story
) -> tuple[e.HistoryRead, tuple[bytes, ...]]:
    files = sorted(set(history.files))
    details = canonical({
        "rows": [row.plain() for row in fresh], "findings": [[f.kind, f.key, f.words] for f in findings],
        "files": [list(each) for each in files],
    })  # fmt: skip
    if len(details) > DETAILS_BYTES:  # what is read back no further would stand in the way of every page
        raise UsageError(
            "history-too-large", f"what is new comes to {len(details):,} bytes, over {DETAILS_BYTES:,}",
            fix="attach a part of it, such as one checkpoint", where=str(source.path),
        )  # fmt: skip
    wanted = {row.content for row in fresh}
    kept = {digest: base64.b64encode(data).decode() for digest, data in history.contents.items() if digest in wanted}
    contents = canonical(kept) if kept else b""
    kinds = sorted({each.kind for each in findings})
    names = {row.key for row in fresh} | set(story.rows)
    body = e.HistoryRead(
        loop=source.loop, tool=source.tool, claimed_origin=shown(source.origin or history.claimed_origin, 120),
        chain=history.chain, attester=history.attester, metric=history.metric[:300], rows=len(fresh), known=len(names),
        gone=sum(each.kind == "withdrawn" for each in findings),
        files=tuple(e.FileRead(name=name[:120], sha256=digest, size=size) for name, digest, size in files[:MOST_FILES]),
        more_files=max(0, len(files) - MOST_FILES),
        findings=tuple((kind, sum(each.kind == kind for each in findings)) for kind in kinds),
        details=hashlib.sha256(details).hexdigest(),
        contents=hashlib.sha256(contents).hexdigest() if contents else None,
    )  # fmt: skip
    return body, (details, contents) if contents else (details,)


def signature_of(path: Path) -> bytes:
    """A detached Ed25519 signature: 64 raw bytes, or their base64."""
    try:
        with path.open("rb") as file:
            data = file.read(200)  # a signature is shorter, whatever this is
    except OSError as error:
        raise UsageError("no-signature", f"the signature cannot be read: {error.strerror}", where=str(path)) from None
    try:
        return data if len(data) == 64 else base64.b64decode(data.strip(), validate=True)
    except ValueError:
        raise UsageError("no-signature", "that is no Ed25519 signature", where=str(path)) from None


def public_of(text: str | None) -> bytes | None:
    return None if text is None else parse_public(text)


def metric_guess(name: str) -> str:
    """NAME:direction where the name says which way is better."""
    way = direction_of(name)
    return f"{name}:{way}" if way else ""
