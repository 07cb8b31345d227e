"""What a model is told: the task, the files, its own history, and how to answer. Within a budget of bytes.  # P-4

Everything comes from the view: the tree that may be changed, the words that earlier proposals got, public scores and a
few public items. Files come whole where they fit, smallest first; of what does not fit a window is shown whose place
the seed draws, so that each proposal may see another part. ``Told.files`` is what an answer may refer to.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from festina.propose.answers import Form
from festina.propose.command import changed_lines, told
from festina.propose.knobs import schema, settings_in
from festina.propose.text import visible
from festina.propose.types import View
from festina.system.globs import matches_any

__all__ = ["Told", "tell"]

MAX_FILE = 256 << 10
MAX_FILES = 500
FILES_SHARE = 0.7  # of the budget
HISTORY_SHARE = 0.2
BEST_SHARE = 0.08
BEST_SHOWN = 5
WINDOW = 400  # lines at most of a file that does not fit
SMALL_WINDOW = 400  # bytes: less is not worth showing
PUBLIC_ROWS = 3
PUBLIC_BYTES = 1500

SYSTEM = (
    "You improve a software system, one small change at a time. Each change is tested on evidence that you cannot see. "
    "Answer with one change in exactly the format that is described, and nothing else."
)
_PLAN = """\
Begin with three lines:
PLAN: what you change and why, in one sentence; if earlier proposals failed, what you learn from that
WEAKNESS: what weakness of the system it addresses
PREDICTED: the gain you expect, as a number
"""
_FORMS: dict[Form, str] = {
    "edits": """\
Then, for each edit, the file's path on a line of its own and a block like this:
<<<<<<< SEARCH
lines of the file, exactly as they are
=======
the lines that replace them
>>>>>>> REPLACE
The SEARCH text must stand in the file exactly once. An empty SEARCH makes a new file.""",
    "files": """\
Then, for each file that you change, its path on a line of its own and the whole new file:
```
every line of the new file
```
Leave nothing out: what is not there is deleted.""",
    "knobs": """\
Answer with one JSON object and nothing else: "plan" (what you change and why, in one sentence; if earlier proposals
failed, what you learn from that), "weakness" (which weakness it addresses), "predicted" (the gain you expect, a number)
and "settings", a list of {"file", "name", "value"} with the new values. Add "line" where a name stands in several
places. An example of the form, drawn by lot and no advice:
""",
}


@dataclass(frozen=True, slots=True)
class Told:
    """``messages``: (role, text). ``files``: the text of every file that may be changed, shown or not."""

    system: str
    user: str
    files: Mapping[str, str]
    schema: Mapping[str, Any] | None = None  # of an answer in JSON


def tell(view: View, *, goal: str, task: str, form: Form, budget: int, public: str | None = None) -> Told:
    """The prompt for one proposal. ``budget``: bytes in all, about. ``public``: path of the public items."""
    coins = random.Random(view.seed)
    files = readable(view.tree, view.allow)
    rest = budget - len(SYSTEM) - len(_PLAN) - len(_FORMS[form])
    parts = [f"# Task\n{visible(task)}" if task else "# Task\nMake this system better with one change.",
             f"Better means: {visible(goal)}." if goal else ""]  # fmt: skip
    parts += _scores(view) + _items(view.tree, public, coins)
    shown, left_out = _files(files, int(FILES_SHARE * rest), coins)
    parts += ["# Files that you may change", *shown]
    if left_out:
        parts.append("Not shown: " + ", ".join(left_out[:40]))
    parts.append("# Your earlier proposals and what became of them, newest first")
    parts += _history(view, int(HISTORY_SHARE * rest))
    parts += _best(view, int(BEST_SHARE * rest))
    how = _FORMS[form] + _example(files, coins) if form == "knobs" else _PLAN + _FORMS[form]
    parts.append(
        f"# How to answer\nChange at most {view.max_changed_lines} lines. Do not repeat an earlier proposal.\n{how}"
    )
    held_to = schema(files) if form == "knobs" else None
    return Told(SYSTEM, "\n\n".join(part for part in parts if part), files, held_to)


def _example(files: Mapping[str, str], coins: random.Random) -> str:
    """A sound answer with a real setting: small models do best what they have just seen. Its direction is a coin."""
    known = [(path, name, value) for path in files for name, value in settings_in(files[path]).items()]
    row = ""
    if known:
        path, name, value = coins.choice(known)
        row = f'{{"file": {json.dumps(path)}, "name": "{name}", "value": {_other(value, coins)}}}'
    return f'{{"plan": "...", "weakness": "...", "predicted": 0.0, "settings": [{row}]}}'


def _other(value: str, coins: random.Random) -> str:
    """Another value of the same kind, as JSON."""
    if value[:1] in "\"'":
        return json.dumps(value[1:-1])
    if value.lower() in ("true", "false"):
        return "false" if value.lower() == "true" else "true"
    number = float(value.replace("_", "")) * coins.choice((0.5, 2.0))
    return f"{number:.3g}"


def readable(tree: Path, allow: Sequence[str]) -> dict[str, str]:
    """The text files within the scope, by path."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(tree):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder, name)
            below = path.relative_to(tree).as_posix()
            if len(found) >= MAX_FILES or not matches_any(allow, below) or path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size > MAX_FILE:
                continue
            try:
                found[below] = path.read_bytes().decode()
            except UnicodeDecodeError:
                continue
    return found


def _files(files: Mapping[str, str], room: int, coins: random.Random) -> tuple[list[str], list[str]]:
    """Blocks of text, and the paths for which there was no room."""
    shown: dict[str, str] = {}
    left_out: list[str] = []
    order = sorted(files, key=lambda path: (len(files[path]), path))
    for path in order:
        block = _block(path, files[path])
        size = len(block.encode())
        if size <= room:
            shown[path] = block
            room -= size
        elif room >= SMALL_WINDOW:
            shown[path] = _window(path, files[path], room, coins)
            room = 0
        else:
            left_out.append(path)
    return [shown[path] for path in sorted(shown)], sorted(left_out)


def _block(path: str, text: str, where: str = "") -> str:
    fence = "```" if "```" not in text else "~~~~"
    return f"{path}{where}\n{fence}\n{text.removesuffix(chr(10))}\n{fence}"


def _window(path: str, text: str, room: int, coins: random.Random) -> str:
    lines = text.split("\n")
    start = coins.randrange(len(lines))
    taken: list[str] = []
    size = len(path) + 60
    for line in lines[start : start + WINDOW]:
        size += len(line.encode()) + 1
        if size > room:
            break
        taken.append(line)
    return _block(path, "\n".join(taken), f" (lines {start + 1} to {start + len(taken)} of {len(lines)})")


def _history(view: View, room: int) -> list[str]:
    rows: list[str] = []
    for row in reversed(view.history):
        text = told(row)
        room -= len(text.encode())
        if room < 0:
            break
        rows.append(text)
    return rows or ["None yet."]


def _best(view: View, room: int) -> list[str]:
    """What did well on public evidence elsewhere in the archive, best first: to be combined with the tree shown."""
    found = [row for row in view.tried if row.lead is not None and row.lead > 0.0 and not row.shown and row.patch]
    rows: list[str] = []
    for row in sorted(found, key=lambda row: (-(row.lead or 0.0), row.node))[:BEST_SHOWN]:
        origin = f"tree {row.node}, made of tree {row.parent}: {row.lead:+.4g} in public over the version in use"
        text = "\n".join([f"- {origin}", *changed_lines(row.patch)])
        room -= len(text.encode())
        if room < 0:
            break
        rows.append(text)
    return ["# The best of your other tries, which the files above do not hold", *rows] if rows else []


def _scores(view: View) -> list[str]:
    if not view.public_scores:
        return []
    rows = [f"- {visible(name, lines=False)}: {value:.6g}" for name, value in sorted(view.public_scores.items())]
    return ["\n".join(["# Public scores of the current state", *rows])]


def _items(tree: Path, public: str | None, coins: random.Random) -> list[str]:
    """A few public items, as they stand in the tree."""
    path = tree / public if public is not None else None
    if path is None or not path.is_file() or path.is_symlink():
        return []
    rows = [line for line in path.read_text(errors="replace").split("\n") if line.strip()]
    picked = coins.sample(rows, min(PUBLIC_ROWS, len(rows)))
    short = [visible(row, lines=False, limit=PUBLIC_BYTES // PUBLIC_ROWS) for row in picked]
    return ["\n".join(["# Some public items", *short])] if short else []
