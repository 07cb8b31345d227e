"""What a reviewer is shown: diffs without claims first, later what was measured, the proposer's words last.  # R-2"""

from __future__ import annotations

from dataclasses import dataclass

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.loop import admitting, attributed, internals_words
from festina.loop.requesting import Here
from festina.loop.rows import Generation, Review
from festina.loop.state import State
from festina.propose.text import visible
from festina.review.pages import FileRow, Section
from festina.review.questions import bare, path_of, read_diff
from festina.system.globs import matches_any
from festina.system.manifest import Manifest, parse_manifest

PLAN_BYTES = 64 << 10
_SECTION = "diff --git "
UNSIGNED = " (NOT signed: anybody may have written that name, so two people must decide)"


@dataclass(frozen=True, slots=True)
class Diffs:
    """Both diffs, files that deserve a second look first."""

    patch: str
    in_use: str
    reviewed_name: str
    in_use_name: str
    files: tuple[FileRow, ...]


def diffs(here: Here, review: Review, patch: bytes, in_use: str | None) -> Diffs:
    """Against the last state a person reviewed, and against what is in use where that is another state."""
    s = here.state
    base = admitting.base_of(s, review)
    marks = _Marks(here)
    patch = bare(patch)
    text = patch.decode(errors="replace")
    rows = tuple(sorted((_row(part, marks) for part in _sections(text)), key=lambda row: not row.marks))
    ordered = _first(text, marks)
    used = next((g for g in s.generations.values() if g.commit == in_use), base)
    name, used_name = f"generation {base.number}", f"generation {used.number}"
    if used.commit == base.commit:
        return Diffs(ordered, "", name, used_name, rows)
    base_tree, used_tree = here.repo.tree_of(base.commit), here.repo.tree_of(used.commit)
    if base_tree == used_tree:
        return Diffs(ordered, "", name, used_name, rows)
    tree = here.repo.apply(base_tree, patch) if patch else base_tree
    try:
        other = here.repo.diff(used_tree, tree)
    finally:
        here.repo.discard(tree)
    return Diffs(ordered, _first(other.decode(errors="replace"), marks), name, used_name, rows)


class _Marks:
    """Why a file deserves a second look: it is the improver's, it runs the system, it says what may change."""

    def __init__(self, here: Here) -> None:
        epoch = here.state.epoch
        self._manifest: Manifest | None = None
        if epoch is not None:
            self._manifest = parse_manifest(here.ledger.get_blob(epoch.manifest))

    def __call__(self, path: str) -> tuple[str, ...]:
        manifest = self._manifest
        if manifest is None:
            return ()
        found = []
        if matches_any(manifest.scope_rules().improver, path):
            found.append("the improver's own code")
        if path in {word.removeprefix("./") for word in (*manifest.command, *(manifest.experiment.answer or ()))}:
            found.append("runs the system")
        if matches_any(manifest.protected(), path):
            found.append("judges the system")
        return tuple(found)


def _first(patch: str, marks: _Marks) -> str:
    """The same patch with the sections of marked files on top."""
    parts = _sections(patch)
    return "".join(sorted(parts, key=lambda part: not marks(_path(part)))) if parts else patch


def _sections(patch: str) -> list[str]:
    """Git's patch file by file; a line of a file's content never begins like a section."""
    if not patch.startswith(_SECTION):
        return []
    parts = [_SECTION + part for part in patch.removeprefix(_SECTION).split("\n" + _SECTION)]
    return [part if part.endswith("\n") else part + "\n" for part in parts]


def _path(part: str) -> str:
    return path_of(part.split("\n", 1)[0])


def _row(part: str, marks: _Marks) -> FileRow:
    diff, path = read_diff(part.encode()), _path(part)
    more = []
    if "\nGIT binary patch\n" in part and not diff.lines:
        more.append("binary: nobody can read it")
    elif diff.amount >= 2 * max(1, diff.lines):
        more.append(f"long lines: counts as {diff.amount}")
    return FileRow(visible(path, lines=False), len(diff.added), len(diff.removed), (*marks(path), *more))


# -- evidence -----------------------------------------------------------------------------------------------


def evidence(here: Here, review: Review) -> tuple[Section, ...]:
    """What was measured of every step in the patch; what stands beside it; and what its proposers said, last."""
    s = here.state
    steps = admitting.steps_of(s, review)
    measured = [line for g in steps for line in _measured(here, g)]
    head = steps[-1]
    about = []
    if head.verdict is not None:
        about.append(f"assurance: {head.verdict.assurance}; bound to {review.terms.binding[:16]}")
        about += _spent(s, head.verdict)
    sections = [Section("What was measured", tuple(measured)), Section("How sure that is", tuple(about))]
    cohort = _cohort(s, head)
    if cohort:
        sections.append(Section("Other proposals for the same place", tuple(cohort)))
    return (*sections, Section("What the proposer says", tuple(line for g in steps for line in _said(here, g))))


def _measured(here: Here, g: Generation) -> list[str]:
    """Its verdict, how the public gain compares, and which hunk caused what.  # S-4, V-6, V-8"""
    lines = [f"generation {g.number}: {g.verdict.sentence}"] if g.verdict is not None else []
    if isinstance(g.public, e.PublicCompared):
        lines.append(f"  public against hidden: {g.public.sentence}")
    elif g.public is not None:
        lines.append(f"  public against hidden: {g.public.reason}")
    if isinstance(g.attribution, e.Attributed):
        found = attributed.lines(g.attribution, here.ledger.get_blob)
        lines += ["  hunk by hunk: " + found[0], *(f"    {line}" for line in found[1:])]
    elif g.attribution is not None:
        lines.append(f"  hunk by hunk: not measured, {g.attribution.reason}")
    return [*lines, *_inside(here, g)]


def _inside(here: Here, g: Generation) -> list[str]:
    """The internals card, or that there is none.  # V-9"""
    if isinstance(g.internals, e.MeasureSkipped):
        return [f"  {internals_words.skipped(g.internals)}"]
    if g.internals is not None:
        first, *rest = internals_words.lines(g.internals)
        return [f"  inside the model: {first}", *(f"    {line}" for line in rest)]
    epoch = here.state.epoch
    opened = epoch is not None and parse_manifest(here.ledger.get_blob(epoch.manifest)).internals is not None
    return [f"  {internals_words.NOT_COMPARED if opened else internals_words.NONE_OFFERED}"]


def _spent(s: State, verdict: e.Verdict) -> list[str]:
    guards = s.epoch.guards if s.epoch is not None else ()
    lines = [f"error budget: {verdict.alpha_spent:.4f} spent on it, {verdict.alpha_left:.4f} left for the rest"]
    lines += [f"guard '{guard.name}': held" for guard in guards]
    test = s.proposals.get(verdict.proposal)
    if test is not None:
        lines.append(f"{test.trials} sandboxed runs, {verdict.units} pairs, {verdict.items} hidden items")
    if verdict.provisional:
        lines.append("PROVISIONAL: tested below the sandbox level that release needs")
    return lines


def _cohort(s: State, head: Generation) -> list[str]:
    """How its siblings fared: proposals for the same base."""
    own = s.proposals.get(head.proposal) if head.proposal is not None else None
    if own is None:
        return []
    same = [p for p in s.proposals.values() if p.base_commit == own.base_commit and p.plant is None and p is not own]
    words: dict[str, int] = {}
    for p in same:
        if p.word is not None:
            words[p.word] = words.get(p.word, 0) + 1
    return [f"{count} {word}" for word, count in sorted(words.items())]


def _said(here: Here, g: Generation) -> list[str]:
    """The plan that came with it, as hostile text.  # T-5, P-6"""
    p = here.state.proposals.get(g.proposal) if g.proposal is not None else None
    handed_in = g.author.startswith(admitting.HANDED_IN)
    who = "" if not handed_in else " (signed)" if p is not None and p.signed else UNSIGNED
    lines = [f"generation {g.number}, by {g.author}{who}:"]
    if p is None or p.plan is None:
        return [*lines, "  nothing"]
    try:
        said = parse_strict(here.ledger.get_blob(p.plan), max_bytes=PLAN_BYTES, max_depth=4)
    except IntegrityError:
        return [*lines, "  nothing that can be read"]
    words = said if isinstance(said, dict) else {}
    for name in ("weakness", "rationale", "predicted"):
        if words.get(name) not in (None, ""):
            lines.append(f"  {name}: {visible(str(words[name]), lines=False, limit=2000)}")
    return lines
