"""Where ``festina`` begins. ``festina halt`` takes effect here, before the rest of the program is loaded.  # G-5

On a busy machine without the right to go first, a command waits for each slice of processor time: a halt that first
loads a command line, a git reader and a parser of settings comes that much later. So a plain one (``-C DIR`` and
``--reason TEXT``, a ``.git`` folder, a home that its configuration names in plain words) writes its marker with nothing
loaded but the interpreter, then loads what kills, and the command tells of it afterwards. What is not plain is left to
the command, whole: nothing is guessed.
"""

from __future__ import annotations

import gc
import os
import sys
import time

TYPE_CHECKING = False  # typing's own costs as much to load as all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

    from festina.govern.stopping import Stopped

MOST_BYTES = 1 << 20  # of a git configuration
_done: list[Stopped | Exception] = []


def main() -> None:
    """The command line."""
    if sys.argv[1:2] == ["halt"]:
        _halt(sys.argv[2:])
    from festina.cli import main as rest

    try:
        rest()
    finally:
        gc.freeze()  # or the interpreter looks for garbage in all that it loaded once more before it ends: .2 s


def carried_out() -> Stopped | None:
    """The halt that was carried out before the command was loaded. Raises what went wrong with it."""
    if not _done:
        return None
    found = _done.pop()
    if isinstance(found, Exception):
        raise found
    return found


def _halt(words: list[str]) -> None:
    told = understood(words, os.environ)
    home = home_of(told[0]) if told is not None else None
    if told is None or home is None:
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass  # nobody may, but root
    marker = mark(home)
    from pathlib import Path

    from festina.errors import UsageError
    from festina.govern.stopping import hurrying, stop_all
    from festina.system.halts import user

    try:
        with hurrying():
            _done.append(stop_all(Path(home), by=user(), reason=told[1], marker=marker))
    except UsageError as error:
        _done.append(error)


def understood(words: list[str], environment: Mapping[str, str]) -> tuple[str, str] | None:
    """(folder, reason) of a plain command line; None where anything else stands in it."""
    root, reason = environment.get("FESTINA_SYSTEM") or ".", environment.get("FESTINA_HALT_REASON", "")
    left = list(words)
    while left:
        word = left.pop(0)
        if word not in ("-C", "--system", "--reason") or not left:
            return None
        value = left.pop(0)
        if word == "--reason":
            reason = value
        else:
            root = value
    return (root, reason) if os.path.isdir(root) else None


def home_of(root: str) -> str | None:
    """The home that the repository's configuration names, where that is in plain words and has a folder for halts."""
    folder = os.path.realpath(root)
    while not os.path.exists(os.path.join(folder, ".git")):
        if os.path.dirname(folder) == folder:
            return None
        folder = os.path.dirname(folder)
    try:
        with open(os.path.join(folder, ".git", "config"), "rb") as file:
            name = named(file.read(MOST_BYTES))
    except OSError:
        return None  # a worktree's .git is a file
    if name is None:
        return None
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    base = os.path.expanduser(os.environ.get("FESTINA_HOME") or os.path.join(state, "festina"))
    home = os.path.join(os.path.abspath(base), name)
    return home if os.path.isdir(os.path.join(home, "halts")) else None


def named(config: bytes) -> str | None:
    """``festina.home`` in a git configuration of plain lines; None where it is missing or written in another way."""
    found, inside = None, False
    for line in config.decode("utf-8", "replace").split("\n"):
        text = line.strip()
        if text.startswith("["):
            inside = text == "[festina]"
            if "festina" in text.lower() and not inside:
                return None
        elif inside:
            key, _, value = text.partition("=")
            if key.strip() == "home":
                found = value.strip()
    slug, _, digits = (found or "").rpartition("-")
    plain = all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in slug) and slug[:1].isalnum() and len(slug) <= 64
    good = plain and len(digits) == 8 and all(c in "0123456789abcdef" for c in digits)
    return found if good else None


def mark(home: str) -> str:
    """Write a marker that stands at once; ``stop_all`` fills it in. Empty where it cannot be: that is told then."""
    name = os.urandom(8).hex()
    scratch = os.path.join(home, "halts", f".{name}")
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, b'{"id": "%b", "by": "", "at": "%b", "reason": ""}' % (name.encode(), now.encode()))
        except OSError:
            pass  # a full disk: an empty marker stands like any other
        finally:
            os.close(handle)
        os.rename(scratch, os.path.join(home, "halts", f"{name}.json"))
    except OSError:
        return ""
    return name
