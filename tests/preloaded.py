"""Helper: commands in processes of their own, each forked from one that has loaded the package.

A command on a small system spends most of its time on loading the package. Here a process does so once, at the first
command of a test process, and each command is a fork of it: with a process, standard streams, an environment, a folder
and an exit code of its own, as from a shell. What loading itself does wrong is not seen here: ``fresh`` in
``tests/loop/commandline.py`` begins with nothing loaded.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
_server: list[tuple[subprocess.Popen[bytes], socket.socket]] = []  # this process's own, from its first command on


def command(
    argv: list[str], *, environment: Mapping[str, str], cwd: Path | None = None, text: str | None = None,
    timeout: float = 240,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """What ``subprocess.run([python, "-m", "festina", *argv])`` gives, sooner."""
    file = partial(tempfile.TemporaryFile, "w+")
    with file() as given, file() as out, file() as err:
        given.write(text or "")
        given.seek(0)
        code = _ask(argv, dict(environment), str(cwd or Path.cwd()), (given, out, err), timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(argv, code, out.read(), err.read())


def _ask(argv: list[str], environment: dict[str, str], cwd: str, streams: tuple[IO[str], ...], timeout: float) -> int:
    if not _server:
        _server.append(_begin())
        atexit.register(_end)
    here, there = socket.socketpair()
    with here:
        with there:
            socket.send_fds(_server[0][1], [b"."], [there.fileno(), *(stream.fileno() for stream in streams)])
        here.sendall(json.dumps([argv, environment, cwd]).encode() + b"\n")
        with here.makefile("r") as told:
            pid = int(told.readline())
            here.settimeout(timeout)  # from here on: the package is loaded
            try:
                return int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
        here.settimeout(None)
        here.recv(16)  # until it is dead
        raise subprocess.TimeoutExpired(argv, timeout)


def _begin() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process that has the package loaded; it ends with this one, whose end of the socket closes then."""
    here, there = socket.socketpair()
    with there:
        line = [sys.executable, "-m", "tests.preloaded", str(there.fileno())]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FESTINA_")}
        process = subprocess.Popen(
            line, cwd=ROOT, pass_fds=[there.fileno()], env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return process, here


def _end() -> None:
    process, control = _server.pop()
    control.close()
    process.wait()


def _load() -> None:
    from festina.cli import COMMANDS

    for module, _ in COMMANDS.values():
        importlib.import_module(module.partition(":")[0])
    importlib.import_module("festina.loop.engine")


def _serve(control: socket.socket) -> None:
    """Returns in each command's own process, ready to run it; ends where nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers end unseen
    while True:
        said, handles, _, _ = socket.recv_fds(control, 1, 4)
        if not said:
            sys.exit()
        if os.fork() == 0:
            control.close()
            _keep(*handles)
            return
        for handle in handles:
            os.close(handle)


def _keep(asked: int, *streams: int) -> None:
    """Fork the command, wait for it and tell how it ended. Returns in the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=asked) as client:
        with client.makefile("r") as words:
            argv, environment, cwd = json.loads(words.readline())
        pid = os.fork()
        if pid:
            for handle in streams:
                os.close(handle)
            client.sendall(b"%d\n" % pid)
            client.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
    for number, handle in enumerate(streams):
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[0] = cwd  # as `python -m` has it
    sys.argv = ["festina", *argv]


if __name__ == "__main__":
    _load()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        _serve(control)
    from festina.entry import main

    main()
