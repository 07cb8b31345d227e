"""What both boxes need on the host: the state folder, a run's scratch folder, uids, and checks of a job.

The state folder is 0700: nobody but the engine's user reaches what lies below it. A scratch folder carries
its engine's pid and start time in its name, so that a sweep can tell the leftovers of a dead engine.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import pwd
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from festina.errors import Fault, UsageError
from festina.sandbox.job import Job
from festina.sandbox.kernel import overlay
from festina.system.scratch import alive, stamp

__all__ = [
    "CANDIDATE_UID",
    "PROPOSER_UID",
    "can_layer",
    "can_separate",
    "check_job",
    "check_uid",
    "fill",
    "lease_uid",
    "prepare_state",
    "scratch",
    "sweep_scratch",
]

CANDIDATE_UID = 60810
PROPOSER_UID = 60811
_SWITCH = 1 << 0 | 1 << 6 | 1 << 7  # CAP_CHOWN, CAP_SETGID, CAP_SETUID
_POOL = range(60820, 61180)  # the rest of the range that systemd's uid table leaves unused
_counter = itertools.count()
_RESERVED = ("/in", "/out", "/proc", "/dev", "/etc", "/usr", "/.work", "/tmp", "/bin", "/lib", "/lib64", "/sbin")


def prepare_state(state: Path) -> Path:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    state.chmod(0o700)
    return state.resolve()


def check_uid(uid: int) -> int:
    """A box's uid must belong to nobody: an account's files and processes would be open to it.  # T-1"""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid
    raise UsageError("uid-in-use", f"uid {uid} belongs to the account {name!r}", fix="choose a uid without an account")


@functools.cache
def can_separate() -> bool:
    """Whether runs can be given uids of their own. Root of a namespace with a single uid cannot, nor root without the
    capabilities for it.  # T-1"""
    if os.geteuid() != 0:
        return False
    maps = [[int(word) for word in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()]
    mapped = any(first <= CANDIDATE_UID and _POOL[-1] < first + count for first, _, count in maps)
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("CapEff:")[2].split()[0], 16)
    return mapped and held & _SWITCH == _SWITCH


@contextmanager
def lease_uid() -> Iterator[int]:
    """A uid that no other run on this machine has for the time being, held by a lock that dies with its engine.

    The kernel counts some things by user id, whatever the namespace: processes, watch lists, pipe memory. Runs
    side by side under one uid could starve each other, and signal by it.  # E-1, E-4
    """
    folder = _lease_folder()
    for uid in _POOL:
        if not _nobodys(uid):
            continue
        handle = os.open(folder / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        try:
            yield uid
        finally:
            os.close(handle)
        return
    raise Fault(
        "no-free-uid", "every user id kept for runs is in use", fix="run fewer trials at a time on this machine"
    )


@functools.cache
def _nobodys(uid: int) -> bool:
    try:
        check_uid(uid)
    except UsageError:
        return False
    return True


def _lease_folder() -> Path:
    top = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
    folder = top / "festina-uids"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Fault("lease-folder", f"{folder} is not a folder of this user alone", fix=f"remove {folder}")
    return folder


def check_job(job: Job, state: Path) -> None:
    """A caller's mistakes, before anything starts."""
    if not job.argv or not job.argv[0]:
        raise UsageError("empty-command", "a job without a command", fix="give argv")
    if any("\0" in word for word in (*job.argv, job.cwd)) or not job.cwd.startswith("/"):
        raise UsageError("bad-command", f"cwd must be absolute, and no word may hold a NUL: {job.cwd!r}")
    for name in job.inputs:
        parts = name.split("/")
        if name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise UsageError("bad-input-name", f"not a name below /in: {name!r}", fix="use plain relative names")
    for bind in job.binds:
        target = PurePosixPath(bind.target)
        if not bind.target.startswith("/") or ".." in target.parts or str(target) in ("/", *_RESERVED):
            raise UsageError("bad-bind", f"cannot show anything at {bind.target!r}", fix="use a path of its own")
        if any(target.is_relative_to(place) for place in ("/in", "/out", "/proc", "/dev", "/.work")):
            raise UsageError("bad-bind", f"{bind.target!r} lies inside a place that every box has")
        for source in (bind.source, *bind.below):
            _must_not_show(source, state)
    if job.work is not None:
        _must_not_show(job.work, state)


def can_layer(state: Path) -> bool:
    """Whether folders below the state folder can be shown as layers of an overlay. Tried for real; needs root."""
    with scratch(state) as place:
        for name in ("above", "below"):
            (place / name).mkdir()
        (place / "below" / "f").write_bytes(b"1")
        try:
            mount = overlay([str(place / "above"), str(place / "below")])
        except OSError:
            return False
        try:
            return os.listdir(f"/proc/self/fd/{mount}") == ["f"]
        finally:
            os.close(mount)


def _must_not_show(source: Path, state: Path) -> None:
    if not source.exists():
        raise Fault("bind-missing", f"{source} is to be shown in a box and does not exist")
    if state.is_relative_to(source.resolve()):
        raise UsageError("state-in-view", f"{source} contains Festina's own state", fix="show a narrower folder")


@contextmanager
def scratch(state: Path) -> Iterator[Path]:
    """A new folder for one run, removed afterwards."""
    place = state / f"box-{stamp()}-{next(_counter)}"
    place.mkdir(mode=0o755)
    try:
        yield place
    finally:
        remove(place)


def remove(place: Path) -> None:
    """Remove a folder that hostile code may have arranged: closed folders are opened first, links never followed, and
    no depth or length of path is too much, for the folders of a folder are moved to the top and emptied there."""
    try:
        top = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        names = (f".{secrets.token_hex(8)}-{number}" for number in itertools.count())
        while sum(_emptied(top, name, names) for name in os.listdir(top)):
            continue
        os.rmdir(place)
    except OSError:
        return  # as much as could be removed is; the next sweep tries again
    finally:
        os.close(top)


def _emptied(top: int, name: str, names: Iterator[str]) -> bool:
    """Whether ``name`` in ``top`` is gone, its own folders moved up."""
    try:
        if _unlinked(top, name):
            return True
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
        try:
            for each in os.listdir(fd):
                if not _unlinked(fd, each):
                    os.rename(each, next(names), src_dir_fd=fd, dst_dir_fd=top)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=top)
    except OSError:
        return False
    return True


def _unlinked(folder: int, name: str) -> bool:
    """Unlink what is no folder; a folder is opened for its owner and left."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        os.chmod(name, 0o700, dir_fd=folder)
        return False
    return True


def fill(folder: Path, inputs: Mapping[str, bytes]) -> None:
    """Write a job's inputs, readable and not writable for the box's uid."""
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    for name, data in inputs.items():
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(mode=0o755, exist_ok=True)
            (folder / parent).chmod(0o755)
        path.write_bytes(data)
        path.chmod(0o444)


def sweep_scratch(state: Path) -> list[str]:
    """Remove scratch folders of engines that are dead."""
    removed = []
    for place in state.glob("box-[0-9]*"):
        if not alive(place.name):
            remove(place)
            removed.append(str(place))
    return removed
