"""A model's answer, read leniently into changed files. Pure; the answer and the files are hostile input.  # T-5, P-6

Three forms are understood, whichever was asked for:

- *edits*: a path, then blocks of ``<<<<<<< SEARCH`` / ``=======`` / ``>>>>>>> REPLACE`` (``blocks``);
- *files*: a path, then the whole new file between fences (``blocks``);
- *knobs*: a JSON list of ``{"file", "name" or "line", "value"}``, bare or as ``settings`` beside the plan (``knobs``).

Near misses are mended where there is one reading, and every mend is counted by name. Where there are two readings the
answer is ``Unusable`` as ambiguous, and never a guess. ``Unusable.what`` is in the engine's words and can be said back
to the model; it quotes nothing but paths that the model was shown.

The plan (P-6) is read from lines ``PLAN:``, ``WEAKNESS:`` and ``PREDICTED:``; without them, from the words before the
change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from festina.propose.blocks import MOST_BLOCKS, NOWHERE, Edit, Whole, find_edits, find_files
from festina.propose.harvest import MAX_FILES, MAX_PREDICTED, MAX_TEXT, MAX_TOTAL_BYTES
from festina.propose.knobs import Setting, find_knobs, turn
from festina.propose.placing import Ambiguous, Missing, Repair, place
from festina.propose.text import visible

__all__ = ["Change", "Form", "Unusable", "Why", "read_answer"]

Form = Literal["edits", "files", "knobs"]
Why = Literal[
    "nothing", "unfinished", "missing", "ambiguous", "unknown file", "shortened", "no value", "unchanged", "too large"
]

MAX_ANSWER = 1 << 20  # characters
_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_PLAN = re.compile(
    r"^[ \t*#>-]*(PLAN|RATIONALE|WEAKNESS|PREDICTED)[* \t]*[:=][* \t]*(.*)$", re.IGNORECASE | re.MULTILINE
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# Here and in ``blocks`` and ``knobs``: no two repetitions side by side that match the same, and none across lines.
# Their time would go with the square or the cube of a hostile answer's length.  # T-5
_SHORTENED = re.compile(
    r"^[ \t]*(?:(?:#|//|/\*|--|<!--)[ \t]*)?(?:\.\.\.|…)[ \t]*"
    r"(?:\(?(?:rest|existing|remaining|unchanged|same|previous|other|the)\b.*|$)"
    r"|\b(?:rest of (?:the )?(?:code|file)|existing code)\b",
    re.IGNORECASE | re.MULTILINE,
)
SAID = ("plan", "weakness", "predicted")
WHOLE = 0.5  # of the old lines: shorter, and not asked for as a whole file, it is a piece and no file


@dataclass(frozen=True, slots=True)
class Change:
    """What an answer changes, and what it says about that."""

    files: Mapping[str, str]
    repairs: tuple[Repair, ...] = ()
    rationale: str = ""
    weakness: str = ""
    predicted: float | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    why: Why
    what: str


_ELSEWHERE = Unusable("unknown file", "a block names a path that cannot stand in the tree")
_TOO_MANY = Unusable("too large", f"the answer has more than {MOST_BLOCKS} blocks or settings")  # some would be a guess


@dataclass(slots=True)
class _Work:
    """The files as they are after the pieces read so far."""

    shown: Mapping[str, str]
    now: dict[str, str] = field(default_factory=dict)
    repairs: list[Repair] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)  # the plan, where it stands in the JSON

    def text(self, path: str) -> str | None:
        return self.now.get(path, self.shown.get(path))


def read_answer(answer: str, shown: Mapping[str, str], asked: Form, *, cut_short: bool = False) -> Change | Unusable:
    """``shown``: text of every file that may be changed, by path. ``cut_short``: the model ran out of tokens."""
    if len(answer) > MAX_ANSWER:
        return Unusable("too large", "the answer is too long")
    text = _THOUGHT.sub("", answer.replace("\r\n", "\n").replace("\r", "\n"))
    work = _Work({path: data.replace("\r\n", "\n") for path, data in shown.items()})
    wrong = _apply(text, work, asked, cut_short)
    if wrong is not None:
        return wrong
    changed = {path: data for path, data in work.now.items() if data != work.shown.get(path)}
    if not changed:
        return Unusable("unchanged", "the answer leaves every file as it is")
    if len(changed) > MAX_FILES or sum(map(len, changed.values())) > MAX_TOTAL_BYTES:
        return Unusable("too large", "the answer changes too many files, or too much")
    files = {path: _as_before(data, shown.get(path, "")) for path, data in changed.items()}
    rationale, weakness, predicted = _plan(text, work.said)
    return Change(files, tuple(work.repairs), rationale, weakness, predicted)


def _apply(text: str, work: _Work, asked: Form, cut_short: bool) -> Unusable | None:
    """The first form that the answer has decides; edits are unmistakable and come first."""
    edits = find_edits(text, work.shown)
    if len(edits) > MOST_BLOCKS:
        return _TOO_MANY
    if edits:
        return next((wrong for edit in edits if (wrong := _edit(edit, work, cut_short)) is not None), None)
    readers = [("knobs", _knobs), ("files", _files)] if asked == "knobs" else [("files", _files), ("knobs", _knobs)]
    first: Unusable | None = None
    for form, reader in readers:
        found = reader(text, work, asked, cut_short)
        if found is None:
            if form != asked:
                work.repairs.append("format")
            return None
        first = found if first is None or found.why != "nothing" else first
    return first


def _edit(edit: Edit, work: _Work, cut_short: bool) -> Unusable | None:
    if edit.unfinished and (cut_short or edit.new is None):
        return Unusable("unfinished", "the answer ends within a SEARCH/REPLACE block")
    if edit.path == NOWHERE:
        return _ELSEWHERE
    work.repairs += edit.repairs
    new = edit.new or ""
    if edit.path is None:
        holders = [path for path in work.shown if (have := work.text(path)) and edit.old and edit.old in have]
        if len(holders) != 1:
            return Unusable("ambiguous", "no path stands before a SEARCH block, and several files could be meant")
        path = holders[0]
        work.repairs.append("path")
    else:
        path = edit.path
    have = work.text(path)
    if have is None or not have.strip():
        if have is None and edit.old.strip():
            return Unusable("unknown file", "an edit names a file that was not shown")
        work.now[path] = new + "\n" if new else ""
        return None
    if not edit.old.strip():
        what = f"an edit of {visible(path, lines=False)} has an empty SEARCH, so it could go anywhere"
        return Unusable("ambiguous", what)
    found = place(have, edit.old, new)
    if isinstance(found, Missing):
        near = f"; the closest text begins at line {found.nearest}" if found.nearest else ""
        return Unusable("missing", f"a SEARCH text does not stand in {visible(path, lines=False)}{near}")
    if isinstance(found, Ambiguous):
        return Unusable("ambiguous", f"a SEARCH text fits {found.places} places of {visible(path, lines=False)}: "
                        "quote more lines")  # fmt: skip
    work.now[path] = found.text
    work.repairs += [found.repair] if found.repair else []
    return None


def _files(text: str, work: _Work, asked: Form, cut_short: bool) -> Unusable | None:
    blocks = find_files(text, work.shown)
    if len(blocks) > MOST_BLOCKS:
        return _TOO_MANY
    named = [block for block in blocks if block.path is not None]
    if not named and len(blocks) == 1 and len(work.shown) == 1:
        named = [Whole(next(iter(work.shown)), blocks[0].text, blocks[0].unfinished, ("path",))]
    if not named:
        if len(blocks) > 1:
            return Unusable("ambiguous", "several blocks of code, and no path says which files they are")
        return Unusable("nothing", "the answer holds no change in any of the forms that were described")
    if len({block.path for block in named}) < len(named):
        return Unusable("ambiguous", "one file is given twice")
    for block in named:
        assert block.path is not None
        if block.path == NOWHERE:
            return _ELSEWHERE
        if block.unfinished and cut_short:
            return Unusable("unfinished", "the answer ends within a file")
        old = work.shown.get(block.path)
        short = old is not None and len(block.text.split("\n")) < WHOLE * len(old.rstrip("\n").split("\n"))
        if _SHORTENED.search(block.text) and not (old and _SHORTENED.search(old)):
            return Unusable("shortened", "a file leaves out parts of what stays: give whole files, or edits")
        if asked != "files" and short:
            return Unusable("shortened", "a block is shorter than its file, and does not say which lines it replaces")
        work.now[block.path] = block.text
        work.repairs += block.repairs
    return None


def _knobs(text: str, work: _Work, asked: Form, cut_short: bool) -> Unusable | None:
    found = find_knobs(text)
    if not found.settings:
        return Unusable("nothing", "the answer holds no change in any of the forms that were described")
    if len(found.settings) > MOST_BLOCKS:
        return _TOO_MANY
    if found.mended:
        work.repairs.append("json")
    work.said = {key: str(found.said[key])[:MAX_TEXT] for key in SAID if key in found.said}
    for setting in found.settings:
        wrong = _setting(setting, work)
        if wrong is not None:
            return wrong
    return None


def _setting(setting: Setting, work: _Work) -> Unusable | None:
    path = setting.file
    if path is None or path not in work.shown:
        if path is None:
            names = [have for have in work.shown if turn(work.text(have) or "", setting)]
        else:
            names = [have for have in work.shown if have.rpartition("/")[2] == path.rpartition("/")[2]]
        if len(names) != 1:
            why: Why = "ambiguous" if len(names) > 1 or path is None else "unknown file"
            return Unusable(why, "a setting does not say which of the files it is in")
        path = names[0]
        work.repairs.append("path")
    found = turn(work.text(path) or "", setting)
    if found is None:
        return Unusable("missing", f"a setting does not stand in {visible(path, lines=False)}, or has no plain value")
    if isinstance(found, int):
        what = f"a setting stands in {found} places of {visible(path, lines=False)}: give its line"
        return Unusable("ambiguous", what)
    if isinstance(found, str):
        work.now[path] = found
        return None
    if found.text is None:
        return Unusable("no value", "a setting is given a value of another kind")
    work.now[path] = found.text
    work.repairs.append("value")
    return None


def _as_before(text: str, old: str) -> str:
    """Line ends as the file had them; a last line end where there was one."""
    if text and not text.endswith("\n") and (old.endswith("\n") or not old):
        text += "\n"
    return text.replace("\n", "\r\n") if "\r\n" in old and "\n" not in old.replace("\r\n", "") else text


def _plan(text: str, beside: Mapping[str, str]) -> tuple[str, str, float | None]:
    lines = reversed(list(_PLAN.finditer(text[:20_000])))
    said = {key.upper(): value for key, value in beside.items()} or {row[1].upper(): row[2].strip() for row in lines}
    rationale = said.get("PLAN") or said.get("RATIONALE") or _opening(text)
    number = _NUMBER.search(said.get("PREDICTED", ""))
    predicted = float(number[0]) if number else None
    if predicted is not None and not (math.isfinite(predicted) and abs(predicted) <= MAX_PREDICTED):
        predicted = None
    return visible(rationale, limit=MAX_TEXT), visible(said.get("WEAKNESS", ""), limit=MAX_TEXT), predicted


def _opening(text: str) -> str:
    return re.split(r"<{5,9}|```|^[ \t]*\[", text, maxsplit=1, flags=re.MULTILINE)[0].strip()[:1500]
