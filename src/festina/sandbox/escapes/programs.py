"""The frame that every attempt's program runs in, and the system-call numbers it may name.

``W`` is what the host tells the attempt. The frame reports how a refusal looked; an attempt that breaks for
a reason of its own (a bug in it, not a refusal) says BROKEN, so that it cannot pass for a blocked one.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping

from festina.sandbox.seccomp import here

__all__ = ["calls", "program"]

_FRAME = """
import errno, json, os, signal, socket, struct, sys, time
W = json.loads(sys.argv[1]); N = W["calls"]
PID, PARENT, DIR, NONCE, TOKEN, TURN = W["pid"], W["parent"], W["dir"], W["nonce"], W["token"], W["turn"]
OUT, TMP, IN = os.environ["FESTINA_OUT"], os.environ["TMPDIR"], os.environ["FESTINA_IN"]
KEY = int(NONCE[:7], 16)
class Lazy:
    lib = None
    def __getattr__(self, name):
        import ctypes
        Lazy.lib = Lazy.lib or ctypes.CDLL(None, use_errno=True)
        return getattr(Lazy.lib, name)
libc = Lazy()
def fail():
    import ctypes
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def call(name, *a):
    import ctypes
    number = name if isinstance(name, int) else N[name]
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    if r < 0: fail()
    return r
def buf(data, size=None):
    import ctypes
    return ctypes.create_string_buffer(data, size or len(data))
def put(path, text):
    fd = os.open(path, os.O_WRONLY)
    try: os.write(fd, text.encode())
    finally: os.close(fd)
def worked(note=""): print("WORKED", note, flush=True)
def let_through(action, *refusals):
    # Anything but a refusal counts: the kernel has looked at the arguments of a call that should not reach it.
    try: action()
    except OSError as e:
        if e.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, *refusals): raise
    worked()
def stack(pid):
    for line in open(f"/proc/{pid}/maps"):
        if line.rstrip().endswith("[stack]"):
            a, b = line.split()[0].split("-")
            return int(a, 16), int(b, 16)
    raise OSError(errno.EACCES, "no stack in view")
try:
    exec(compile(sys.argv[2], "attempt", "exec"), globals())
except (OSError, MemoryError, RuntimeError) as error:
    code = getattr(error, "errno", None)
    print("REFUSED", errno.errorcode.get(code, type(error).__name__), flush=True)
except Exception:
    import traceback
    print("BROKEN", traceback.format_exc(limit=-2), flush=True)
"""
# Calls that the filter does not name; from 424 on the numbers are the same on every machine.
_MORE = {
    "x86_64": {
        "migrate_pages": 256, "move_pages": 279, "get_robust_list": 274, "mq_open": 240, "swapon": 167, "iopl": 172,
        "modify_ldt": 154, "settimeofday": 164, "rt_sigqueueinfo": 129, "sysfs": 139, "prlimit64": 302,
        "ioprio_set": 251, "pidfd_send_signal": 424, "pidfd_open": 434, "clone": 56, "clone3": 435,
        "process_mrelease": 448, "listmount": 458, "sendto": 44, "memfd_create": 319, "sched_setattr": 314,
        "capset": 126, "preadv2": 327, "seccomp": 317,
    },
    "aarch64": {
        "migrate_pages": 238, "move_pages": 239, "get_robust_list": 100, "mq_open": 180, "rt_sigqueueinfo": 138,
        "prlimit64": 261, "ioprio_set": 30, "pidfd_send_signal": 424, "pidfd_open": 434, "clone": 220, "clone3": 435,
        "process_mrelease": 448, "listmount": 458, "sendto": 206, "memfd_create": 279, "sched_setattr": 274,
        "capset": 91, "preadv2": 286, "seccomp": 277,
    },
}  # fmt: skip


def calls() -> dict[str, int]:
    """System-call numbers of this machine by name."""
    machine = here()
    if machine is None:
        return {}
    own = {name: getattr(machine, name) for name in ("socket", "socketpair", "clone", "clone3", "ioctl", "personality")}
    return {**machine.denied, **own, **_MORE[machine.name]}


def program(python: str, code: str, facts: Mapping[str, object]) -> tuple[str, ...]:
    """The command of one run."""
    return (python, "-I", "-c", _FRAME, json.dumps({**facts, "calls": calls()}), textwrap.dedent(code))
