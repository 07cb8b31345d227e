"""Ways to a socket of any family. No box has a network, so none of these may reach a listener."""

from __future__ import annotations

from festina.sandbox.doorway import LACK
from festina.sandbox.escapes.attempt import Attempt, Control, Group
from festina.sandbox.escapes.oracles import any_of, harvested, knocked, learned, said

__all__ = ["ATTEMPTS"]

_ALONE = "a box with a way to the model gateway has TCP on a loopback where nobody else is"
_RARE = "the kernel may lack the family, or reserve it for root"


def _net(name: str, aim: str, code: str, kind: str, **more: object) -> Attempt:
    return Attempt(name, Group.NETWORK, aim, code, knocked(kind), **more)  # type: ignore[arg-type]


def _family(name: str, aim: str, code: str, **more: object) -> Attempt:
    return Attempt(name, Group.NETWORK, aim, code, said, **more)  # type: ignore[arg-type]


ATTEMPTS = (
    _net(
        "tcp",
        "connect to a TCP port of this machine",
        "s = socket.socket(); s.settimeout(3); s.connect(('127.0.0.1', W['tcp'])); s.send(NONCE.encode())",
        "tcp",
        denied="socket(AF_INET)",
    ),
    _net(
        "tcp_by_another_name",
        "the same by addresses that mean this machine, too",
        """
        for name in ('0.0.0.0', '127.0.0.2', '127.1'):
            try: s = socket.create_connection((name, W['tcp']), 3); s.send(NONCE.encode())
            except OSError as e: last = e
            else: break
        else: raise last""",
        "tcp",
    ),
    _family(
        "metadata",
        "ask a cloud's metadata address for credentials, or another address of the neighbourhood",
        """
        for name in ('169.254.169.254', '192.168.0.1', '10.0.0.1', '172.17.0.1', '1.1.1.1'):
            try: s = socket.create_connection((name, 80), 2)
            except OSError as e: last = e
            else: worked(name); break
        else: raise last""",
        no_control="no such address may answer here",
    ),
    _family(
        "address_for_the_loopback",
        "give an interface of the box another address, or take it up",
        """
        import fcntl
        s = socket.socket()
        address = struct.pack('16sH2s4s8s', b'lo:1', 2, b'', socket.inet_aton('10.9.8.7'), b'')
        fcntl.ioctl(s, 0x8916, address); worked()""",
        no_control="needs root",
    ),
    _net(
        "tcp6",
        "the same over IPv6",
        "s = socket.socket(10); s.settimeout(3); s.connect(('::1', W['tcp6'])); s.send(NONCE.encode())",
        "tcp6",
        denied="socket(AF_INET6)",
    ),
    _net(
        "tcp_fastopen",
        "send without connect (passes filters that look at connect alone)",
        "s = socket.socket(); s.sendto(NONCE.encode(), 0x20000000, ('127.0.0.1', W['tcp']))",
        "tcp",
    ),
    _net(
        "mptcp",
        "multipath TCP (passes rules for plain TCP)",
        "s = socket.socket(2, 1, 262); s.settimeout(3); s.connect(('127.0.0.1', W['tcp'])); s.send(NONCE.encode())",
        "tcp",
    ),
    _net(
        "udp",
        "send a datagram to this machine",
        "socket.socket(2, 2).sendto(NONCE.encode(), ('127.0.0.1', W['udp']))",
        "udp",
        denied="socket(AF_INET)",
    ),
    _net(
        "unix_path",
        "connect to a socket file of the host (a daemon, a container engine)",
        "s = socket.socket(1); s.connect(DIR + '/../sock'); s.send(NONCE.encode())",
        "unix path",
    ),
    _net(
        "unix_path_datagram",
        "send to a socket file through one end of a pair",
        "a, b = socket.socketpair(1, 2); a.sendto(NONCE.encode(), DIR + '/../dsock')",
        "unix path datagram",
    ),
    _net(
        "unix_pair_reconnected",
        "turn one end of a datagram pair towards a socket file",
        "a, b = socket.socketpair(1, 2); a.connect(DIR + '/../dsock'); a.send(NONCE.encode())",
        "unix path datagram",
    ),
    _net(
        "unix_abstract",
        "connect to an abstract socket",
        "s = socket.socket(1); s.connect('\\0' + W['abstract']); s.send(NONCE.encode())",
        "unix abstract",
    ),
    _net(
        "unix_abstract_datagram",
        "send to an abstract socket",
        "socket.socket(1, 2).sendto(NONCE.encode(), '\\0' + W['abstract'] + 'd')",
        "unix abstract datagram",
    ),
    Attempt(
        "unix_through_magic_link",
        Group.NETWORK,
        "connect to a socket file through another process's root",
        "s = socket.socket(1); s.connect(f'/proc/{PID}/root{DIR}/../sock'); s.send(NONCE.encode())",
        knocked("unix path"),
        victim=True,
    ),
    Attempt(
        "vsock",
        Group.NETWORK,
        "reach the hypervisor or this machine by vsock (a network namespace does not stop it)",
        """
        s = socket.socket(40, socket.SOCK_STREAM); worked('a vsock socket was made')
        s.settimeout(2); s.connect((1, W['vsock'])); s.send(NONCE.encode())""",
        any_of(knocked("vsock"), said),
        denied="socket(AF_VSOCK)",
    ),
    _family(
        "netlink_route",
        "ask the kernel for the network interfaces",
        """
        s = socket.socket(16, socket.SOCK_RAW, 0); s.bind((0, 0)); s.settimeout(2)
        s.send(struct.pack('IHHIIBxxx', 20, 18, 0x301, 1, 0, 0)); worked(f'{len(s.recv(65536))} bytes of answers')""",
        denied="socket(AF_NETLINK)",
    ),
    _family(
        "netlink_uevent",
        "listen to the kernel's device events",
        "s = socket.socket(16, socket.SOCK_DGRAM, 15); s.bind((0, 1)); worked()",
    ),
    _family(
        "alg",
        "use the kernel's crypto sockets",
        "s = socket.socket(38, 5, 0); s.bind(('hash', 'sha256')); worked()",
        no_control=_RARE,
    ),
    _family(
        "packet",
        "read raw frames",
        "socket.socket(17, socket.SOCK_RAW, 3); worked()",
        no_control="needs root outside a namespace",
    ),
    _family(
        "packet_in_namespace",
        "raw frames after making a network namespace of one's own",
        "call('unshare', 0x10000000 | 0x40000000); socket.socket(17, socket.SOCK_RAW, 3); worked()",
    ),
    _family(
        "raw",
        "raw IP",
        "socket.socket(2, socket.SOCK_RAW, 1); worked()",
        no_control="needs root outside a namespace",
    ),
    _family(
        "ping",
        "echo requests without root",
        "socket.socket(2, 2, 1); worked()",
        no_control="most systems reserve it for some groups",
    ),
    _family(
        "every_family",
        "every socket family there is, one after the other",
        """
        made = []
        for family in range(2, 46):
            for kind in (1, 2, 3, 5):
                try: socket.socket(family, kind); made.append(family); break
                except OSError: pass
        if made: worked('families ' + ' '.join(map(str, made)))
        else: raise PermissionError(errno.EPERM, 'none')""",
        unless=LACK,
        why=_ALONE,
    ),
    _family(
        "socketpair_of_another_family",
        "a pair of TIPC sockets",
        "socket.socketpair(30, 1); worked()",
        no_control=_RARE,
    ),
    _family(
        "listen_tcp",
        "open a port for someone else to connect to",
        "s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); worked(f'port {s.getsockname()[1]}')",
        unless=LACK,
        why=_ALONE,
    ),
    Attempt(
        "host_sockets",
        Group.NETWORK,
        "find socket files of the host's daemons",
        """
        import stat
        for top in (DIR + '/..', '/run', '/var/run', '/tmp'):
            for root, _, files in os.walk(top):
                for f in files:
                    if stat.S_ISSOCK(os.lstat(os.path.join(root, f)).st_mode): worked(os.path.join(root, f))""",
        said,
    ),
    Attempt(
        "socket_as_result",
        Group.RESULTS,
        "leave a socket in the place of a result",
        "s = socket.socket(1); s.bind(OUT + '/x'); open(OUT + '/ok', 'w').write('1')",
        harvested,
        control=Control.NONE,
        no_control="the harvest is the same at every level",
        outputs=None,
    ),
    Attempt(
        "resolver",
        Group.NETWORK,
        "the host's name as a resolver would have it",
        "print(open('/etc/hosts').read(), open('/etc/resolv.conf').read()); print(open('/etc/hostname').read())",
        learned("host name"),
    ),
)
