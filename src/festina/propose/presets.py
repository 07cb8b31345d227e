"""Coding agents that people use, as data: ``presets.toml`` says how each is started, this module finds and shows it.

A program outside of what every box shows (``/usr`` and the running Python) is shown with the folder that it was
installed in, read-only, and nothing else of the home that it may lie in.

Not covered: installing an agent, signing in (a box has no way to a maker's own login), and what its next version does.
"""

from __future__ import annotations

import functools
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from festina.errors import UsageError
from festina.sandbox.job import GATEWAY, Bind

__all__ = ["Preset", "Ready", "presets", "ready"]

_SHOWN = ("/usr", "/bin", "/sbin", "/lib", "/lib64")


@dataclass(frozen=True, slots=True)
class Preset:
    """``run`` and ``env`` with their placeholders. ``speaks``: the API below the endpoint that it needs."""

    name: str
    program: str
    run: tuple[str, ...]
    env: Mapping[str, str]
    speaks: str
    source: str


@dataclass(frozen=True, slots=True)
class Ready:
    """What ``CommandImprover`` is made with."""

    run: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()


@functools.cache
def presets() -> Mapping[str, Preset]:
    """By name."""
    data = tomllib.loads(files(__package__).joinpath("presets.toml").read_text(encoding="utf-8"))
    return {
        name: Preset(name, row["program"], tuple(row["run"]), row["env"], row["speaks"], row["source"])
        for name, row in data.items()
    }


def ready(
    name: str, model: str, run: tuple[str, ...] | None = None, find: Callable[[str], str | None] = shutil.which
) -> Ready:
    """The agent as it is installed here; ``run`` instead of its own command. UsageError: it is not on PATH."""
    preset = presets()[name]
    found = find(preset.program)
    if found is None:
        raise UsageError(
            "agent-not-found", f"there is no program {preset.program!r} on PATH",
            fix=f"install it as its maker says, or use another: {', '.join(presets())} (`festina doctor` finds them)",
            where="festina.toml: improver.preset",
        )  # fmt: skip
    words = {"{model}": model, "{base}": f"http://{GATEWAY[0]}:{GATEWAY[1]}"}
    at = Path(found).resolve()  # a link of a package manager's: programs look for their own files beside the real one
    node = find("node")
    others = [Path(node).resolve()] if node is not None else []
    argv = tuple(filled(word, words) for word in run or preset.run)
    if argv[0] == preset.program:
        argv = (str(at), *argv[1:])
    env = {key: filled(value, words) for key, value in preset.env.items()}
    folders = [*(str(each.parent) for each in (at, *others)), f"{sys.prefix}/bin", f"{sys.base_prefix}/bin"]
    env["PATH"] = ":".join(dict.fromkeys([*folders, "/usr/local/bin", "/usr/bin", "/bin"]))
    return Ready(argv, env, _binds([at, *others]))


def filled(word: str, words: Mapping[str, str]) -> str:
    for key, value in words.items():
        word = word.replace(key, value)
    return word


def _binds(programs: list[Path]) -> tuple[Bind, ...]:
    """What has to be shown for these to start, as far as no box shows it anyway. Widest folders only."""
    wanted: list[Path] = []
    for program in programs:
        wanted += [path for path in _installed_in(program) if not any(path.is_relative_to(top) for top in _SHOWN)]
    wanted = list(dict.fromkeys(wanted))
    inside = [path for path in wanted if any(path != up and path.is_relative_to(up) for up in wanted)]
    return tuple(Bind(path, str(path)) for path in wanted if path not in inside)


def _installed_in(program: Path) -> list[Path]:
    """All of ``node_modules`` for a package of it; a Python environment with the Python below it; else the program's
    own folder, or the file alone where that folder is a ``bin`` with other programs in it, or holds the user's home."""
    for up in program.parents:
        if up.name == "node_modules":
            return [up]
    environment = program.parent.parent
    if Path.home().resolve().is_relative_to(program.parent):
        return [program]  # E-6
    if (environment / "pyvenv.cfg").exists():
        return [environment, (environment / "bin" / "python").resolve().parent.parent]
    return [program if program.parent.name == "bin" else program.parent]
