"""Namespaces, mounts and the kernel's rarer doors. None may let a candidate's arguments in."""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Control, Group
from festina.sandbox.escapes.oracles import said

__all__ = ["ATTEMPTS"]

_ROOT_ONLY = "needs root outside a namespace"
_MAYBE = "many systems refuse it to plain users"


def _space(name: str, aim: str, code: str, **more: object) -> Attempt:
    return Attempt(name, Group.NAMESPACES, aim, code, said, **more)  # type: ignore[arg-type]


def _door(name: str, aim: str, code: str, none: str = "", **more: object) -> Attempt:
    if none:
        more = {"no_control": none, **more}
    return Attempt(name, Group.KERNEL, aim, code, said, **more)  # type: ignore[arg-type]


_LATER = "call('unshare', 0x10000000 | 0x20000)\n"  # a user and a mount namespace of one's own
ATTEMPTS = (
    _space(
        "user_namespace",
        "become root in a namespace of one's own",
        "call('unshare', 0x10000000); worked()",
        denied="unshare",
    ),
    _space(
        "clone_namespace",
        "the same by clone",
        """
        r = call('clone', 0x10000000 | 17, 0, 0, 0, 0)
        if r == 0: os._exit(0)
        os.waitpid(r, 0); worked()""",
        denied="clone(new namespaces)",
    ),
    _space(
        "clone3_namespace",
        "the same by clone3, whose flags a filter cannot see",
        """
        import ctypes
        args = buf(struct.pack('11Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))
        r = call('clone3', args, 88)
        if r == 0: os._exit(0)
        os.waitpid(r, 0); worked()""",
    ),
    _space(
        "every_namespace",
        "each kind of namespace alone",
        """
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000, 0x80):
            for flags in (flag, flag | 0x10000000):
                try: call('unshare', flags); worked(hex(flags)); sys.exit()
                except OSError: pass
        raise PermissionError(errno.EPERM, 'none')""",
    ),
    _space(
        "mount_in_namespace",
        "mount in a namespace of one's own",
        _LATER
        + """\
if libc.mount(b'x', b'/tmp', b'tmpfs', 0, None): fail()
worked()""",
    ),
    _space(
        "overlay_in_namespace",
        "mount an overlay in a namespace of one's own",
        _LATER
        + """\
for d in 'luw': os.mkdir(TMP + '/' + d)
data = f'lowerdir={TMP}/l,upperdir={TMP}/u,workdir={TMP}/w,userxattr'.encode()
if libc.mount(b'x', TMP.encode(), b'overlay', 0, data): fail()
worked()""",
        no_control="older kernels refuse it",
    ),
    _space("new_mount_api", "mount by the newer calls", _LATER + "call('fsopen', b'tmpfs', 0); worked()"),
    _space(
        "open_tree",
        "copy a part of the view",
        _LATER + "call('open_tree', -100, b'/', 1 | 0o2000000 | 0x8000); worked()",
    ),
    _space(
        "mount_setattr",
        "change a mount's attributes",
        _LATER + "call('mount_setattr', -100, b'/', 0, buf(b'', 32), 32); worked()",
    ),
    _space(
        "mount",
        "mount without a namespace",
        """
        if libc.mount(b'x', TMP.encode(), b'tmpfs', 0, None): fail()
        worked()""",
        no_control=_ROOT_ONLY,
    ),
    _space(
        "remount",
        "make a read-only view writable",
        """
        if libc.mount(None, b'/', None, 32, None): fail()
        worked()""",
        no_control=_ROOT_ONLY,
    ),
    _space(
        "umount",
        "uncover what a mount hides",
        """
        done = [p for p in (b'/in', b'/proc', b'/etc', b'/tmp', b'/dev') if libc.umount2(p, 2) == 0]
        if not done: fail()
        worked(str(done))""",
        no_control=_ROOT_ONLY,
    ),
    _space(
        "pivot_root", "change the root", "let_through(lambda: call('pivot_root', b'/', b'/tmp'))", no_control=_ROOT_ONLY
    ),
    _space(
        "chroot",
        "change the root in a namespace and climb out",
        """
        try: call('unshare', 0x10000000)
        except OSError: pass
        os.chroot(TMP); worked()""",
    ),
    _space(
        "setns_own",
        "enter one's own namespaces again, with new rights",
        """
        for kind in ('user', 'net', 'mnt', 'pid', 'ipc', 'uts', 'cgroup', 'time'):
            try: call('setns', os.open('/proc/self/ns/' + kind, os.O_RDONLY), 0); worked(kind)
            except OSError: pass""",
        no_control=_ROOT_ONLY,
    ),
    _space(
        "setns_of_another",
        "enter another process's namespaces",
        """
        for pid in (PID, 1, os.getppid()):
            for kind in ('user', 'net', 'mnt'):
                try: call('setns', os.open(f'/proc/{pid}/ns/{kind}', os.O_RDONLY), 0); worked(kind)
                except OSError: pass""",
        no_control=_ROOT_ONLY,
        victim=True,
    ),
    _space(
        "setns_by_pidfd",
        "enter another process's namespaces by descriptor",
        "call('setns', call('pidfd_open', PID, 0), 0x10000000 | 0x20000); worked()",
        no_control=_ROOT_ONLY,
        victim=True,
    ),
    _space(
        "id_map",
        "map more user ids",
        """
        for name in ('uid_map', 'gid_map', 'setgroups'):
            try: put('/proc/self/' + name, '0 0 4294967295'); worked(name)
            except OSError: pass""",
        no_control=_ROOT_ONLY,
    ),
    _space(
        "hostname",
        "change the host's name",
        "socket.sethostname('taken'); worked()",
        control=Control.NONE,
        no_control=_ROOT_ONLY,
    ),
    _space(
        "name_to_handle",
        "learn a file's handle",
        """
        handle = buf(struct.pack('Ii', 128, 0), 136); mount = buf(b'', 4)
        call('name_to_handle_at', -100, b'/usr', handle, mount, 0); worked()""",
    ),
    _door(
        "io_uring",
        "start a ring, which makes sockets past a filter",
        "call('io_uring_setup', 4, buf(b'', 120)); worked()",
        _MAYBE,
        denied="io_uring_setup",
    ),
    _door(
        "bpf",
        "load a program into the kernel",
        """
        attr = buf(struct.pack('IIII', 2, 4, 4, 1), 128); call('bpf', 0, attr, 128); worked()""",
        _MAYBE,
    ),
    _door(
        "perf",
        "count events of the machine",
        """
        attr = buf(struct.pack('IIQ', 1, 128, 0).ljust(40, b'\\0') + struct.pack('Q', 0x60), 128)
        call('perf_event_open', attr, 0, -1, -1, 0); worked()""",
        _MAYBE,
    ),
    _door(
        "userfaultfd",
        "answer one's own page faults (a tool of kernel exploits)",
        "call('userfaultfd', 1); worked()",
        _MAYBE,
    ),
    _door("memfd_secret", "memory that the engine cannot count", "call('memfd_secret', 0); worked()", _MAYBE),
    _door(
        "keyring_user",
        "keep a key with the user",
        "call('add_key', b'user', NONCE.encode(), b'v', 1, -4); worked()",
        denied="add_key",
    ),
    _door("keyctl", "join a keyring", "call('keyctl', 1, NONCE.encode()); worked()"),
    _door(
        "request_key",
        "start the host's key helper",
        "let_through(lambda: call('request_key', b'user', NONCE.encode(), b'x', -4))",
    ),
    _door("clock_set", "set the clock", "time.clock_settime(time.CLOCK_REALTIME, time.time()); worked()", _ROOT_ONLY),
    _door(
        "settimeofday",
        "set the clock, the old way",
        "call('settimeofday', buf(struct.pack('qq', int(time.time()), 0)), 0); worked()",
        _ROOT_ONLY,
    ),
    _door("adjtimex", "read or steer the clock's discipline", "call('adjtimex', buf(b'', 256)); worked()"),
    _door("clock_adjtime", "the same by its newer call", "call('clock_adjtime', 0, buf(b'', 256)); worked()"),
    _door(
        "tiocsti",
        "type into a terminal",
        """
        import fcntl, pty
        a, b = pty.openpty(); fcntl.ioctl(b, 0x5412, b'x'); worked()""",
        _MAYBE,
    ),
    _door(
        "tioclinux",
        "paste into a console",
        """
        import fcntl, pty
        a, b = pty.openpty(); fcntl.ioctl(b, 0x541C, b'\\x03'); worked()""",
        "needs a console",
    ),
    _door("vhangup", "hang up the terminal", "call('vhangup'); worked()", _ROOT_ONLY),
    _door("kexec", "replace the kernel", "let_through(lambda: call('kexec_load', 0, 0, 0, 1 << 31))", _ROOT_ONLY),
    _door(
        "kexec_file",
        "replace the kernel from a file",
        "let_through(lambda: call('kexec_file_load', -1, -1, 0, b'', 0))",
        _ROOT_ONLY,
    ),
    _door("module", "load a module", "let_through(lambda: call('init_module', b'', 0, b''))", _ROOT_ONLY),
    _door(
        "module_from_file",
        "load a module from a file",
        "let_through(lambda: call('finit_module', -1, b'', 0))",
        _ROOT_ONLY,
    ),
    _door(
        "module_removal",
        "remove a module",
        "let_through(lambda: call('delete_module', b'no_such_module', 0x800))",
        _ROOT_ONLY,
    ),
    _door(
        "reboot",
        "restart the machine (with a wrong magic number)",
        "let_through(lambda: call('reboot', 1, 1, 0, 0))",
        _ROOT_ONLY,
    ),
    _door("swap", "add swap space", "let_through(lambda: call('swapon', b'/no/such/file', 0))", _ROOT_ONLY),
    _door("accounting", "switch process accounting", "let_through(lambda: call('acct', b'/no/such/file'))", _ROOT_ONLY),
    _door(
        "quota",
        "change disk quotas",
        "let_through(lambda: call('quotactl', 0x80000100, 0, 0, 0), 19, 22, 3)",
        "harmless to a plain user",
    ),
    _door("syslog", "read the kernel's log", "call('syslog', 3, buf(b'', 64), 64); worked()", _MAYBE),
    _door("fanotify", "watch the whole file system", "call('fanotify_init', 0x200, 0); worked()", _MAYBE),
    _door("personality", "switch off address randomisation", "call('personality', 0x40000); worked()"),
    _door("ldt", "change the descriptor table", "call('modify_ldt', 0, buf(b'', 16), 16); worked()", machine="x86_64"),
    _door("io_ports", "talk to hardware ports", "call('iopl', 3); worked()", _ROOT_ONLY, machine="x86_64"),
    _door(
        "int80",
        "make a call by the 32-bit gate",
        """
        import ctypes, mmap
        m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('b814000000cd80c3'))
        f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
        if f() == os.getpid(): worked()""",
        machine="x86_64",
    ),
    _door(
        "int80_socket",
        "make a socket by the 32-bit gate",
        """
        import ctypes, mmap
        m = mmap.mmap(-1, 4096, flags=0x22 | 0x40, prot=7)
        args = struct.pack('III', 40, 1, 0); base = ctypes.addressof(ctypes.c_char.from_buffer(m))
        m[256:268] = args
        m[0:18] = bytes.fromhex('53b866000000bb01000000b9') + struct.pack('I', base + 256) + bytes.fromhex('cd80')
        m[18:20] = bytes.fromhex('5bc3')
        f = ctypes.CFUNCTYPE(ctypes.c_int)(base)
        if f() >= 0: worked('a vsock socket was made')""",
        machine="x86_64",
    ),
    _door(
        "x32", "make a call by the x32 gate", "call(0x40000000 + 39); worked()", "few kernels have it", machine="x86_64"
    ),
    _door(
        "high_numbers",
        "calls newer than any list",
        """
        for number in range(463, 520): let_through(lambda: call(number, -1, 0, 0, 0, 0, 0), 22, 9, 14)""",
        "depends on the kernel's age",
    ),
    _door(
        "own_filter",
        "put on a filter of one's own that hides denied calls from the record",
        """
        import ctypes
        code = struct.pack('=HBBI', 0x20, 0, 0, 0) + struct.pack('=HBBI', 0x15, 0, 1, N['ptrace'])
        code += struct.pack('=HBBI', 6, 0, 0, 0x50001) + struct.pack('=HBBI', 6, 0, 0, 0x7FFF0000)
        class P(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('f', ctypes.c_void_p)]
        b = buf(code); call('seccomp', 1, 0, ctypes.byref(P(4, ctypes.addressof(b)))); worked()""",
    ),
    _door(
        "own_filter_by_prctl",
        "the same by prctl",
        """
        import ctypes
        code = buf(struct.pack('=HBBI', 6, 0, 0, 0x7FFF0000))
        class P(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('f', ctypes.c_void_p)]
        if libc.prctl(22, 2, ctypes.byref(P(1, ctypes.addressof(code))), 0, 0): fail()
        worked()""",
    ),
    _door(
        "kernel_settings",
        "change the kernel's settings (core_pattern, uevent_helper)",
        """
        for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/kernel/hostname',
                     '/proc/sys/vm/overcommit_memory', '/proc/sys/kernel/ns_last_pid', '/sys/kernel/uevent_helper',
                     '/proc/sysrq-trigger', '/sys/power/state', '/proc/irq/default_smp_affinity', '/proc/mtrr',
                     '/sys/kernel/mm/transparent_hugepage/enabled', '/sys/block', '/proc/sys/fs/binfmt_misc/register'):
            try: put(path, open(path).read()); worked(path)
            except OSError: pass""",
        "a plain user may not write there either",
    ),
    _door(
        "kernel_memory",
        "read the kernel's memory and addresses",
        """
        for path in ('/proc/kcore', '/dev/mem', '/dev/kmem', '/proc/kmsg', '/sys/kernel/tracing/trace',
                     '/sys/firmware/efi/efivars', '/proc/vmallocinfo', '/proc/slabinfo'):
            try: os.open(path, os.O_RDONLY); worked(path)
            except OSError: pass
        try:
            if int(open('/proc/kallsyms').readline().split()[0], 16): worked('addresses')
        except OSError: pass""",
        "root only on a sane host",
    ),
    _door(
        "cgroup_files",
        "see or change control groups",
        """
        for root, dirs, files in os.walk('/sys/fs/cgroup'):
            if files: worked(root); break""",
    ),
    _door("sysfs", "see the machine through /sys", "worked(str(os.listdir('/sys/class/net')))"),
)
