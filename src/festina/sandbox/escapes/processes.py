"""Ways to see, read, change or end a process that is not one's own. The victim runs under the attacker's uid."""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Control, Group
from festina.sandbox.escapes.oracles import any_of, harmed, learned, said
from festina.sandbox.job import Level

__all__ = ["ATTEMPTS"]


def _on(name: str, aim: str, code: str, oracle: object, **more: object) -> Attempt:
    return Attempt(name, Group.PROCESSES, aim, code, oracle, victim=True, **more)  # type: ignore[arg-type]


ATTEMPTS = (
    _on(
        "environ",
        "read the environment of another process",
        "print(open(f'/proc/{PID}/environ', 'rb').read())",
        learned("environment"),
    ),
    _on(
        "environ_scan",
        "search the environments of all processes",
        """
        for p in os.listdir('/proc'):
            try:
                if p.isdigit() and p != str(os.getpid()): print(open(f'/proc/{p}/environ', 'rb').read())
            except OSError: pass""",
        learned("environment"),
    ),
    _on(
        "command_lines",
        "read the command lines of all processes",
        """
        for p in os.listdir('/proc'):
            try:
                if p.isdigit() and p != str(os.getpid()): print(open(f'/proc/{p}/cmdline', 'rb').read()[-2000:])
            except OSError: pass""",
        learned("command line"),
    ),
    _on(
        "memory_file",
        "read another process's memory through /proc",
        """
        a, b = stack(PID); f = open(f'/proc/{PID}/mem', 'rb', 0); f.seek(b - 8192); print(f.read(8192))""",
        learned("environment"),
    ),
    _on(
        "ptrace",
        "attach to another process and read it",
        """
        call('ptrace', 16, PID, 0, 0); a, b = stack(PID); os.waitpid(PID, 0x40000000)
        word = buf(b'', 8); data = b''
        for at in range(b - 8192, b, 8):
            call('ptrace', 1, PID, at, word); data += word.raw
        call('ptrace', 17, PID, 0, 0); print(data)""",
        learned("environment"),
        denied="ptrace",
    ),
    _on(
        "ptrace_by_child",
        "let a child ask to be traced, and trace the parent from it",
        """
        if os.fork() == 0:
            try: call('ptrace', 16, os.getppid(), 0, 0); worked('a child traces its parent')
            finally: os._exit(0)
        os.wait()""",
        said,
    ),
    _on(
        "process_vm_readv",
        "read another process's memory by a call of its own",
        """
        import ctypes
        try: a, b = stack(PID)
        except OSError: a, b = 0, 1 << 20
        target = buf(b'', 8192)
        class V(ctypes.Structure): _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]
        one, two = V(ctypes.addressof(target), 8192), V(b - 8192, 8192)
        call('process_vm_readv', PID, ctypes.byref(one), 1, ctypes.byref(two), 1, 0); print(target.raw)""",
        learned("environment"),
    ),
    _on(
        "pidfd_getfd",
        "take over another process's open file",
        "fd = call('pidfd_getfd', call('pidfd_open', PID, 0), 9, 0); os.lseek(fd, 0, 0); print(os.read(fd, 99))",
        learned("open file"),
    ),
    _on(
        "open_files_of_another",
        "open another process's file through /proc",
        "print(open(f'/proc/{PID}/fd/9').read())",
        learned("open file"),
    ),
    _on(
        "root_of_another",
        "reach the host's files through another process's root",
        "print(open(f'/proc/{PID}/root{DIR}/secret').read())",
        learned("file"),
    ),
    _on(
        "working_folder_of_another",
        "reach the host's files through another process's working folder",
        "print(open(f'/proc/{PID}/cwd/secret').read())",
        learned("file"),
    ),
    _on(
        "mapped_files_of_another",
        "open what another process has mapped",
        "print(open(f'/proc/{PID}/maps').read()[:60]); worked('its memory map was readable')",
        said,
    ),
    _on("kcmp", "compare kernel objects of two processes", "call('kcmp', os.getpid(), PID, 0, 0, 0); worked()", said),
    _on("kill", "end another process", "os.kill(PID, signal.SIGKILL)", harmed),
    _on("stop", "stop another process", "os.kill(PID, signal.SIGSTOP)", harmed),
    _on(
        "kill_by_pidfd",
        "end another process through a descriptor",
        "signal.pidfd_send_signal(call('pidfd_open', PID, 0), signal.SIGKILL)",
        harmed,
    ),
    _on(
        "kill_by_thread",
        "end another process through its thread id",
        "info = buf(struct.pack('iii', 9, 0, -1), 128); call('rt_sigqueueinfo', PID, 9, info)",
        harmed,
    ),
    _on("kill_group", "end another process's group", "os.kill(-W['group'], signal.SIGKILL)", harmed),
    _on(
        "kill_everything",
        "signal every process that may be signalled",
        "os.kill(-1, signal.SIGKILL)",
        harmed,
        control=Control.NONE,
        no_control="it would end every process of this user, the suite included",
        tried_from=Level.L2,
    ),
    _on(
        "probe_supervisor",
        "find the engine and ask whether it may be signalled",
        "os.kill(PARENT, 0); worked('the engine may be signalled')",
        said,
        no_control="as root the engine has another user id",
    ),
    _on(
        "owner_of_output",
        "set the engine up as the owner of a descriptor, so that the kernel signals it",
        """
        import fcntl
        r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETSIG if hasattr(fcntl, 'F_SETSIG') else 10, signal.SIGKILL)
        fcntl.fcntl(r, fcntl.F_SETOWN, PID)
        fcntl.fcntl(r, fcntl.F_SETFL, fcntl.fcntl(r, fcntl.F_GETFL) | os.O_ASYNC)
        os.write(w, b'x'); time.sleep(.2)""",
        harmed,
    ),
    _on(
        "affinity",
        "bind another process to one processor",
        "os.sched_setaffinity(PID, {min(os.sched_getaffinity(0))})",
        harmed,
    ),
    _on("priority", "slow another process down", "os.setpriority(os.PRIO_PROCESS, PID, 19)", harmed),
    _on(
        "limits_of_another",
        "lower another process's limits",
        "import resource; resource.prlimit(PID, resource.RLIMIT_FSIZE, (4096, 4096))",
        harmed,
    ),
    _on(
        "first_to_die",
        "make another process the first to go when memory runs out",
        "put(f'/proc/{PID}/oom_score_adj', '1000')",
        harmed,
    ),
    _on(
        "move_pages",
        "ask where another process's memory lies",
        "call('move_pages', PID, 0, 0, 0, 0, 0); worked()",
        said,
    ),
    _on(
        "robust_list",
        "ask for another process's lock list",
        "call('get_robust_list', PID, buf(b'', 8), buf(b'', 8)); worked()",
        said,
    ),
    Attempt(
        "see_engine",
        Group.PROCESSES,
        "see the engine in the process table",
        "os.stat(f'/proc/{PARENT}/stat'); print(open(f'/proc/{PARENT}/cmdline').read()); worked()",
        said,
    ),
    Attempt(
        "process_count",
        Group.PROCESSES,
        "count the processes of the host",
        "n = len([p for p in os.listdir('/proc') if p.isdigit()])\nif n > 8: worked(f'{n} processes in view')",
        said,
    ),
    Attempt(
        "engine_command_line",
        Group.PROCESSES,
        "read host paths from the command line that built the box",
        "print(open('/proc/1/cmdline').read(), open('/proc/1/environ').read())",
        any_of(learned("environment of the engine"), learned("path")),
        control=Control.NONE,
        no_control="L0 has no builder",
        shown=True,
    ),
    Attempt(
        "engine_environment",
        Group.PROCESSES,
        "inherit the engine's environment",
        "print(dict(os.environ))",
        learned("environment of the engine"),
        control=Control.BARE,
    ),
    Attempt(
        "descriptors",
        Group.PROCESSES,
        "use descriptors that were left open",
        """
        left = []
        for fd in range(3, 1024):
            try: left.append((fd, oct(os.fstat(fd).st_mode)))
            except OSError: pass
        if left: worked(str(left))""",
        said,
        control=Control.NONE,
        no_control="every level closes them",
    ),
    Attempt(
        "terminal",
        Group.PROCESSES,
        "open the terminal that the engine was started from",
        "os.open('/dev/tty', os.O_RDWR); worked()",
        said,
        control=Control.NONE,
        no_control="every level starts a session of its own",
    ),
)
