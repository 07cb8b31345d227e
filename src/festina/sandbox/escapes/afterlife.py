"""Staying alive after the run, and leaving something for the next one."""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Control, Group, Shape
from festina.sandbox.escapes.oracles import carried, planted, survived, when_settled

__all__ = ["ATTEMPTS"]

_STAY = """
os.execv(sys.executable, [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(40)', NONCE])"""


def _survivor(name: str, aim: str, code: str, **more: object) -> Attempt:
    oracle = when_settled(2.2, survived) if name == "relay" else survived
    return Attempt(name, Group.SURVIVORS, aim, code, oracle, control=Control.BARE, **more)  # type: ignore[arg-type]


def _left(name: str, aim: str, leave: str, find: str, **more: object) -> Attempt:
    code = "if TURN == 1:\n" + _indent(leave) + "\nelse:\n" + _indent(find)
    return Attempt(name, Group.PERSISTENCE, aim, code, carried, shape=Shape.TWICE, **more)  # type: ignore[arg-type]


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines())


def _file(name: str, aim: str, path: str, **more: object) -> Attempt:
    return _left(name, aim, f"open({path}, 'w').write(TOKEN)", f"print(open({path}).read())", **more)


_CLEANED = "L0 gives every run a folder of its own and removes it"
ATTEMPTS = (
    _survivor("orphan", "fork and let the parent end", "if os.fork(): os._exit(0)" + _STAY),
    _survivor(
        "double_fork", "become a daemon", "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)" + _STAY
    ),
    _survivor(
        "deaf_orphan",
        "stay and ignore signals",
        "if os.fork(): os._exit(0)\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)" + _STAY,
    ),
    _survivor(
        "stopped_orphan",
        "stay, stopped",
        "pid = os.fork()\nif pid: time.sleep(.2); os.kill(pid, signal.SIGSTOP); os._exit(0)" + _STAY,
    ),
    _survivor(
        "adopting_orphan",
        "stay as the adopter of others, without a parent-death signal",
        """
if os.fork(): os._exit(0)
libc.prctl(36, 1, 0, 0, 0); libc.prctl(1, 0, 0, 0, 0); os.setsid()
if os.fork() == 0:
    os.setsid()"""
        + "\n    "
        + _STAY.strip()
        + _STAY,
    ),
    _survivor(
        "relay",
        "a chain of processes, each gone before it can be found",
        """
if os.fork(): os._exit(0)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    time.sleep(.01)
    if os.fork(): os._exit(0)
"""
        + _STAY,
    ),
    _survivor("new_group", "leave the process group", "if os.fork(): os._exit(0)\nos.setpgid(0, 0)" + _STAY),
    _file("tmp", "a file in /tmp", "'/tmp/' + NONCE", no_control="/tmp is closed to other users here"),
    _file("var_tmp", "a file in /var/tmp", "'/var/tmp/' + NONCE"),
    _file("shared_memory_file", "a file in /dev/shm", "'/dev/shm/' + NONCE"),
    _file("home", "a file in the home folder", "os.path.expanduser('~') + '/' + NONCE", no_control=_CLEANED),
    _file("output_folder", "a file beside the results", "OUT + '/' + NONCE", no_control=_CLEANED),
    _file("input_folder", "a file among the inputs", "IN + '/' + NONCE", no_control=_CLEANED),
    _file(
        "run_folder",
        "a file under /run or /var",
        "next((p for p in ('/run/lock', '/var/crash', '/var/tmp') if os.access(p, 2)), '/run') + '/' + NONCE",
    ),
    _left(
        "user_site",
        "code that every later Python loads",
        """
import sysconfig
for top in (sysconfig.get_path('purelib'), os.path.dirname(os.__file__), os.path.expanduser('~/.local/lib')):
    try: os.makedirs(top, exist_ok=True); open(top + '/' + NONCE + '.pth', 'w').write(TOKEN)
    except OSError: pass""",
        """
import sysconfig
for top in (sysconfig.get_path('purelib'), os.path.dirname(os.__file__), os.path.expanduser('~/.local/lib')):
    try: print(open(top + '/' + NONCE + '.pth').read())
    except OSError: pass""",
        no_control=_CLEANED,
    ),
    _left(
        "bytecode_cache",
        "compiled code beside the standard library",
        """
open(os.path.dirname(os.__file__) + '/__pycache__/' + NONCE, 'w').write(TOKEN)""",
        "print(open(os.path.dirname(os.__file__) + '/__pycache__/' + NONCE).read())",
        no_control="a plain user may not write there either",
    ),
    _left(
        "sysv_memory",
        "a System V memory segment",
        """
import ctypes
libc.shmat.restype = ctypes.c_void_p
ident = libc.shmget(KEY, 4096, 0o1666)
if ident < 0: fail()
ctypes.memmove(libc.shmat(ident, None, 0), TOKEN.encode(), len(TOKEN))""",
        """
import ctypes
libc.shmat.restype = ctypes.c_void_p
ident = libc.shmget(KEY, 0, 0)
if ident < 0: fail()
print(ctypes.string_at(libc.shmat(ident, None, 0), 16))""",
    ),
    _left(
        "sysv_messages",
        "a System V message queue",
        """
ident = libc.msgget(KEY, 0o1666)
if ident < 0 or libc.msgsnd(ident, buf(struct.pack('l', 1) + TOKEN.encode()), len(TOKEN), 0): fail()""",
        """
ident = libc.msgget(KEY, 0); got = buf(b'', 64)
if ident < 0 or libc.msgrcv(ident, got, 40, 0, 0o4000) < 0: fail()
print(got.raw[8:])""",
    ),
    _left(
        "sysv_semaphore",
        "a System V semaphore",
        """
import ctypes
ident = libc.semget(KEY, len(TOKEN), 0o1666)
if ident < 0: fail()
for i, c in enumerate(TOKEN): libc.semctl(ident, i, 16, ord(c))""",
        """
ident = libc.semget(KEY, 0, 0)
if ident < 0: fail()
print(''.join(chr(libc.semctl(ident, i, 12)) for i in range(8)))""",
    ),
    _left(
        "posix_queue",
        "a POSIX message queue",
        """
os.umask(0); q = call('mq_open', NONCE.encode(), 0o102, 0o666, 0)
if libc.mq_send(q, TOKEN.encode(), len(TOKEN), 0): fail()""",
        """
os.umask(0); q = call('mq_open', NONCE.encode(), 0o2, 0, 0); got = buf(b'', 8192)
if libc.mq_receive(q, got, 8192, None) < 0: fail()
print(got.raw[:32])""",
    ),
    _left(
        "keyring",
        "a key of the user",
        "call('add_key', b'user', NONCE.encode(), TOKEN.encode(), len(TOKEN), -4)",
        """
key = call('request_key', b'user', NONCE.encode(), 0, 0); got = buf(b'', 64)
call('keyctl', 11, key, got, 64); print(got.raw)""",
        no_control="the user's keyring ends with its last process",
    ),
    _left(
        "attribute",
        "an attribute on a shared file",
        """
for path in ('/usr', sys.executable, IN):
    try: os.setxattr(path, 'user.' + NONCE, TOKEN.encode())
    except OSError: pass""",
        """
for path in ('/usr', sys.executable, IN):
    try: print(os.getxattr(path, 'user.' + NONCE))
    except OSError: pass""",
        no_control="a plain user may not write there either",
    ),
    Attempt(
        "canary_at_exit",
        Group.PERSISTENCE,
        "write to the host after the main program has ended",
        """
if os.fork(): os._exit(0)
os.setsid(); time.sleep(.3); open(DIR + '/' + NONCE, 'w').write('x')""",
        when_settled(0.7, planted),
        control=Control.BARE,
    ),
)
