"""Ways to read, change or plant files of the host, and to pass one off as a result."""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Control, Group
from festina.sandbox.escapes.oracles import changed, harvested, learned, planted, said
from festina.sandbox.job import Ended, Level

__all__ = ["ATTEMPTS"]

_SAME_HARVEST = "the harvest is the same at every level"
_UNSEEN = "Landlock does not cover it: needs a view of its own (user namespaces)"


def _file(name: str, aim: str, code: str, oracle: object, **more: object) -> Attempt:
    return Attempt(name, Group.FILES, aim, code, oracle, **more)  # type: ignore[arg-type]


def _result(name: str, aim: str, code: str, **more: object) -> Attempt:
    options = {"outputs": None, "control": Control.NONE, "no_control": _SAME_HARVEST, **more}
    return Attempt(name, Group.RESULTS, aim, code, harvested, **options)  # type: ignore[arg-type]


ATTEMPTS = (
    _file(
        "read", "read a file of the host that anyone may read", "print(open(DIR + '/secret').read())", learned("file")
    ),
    _file(
        "read_upwards",
        "leave the input folder by ..",
        "print(open(IN + '/../' * 12 + DIR + '/secret').read())",
        learned("file"),
    ),
    _file(
        "read_by_own_root",
        "read through one's own root link",
        "print(open('/proc/self/root' + DIR + '/secret').read())",
        learned("file"),
    ),
    _file(
        "read_by_supervisor_root",
        "read through the root of the engine or of the box's first process",
        """
        for p in (1, PARENT, os.getppid()):
            try: print(open(f'/proc/{p}/root{DIR}/secret').read())
            except OSError: pass""",
        learned("file"),
        control=Control.NONE,
        no_control="as root those processes have another user id",
    ),
    _file(
        "read_by_own_link",
        "read through a link made in the box",
        "os.symlink(DIR + '/secret', TMP + '/l'); print(open(TMP + '/l').read())",
        learned("file"),
    ),
    _file("list", "list a folder of the host", "print(os.listdir(DIR + '/named'))", learned("file name")),
    _file(
        "size",
        "learn the size of a file of the host",
        "print(os.stat(DIR + '/secret').st_size, os.stat(DIR + '/measured').st_size)",
        learned("file size"),
        blocked_from=Level.L2,
        why=_UNSEEN,
    ),
    _file(
        "link_target",
        "learn where a link of the host points",
        "print(os.readlink(DIR + '/link'))",
        learned("link target"),
        blocked_from=Level.L2,
        why=_UNSEEN,
    ),
    _file("write", "make a file in a folder that anyone may write", "open(DIR + '/' + NONCE, 'w').write('x')", planted),
    _file("mkdir", "make a folder", "os.mkdir(DIR + '/' + NONCE)", planted),
    _file("mkfifo", "make a pipe", "os.mkfifo(DIR + '/' + NONCE)", planted),
    _file("symlink", "make a link", "os.symlink('/etc/passwd', DIR + '/' + NONCE)", planted),
    _file(
        "hardlink", "give a file of the host a second name", "os.link(DIR + '/writable', DIR + '/' + NONCE)", planted
    ),
    _file("append", "append to a file", "open(DIR + '/writable', 'a').write('x')", changed),
    _file("truncate", "cut a file", "os.truncate(DIR + '/writable', 1)", changed),
    _file("unlink", "remove a file", "os.unlink(DIR + '/writable')", changed),
    _file("rename", "move a file", "os.rename(DIR + '/writable', DIR + '/moved')", changed),
    _file(
        "map_and_write",
        "change a file through a shared mapping",
        """
        import mmap
        m = mmap.mmap(os.open(DIR + '/writable', os.O_RDWR), 4); m[:4] = b'gone'; m.flush()""",
        changed,
    ),
    _file(
        "touch",
        "change a file's times",
        "os.utime(DIR + '/own', (1, 1))",
        changed,
    ),
    _file("chmod", "change a file's mode", "os.chmod(DIR + '/own', 0o777)", changed),
    _file("xattr", "attach an attribute to a file", "os.setxattr(DIR + '/own', 'user.x', b'x')", changed),
    _file("git_hook", "plant a hook in a repository", "open(DIR + '/.git/hooks/post-commit', 'w').write('x')", planted),
    _file("shell_profile", "plant commands in a profile", "open(DIR + '/.bashrc', 'a').write('x')", changed),
    _file(
        "path_file", "plant a .pth file beside packages", "open(DIR + '/site/x.pth', 'w').write('import os')", planted
    ),
    _file(
        "bytecode",
        "plant compiled code without a source edit",
        """
        os.makedirs(DIR + '/site/__pycache__', exist_ok=True)
        open(DIR + '/site/__pycache__/json.cpython-311.pyc', 'wb').write(b'x')""",
        planted,
    ),
    _file("tool_on_path", "plant a program earlier on PATH", "open(DIR + '/bin/git', 'w').write('x')", planted),
    _file(
        "shown_folder",
        "change a folder of the host that is shown read-only",
        """
        import glob
        for name in ('/shown', *glob.glob(DIR + '/shown*')):
            try: open(name + '/kept', 'a').write('x')
            except OSError: pass
            try: open(name + '/' + NONCE, 'w').write('x')
            except OSError: pass""",
        changed,
        shown=True,
    ),
    _file(
        "write_system",
        "write where programs and libraries lie",
        """
        for path in ('/usr/x', '/bin/x', '/lib/x', '/etc/x', os.__file__, '/etc/passwd', '/etc/ld.so.preload',
                     os.path.dirname(os.__file__) + '/x.pth', IN + '/x', '/dev/x', '/x', '/proc/x', '/run/x', '/var/x'):
            try: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)); worked(path)
            except OSError: pass""",
        said,
        no_control="a plain user may not write there either",
    ),
    _file(
        "write_own_program",
        "write to the program that is running, by its link in /proc",
        """
        for path in ('/proc/self/exe', '/proc/1/exe', f'/proc/{os.getppid()}/exe'):
            try: os.open(path, os.O_WRONLY); worked(path)
            except OSError: pass
        for fd in range(64):
            try:
                if os.path.isfile(f'/proc/self/fd/{fd}'): os.open(f'/proc/self/fd/{fd}', os.O_WRONLY); worked(str(fd))
            except OSError: pass""",
        said,
        no_control="a plain user may not write there either",
    ),
    _file(
        "open_by_handle",
        "open a file by its handle, past every view",
        """
        handle = buf(struct.pack('Ii', 8, 1) + struct.pack('II', 2, 0), 136)
        for path in ('/', '/etc', TMP):
            fd = os.open(path, os.O_RDONLY); let_through(lambda: call('open_by_handle_at', fd, handle, 0))""",
        said,
        no_control="needs root outside a namespace",
    ),
    _file(
        "root_home",
        "list home folders",
        """
        usual = ('.bashrc', '.profile', '.ssh', '.gitconfig', '.config', '.cache', '.bash_history')
        homes = os.listdir('/home') if os.path.isdir('/home') else []
        for path in ('/root', W['home'], *('/home/' + name for name in homes)):
            try: found = [n for n in os.listdir(path) if n in usual]
            except OSError: continue
            if found: worked(f'{path} holds {found[0]}')""",
        said,
        no_control="home folders are closed to other users, or empty",
    ),
    _file(
        "host_configuration",
        "read the host's configuration",
        """
        for path in ('/etc/fstab', '/etc/hostname', '/etc/ssh/sshd_config', '/etc/machine-id', '/etc/passwd'):
            try: text = open(path).read()
            except OSError: continue
            if 'box:x:1000' not in text: worked(path)""",
        said,
    ),
    _file(
        "host_devices",
        "open devices of the host",
        """
        names = 'fuse net/tun kvm vhost-vsock vhost-net mem kmem port kmsg sda vda nvme0n1 loop-control mapper/control'
        for name in (names + ' userfaultfd uinput snd/seq input/event0 rtc0 watchdog ptp0 hwrng vsock').split():
            try: os.open('/dev/' + name, os.O_RDONLY | os.O_NONBLOCK); worked('/dev/' + name)
            except OSError: pass""",
        said,
        no_control="this host shows no such device to plain users",
    ),
    _file(
        "device_node",
        "make a device node of a disk",
        """
        for top in (TMP, OUT, DIR):
            try: os.mknod(top + '/' + NONCE, 0o60666, os.makedev(8, 0)); worked(top)
            except OSError: pass""",
        said,
        no_control="needs root outside a namespace",
    ),
    _result(
        "symlink_as_result",
        "a link to a file of the host as result",
        "os.symlink(DIR + '/secret', OUT + '/x')",
        control=Control.BARE,
    ),
    _result(
        "linked_folder_as_result",
        "a result below a linked folder",
        "os.symlink(DIR, OUT + '/d')",
        outputs=("d/secret",),
        control=Control.BARE,
    ),
    _result(
        "hard_link_as_result", "a second name of a file of the host as result", "os.link(DIR + '/secret', OUT + '/x')"
    ),
    _result(
        "magic_link_as_result",
        "a link through /proc as result",
        "os.symlink(f'/proc/self/root{DIR}/secret', OUT + '/x')",
        control=Control.BARE,
    ),
    _result(
        "names_leave_out",
        "a result's name that climbs out",
        "pass",
        outputs=("../" * 12 + "{DIR}/secret", "{DIR}/secret"),
        control=Control.BARE,
    ),
    _result("fifo_as_result", "a pipe that would hang the reader", "os.mkfifo(OUT + '/x')", outputs=("x",)),
    _result(
        "swap_while_read",
        "swap a result for a link while it is read",
        """
        if os.fork(): time.sleep(.1); os._exit(0)
        while True:
            open(OUT + '/y', 'w').write('fine'); os.replace(OUT + '/y', OUT + '/x')
            os.symlink(DIR + '/secret', OUT + '/z'); os.replace(OUT + '/z', OUT + '/x')""",
    ),
    Attempt(
        "sparse_giant",
        Group.RESULTS,
        "a result of many gigabytes that takes no space",
        "f = open(OUT + '/x', 'wb'); f.truncate(6 << 20); worked('6 MiB under a cap of 4')",
        lambda seen: "" if seen.last.ended is not Ended.OK else said(seen),
        control=Control.NONE,
        no_control=_SAME_HARVEST,
        outputs=None,
    ),
    Attempt(
        "odd_names",
        Group.RESULTS,
        "results whose names are not text or climb out",
        """
        for name in (b'\\xff\\xfe', b'a\\nb', b'..x', b'-rf', b'\\x1b[2J'):
            open(OUT.encode() + b'/' + name, 'w').write('x')""",
        lambda seen: next(("a name that is not UTF-8" for n in seen.last.outputs if not n.isascii()), ""),
        control=Control.NONE,
        no_control=_SAME_HARVEST,
        outputs=None,
    ),
)
