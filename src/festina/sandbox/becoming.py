"""Be what ``python ARGUMENTS`` would be, in a process that was not started as that. For ``zygote.py``, in the box.

Runs as the candidate, after the confinement is complete: nothing here is trusted any more, and nothing of the
zygote's is open. A candidate that bends this code bends its own process only.

What a program sees differs from a fresh interpreter in this: preloaded modules are in ``sys.modules`` already; address
layout and hash seed are the same in every trial; ``sys.flags`` are the zygote's; recursion is at its limit a few calls
earlier; at the end functions of ``atexit`` run, ``__main__`` is cleared and open files are flushed, but other modules
are not torn down. Where the program's folder holds a module with the name of a loaded one, a fresh interpreter is
started instead.
"""

from __future__ import annotations

import sys

_PLAIN = frozenset(sys.modules)  # what a fresh interpreter has loaded: such names are never a tree's own

import atexit  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import types  # noqa: E402
from importlib.machinery import BuiltinImporter, SourceFileLoader  # noqa: E402
from pkgutil import get_importer  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

__all__ = ["become", "reseed", "shadowed"]

_DUMPABLE = 4
_OWN = (__file__, os.path.join(os.path.dirname(__file__), "zygote.py"))
_WRITERS = (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)
_libc = ctypes.CDLL(None, use_errno=True)


def become(job: dict[str, Any]) -> NoReturn:
    """Be what ``python ARGUMENTS`` would be. Nothing of the zygote's is open or trusted here any more."""
    _libc.prctl(_DUMPABLE, 1, 0, 0, 0)
    try:
        os.chdir(job["cwd"])
    except OSError:
        os._exit(120)
    os.environ.update(job["env"])
    kind, words, isolated = job["kind"], job["words"], job["isolated"]
    sys.orig_argv[:] = job["argv"]
    if job["unbuffered"]:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]  # a real stream here
    place = _folder(job)
    if job["fresh"]:
        os.execve(sys.executable, job["argv"], dict(os.environ))
    code = 1
    try:
        if not isolated:
            sys.path.insert(0, place)
        _run(kind, words)
        code = 0
    except SystemExit as end:
        code = _status(end)
    except BaseException as error:  # noqa: BLE001  # the candidate's own: shown as the interpreter would
        _show(error)
    _finish(code)


def _run(kind: str, words: list[str]) -> None:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    space = main.__dict__
    space["__builtins__"] = sys.modules["builtins"]
    space["__annotations__"] = {}
    if kind == "-c":
        sys.argv[:] = ["-c", *words[1:]]
        space["__loader__"] = BuiltinImporter
        exec(compile(words[0], "<string>", "exec", dont_inherit=True), space)  # noqa: S102  # the candidate, confined
    elif kind == "-m":
        sys.argv[:] = ["-m", *words[1:]]
        runpy._run_module_as_main(words[0])  # type: ignore[attr-defined]
    elif get_importer(words[0]) is not None:  # a folder or archive with a __main__ in it
        sys.argv[:] = words
        sys.path[0] = words[0]
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
    else:
        sys.argv[:] = words
        path = os.path.abspath(words[0])
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            why = f"[Errno {error.errno}] {error.strerror}"
            sys.stderr.write(f"{sys.orig_argv[0]}: can't open file {path!r}: {why}\n")
            raise SystemExit(2) from None
        space |= {"__file__": path, "__cached__": None, "__loader__": SourceFileLoader("__main__", path)}
        exec(compile(source, path, "exec", dont_inherit=True), space)  # noqa: S102  # the candidate, confined


def _folder(job: dict[str, Any]) -> str:
    """Where an interpreter looks for modules first, seen from the job's working directory."""
    if job["kind"] == "script":
        return str(os.path.dirname(os.path.realpath(os.path.join(job["cwd"], job["words"][0]))))
    return str(job["cwd"]) if job["kind"] == "-m" else ""


def shadowed(job: dict[str, Any]) -> bool:
    """Whether the program's folder holds a module that a fresh interpreter would take before a loaded one."""
    if job["isolated"]:
        return False
    try:
        names = {name.partition(".")[0] for name in os.listdir(_folder(job) or job["cwd"])}
    except OSError:
        return False
    return any(name in sys.modules and name not in _PLAIN for name in names)


def reseed() -> None:
    """Before each copy: copies of one process would draw the same numbers; fresh processes do not.  # E-3"""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def _status(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1


def _show(error: BaseException) -> None:
    """Without the zygote's own frames on top."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OWN:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _finish(code: int) -> NoReturn:
    """What an interpreter does at its end and a result may depend on."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()  # waits for threads that are not daemons
        atexit._run_exitfuncs()
        _flush()
        sys.modules["__main__"].__dict__.clear()
        gc.collect()
        _flush()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001  # still the candidate's own
        _show(error)
        code = code or 120
    os._exit(code)


def _flush() -> None:
    for thing in gc.get_objects():  # the candidate's alone: what is older is frozen
        if isinstance(thing, _WRITERS) and not thing.closed:
            thing.flush()
