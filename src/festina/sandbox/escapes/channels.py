"""Signals between two boxes that run side by side, and what a box can learn about its host."""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Group, Shape
from festina.sandbox.escapes.oracles import any_of, carried, learned, said
from festina.sandbox.job import Level, Limits

__all__ = ["ATTEMPTS"]

# Eight bits by the clock that both sides share. The host knows them and tells the sender alone.
_CLOCK = """
import fcntl
STEP, BITS = W['step'], 8
bits = [int(c) for c in f'{int(TOKEN[1:3], 16):08b}'] if TOKEN else []
start = W['start']
def slot(): return int((time.time() - start) / STEP)
def wait(n, part):
    pause = start + (n + part) * STEP - time.time()
    if pause > 0: time.sleep(pause)
def quiet():
    # A file that nobody else uses, the same one on both sides: attempts side by side must not disturb each other.
    for top in ('/usr/share/doc', '/usr/share/zoneinfo', '/usr/lib/python3', '/usr/bin'):
        found = []
        for root, dirs, files in os.walk(top):
            dirs.sort()
            found += [p for p in (os.path.join(root, name) for name in sorted(files)[:1]) if os.path.isfile(p)]
            if len(found) > 60: break
        if found: return found[KEY % len(found)]
SHARED = quiet()
"""
_SIDE = Limits(wall_s=20, cpu_s=10, memory_bytes=256 << 20, pids=32, output_bytes=4 << 20, tmp_bytes=8 << 20)
_BY_USER = "the kernel counts it by user id: needs root and cold boxes, which have a user id of their own for each run"
_LOCKS = (
    "needs root, which gives each run a view of shared files with locks of its own; run the engine as root, "
    "or one trial at a time"
)


def _pair(name: str, aim: str, one: str, zero: str, sense: str, before: str = "", **more: object) -> Attempt:
    """``one`` and ``zero`` make a bit, ``sense`` leaves it in ``seen``."""
    code = (
        _CLOCK
        + before
        + f"""
if TURN == 1:
    for n, bit in enumerate(bits):
        wait(n, 0)
        if bit: {one}
        else: {zero}
    wait(BITS, 1)
else:
    got = []
    for n in range(BITS):
        wait(n, .55)
        {sense}
        got.append(seen)
    print('=' + format(int(''.join(str(int(b)) for b in got), 2), '02x') + '=')
"""
    )
    options = {"blocked_from": Level.L2, "unless": "locks and watches", "why": _LOCKS, "limits": _SIDE, **more}
    return Attempt(name, Group.CHANNELS, aim, code, carried, shape=Shape.PAIR, **options)  # type: ignore[arg-type]


def _fact(name: str, aim: str, code: str, oracle: object, **more: object) -> Attempt:
    return Attempt(name, Group.FACTS, aim, code, oracle, **more)  # type: ignore[arg-type]


_F = "f = open(SHARED, 'rb')\n"
_OPEN = "the kernel shows it to every process; programs need it to choose how many threads and how much memory to use"
ATTEMPTS = (
    _pair(
        "flock",
        "lock a shared file",
        "fcntl.flock(f, fcntl.LOCK_EX)",
        "fcntl.flock(f, fcntl.LOCK_UN)",
        """
        try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.flock(f, fcntl.LOCK_UN); seen = 0
        except OSError: seen = 1""",
        _F,
    ),
    _pair(
        "record_lock",
        "lock a record of a shared file",
        "fcntl.lockf(f, fcntl.LOCK_SH, 1, 7)",
        "fcntl.lockf(f, fcntl.LOCK_UN, 1, 7)",
        """
        got_lock = fcntl.fcntl(f, fcntl.F_GETLK, struct.pack('hhqqi4x', 1, 0, 7, 1, 0))
        seen = struct.unpack('hhqqi4x', got_lock)[0] != 2""",
        _F,
    ),
    _pair(
        "open_file_lock",
        "the same with locks of the open file",
        "fcntl.fcntl(f, 37, struct.pack('hhqqi4x', 0, 0, 7, 1, 0))",
        "fcntl.fcntl(f, 37, struct.pack('hhqqi4x', 2, 0, 7, 1, 0))",
        """
        got_lock = fcntl.fcntl(f, 36, struct.pack('hhqqi4x', 1, 0, 7, 1, 0))
        seen = struct.unpack('hhqqi4x', got_lock)[0] != 2""",
        _F,
    ),
    _pair(
        "lease",
        "lease a shared file",
        "fcntl.fcntl(f, 1024, 0)",
        "fcntl.fcntl(f, 1024, 2)",
        """
        try: os.close(os.open(SHARED, os.O_WRONLY | os.O_NONBLOCK)); seen = 0
        except BlockingIOError: seen = 1""",
        _F,
        no_control="a plain user may lease only files of its own",
    ),
    _pair(
        "inotify",
        "watch a shared file and see it opened",
        "open(SHARED, 'rb').read(1)",
        "pass",
        """
        try: seen = len(os.read(watch, 4096)) > 0
        except BlockingIOError: seen = 0""",
        """
watch = libc.inotify_init1(0o4000)
if watch < 0 or (TURN == 2 and libc.inotify_add_watch(watch, SHARED.encode(), 0x20) < 0): fail()
""",
    ),
    _pair(
        "directory_notice",
        "be told of reads in a shared folder",
        "open(SHARED, 'rb').read(1)",
        "pass",
        "seen = bool(noticed); noticed.clear()",
        """
noticed = []
signal.signal(signal.SIGIO, lambda *_: noticed.append(1))
if TURN == 2: fcntl.fcntl(os.open(os.path.dirname(SHARED), os.O_RDONLY), fcntl.F_NOTIFY, 1 - (1 << 31))
""",
        no_control="a signal may come late on a busy machine",
    ),
    _pair(
        "access_time",
        "leave a mark in a shared file's access time",
        "open(SHARED, 'rb').read(1)",
        "pass",
        "now = os.stat(SHARED).st_atime_ns; seen = now != last; last = now",
        "last = os.stat(SHARED).st_atime_ns\n",
        no_control="most systems mount with relatime",
    ),
    _pair(
        "abstract_name",
        "take a name that the other one tries to take",
        "s = socket.socket(1); s.bind('\\0' + NONCE)",
        "s = None",
        """
        try: t = socket.socket(1); t.bind('\\0' + NONCE); t.close(); seen = 0
        except OSError as e: seen = e.errno == errno.EADDRINUSE""",
        "s = None\n",
        blocked_from=Level.L1,
    ),
    _pair(
        "process_table",
        "show or hide a process",
        "p = p or os.fork() or (time.sleep(9), os._exit(0))",
        "p = p and (os.kill(p, 9), os.wait(), 0)[2]",
        """
        pids = [q for q in os.listdir('/proc') if q.isdigit()]
        seen = sum(named(q) for q in pids) > 2""",
        """
p = 0
def named(q):
    try: return NONCE.encode() in open(f'/proc/{q}/cmdline', 'rb').read()
    except OSError: return False
""",
        blocked_from=Level.L1,
    ),
    _pair(
        "watch_quota",
        "use up the user's quota of watch lists",
        "held += fill()",
        "drop()",
        """
        w = libc.inotify_init1(0); seen = w < 0
        if w >= 0: os.close(w)""",
        """
held = []
def fill():
    more = []
    while True:
        fd = libc.inotify_init1(0)
        if fd < 0: return more
        more.append(fd)
def drop():
    while held: os.close(held.pop())
""",
        blocked_from=Level.L2,
        unless="share one uid",
        why=_BY_USER,
    ),
    _pair(
        "pipe_quota",
        "use up the user's quota of pipe memory",
        "fill()",
        "drop()",
        """
        r, w = os.pipe(); seen = fcntl.fcntl(w, 1032) < 65536; os.close(r); os.close(w)""",
        """
held = []
def fill():
    while len(held) < 1000:
        try: r, w = os.pipe()
        except OSError: return
        held.append(r); held.append(w)
        try: fcntl.fcntl(w, 1031, 1 << 20)
        except OSError: pass
        if fcntl.fcntl(w, 1032) < 65536: return
def drop():
    while held: os.close(held.pop())
""",
        blocked_from=Level.L2,
        unless="share one uid",
        why=_BY_USER,
    ),
    Attempt(
        "lock_table",
        Group.CHANNELS,
        "read who holds which lock on this machine",
        """
        inode = str(os.stat(DIR).st_ino); print(open('/proc/locks').read())
        if W['locked'] in open('/proc/locks').read(): worked('a lock of the host')""",
        said,
    ),
    _fact(
        "host_name",
        "the host's name",
        "print(os.uname().nodename)",
        learned("host name"),
        blocked_from=Level.L2,
        why="needs a namespace of its own",
    ),
    _fact(
        "machine_id", "the host's permanent id", "print(open('/etc/machine-id').read())", any_of(learned("machine id"))
    ),
    _fact(
        "boot_id",
        "the id of this boot of the host",
        "print(open('/proc/sys/kernel/random/boot_id').read())",
        learned("boot id"),
    ),
    _fact(
        "kernel_command_line",
        "how the host's kernel was started",
        "print(open('/proc/cmdline').read())",
        learned("kernel command line"),
    ),
    _fact(
        "mount_paths",
        "names of host folders in the list of mounts",
        "print(open('/proc/self/mountinfo').read())",
        learned("path"),
        no_control="L0 mounts nothing",
        shown=True,
        blocked_from=Level.L2,
        unless="list of mounts",
        why="the kernel prints where a bind comes from; as root it is a number instead: keep secrets out of path names",
    ),
    _fact(
        "disks",
        "names and load of the host's disks",
        """
        text = open('/proc/partitions').read() + open('/proc/diskstats').read()
        if len(text) > 80: worked(f'{len(text)} bytes')""",
        said,
    ),
    _fact(
        "modules",
        "modules and devices of the host's kernel",
        """
        text = open('/proc/interrupts').read() + open('/proc/devices').read()
        if len(text) > 80: worked(f'{len(text)} bytes')""",
        said,
    ),
    _fact(
        "kernel_version",
        "the kernel's version",
        "print(os.uname().release); worked(os.uname().release)",
        said,
        blocked_from=None,
        why="the kernel shows it to every process; the C library needs it",
    ),
    _fact(
        "processors_and_memory",
        "model of the processor, size and use of memory, load",
        """
        text = open('/proc/cpuinfo').read() + open('/proc/meminfo').read() + open('/proc/loadavg').read()
        if len(text) > 80: worked(f'{len(text)} bytes')""",
        said,
        blocked_from=None,
        why=_OPEN,
    ),
    _fact(
        "uptime",
        "how long the host has been up",
        "worked(str(time.clock_gettime(7)))",
        said,
        blocked_from=None,
        why="the clocks of the machine are shared; a time namespace would shift them by a constant only",
    ),
)
