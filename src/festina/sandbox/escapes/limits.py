"""Raising one's own limits and rights, and using up what the machine has. Every bomb here has an end of its own."""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Control, Group
from festina.sandbox.escapes.oracles import got_through, said
from festina.sandbox.job import Ended, Level, Limits

__all__ = ["ATTEMPTS"]

_EQUAL = "L0 sets the same limits"
_HURTS = "without limits it would slow this machine down"
_NO_GROUP = "without a control group memory is sampled by process, and this belongs to none: needs L3"


def _raise(name: str, aim: str, code: str, none: str = _EQUAL, **more: object) -> Attempt:
    return Attempt(name, Group.LIMITS, aim, code, said, no_control=none, **more)  # type: ignore[arg-type]


_TIGHT = Limits(
    wall_s=6.0,
    cpu_s=3.0,
    memory_bytes=96 << 20,
    pids=24,
    stdout_bytes=1 << 20,
    output_bytes=4 << 20,
    output_files=200,
    tmp_bytes=8 << 20,
)
_MEMORY = (Ended.OOM, Ended.SIGNAL, Ended.NONZERO)
_STOPPED = (Ended.TIMEOUT_CPU, Ended.TIMEOUT_WALL)


def _bomb(name: str, aim: str, code: str, *ends: Ended, **more: object) -> Attempt:
    options: dict[str, object] = {"control": Control.NONE, "no_control": _HURTS, "tried_from": Level.L1, **more}
    options.setdefault("limits", _TIGHT)
    return Attempt(name, Group.BOMBS, aim, code, got_through, ends=ends, **options)  # type: ignore[arg-type]


# Where the machine is too busy for a bomb to burn its time, the wall clock ends it, and that is an end too.
_BUSY = Limits(
    wall_s=8.0,
    cpu_s=0.6,
    memory_bytes=96 << 20,
    pids=24,
    stdout_bytes=1 << 20,
    output_bytes=4 << 20,
    output_files=200,
    tmp_bytes=8 << 20,
)
_SLEEPY = Limits(
    wall_s=1.0,
    cpu_s=3.0,
    memory_bytes=96 << 20,
    pids=24,
    stdout_bytes=1 << 20,
    output_bytes=4 << 20,
    output_files=200,
    tmp_bytes=8 << 20,
)
ATTEMPTS = (
    _raise(
        "raise_limits",
        "raise one's own limits",
        """
        import resource
        for name in ('NOFILE', 'CPU', 'FSIZE', 'CORE', 'MEMLOCK', 'DATA', 'NPROC'):
            which = getattr(resource, 'RLIMIT_' + name); hard = resource.getrlimit(which)[1]
            if hard == resource.RLIM_INFINITY: continue
            try: resource.setrlimit(which, (hard + 4096, hard + 4096))
            except (OSError, ValueError): continue
            if resource.getrlimit(which)[1] != hard: worked(name)
""",
    ),
    _raise(
        "core_dump",
        "leave a core dump on the host",
        """
        import resource
        try: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
        except ValueError: pass
        if resource.getrlimit(resource.RLIMIT_CORE)[0] > 1: worked()""",
    ),
    _raise(
        "core_helper",
        "have the host's crash helper, which runs as root, read a dump of one's own making",
        """
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if resource.getrlimit(resource.RLIMIT_CORE)[0] != 1: worked('a crash would be piped to it')""",
        none="",
    ),
    _raise(
        "lock_memory",
        "lock more memory than allowed",
        """
        import mmap
        m = mmap.mmap(-1, 32 << 20)
        import ctypes
        where = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(m)))
        if libc.mlock(where, ctypes.c_size_t(32 << 20)): fail()
        worked()""",
    ),
    _raise(
        "realtime",
        "run before everything else",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)); worked()",
        "needs root outside a namespace",
    ),
    _raise(
        "deadline_class",
        "the same by the deadline class",
        "call('sched_setattr', 0, buf(struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 10**7, 10**8, 10**8)), 0); worked()",
        "needs root outside a namespace",
    ),
    _raise(
        "nice",
        "take a better priority",
        "os.setpriority(os.PRIO_PROCESS, 0, -5); worked()",
        "needs root outside a namespace",
    ),
    _raise(
        "io_priority",
        "take a better input and output class",
        "call('ioprio_set', 1, 0, (1 << 13) | 0); worked()",
        "needs root outside a namespace",
    ),
    _raise(
        "spared_by_memory_killer",
        "be the last to go when memory runs out",
        """
        put('/proc/self/oom_score_adj', '-900'); worked()""",
        "needs root outside a namespace",
    ),
    _raise(
        "become_root",
        "become root",
        """
        for action, *to in ((os.setuid, 0), (os.setgid, 0), (os.setgroups, [0]), (os.setresuid, 0, 0, 0)):
            try: action(*to); worked()
            except OSError: pass""",
        "needs root outside a namespace",
    ),
    _raise(
        "capabilities",
        "take capabilities back",
        """
        import ctypes
        header = buf(struct.pack('Ii', 0x20080522, 0)); data = buf(struct.pack('6I', 1 << 21, 1 << 21, 0, 0, 0, 0))
        try: call('capset', header, data); worked('CAP_SYS_ADMIN')
        except OSError: pass
        if libc.prctl(47, 2, 21, 0, 0) == 0: worked('ambient')
        text = open('/proc/self/status').read()
        if 'CapBnd:\\t0000000000000000' not in text and 'NoNewPrivs:\\t1' not in text: worked('it could gain some')""",
        "needs root outside a namespace",
    ),
    Attempt(
        "setuid_program",
        Group.LIMITS,
        "gain rights through a setuid program",
        """
        import subprocess
        for name in ('su', 'passwd', 'newgrp', 'mount', 'chsh', 'sudo', 'pkexec'):
            for top in ('/usr/bin/', '/bin/'):
                if not os.path.exists(top + name) or not os.stat(top + name).st_mode & 0o4000: continue
                p = subprocess.Popen([top + name], stdin=-1, stdout=-3, stderr=-3)
                uids = ['', '', '']
                for _ in range(20):
                    try: lines = open(f'/proc/{p.pid}/status').read().splitlines()
                    except OSError: break
                    uids = next(l for l in lines if l.startswith('Uid:')).split()
                    if uids[2] == '0' and os.getuid(): worked(name); break
                    time.sleep(.01)
                p.kill(); p.wait()
                if uids[2] == '0': sys.exit()""",
        said,
        control=Control.BARE,
    ),
    Attempt(
        "file_capabilities",
        Group.LIMITS,
        "gain rights through a program with capabilities",
        """
        import glob, subprocess
        for path in glob.glob('/usr/bin/*') + glob.glob('/usr/sbin/*'):
            try: os.getxattr(path, 'security.capability')
            except OSError: continue
            p = subprocess.Popen([path], stdin=-1, stdout=-3, stderr=-3)
            try:
                lines = open(f'/proc/{p.pid}/status').read().splitlines()
                if any(l.startswith('CapEff') and int(l.split()[1], 16) for l in lines): worked(path)
            except OSError: pass
            p.kill(); p.wait()""",
        said,
        control=Control.NONE,
        no_control="few hosts have such programs",
    ),
    _bomb(
        "fork_bomb",
        "more processes than allowed",
        """
        made = 0
        for _ in range(120):
            try:
                if os.fork() == 0: time.sleep(3); os._exit(0)
                made += 1
            except OSError: break
        time.sleep(.5)
        if made > 40: worked(f'{made} processes under a cap of 24')""",
        Ended.PIDS_LIMIT,
        Ended.NONZERO,
    ),
    _bomb(
        "thread_bomb",
        "more threads than allowed",
        """
        import threading
        made = 0
        try:
            for _ in range(120): threading.Thread(target=time.sleep, args=(2,), daemon=True).start(); made += 1
        except RuntimeError: pass
        time.sleep(.3)
        if made > 40: worked(f'{made} threads under a cap of 24')""",
        Ended.PIDS_LIMIT,
        Ended.NONZERO,
    ),
    _bomb(
        "memory",
        "more memory than allowed",
        """
        x = [bytearray(b'x' * (8 << 20)) for _ in range(25)]; time.sleep(.5); worked('200 MiB under a cap of 96')""",
        *_MEMORY,
    ),
    _bomb(
        "memory_in_grandchild",
        "the same two processes further down",
        """
        if os.fork() == 0:
            if os.fork() == 0:
                x = [bytearray(b'x' * (8 << 20)) for _ in range(25)]
                time.sleep(.5); worked('200 MiB under a cap of 96'); os._exit(0)
            os.wait(); os._exit(0)
        os.wait()""",
        Ended.OOM,
        Ended.NONZERO,
    ),
    _bomb(
        "memory_over_children",
        "many processes, each below the cap",
        """
        for _ in range(6):
            if os.fork() == 0: x = bytearray(b'x' * (40 << 20)); time.sleep(2); os._exit(0)
        time.sleep(1.5); worked('240 MiB under a cap of 96')""",
        Ended.OOM,
    ),
    _bomb(
        "memory_in_files",
        "memory in anonymous files that no process maps",
        """
        keep = []
        for _ in range(50):
            fd = os.memfd_create('x'); keep.append(fd)
            for _ in range(4): os.write(fd, b'x' * (1 << 20))
        time.sleep(.5); worked('200 MiB under a cap of 96')""",
        *_MEMORY,
        Ended.OUTPUT_LIMIT,
        blocked_from=Level.L3,
        why=_NO_GROUP,
    ),
    _bomb(
        "memory_in_shared_segments",
        "memory in System V segments",
        """
        libc.shmat.restype = __import__('ctypes').c_void_p
        import ctypes
        for n in range(4):
            ident = libc.shmget(0, 50 << 20, 0o1600)
            if ident < 0: fail()
            where = libc.shmat(ident, None, 0); ctypes.memset(where, 1, 50 << 20); libc.shmdt(ctypes.c_void_p(where))
        time.sleep(.5); worked('200 MiB under a cap of 96')""",
        *_MEMORY,
        blocked_from=Level.L3,
        why=_NO_GROUP,
    ),
    _bomb(
        "memory_in_pipes",
        "memory in pipe buffers",
        """
        import fcntl
        keep = []
        for _ in range(160):
            r, w = os.pipe(); keep += [r, w]
            try: fcntl.fcntl(w, 1031, 1 << 20)
            except OSError: pass
            os.set_blocking(w, False)
            try:
                while True: os.write(w, b'x' * 65536)
            except BlockingIOError: pass
        time.sleep(.3); worked(f'{len(keep)} pipe ends filled')""",
        *_MEMORY,
        blocked_from=None,
        why="the kernel's own limit for each user (64 MiB) holds; below the cap it is not stopped",
        limits=Limits(
            wall_s=6.0,
            cpu_s=3.0,
            memory_bytes=48 << 20,
            pids=24,
            stdout_bytes=1 << 20,
            output_bytes=4 << 20,
            output_files=200,
            tmp_bytes=8 << 20,
        ),
    ),
    _bomb(
        "fill_output",
        "more result bytes than allowed",
        """
        for n in range(24): open(f'{OUT}/{n}', 'wb').write(b'x' * (1 << 20)); time.sleep(.02)
        time.sleep(.3); worked('24 MiB under a cap of 4')""",
        Ended.OUTPUT_LIMIT,
        Ended.NONZERO,
        Ended.SIGNAL,
        outputs=None,
    ),
    _bomb(
        "fill_tmp",
        "more temporary bytes than allowed",
        """
        for n in range(32): open(f'{TMP}/{n}', 'wb').write(b'x' * (1 << 20)); time.sleep(.02)
        time.sleep(.3); worked('32 MiB under a cap of 8')""",
        Ended.OUTPUT_LIMIT,
        Ended.NONZERO,
        Ended.SIGNAL,
    ),
    _bomb(
        "many_files",
        "more result files than allowed",
        """
        for n in range(3000): open(f'{OUT}/{n}', 'w').close()
        time.sleep(.3); worked('3000 files under a cap of 200')""",
        Ended.OUTPUT_LIMIT,
        Ended.NONZERO,
        outputs=None,
    ),
    _bomb(
        "flood_stdout",
        "more text than allowed",
        """
        for _ in range(1024): os.write(1, b'x' * 65536)
        os.write(2, b'x' * 65536); worked('64 MiB under a cap of 1')""",
        Ended.OUTPUT_LIMIT,
    ),
    _bomb(
        "open_files",
        "more descriptors than allowed",
        """
        keep = []
        for _ in range(5000): keep.append(os.dup(0))
        worked(f'{len(keep)} descriptors under a cap of 1024')""",
        Ended.NONZERO,
    ),
    _bomb(
        "burn_cpu",
        "more processor time than allowed",
        "while time.process_time() < 3: pass\nworked('3 s under a cap of 0.6')",
        *_STOPPED,
        limits=_BUSY,
    ),
    _bomb(
        "burn_cpu_in_children",
        "the same spread over children",
        """
        for _ in range(4):
            if os.fork() == 0:
                while time.process_time() < 1: pass
                os._exit(0)
        for _ in range(4): os.wait()
        worked('4 s under a cap of 0.6')""",
        *_STOPPED,
        limits=_BUSY,
    ),
    _bomb(
        "burn_cpu_in_short_children",
        "the same in children that live too short to be sampled",
        """
        for _ in range(150):
            if os.fork() == 0:
                if os.fork() == 0:
                    while time.process_time() < .02: pass
                os._exit(0)
            os.wait()
        worked('3 s under a cap of 0.6')""",
        *_STOPPED,
        Ended.PIDS_LIMIT,
        limits=_BUSY,
        blocked_from=Level.L3,
        why="without a control group processor time of orphans is sampled: the wall clock is the limit that holds",
    ),
    _bomb("sleep", "stay for ever", "time.sleep(5); worked()", Ended.TIMEOUT_WALL, limits=_SLEEPY),
    _bomb(
        "stop_oneself",
        "stop and stay",
        "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(5); worked()",
        Ended.TIMEOUT_WALL,
        Ended.NONZERO,
        limits=_SLEEPY,
    ),
    _bomb(
        "deaf",
        "ignore every signal and stay",
        """
        for n in (*range(1, 9), *range(10, 19)): signal.signal(n, signal.SIG_IGN)
        time.sleep(5); worked()""",
        Ended.TIMEOUT_WALL,
        limits=_SLEEPY,
    ),
    _bomb(
        "flood_of_denied_calls",
        "drown the record in denied calls",
        """
        while time.process_time() < 3:
            try: socket.socket(40, 1)
            except OSError: pass
        worked()""",
        *_STOPPED,
        limits=_BUSY,
    ),
)
