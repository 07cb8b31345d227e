"""The few kernel calls that Python does not offer, each as one typed function. Linux only, no policy here."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Notification",
    "answer_notification",
    "cap_inodes",
    "detached",
    "open_beneath",
    "overlay",
    "receive_notification",
    "sealed_file",
]

_libc = ctypes.CDLL(None, use_errno=True)
_OPENAT2 = 437  # the same number on every machine since Linux 5.6
_RESOLVE = 0x01 | 0x02 | 0x04 | 0x08  # NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH, linux/openat2.h
_FSCONFIG, _FSPICK = 431, 433
_OPEN_TREE, _MOUNT_SETATTR, _OPEN_TREE_CLONE, _AT_FDCWD, _AT_EMPTY_PATH = 428, 442, 1, -100, 0x1000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV, _MS_PRIVATE = 1, 2, 4, 1 << 18  # linux/mount.h
_FSOPEN, _FSMOUNT, _FSCONFIG_CREATE = 430, 432, 6
_FSPICK_EMPTY_PATH, _FSCONFIG_SET_STRING, _FSCONFIG_RECONFIGURE = 8, 1, 7
# linux/seccomp.h: _IOWR('!', 0, struct seccomp_notif[80]) and _IOWR('!', 1, struct seccomp_notif_resp[24])
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


def _call(*args: object) -> int:
    result = int(_libc.syscall(*args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def open_beneath(directory: int, name: bytes, flags: int) -> int:
    """Open ``name`` below ``directory``: no link, no ``..``, no other file system on the way.  # T-3"""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE)
    buffer = ctypes.create_string_buffer(how, len(how))
    long = ctypes.c_long
    return _call(long(_OPENAT2), long(directory), ctypes.c_char_p(name), buffer, ctypes.c_size_t(len(how)))


def cap_inodes(mount: int, count: int) -> bool:
    """Cap the number of files of the tmpfs behind the open directory ``mount``. Needs root; False where refused."""
    long = ctypes.c_long
    try:
        context = _call(long(_FSPICK), long(mount), ctypes.c_char_p(b""), long(_FSPICK_EMPTY_PATH | 1))
    except OSError:
        return False
    try:
        key, value = ctypes.c_char_p(b"nr_inodes"), ctypes.c_char_p(str(count).encode())
        _call(long(_FSCONFIG), long(context), long(_FSCONFIG_SET_STRING), key, value, long(0))
        _call(long(_FSCONFIG), long(context), long(_FSCONFIG_RECONFIGURE), None, None, long(0))
    except OSError:
        return False
    finally:
        os.close(context)
    return True


def detached(path: str) -> int:
    """A mount of ``path`` that is attached nowhere: read-only, without devices and set-user-id programs. Needs root.

    Whoever is given the descriptor can attach it in a view of their own, under no name that they knew before.
    """
    long = ctypes.c_long
    fd = _call(long(_OPEN_TREE), long(_AT_FDCWD), os.fsencode(path), long(_OPEN_TREE_CLONE | os.O_CLOEXEC))
    how = struct.pack("QQQQ", _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, _MS_PRIVATE, 0)
    try:
        _call(long(_MOUNT_SETATTR), long(fd), b"", long(_AT_EMPTY_PATH), ctypes.c_char_p(how), long(len(how)))
    except OSError:
        os.close(fd)
        raise
    return fd


def overlay(lower: Sequence[str]) -> int:
    """A read-only overlay of the folders ``lower``, topmost first, attached nowhere. Needs root and at least two.

    Its inodes are its own: locks and watches on them meet nobody else's. Folders are named by descriptor, so that no
    character in a path means anything and no path shows in a list of mounts.
    """
    long = ctypes.c_long
    handles = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in lower]
    context = -1
    try:
        context = _call(long(_FSOPEN), ctypes.c_char_p(b"overlay"), long(1))
        value = ctypes.c_char_p(":".join(f"/proc/self/fd/{handle}" for handle in handles).encode())
        key = ctypes.c_char_p(b"lowerdir")
        _call(long(_FSCONFIG), long(context), long(_FSCONFIG_SET_STRING), key, value, long(0))
        _call(long(_FSCONFIG), long(context), long(_FSCONFIG_CREATE), None, None, long(0))
        return _call(long(_FSMOUNT), long(context), long(1), long(_ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV))
    finally:
        for fd in (*handles, context):
            if fd >= 0:
                os.close(fd)


def sealed_file(data: bytes) -> int:
    """An anonymous file holding ``data``, position 0, closed on exec."""
    fd = os.memfd_create("festina", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


@dataclass(frozen=True, slots=True)
class Notification:
    """One denied system call that waits for its answer."""

    id: int
    pid: int  # of the caller, as this process sees it
    number: int
    args: tuple[int, ...]


def receive_notification(listener: int) -> Notification | None:
    """Wait for a denied call. None when every process under the filter is gone (or the caller vanished)."""
    buffer = bytearray(80)
    try:
        fcntl.ioctl(listener, _NOTIF_RECV, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    ident, pid, _flags, number, _arch, _ip, *args = struct.unpack("=QIIiIQ6Q", buffer)
    return Notification(ident, pid, number, tuple(args))


def answer_notification(listener: int, note: Notification, *, proceed: bool) -> None:
    """Let a call proceed (only while the box is being built, by trusted code) or fail with EPERM."""
    reply = struct.pack("=QqiI", note.id, 0, 0 if proceed else -errno.EPERM, _CONTINUE if proceed else 0)
    try:
        fcntl.ioctl(listener, _NOTIF_SEND, reply)
    except OSError as error:
        if error.errno != errno.ENOENT:  # the caller died while it waited
            raise
