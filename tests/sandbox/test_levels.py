"""What an honest program needs works at every level, and a host without namespaces is labelled and never glossed over.

# T-2
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from festina.sandbox.escapes.suite import find_python
from festina.sandbox.host import boxes, probe
from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Sandbox
from festina.sandbox.landlock import abi
from festina.sandbox.landlocked import LandlockBox
from festina.sandbox.place import remove
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox

EVERYWHERE = {
    "sqlite": """
        import os, sqlite3
        path = os.environ['TMPDIR'] + '/db'
        one, two = sqlite3.connect(path, timeout=0), sqlite3.connect(path, timeout=0)
        one.execute('create table t (x)'); one.execute('begin immediate')
        try: two.execute('begin immediate')
        except sqlite3.OperationalError: print('locked')
        one.execute('commit'); two.execute('begin immediate'); print('free')""",
    "locks_of_own_files": """
        import fcntl, os
        path = os.environ['TMPDIR'] + '/l'
        f, g = open(path, 'w'), open(path, 'w')
        fcntl.flock(f, fcntl.LOCK_EX)
        try: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError: print('locked')
        fcntl.flock(f, fcntl.LOCK_UN); fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB); print('free')""",
    "lock_of_a_shown_file": """
        import fcntl, os, sys
        path = sys.argv[1] + '/f'
        f, g = open(path), open(path)
        fcntl.flock(f, fcntl.LOCK_EX)
        try: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError: print('locked')
        fcntl.flock(f, fcntl.LOCK_UN); fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB); print('free')""",
    "subprocesses_and_pipes": """
        import asyncio, subprocess
        print(subprocess.run(['/bin/sh', '-c', 'echo a | cat'], capture_output=True, text=True).stdout.strip())
        async def main():
            p = await asyncio.create_subprocess_exec('/bin/echo', 'b', stdout=-1)
            print((await p.communicate())[0].decode().strip())
        asyncio.run(main())""",
    "threads_and_maps": """
        import concurrent.futures, mmap, os, tempfile
        with tempfile.TemporaryFile() as f:
            f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); m[:1] = b'x'
        with concurrent.futures.ThreadPoolExecutor(4) as pool: print(sum(pool.map(len, ['ab', 'c'])))
        print(os.cpu_count() > 0, os.sched_getaffinity(0) != set())""",
    "moves_and_folders": """
        import os, pathlib, shutil
        out, tmp = pathlib.Path(os.environ['FESTINA_OUT']), pathlib.Path(os.environ['TMPDIR'])
        (tmp / 'a').mkdir(); (tmp / 'a/f').write_text('x'); (tmp / 'a').rename(tmp / 'b')
        shutil.copytree(tmp / 'b', out / 'c'); shutil.rmtree(tmp / 'b'); os.symlink('c/f', out / 'l')
        (out / 'c/f').chmod(0o600)
        print((out / 'l').read_text(), 'a' in os.listdir(tmp), 'b' in os.listdir(tmp))""",
}
IN_A_NAMESPACE = {
    "multiprocessing": """
        import multiprocessing
        if __name__ == '__main__':
            with multiprocessing.Pool(2) as pool: print(sum(pool.map(abs, [-1, 2])))
            lock = multiprocessing.Lock(); print(lock.acquire(), lock.acquire(block=False))
            value = multiprocessing.Value('i', 7); print(value.value)""",
    "shared_memory": """
        from multiprocessing import shared_memory
        s = shared_memory.SharedMemory(create=True, size=64); s.buf[0] = 7; print(s.buf[0]); s.close(); s.unlink()""",
    "unix_sockets": """
        import os, socket
        s = socket.socket(socket.AF_UNIX); path = os.environ['TMPDIR'] + '/s'; s.bind(path); s.listen()
        c = socket.socket(socket.AF_UNIX); c.connect(path); c.send(b'x'); print(s.accept()[0].recv(1))""",
    "own_processes": """
        import os
        print(os.path.exists('/proc/self/status'), open('/proc/cmdline').read() == '')""",
}
EXPECTED = {
    "sqlite": "locked free", "locks_of_own_files": "locked free", "lock_of_a_shown_file": "locked free",
    "subprocesses_and_pipes": "a b", "threads_and_maps": "3 True True", "moves_and_folders": "x False False",
    "multiprocessing": "3 True False 7", "shared_memory": "7", "unix_sockets": "b'x'", "own_processes": "True True",
}  # fmt: skip
LIMITS = Limits(wall_s=30)


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-levels-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def python(state: Path) -> str:
    return find_python(PlainBox(state / "plain"))


@pytest.fixture(scope="module", params=["L3", "warm", "L2", "L1"])
def box(request: pytest.FixtureRequest, state: Path, python: str) -> Iterator[Sandbox]:
    offered = boxes(state / "home")
    if request.param not in offered:
        pytest.skip(f"this host does not offer {request.param}")
    made = offered[request.param](None, python)
    yield made
    if isinstance(made, WarmBox):
        made.close()


@pytest.mark.parametrize("name", [*EVERYWHERE, *IN_A_NAMESPACE])
def test_T2_honest_programs_do_not_suffer(name: str, box: Sandbox, python: str, state: Path) -> None:
    if name in IN_A_NAMESPACE and box.level < Level.L2:
        assert any("/dev/shm" in words for words in box.missing)  # it is said instead
        return
    shown = state / f"shown-{name}-{box.level}"
    shown.mkdir(exist_ok=True)
    shown.chmod(0o755)
    (shown / "f").write_text("x")
    code = textwrap.dedent({**EVERYWHERE, **IN_A_NAMESPACE}[name])
    outcome = box.run(Job((python, "-c", code, "/system"), binds=(Bind(shown, "/system"),)), LIMITS)
    assert outcome.stdout.decode().split() == EXPECTED[name].split(), outcome.stderr
    assert outcome.ended is Ended.OK
    assert outcome.denied == ()


@pytest.mark.skipif(abi() < 1, reason="no Landlock in this kernel")
def test_T2_a_box_of_level_1_says_what_it_lacks_and_records_what_it_denied(state: Path, python: str) -> None:
    box = LandlockBox(state / "home")
    outcome = box.run(Job((python, "-c", "import socket; socket.socket()")), LIMITS)
    assert outcome.level is Level.L1
    assert outcome.ended is Ended.NONZERO
    assert outcome.denied == ("socket(AF_INET)",)
    assert any("no namespaces" in words for words in outcome.missing)
    assert outcome.policy_hash != PlainBox(state / "plain").policy_hash


def test_T6_quick_jobs_side_by_side_are_not_taken_for_failures_of_the_box(state: Path) -> None:
    """The helper and the engine read what the other one said before it closed, however soon the job was over."""
    if probe().level < Level.L2:
        pytest.skip("no box on this host: see `festina doctor`")
    box = boxes(state / "home")[probe().level.name](None, "")

    def one(_: int) -> tuple[Ended, int | None, bytes, str]:
        outcome = box.run(Job(("/bin/sh", "-c", "exit 3")), LIMITS)
        return outcome.ended, outcome.exit_code, outcome.stderr, outcome.detail

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(one, range(40))) == {(Ended.NONZERO, 3, b"", "")}


# As root of a namespace with every id mapped and no further namespace allowed: a default container, to a program.
CONFINED = """
import ctypes, os, sys
r, w = os.pipe(); r2, w2 = os.pipe()
pid = os.fork()
if pid == 0:
    if ctypes.CDLL(None).unshare(0x10000000): os._exit(77)
    os.write(w, b'x'); os.read(r2, 1)
    open('/proc/sys/user/max_user_namespaces', 'w').write('0')
    os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], *sys.argv[2:]])
os.read(r, 1)
for name in ('uid_map', 'gid_map'): open(f'/proc/{pid}/{name}', 'w').write('0 0 65536')
os.write(w2, b'x'); sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
LOOK = """
import json, sys
from pathlib import Path
from festina.errors import UsageError
from festina.sandbox.host import choose, probe
from festina.sandbox.job import Job, Level, Limits
found = probe()
try: choose(Level.L2, Path(sys.argv[1])); refused = None
except UsageError as error: refused = [error.name, error.fix]
box = choose(Level.L1, Path(sys.argv[1]))
ran = box.run(Job(('/bin/sh', '-c', 'ls /tmp /home || echo closed')), Limits(wall_s=20))
print(json.dumps([found.level.name, found.sentence(), refused, box.level.name, ran.stdout.decode()]))
"""


@pytest.mark.skipif(os.geteuid() != 0 or abi() < 1 or probe().level < Level.L2, reason="needs root and Landlock")
def test_T2_without_namespaces_the_level_is_1_and_nothing_falls_back_silently(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, LOOK, str(tmp_path / "s")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this host lets root make no user namespace")
    assert done.returncode == 0, done.stderr
    level, sentence, refused, chosen, said = json.loads(done.stdout)
    assert level == "L1"
    assert "provisional" in sentence
    assert refused[0] == "sandbox-too-weak"
    assert "user namespaces" in refused[1]
    assert chosen == "L1"
    assert said == "closed\n"


DEEP = """
import os, sys
os.chdir(os.environ[sys.argv[1]])
os.symlink('/etc', 'link')
for _ in range(int(sys.argv[3])):
    os.mkdir('d' * int(sys.argv[2])); os.chdir('d' * int(sys.argv[2]))
open('f', 'w').write('x'); os.chmod('.', 0)
"""


@pytest.mark.parametrize(("width", "depth"), [(1, 1500), (200, 60)])
@pytest.mark.parametrize("where", ["FESTINA_OUT", "TMPDIR"])
def test_E4_folders_too_deep_for_a_walk_end_their_run_and_are_removed(
    where: str, width: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="festina-test-") as name:  # in place of /tmp
        monkeypatch.setattr(tempfile, "tempdir", name)
        Path(name).chmod(0o755)
        box = PlainBox(Path(name) / "state")
        job = Job((find_python(box), "-S", "-c", DEEP, where, str(width), str(depth)), outputs=None)
        outcome = box.run(job, Limits(wall_s=20))
        assert outcome.ended in (Ended.OK, Ended.OUTPUT_LIMIT)  # by whether a poll came in time; never ours
        assert not outcome.outputs
        assert [path.name for path in Path(name).iterdir()] == ["state"]
    assert Path("/etc/passwd").exists()


def test_E4_what_lies_beside_a_removed_folder_and_behind_its_links_stays(tmp_path: Path) -> None:
    gone, kept = tmp_path / "gone", tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    (kept / "inner" / "f").write_text("x")
    (gone / "a" / "b").mkdir(parents=True)
    (gone / "a" / "link").symlink_to(kept)
    os.mkfifo(gone / "a" / "b" / "pipe")
    os.link(kept / "inner" / "f", gone / "a" / "name")
    (gone / "a").chmod(0)
    remove(gone)
    assert not gone.exists()
    assert (kept / "inner" / "f").read_text() == "x"
