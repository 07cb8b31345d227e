"""A model as an improver: it is told what the view shows, and its answer is read as a change.  # P-4, P-5, P-6

Which model, at which temperature and with which seed follows from the proposal's seed. An answer that cannot be used is
said back to it, in the engine's words, as often as ``tries`` allows; so are failed calls passed on to another of the
models. A change of a file that is there and outside the scope is handed in as it is, so that the attempt is refused and
recorded. No code of anybody runs: the model's words are parsed, and nothing else.

The time that an answer takes is the model's and tells nothing of hidden evidence: the prompt holds none.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from festina.propose.answers import Change, Form, Unusable, read_answer
from festina.propose.blocks import find_edits
from festina.propose.book import name_of
from festina.propose.chat import ChatModel, Completion, Failed, Request
from festina.propose.harvest import MAX_FILE_BYTES
from festina.propose.prompt import tell
from festina.propose.text import visible
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.system.globs import matches_any

__all__ = ["ModelImprover", "Settings", "Voice"]

SAID_BACK = 3000  # characters of an unusable answer
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Voice:
    """One of the models that may be asked."""

    name: str
    weight: float = 1.0
    temperature: tuple[float, ...] = (0.7,)


@dataclass(frozen=True, slots=True)
class Settings:
    """``prompt``: bytes that a prompt may have, about. ``public``: path of the public items in the tree."""

    voices: tuple[Voice, ...]
    goal: str = ""
    task: str = ""
    form: Form = "edits"
    prompt: int = 48 << 10
    tries: int = 3
    max_output: int = 4096
    public: str | None = None


@dataclass(slots=True)
class _Talk:
    messages: list[tuple[Role, str]]
    failed: str = "no answer came in time"
    asked: int = 0
    silent: set[str] = field(default_factory=set)  # models whose calls failed


class ModelImprover:
    """``author`` is the model's name; of several, each proposal names the one that made it."""

    def __init__(self, chat: ChatModel, settings: Settings) -> None:
        self._chat = chat
        self._settings = settings
        voices = settings.voices
        self.author = f"model:{name_of(voices[0].name)}" if len(voices) == 1 else "model"

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        began = time.monotonic()
        s = self._settings
        coins = random.Random(view.seed)
        told = tell(view, goal=s.goal, task=s.task, form=s.form, budget=s.prompt, public=s.public)
        talk = _Talk([("system", told.system), ("user", told.user)])
        while talk.asked < s.tries and (left := budget.wall_s - (time.monotonic() - began)) > 0.05:
            voice = self._voice(coins, talk.silent)
            if voice is None:
                break
            talk.asked += 1
            request = Request(
                voice.name, tuple(talk.messages), coins.choice(voice.temperature), coins.randrange(1 << 31),
                s.max_output, left, view.proposal, told.schema,
            )  # fmt: skip
            found = self._chat.complete(request)
            if isinstance(found, Failed):
                if found.spent or found.ended == "cut":
                    return NoProposal(self.author, found.what, wall_s=time.monotonic() - began, spent=found.spent)
                talk.silent.add(voice.name)
                talk.failed = found.what
                continue
            change = _read(found, told.files, s.form, view)
            last = talk.asked == s.tries
            wrong = change if isinstance(change, Unusable) else _outside(change, view, last=last)
            if wrong is None:
                assert isinstance(change, Change)
                return _proposal(change, voice, time.monotonic() - began)
            talk.failed = f"the model's answer cannot be used: {wrong.why}"
            talk.messages = [*talk.messages[:2], *_complaint(found.text, wrong.what)]
        return NoProposal(self.author, talk.failed, wall_s=time.monotonic() - began)

    def _voice(self, coins: random.Random, silent: set[str]) -> Voice | None:
        """Drawn by weight among those that answer."""
        left = [voice for voice in self._settings.voices if voice.name not in silent]
        return coins.choices(left, [voice.weight for voice in left])[0] if left else None


def _read(said: Completion, shown: Mapping[str, str], form: Form, view: View) -> Change | Unusable:
    """An edit that quotes a file outside the scope is read, too: an attempt, however it is written.  # T-4"""
    change = read_answer(said.text, shown, form, cut_short=said.cut_short)
    if isinstance(change, Change) or change.why != "unknown file":
        return change
    named = {edit.path for edit in find_edits(said.text, shown) if edit.path and not matches_any(view.allow, edit.path)}
    more = {path: text for path in named if (text := _quotable(view.tree, path)) is not None}
    again = read_answer(said.text, {**shown, **more}, form, cut_short=said.cut_short) if more else change
    return again if isinstance(again, Change) else change


def _quotable(tree: Path, path: str) -> str | None:
    """The text of a file that was not shown; None: there is none, or it lies behind a link."""
    file = tree / path
    try:
        if file.resolve() != tree.resolve() / path or not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
            return None
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _outside(change: Change, view: View, *, last: bool) -> Unusable | None:
    """A path outside the scope that is not there is a slip, to be said back once; one that is there is an attempt."""
    outside = [path for path in change.files if not matches_any(view.allow, path)]
    if not outside or last or any(Path(view.tree, path).exists() for path in outside):
        return None
    return Unusable("unknown file", "the answer changes a file that may not be changed")


def _complaint(answer: str, what: str) -> Sequence[tuple[Role, str]]:
    said = visible(answer[:SAID_BACK]) or "(nothing)"
    return (
        ("assistant", said),
        ("user", f"That answer cannot be used: {what}. Answer again, with one change, in the format described above."),
    )


def _proposal(change: Change, voice: Voice, wall_s: float) -> Proposal:
    return Proposal(
        f"model:{name_of(voice.name)}",
        files={path: data.encode("utf-8", "replace") for path, data in change.files.items()},
        rationale=change.rationale, weakness=change.weakness, predicted=change.predicted, wall_s=wall_s,
        repairs=len(change.repairs),
    )  # fmt: skip
