"""What is drilled: the three forms of TARGET, and which folder is copied.

``"python evaluate.py {candidate}"`` a command, ``evaluator.py:evaluate`` a function that takes the candidate's path,
``inspect:task.py@name`` an Inspect task. Pure but for looking at which files exist.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from festina.errors import UsageError

Form = Literal["command", "function", "inspect"]
_FUNCTION = re.compile(r"(?P<file>[^\s{}]+\.py):(?P<function>[A-Za-z_]\w*)")
_INSPECT = re.compile(r"inspect:(?P<file>[^\s{}]+\.py)(?:@(?P<task>[A-Za-z_]\w*))?")
_SHELL = re.compile(r"[;&|<>$`*?]")
_SETTING = re.compile(r"\s*[A-Za-z_]\w*=")
SMALL_FILES, SMALL_BYTES = 5_000, 300 << 20


@dataclass(frozen=True)
class Target:
    """A parsed TARGET. ``file`` is relative to ``root``; ``cwd`` too."""

    form: Form
    text: str
    root: Path  # the folder that is copied
    cwd: str  # inside root, where evaluations start
    argv: tuple[str, ...] = ()  # command: words with {candidate}, paths below root made relative to root
    shell: bool = False
    file: str = ""  # function, inspect
    name: str = ""  # the function or the task


def parse(text: str, where: Path, root: Path | None = None, *, fixed: bool = False) -> Target:
    """Raises ``UsageError`` when TARGET is none of the three forms or its file is not there. ``fixed``: a command may
    go without ``{candidate}``, for it finds its candidate by itself."""
    if found := _INSPECT.fullmatch(text):
        file = _file(found["file"], where)
        top = _root(where, [file], root)
        return Target("inspect", text, top, _cwd(where, top, file), file=_below(file, top), name=found["task"] or "")
    if found := _FUNCTION.fullmatch(text):
        file = _file(found["file"], where)
        top = _root(where, [file], root)
        return Target("function", text, top, _cwd(where, top, file), file=_below(file, top), name=found["function"])
    if "{candidate}" in text or (fixed and _starts(text, where)):
        return _command(text, where, root)
    if (place := where / text).exists():
        raise _bare(text, place)
    raise UsageError(
        "drill-target",
        f"'{text}' is not an evaluator that can be drilled",
        fix='give a command with {candidate} in it ("python evaluate.py {candidate}"), evaluator.py:function, or '
        "inspect:task.py@name; for a command that reads its candidate from a fixed place, name that: --candidate-path",
    )


def _bare(text: str, place: Path) -> UsageError:
    """A folder, or a file without its function: say what in it looks like an evaluator."""
    files = sorted(place.glob("*.py")) if place.is_dir() else [place]
    found = [f"{file.name if place.is_dir() else text}:{name}" for file in files for name in _judging(file)]
    where = f"cd {shlex.quote(text)} && " if place.is_dir() and text != "." else ""
    kind = "a folder" if place.is_dir() else "a file"
    likely = f"{where}festina drill {shlex.quote(found[0])} --honest FILE" if found else ""
    more = f" (or {', '.join(found[1:4])})" if len(found) > 1 else ""
    return UsageError(
        "drill-target", f"{text} is {kind}, and a drill needs the call that gives a candidate its score",
        fix=f"{likely}{more}; or the command with {{candidate}} in place of the candidate's path" if likely else
        f'name the command: festina drill "python {text if place.is_file() else "evaluate.py"} {{candidate}}" --honest '
        "FILE; or the function, FILE.py:function",
    )  # fmt: skip


def _judging(file: Path) -> list[str]:
    """Functions of one argument whose names say that they judge, the likeliest first."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    fitting = [node.name for node in functions if len(node.args.args) - len(node.args.defaults) == 1]
    return [name for word in ("evaluate", "eval", "score", "judge", "grade") for name in fitting if name == word] + [
        name for name in fitting if name.startswith(("evaluate_", "eval_", "score_", "judge_", "grade_"))
    ]


def _starts(text: str, where: Path) -> bool:
    """Does the text begin with a program, or a setting before one?"""
    first = text.split()[0] if text.split() else ""
    program = (where / first).is_file() and os.access(where / first, os.X_OK)
    return bool(_SETTING.match(text)) or shutil.which(first) is not None or program


def _command(text: str, where: Path, root: Path | None) -> Target:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError("drill-target", f"the command cannot be split into words: {error}") from error
    shell = any(_SHELL.search(word.replace("{candidate}", "")) for word in words) or bool(_SETTING.match(text))
    files = []
    for word in words:
        path = where / word.rpartition("=")[2]
        if "{candidate}" not in word and path.is_file() and _own(path):
            files.append(path.resolve())
    top = _root(where, files, root)
    cwd = _cwd(where, top, files[0] if files else where / "x")
    argv = tuple(_moved(word, where, top) for word in words)
    return Target("command", text, top, cwd, argv=argv, shell=shell)


def _own(path: Path) -> bool:
    """A script of the user's rather than a program of the system or of an environment."""
    resolved = path.resolve()
    if resolved.suffix in (".py", ".sh", ".js", ".ts", ".rb", ".pl", ".lua", ".jl", ".r", ".json", ".toml", ".yaml"):
        return True
    return not any(part in {"bin", "sbin", "lib"} for part in resolved.parts)


def _moved(word: str, where: Path, top: Path) -> str:
    """``word`` with an absolute path below ``top`` written as ``{root}/...``."""
    prefix, sep, path = word.rpartition("=")
    if path.startswith("/") and Path(path).resolve().is_relative_to(top) and "{candidate}" not in path:
        if _own(Path(path)):
            return f"{prefix}{sep}{{root}}/{Path(path).resolve().relative_to(top).as_posix()}"
        return word
    if "/" in path and "{candidate}" not in path and not where.is_relative_to(top):
        full = (where / path).resolve()
        if full.exists() and full.is_relative_to(top):
            return f"{prefix}{sep}{{root}}/{full.relative_to(top).as_posix()}"
    return word


def _file(name: str, where: Path) -> Path:
    path = (where / name).resolve()
    if not path.is_file():
        raise UsageError("drill-no-evaluator", f"there is no file {name}", fix="give the evaluator's path")
    return path


def _below(file: Path, top: Path) -> str:
    return file.relative_to(top).as_posix()


def _root(where: Path, files: list[Path], root: Path | None) -> Path:
    """The folder to copy: what was given, else the current one where it is small and holds the evaluator."""
    if root is not None:
        top = root.resolve()
        if any(not file.is_relative_to(top) for file in files):
            raise UsageError("drill-root", f"the evaluator does not lie below {root}")
        return top
    here = where.resolve()
    broad = {Path("/"), Path.home().resolve(), Path("/tmp"), Path("/root"), Path("/home")}
    if all(file.is_relative_to(here) for file in files) and here not in broad and _small(here):
        return here
    if not files:
        raise UsageError("drill-root", "cannot tell which folder the evaluator lies in", fix="say so: --root FOLDER")
    folder = files[0].parent
    while not all(file.is_relative_to(folder) for file in files):
        folder = folder.parent
    if folder in broad or not _small(folder):
        raise UsageError(
            "drill-root", f"the evaluator's folder {folder} is too large to copy for every attack",
            fix="put the evaluator and its data in a folder of its own, or say which: --root FOLDER",
        )  # fmt: skip
    return folder


def _cwd(where: Path, top: Path, file: Path) -> str:
    here = where.resolve()
    if here.is_relative_to(top):
        return here.relative_to(top).as_posix()
    return file.parent.relative_to(top).as_posix() if file.is_relative_to(top) else "."


SKIP = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".tox"})


def _small(folder: Path) -> bool:
    files = size = 0
    for here, names, leaves in os.walk(folder):
        names[:] = [name for name in names if name not in SKIP]
        for leaf in leaves:
            files += 1
            try:
                size += os.lstat(os.path.join(here, leaf)).st_size
            except OSError:
                continue
        if files > SMALL_FILES or size > SMALL_BYTES:
            return False
    return True
