"""The way to the model gateway: a listener on the loopback of a box's own network, held by the host.  # E-6

A socket belongs to the network in which it was made, whoever holds it. So a step of the gate's shell, before the job's
first instruction, makes the listener inside the box and sends it out through the gate's standard input; the engine
accepts on it. Nothing is left in the box: no forwarder to kill or to take over, and no descriptor. The network has a
loopback and nothing else, so there is no address, name server or neighbour to reach; what the gateway itself lets
through is the door's business (``propose.gateway``).

Not covered: what one process of a job says to another over that loopback, as it could over unix sockets.
"""

from __future__ import annotations

import array
import contextlib
import os
import shlex
import socket
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from festina.errors import Fault
from festina.sandbox.job import GATEWAY, Job, Limits, Outcome

if TYPE_CHECKING:
    from festina.sandbox.box import BubblewrapBox

__all__ = ["LACK", "STEP", "Doored", "Greeter", "take"]

LACK: Final = "TCP on a loopback of its own, where the model gateway answers"
_CODE = (
    "import socket; s = socket.create_server({address!r}, backlog=16); "
    "socket.send_fds(socket.socket(fileno=0), [b'.'], [s.fileno()])"
)
# By the engine's own interpreter, which every box shows; -I -S: nothing of the job's is imported.
STEP: Final = shlex.join([os.path.realpath(sys.executable), "-I", "-S", "-c", _CODE.format(address=GATEWAY)])


def take(gate: int) -> socket.socket:
    """The listener, from the host's end of the gate's standard input. Nothing of the job has run yet."""
    with socket.socket(fileno=os.dup(gate)) as end:
        end.settimeout(30)  # the start of a Python, on a host that may be very busy
        try:
            _, ancillary, _, _ = end.recvmsg(
                1, socket.CMSG_SPACE(array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )  # fmt: skip
        except OSError as error:
            raise Fault("no-doorway", f"no listener came: {error}", fix="run `festina doctor`") from error
        end.settimeout(None)  # the flag is the gate's too
    handles = array.array("i")
    for _level, _kind, data in ancillary:
        handles.frombytes(data[: handles.itemsize])
    if not handles:
        raise Fault("no-doorway", "the box's listener did not come", fix="run `festina doctor`")
    listener = socket.socket(fileno=handles[0])
    listener.setblocking(True)
    return listener


class Greeter:
    """A door that says one line to whoever connects and reads nothing: for trying out that there is a way."""

    def __init__(self, line: bytes = b"festina\n") -> None:
        self._line = line
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def open(self, listener: socket.socket) -> None:
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="greeter", daemon=True)
        self._thread.start()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # shut down: the run is over
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(1)
                    connection.sendall(self._line)

    def close(self) -> None:
        if self._listener is not None and self._thread is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._listener.close()


class Doored:
    """A box in which every job has a door: the kind of box that the escape suite attacks beside the others."""

    def __init__(self, box: BubblewrapBox) -> None:
        self._box = box
        self.level = box.level
        self.missing = box.door_stamp.missing
        self.policy_hash = box.door_stamp.policy_hash

    def run(self, job: Job, limits: Limits) -> Outcome:
        return self._box.run(replace(job, door=Greeter()), limits)

    def kill_all(self) -> None:
        self._box.kill_all()
