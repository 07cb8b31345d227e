"""What an untrusted proposing run left behind, read strictly into a ``Proposal``.  # T-3, T-5, T-6

The bytes were taken after every process of the run was dead. Order of the checks: how the run ended,
caps, names, then exactly one of ``proposal.patch`` and ``files/…`` (with ``delete.json``), then the
plan in ``proposal.json``. Whatever is wrong gives ``NoProposal`` with a reason in the engine's own words:
no character that the run wrote ever stands in a reason, for reasons go into ledger entries.

The plan (P-6) is an object with ``rationale`` and ``weakness`` (text), ``predicted`` (a finite number), ``target``
("gain" or "productivity": S-6) and
``exhausted`` (true: asking again would give nothing new; only without a change). Other keys are ignored, a
claimed author above all: who proposed is for the engine to attest.  # P-5

Not covered: whether a path may be changed at all, which the screen judges by the resulting tree.  # P-1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from festina.errors import Fault, IntegrityError
from festina.ledger.canonical import parse_strict
from festina.propose.text import visible
from festina.propose.types import NoProposal, Proposal, Target
from festina.sandbox.job import Ended, Outcome
from festina.system.characters import path_problem

__all__ = ["Plan", "Unreadable", "check_ended", "harvest", "parse_plan", "strict_json", "tree_path"]

MAX_PATCH_BYTES = 1 << 20
NOT_FOUND = 127  # what a shell, and a box, ends with where there is no such program
MAX_FILES = 200
MAX_FILE_BYTES = 1 << 20
MAX_TOTAL_BYTES = 4 << 20
MAX_JSON_BYTES = 64 << 10
MAX_JSON_DEPTH = 16
MAX_TEXT = 4000  # characters of rationale and of weakness
MAX_PREDICTED = 1e9
PATCH, PLAN, DELETE, FILES = "proposal.patch", "proposal.json", "delete.json", "files/"


class Unreadable(ValueError):
    """Something that a proposer left cannot be accepted. ``args[0]`` is in the engine's words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a proposal says about itself.  # P-6"""

    rationale: str = ""
    weakness: str = ""
    predicted: float | None = None
    exhausted: bool = False
    target: Target = "gain"  # S-6


def strict_json(data: bytes) -> object:
    """Hostile JSON with caps on size and depth; the error says what is wrong without quoting it."""
    try:
        return parse_strict(data, max_bytes=MAX_JSON_BYTES, max_depth=MAX_JSON_DEPTH)
    except IntegrityError as error:
        raise Unreadable("is not acceptable JSON (size, depth, syntax, NaN, doubled keys)") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unreadable("has a text field that is not text")
    return visible(value, limit=MAX_TEXT)


def parse_plan(data: bytes | None) -> Plan:
    """The plan in ``proposal.json``; an absent file is an empty plan."""
    if data is None:
        return Plan()
    value = strict_json(data)
    if not isinstance(value, dict):
        raise Unreadable("is not a JSON object")
    predicted = value.get("predicted")
    if predicted is not None:
        if isinstance(predicted, bool) or not isinstance(predicted, int | float):
            raise Unreadable("predicts something that is not a number")
        if not abs(predicted) <= MAX_PREDICTED:  # false for NaN too
            raise Unreadable("predicts a number that is not finite or too large")
        predicted = float(predicted)
    exhausted = value.get("exhausted", False)
    if not isinstance(exhausted, bool):
        raise Unreadable("has an 'exhausted' that is neither true nor false")
    target = value.get("target", "gain")
    if target not in ("gain", "productivity"):
        raise Unreadable("names a target that is neither 'gain' nor 'productivity'")
    rationale, weakness = _text(value.get("rationale", "")), _text(value.get("weakness", ""))
    return Plan(rationale, weakness, predicted, exhausted, target)


def tree_path(name: str) -> str:
    """``name`` if it can be the path of a file in the tree; else ``Unreadable`` with the class of the problem."""
    found = path_problem(name)
    if found is not None:
        raise Unreadable(f"a path is not acceptable ({found[0]})")
    return name


def _deleted(data: bytes | None) -> list[str]:
    if data is None:
        return []
    value = strict_json(data)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unreadable("is not a JSON list of paths")
    names = [tree_path(item) for item in value if isinstance(item, str)]
    if len(set(names)) != len(names):
        raise Unreadable("names a path twice")
    return names


def _files(outputs: Mapping[str, bytes]) -> dict[str, bytes | None]:
    files: dict[str, bytes | None] = {}
    total = 0
    for name in sorted(outputs):
        if not name.startswith(FILES):
            continue
        data = outputs[name]
        total += len(data)
        if len(data) > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES or len(files) >= MAX_FILES:
            raise Unreadable("the changed files are too many or too large")
        files[tree_path(name.removeprefix(FILES))] = data
    try:
        deleted = _deleted(outputs.get(DELETE))
    except Unreadable as error:
        raise Unreadable(f"{DELETE}: {error}") from error
    for name in deleted:
        if name in files:
            raise Unreadable("a path is both changed and deleted")
        files[name] = None
    if len(files) > MAX_FILES:
        raise Unreadable("the changed files are too many or too large")
    return files


def _plan(outputs: Mapping[str, bytes]) -> Plan:
    try:
        return parse_plan(outputs.get(PLAN))
    except Unreadable as error:
        raise Unreadable(f"{PLAN} {error}") from error


def check_ended(outcome: Outcome, author: str) -> NoProposal | None:
    """``None`` for a run that ended well; a sandbox's own failure is a ``Fault``.  # T-6"""
    if outcome.ended is Ended.OK:
        return None
    if outcome.ended is Ended.SANDBOX_ERROR:
        raise Fault("sandbox-error", "the sandbox failed while the improver ran", fix="run `festina doctor`")
    if outcome.ended is Ended.NONZERO:
        unfound = ": a program that it starts is not in the box" if outcome.exit_code == NOT_FOUND else ""
        reason = f"the improver ended with exit status {outcome.exit_code}{unfound}"
    elif outcome.ended is Ended.SIGNAL:
        reason = f"the improver died by signal {outcome.signal}"
    else:
        reason = f"the improver was stopped: {outcome.ended.value}"
    return NoProposal(author, reason, wall_s=outcome.wall_s, cpu_s=outcome.cpu_s)


def harvest(outcome: Outcome, author: str) -> Proposal | NoProposal:
    """The one proposal in ``outcome``, or why there is none. Raises only for the sandbox's own failure."""
    wall, cpu = outcome.wall_s, outcome.cpu_s
    failed = check_ended(outcome, author)
    if failed is not None:
        return failed
    outputs = outcome.outputs
    try:
        patch = outputs.get(PATCH)
        if patch is not None and len(patch) > MAX_PATCH_BYTES:
            raise Unreadable(f"{PATCH} is too large")
        files = _files(outputs)
        if patch is not None and (files or DELETE in outputs):
            raise Unreadable(f"both {PATCH} and changed files were left; exactly one is read")
        plan = _plan(outputs)
    except Unreadable as error:
        return NoProposal(author, f"refused: {error}", wall_s=wall, cpu_s=cpu)
    if not (patch and patch.strip()) and not files:
        none = f"the improver ended well and handed in no change: no {PATCH}, no files/"
        reason = "the improver says that it has nothing more" if plan.exhausted else none
        return NoProposal(author, reason, exhausted=plan.exhausted, wall_s=wall, cpu_s=cpu)
    return Proposal(
        author, patch or None, files or None, plan.rationale, plan.weakness, plan.predicted, wall_s=wall, cpu_s=cpu,
        target=plan.target,
    )  # fmt: skip
