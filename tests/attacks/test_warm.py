"""Attacks that only a warm box can suffer: on the warm process, and from one trial on another.  # T-2, E-4

``tests/attacks/test_sandbox.py`` runs everything else against both kinds of box. Controls here: a bare fork server
of the same shape without any confinement, or L0, where two trials share the machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Outcome
from festina.sandbox.place import CANDIDATE_UID
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox

PYTHON = "/usr/bin/python3"
pytestmark = [
    pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`"),
    pytest.mark.skipif(not os.path.exists(PYTHON), reason="the attacks need a Python that every uid can reach"),
]
QUICK = Limits(wall_s=15, cpu_s=10, memory_bytes=256 << 20, pids=32, output_bytes=4 << 20, tmp_bytes=8 << 20)


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-test-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def warm(state: Path) -> Iterator[WarmBox]:
    mechanisms = probe().mechanisms
    assert mechanisms is not None
    box = WarmBox(BubblewrapBox(state, mechanisms), ("json", "threading"), python=PYTHON)
    box.start()
    yield box
    box.close()


def trial(box: WarmBox | PlainBox, code: str, **job: object) -> Outcome:
    outcome = box.run(Job((PYTHON, "-c", textwrap.dedent(code)), **job), QUICK)  # type: ignore[arg-type]
    assert outcome.box in ("warm", "plain")
    return outcome


# A fork server as anyone would write it: the same shape, no confinement. It serves two requests.
SERVER = """
import json, os, signal, sys, threading
secret = "in-the-memory-of-" + "the-server"
kept = os.pipe()
for _ in range(2):
    if FORK:
        child = os.fork()
        if child == 0:
            exec(CODE, {"__name__": "__main__"}); sys.stdout.flush(); os._exit(0)
        os.waitpid(child, 0)
    else:
        exec(CODE, {"__name__": "__main__"})
print("SERVED")
"""

# name -> (whether the control forks, code). It prints WORKED in the first or the second trial.
ON_THE_SERVER = {
    "kill": (True, "import os, signal; os.kill(os.getppid(), signal.SIGKILL); print('sent')"),
    "stop_and_signals": (
        True,
        "import os\nfor n in (1, 2, 3, 6, 15):\n    os.kill(os.getppid(), n)\nprint('sent')",
    ),
    "memory": (
        True,
        """
        import os
        needle = ("in-the-memory-of-" + "the-").encode() + b"server"
        me = os.getpid()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) in (me,): continue
            try:
                with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
                    print(f"OPENED-{pid}-")
                    for line in maps:
                        if int(pid) == os.getppid() and "rw-p" in line:
                            a, b = (int(x, 16) for x in line.split()[0].split("-"))
                            mem.seek(a)
                            if needle in mem.read(b - a) and pid != "1": print("WORKED")
            except (OSError, OverflowError) as e: print(e)""",
    ),
    "descriptors": (
        True,
        """
        import os
        for fd in range(3, 1024):
            try: os.fstat(fd)
            except OSError: continue
            print("WORKED", fd)""",
    ),
    "modules": (
        False,
        """
        import json, sys, builtins, os
        if getattr(json, "poisoned", 0) or "fake" in sys.modules or hasattr(builtins, "evil") or "EVIL" in os.environ:
            print("WORKED")
        json.poisoned = builtins.evil = 1; sys.modules["fake"] = json; os.environ["EVIL"] = "1"
        sys.path.insert(0, "/tmp"); sys.setrecursionlimit(77777)""",
    ),
}


def control(code: str, *, forks: bool) -> subprocess.CompletedProcess[str]:
    source = SERVER.replace("CODE", repr(textwrap.dedent(code))).replace("FORK", str(forks))
    return subprocess.run([PYTHON, "-c", source], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ON_THE_SERVER)
def test_T2_the_warm_process_cannot_be_reached(name: str, warm: WarmBox) -> None:
    forks, code = ON_THE_SERVER[name]
    bare = control(code, forks=forks)
    assert "WORKED" in bare.stdout or "SERVED" not in bare.stdout, bare
    warm.start()
    before = warm._outer
    outcomes = [trial(warm, code), trial(warm, code)]
    assert warm._outer is before  # it lives, and no trial fell outside it
    assert not any(b"WORKED" in outcome.stdout for outcome in outcomes)
    # The trial's own PID 1 may share the candidate's memory and has no right that the candidate lacks.
    assert all({b"1"} >= set(re.findall(rb"OPENED-(\d+)-", outcome.stdout)) for outcome in outcomes)
    assert trial(warm, "print('next')").stdout == b"next\n"


# name -> (what one trial does and holds for a while, what another tries meanwhile). Works between two L0 runs.
SIDE_BY_SIDE = {
    "tree": (
        "pass",
        """
        import os
        others = {"sys", "usr", "dev", "lib", "bin", "sbin", "root", "work", "tmp", "proc"}
        places = [f"/tmp/{name}" for name in os.listdir("/tmp") if name.startswith("festina-")]
        places += [f"/{place}" for place in {*os.listdir("/")} - others]
        places += [f"/proc/{pid}/root/system" for pid in os.listdir("/proc") if pid.isdigit()]
        for place in places:
            for top, _, files in os.walk(place):
                if "only-in-one-tree" in files: print("WORKED", top)""",
    ),
    "abstract_socket": (
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0festina-test-side'); s.listen()",
        "import socket; socket.socket(socket.AF_UNIX).connect('\\0festina-test-side'); print('WORKED')",
    ),
    "terminal": (
        "import pty, os; m, s = pty.openpty(); os.chmod(os.ttyname(s), 0o666)",
        """
        import os
        for name in os.listdir("/dev/pts"):
            if name.isdigit():
                try: os.open("/dev/pts/" + name, os.O_RDWR | os.O_NOCTTY); print("WORKED")
                except OSError: pass""",
    ),
    "shared_memory": (
        "import ctypes; ctypes.CDLL(None).shmget(0x5eee, 4096, 0o1666)",
        "import ctypes; print('WORKED' if ctypes.CDLL(None).shmget(0x5eee, 4096, 0o666) >= 0 else '')",
    ),
    "process": (
        "import os; os.write(os.open('/tmp/festina-side', os.O_CREAT | os.O_WRONLY), b'%d' % os.getpid())",
        "import os; os.kill(int(open('/tmp/festina-side').read()), 0); print('WORKED')",
    ),
    "file": (
        "import os; open('/dev/shm/festina-side', 'w'); open('/tmp/festina-side', 'w')",
        "import os; print('WORKED' if {'festina-side'} & {*os.listdir('/tmp'), *os.listdir('/dev/shm')} else '')",
    ),
}


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-tree-") as name:
        place = Path(name) / "t"
        place.mkdir()
        (place / "only-in-one-tree").write_text("1")
        yield place


@pytest.mark.parametrize("name", SIDE_BY_SIDE)
def test_E4_two_trials_at_once_do_not_meet(name: str, warm: WarmBox, state: Path, tree: Path) -> None:
    holds, tries = SIDE_BY_SIDE[name]
    shown = (Bind(tree, "/system"),)

    def met(box: WarmBox | PlainBox, begins_s: float) -> bool:
        """Whether the second finds the first, where that one has so long to begin, and holds for twice as long."""
        code = f"{holds}\nimport os, time\nprint('holds', flush=True)\ntime.sleep({2 * begins_s})"
        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(trial, box, code, binds=shown)
            time.sleep(begins_s)
            got = trial(box, tries)
            assert holder.result().stdout == b"holds\n", holder.result()
        return b"WORKED" in got.stdout

    plain = PlainBox(state, uid=CANDIDATE_UID)
    enough = next((begins_s for begins_s in (0.5, 1.5, 5.0) if met(plain, begins_s)), None)  # on a busy host, more
    assert enough is not None, "the attack must work without a sandbox"
    assert not met(warm, enough)
    for path in ("/tmp/festina-side", "/dev/shm/festina-side"):
        Path(path).unlink(missing_ok=True)
    subprocess.run(["ipcrm", "-M", "0x5eee"], capture_output=True, check=False)


NEVER = {
    "more_namespaces": "open('/proc/sys/user/max_user_namespaces', 'w').write('9'); print('WORKED')",
    "unshare_program": "import subprocess; print(subprocess.run(['unshare', '-U', 'echo', 'WORKED'],"
    " capture_output=True, text=True).stdout)",
    "join_pid_1": "import os, ctypes; fd = os.open('/proc/1/ns/mnt', os.O_RDONLY)\n"
    "assert ctypes.CDLL(None).setns(fd, 0) == 0; print('WORKED')",
    "map_another_uid": "open('/proc/self/uid_map', 'w').write('0 1000 1'); print('WORKED')",
    "write_below_the_root": "import os; os.mkdir('/new'); print('WORKED')",
    "write_the_script": "open('/.festina/zygote.py', 'a'); print('WORKED')",
    "shown_of_all_trials": "import os; print('WORKED') if os.path.exists('/.shown') and os.listdir('/.shown') else 0",
    "device_by_landlock": "import os; os.mknod('/tmp/w', 0o20600, 0); print('WORKED')",  # else allowed: a whiteout
    "host_facts": "print('WORKED' if any(open('/proc/' + f).read() for f in"
    " ('cmdline', 'sys/kernel/random/boot_id', 'partitions', 'diskstats', 'devices', 'interrupts')) else '')",
    "limits": "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9999, 9999)); print('WORKED')",
    "other_group": "import os; print('WORKED') if 'festina-' in open('/proc/self/cgroup').read() else 0",
    "engine_in_frames": """
        import sys, gc
        frame, found = sys._getframe(), []
        while frame: found += [str(frame.f_locals)]; frame = frame.f_back
        text = str(found) + str([o for o in gc.get_objects() if isinstance(o, (str, bytes))])
        if any(a + b in text for a, b in (("FESTINA_", "HOME"), ("engine", ".key"), ("va", "ult"))): print("WORKED")""",
}


@pytest.mark.parametrize("name", NEVER)
def test_T2_never_in_a_warm_box(name: str, warm: WarmBox) -> None:
    if name == "device_by_landlock" and not warm.plan.policy["landlock"]:
        pytest.skip("no Landlock in this kernel")
    outcome = trial(warm, NEVER[name])
    assert b"WORKED" not in outcome.stdout, outcome
    assert outcome.ended in (Ended.OK, Ended.NONZERO)


def test_E2_an_early_denied_call_waits_for_the_record(warm: WarmBox) -> None:
    """The candidate starts without waiting for the engine: its first denied call must be recorded all the same."""
    for _ in range(5):
        outcome = trial(warm, "import socket\ntry: socket.socket()\nexcept OSError as e: print(e.errno)")
        assert outcome.stdout == b"1\n"
        if probe().mechanisms.notify:  # type: ignore[union-attr]
            assert outcome.denied == ("socket(AF_INET)",)
