"""Writing a tree of git objects to disk without git: no filters, no hooks, no links.

Files get mode 0444 or 0555 and directories 0555, everything readable by whoever may enter the parent, and one
fixed modification time, so that two exports of one tree are equal. Symbolic links, submodules and names that
some file system takes for ``.git`` are left out and listed. The directory appears whole or not at all.

Not covered: after a power loss an export may hold torn files; exports are caches and may be made again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from festina.errors import Fault, IntegrityError, UsageError
from festina.system.characters import is_git_name, shown
from festina.system.objects import REGULAR, TreeEntry, fsencode, in_groups

__all__ = ["Export", "is_exported", "remove_export", "write_export", "write_files"]

_EPOCH_NS = 315_532_800 * 10**9  # 1980-01-01, the earliest time that zip files and wheels can hold


@dataclass(frozen=True, slots=True)
class Export:
    """What was written. ``skipped`` lists (path, why) for every entry that was left out."""

    path: Path
    files: int
    skipped: tuple[tuple[str, str], ...]


def _skip_reason(entry: TreeEntry) -> str | None:
    if entry.mode == "120000":
        return "symlink"
    if entry.mode == "160000":
        return "submodule"
    if entry.type != "blob" or entry.mode not in REGULAR:
        return "mode"
    if any(is_git_name(part) for part in entry.path.split("/")):
        return "git-internals"
    return None


def is_exported(path: str, mode: str, kind: str) -> bool:
    return _skip_reason(TreeEntry(path, mode, kind, "", 0)) is None


def write_export(entries: Sequence[TreeEntry], dest: Path, read: Callable[[Sequence[str]], dict[str, bytes]]) -> Export:
    """Write ``entries`` below ``dest``, which must not exist. ``read`` returns blobs by object name."""
    skipped = tuple((e.path, why) for e in entries if (why := _skip_reason(e)))
    left_out = {path for path, _ in skipped}
    done = write_files([entry for entry in entries if entry.path not in left_out], dest, read)
    return Export(dest, done.files, skipped)


def write_files(
    wanted: Sequence[TreeEntry],
    dest: Path,
    read: Callable[[Sequence[str]], dict[str, bytes]],
    then: Callable[[Path], None] = lambda _: None,
) -> Export:
    """Write what was judged fit; ``then`` may add to the folder before it is closed and gets its name."""
    if dest.exists() or dest.is_symlink():
        raise UsageError("export-exists", f"{dest} exists already", fix="export to a path that does not exist")
    dest.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{dest.name}.", dir=dest.parent))
    try:
        for group in in_groups(wanted):
            blobs = read([entry.oid for entry in group])
            for entry in group:
                _write(temporary, entry, blobs[entry.oid])
        then(temporary)
        _seal(temporary)
        os.rename(temporary, dest)
    except OSError as error:
        raise Fault("export-failed", f"could not write {dest}: {error.strerror}") from error
    finally:
        if temporary.exists():
            remove_export(temporary)
    return Export(dest, len(wanted), ())


def _write(root: Path, entry: TreeEntry, data: bytes) -> None:
    """Create one new file. Nothing is ever followed or overwritten: the directory holds no links, O_EXCL the rest."""
    if any(part in ("", ".", "..") for part in entry.path.split("/")):
        raise IntegrityError("malformed-tree", f"a tree names the impossible path {shown(entry.path)}")
    path = os.path.join(os.fsencode(root), fsencode(entry.path))
    mode = 0o555 if entry.mode == "100755" else 0o444
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except (FileExistsError, NotADirectoryError) as error:
        raise IntegrityError("malformed-tree", f"a tree holds {shown(entry.path)} twice or as two kinds") from error
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()  # or closing would touch the time again
        os.fchmod(descriptor, mode)
        os.utime(descriptor, ns=(_EPOCH_NS, _EPOCH_NS))


def _seal(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        os.utime(folder, ns=(_EPOCH_NS, _EPOCH_NS))
        os.chmod(folder, 0o555)


def remove_export(path: Path) -> None:
    """Delete an export, which is read-only, together with whatever lies in it. Does nothing if it is gone."""
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)
