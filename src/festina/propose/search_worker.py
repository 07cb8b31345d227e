"""The built-in search's own process: one request on stdin, one answer on stdout.

Limits are set before the first hostile byte is read, and each Python file is parsed in a child process.
Nothing from the tree is imported or executed: candidates are checked with ``compile``, which does not run
them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from festina.propose.past import Past, read_past
from festina.propose.python_source import Found, read_python
from festina.propose.source import Edit, Knob, config_knobs, measures, parse_config
from festina.propose.strategy import Candidate, Space, near, suggest
from festina.propose.text import visible
from festina.system.globs import matches_any

__all__ = ["main", "space_of"]

MAX_FILE_BYTES = 128 << 10
MAX_FILES = 60
FILE_CPU_S = 2  # measured: 128 KiB of ordinary Python take 1.4 s
MAX_DEPTH = 60  # brackets within brackets; libcst's parser was measured to die between 150 and 2,000
_LEFT_ALONE = ("conftest.py", "sitecustomize.py", "usercustomize.py", "setup.py", "festina.toml", "pyproject.toml",
               "package.json", "package-lock.json")  # fmt: skip
_SUFFIXES = (".py", ".json", ".toml")


def space_of(tree: Path, allow: Sequence[str], avoid: frozenset[str] = frozenset()) -> Space:
    """Everything below ``tree`` that the search may change, in a fixed order."""
    files = {path: data for path, data in _readable(tree, allow) if path not in avoid}
    knobs: list[Knob] = []
    edits: list[Edit] = []
    for path, data in files.items():
        if path.endswith(".py"):
            found = _apart(path, data)
            knobs += found.knobs
            edits += found.edits
        else:
            knobs += config_knobs(path, data)
    return Space(files, knobs, edits)


def _apart(path: str, data: bytes) -> Found:
    """``read_python`` in a child of its own: a file that crashes it or takes too long is passed over, no other."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(quiet, number)
            resource.setrlimit(resource.RLIMIT_CPU, (FILE_CPU_S, FILE_CPU_S))
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(_packed(read_python(path, data)))
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        packed = pipe.read()
    os.waitpid(child, 0)
    try:
        return _unpacked(packed)
    except ValueError:
        return Found()


def _packed(found: Found) -> bytes:
    knobs = [[k.path, k.start, k.end, k.name, k.value, k.weight, k.key, k.choices] for k in found.knobs]
    edits = [[e.path, [[at, end, new.decode()] for at, end, new in e.spans], e.what] for e in found.edits]
    return json.dumps([knobs, edits]).encode()


def _unpacked(packed: bytes) -> Found:
    knobs, edits = json.loads(packed)
    return Found(
        [
            Knob(path, start, end, name, value, weight, (key[0], key[1], key[2]), tuple(choices))
            for path, start, end, name, value, weight, key, choices in knobs
        ],
        [Edit(path, tuple((at, end, new.encode()) for at, end, new in spans), what) for path, spans, what in edits],
    )


def _readable(tree: Path, allow: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    names: list[str] = []
    for folder, folders, found in os.walk(tree):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not measures(name))
        below = Path(folder).relative_to(tree)
        names += [(below / name).as_posix() for name in found]
    taken = 0
    for path in sorted(names):
        name = path.rpartition("/")[2]
        if not path.endswith(_SUFFIXES) or name in _LEFT_ALONE or measures(name.rpartition(".")[0]):
            continue
        full = tree / path
        if not matches_any(allow, path) or full.is_symlink() or not full.is_file():
            continue
        if full.stat().st_size > MAX_FILE_BYTES or taken >= MAX_FILES:
            continue
        data = full.read_bytes()
        if b"\0" not in data and _depth(data) <= MAX_DEPTH:
            taken += 1
            yield path, data


def _depth(data: bytes) -> int:
    """How deeply brackets nest, strings and comments counted too (that only overstates it)."""
    depth = most = 0
    for byte in data:
        if byte in b"([{":
            depth += 1
            most = max(most, depth)
        elif byte in b")]}":
            depth = max(0, depth - 1)
    return most


def _valid(path: str, data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
        if path.endswith(".py"):
            compile(text, path, "exec", dont_inherit=True)
        else:
            parse_config(path, data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _avoid(past: Past) -> frozenset[str]:
    """Files whose change was refused: asking again is in vain."""
    return frozenset(row.paths[0] for row in past.rows if row.word == "refused" and len(row.paths) == 1)


def _words(found: Candidate) -> tuple[str, str]:
    where = ", ".join(sorted(found.files))
    names = {
        "wide": "a wide jump over several settings",
        "step": "a step of one setting",
        "follow": "on in the direction of an accepted change",
        "edit": "a structural edit",
    }
    rationale = f"In {where}: {'; '.join(found.what)} ({names[found.kind]})."
    edit = found.kind == "edit"
    weakness = "This code may not be in its best form." if edit else "These settings may be far from their best values."
    return visible(rationale, lines=False, limit=2000), weakness


def _texts(found: Candidate) -> dict[str, str]:
    return {path: data.decode("utf-8") for path, data in found.files.items()}


def answer(request: dict[str, object]) -> dict[str, object]:
    """The answer to one request."""
    tree, allow, history = Path(str(request["tree"])), request["allow"], request["history"]
    seed, lines = request["seed"], request["max_changed_lines"]
    if not (isinstance(allow, list) and isinstance(history, list) and isinstance(seed, int) and isinstance(lines, int)):
        raise TypeError("malformed request")
    count = request.get("near")
    if isinstance(count, int):
        made = near(space_of(tree, allow), count=count, seed=seed, max_changed_lines=lines, valid=_valid)
        return {"near": [[_texts(each), "; ".join(each.what)] for each in made]}
    rows = [
        (str(word), str(reason), str(patch), None if gain is None else float(gain))
        for word, reason, patch, gain in history
    ]
    whole = dict(_readable(tree, allow))
    past = read_past(rows, whole)
    space = space_of(tree, allow, _avoid(past))
    past = read_past(rows, dict(space.files)) if len(space.files) != len(whole) else past
    found = suggest(space, past, seed=seed, max_changed_lines=lines, valid=_valid)
    if found is None:
        return {"none": "the search knows nothing new to try within the scope"}
    rationale, weakness = _words(found)
    return {"files": _texts(found), "rationale": rationale, "weakness": weakness, "kind": found.kind}


def main() -> None:
    """Entry point: argv holds the limits, CPU seconds and bytes of memory."""
    cpu_s, memory = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # a candidate's SyntaxWarning is not ours to show
    result = answer(json.load(sys.stdin.buffer))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum((each.ru_utime + each.ru_stime for each in used), 0.0)
    sys.stdout.write(json.dumps({**result, "cpu_s": round(total, 4)}))


if __name__ == "__main__":
    main()
