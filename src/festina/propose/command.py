"""Any program as an improver: what it leaves changed in a copy of the tree is the proposal.

``run`` is started in ``/out/work``, a disposable writable copy of the incumbent without ``.git`` or any
history of the repository, offline but for the model gateway where ``models`` has one. ``/view/task.md``
(``$FESTINA_TASK``) says in plain words what may be changed and what happened before; ``{task}`` in a word of the
command is replaced by that text, ``{task_file}`` by its path. A plan may be left in ``$FESTINA_OUT/proposal.json``;
without one, the end of what the program printed is the rationale.

Only a run that ends with exit status 0 proposes: half an edit is no proposal. New files that tools leave
behind (``__pycache__`` and the like) are not part of it; changes outside the scope are, so that the attempt is
refused and recorded. Not covered: modes and new links, which the harvest does not carry (a file that became a link is
no deleted one: such a run proposes nothing); files more than 30 folders deep.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath

from festina.errors import UsageError
from festina.propose.asking import Asking
from festina.propose.harvest import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_TOTAL_BYTES,
    PLAN,
    Plan,
    Unreadable,
    check_ended,
    parse_plan,
    tree_path,
)
from festina.propose.presets import Ready
from festina.propose.text import visible
from festina.propose.types import Budget, HistoryRow, NoProposal, Proposal, View
from festina.propose.viewdir import limits_of, view_directory
from festina.sandbox.job import Bind, Job, Outcome, Sandbox
from festina.system.globs import matches_any
from festina.system.scratch import prefix

__all__ = ["CommandImprover", "task_text", "told"]

MAX_TREE_BYTES = 256 << 20
MAX_TREE_FILES = 20_000
MAX_DEPTH = 30
MAX_TASK_BYTES = 100_000  # a word of a command may hold 128 KiB
SHOWN_ROWS = 40
SHOWN_LINES = 12  # of each earlier patch
AGENT_PIDS = 512  # processes and threads: an agent's runtime alone takes dozens
SAID = 1500  # characters of stdout that serve as rationale
WORK = "work/"
_LITTER = ("**/__pycache__/**", "**/*.pyc", "**/.pytest_cache/**", "**/.mypy_cache/**", "**/.ruff_cache/**",
           "**/.aider*", "**/.aider*/**", "**/*.orig", "**/*.rej", "**/.DS_Store")  # fmt: skip


class CommandImprover:
    """Runs ``run`` over a copy of the incumbent. ``goal`` is the metric's meaning as the manifest declares it.

    ``agent``: what a preset's program needs beside its command.
    """

    def __init__(
        self, sandbox: Sandbox, run: Sequence[str], *, name: str = "", goal: str = "", models: Asking | None = None,
        agent: Ready | None = None,
    ) -> None:  # fmt: skip
        if not run:
            raise UsageError("improver-without-command", "[improver] run is empty", fix='run = ["my-agent", "{task}"]')
        self._sandbox = sandbox
        self._argv = tuple(run)
        self._goal = goal
        self._models = models or Asking()
        self._agent = agent or Ready()
        plain = re.sub(r"[^A-Za-z0-9._+-]", "-", name or run[0].rpartition("/")[2])[:80]
        self.author = f"command:{plain or 'unnamed'}"
        self.last_error = ""

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        """One run of the program. ``UsageError``: the tree is too large to copy."""
        task = task_text(view, self._goal, models=self._models.gateway is not None)
        with _copy_of(view.tree) as (work, before), view_directory(view, budget, {"task.md": task.encode()}) as folder:
            size = sum(map(len, before.values()))
            job = Job(
                argv=tuple(word.replace("{task_file}", "/view/task.md").replace("{task}", task) for word in self._argv),
                cwd="/out/work",
                env={**self._agent.env, "FESTINA_VIEW": "/view", "FESTINA_TASK": "/view/task.md",
                     "FESTINA_SEED": str(view.seed)},
                binds=(Bind(folder, "/view"), *self._agent.binds),
                outputs=None,
                work=work,
            )
            limits = limits_of(budget, tree_bytes=size, tree_files=len(before))
            if self._agent.run:
                limits = replace(limits, pids=AGENT_PIDS)
            outcome, more = self._models.run(self._sandbox, job, limits, self.author, view.proposal)
        if isinstance(outcome, NoProposal):
            return outcome
        self.last_error = visible(outcome.stderr[-4000:].decode("utf-8", "replace"))
        made = self._read(outcome, before)
        return replace(made, reason=made.reason + more) if isinstance(made, NoProposal) else made

    def _read(self, outcome: Outcome, before: Mapping[str, bytes]) -> Proposal | NoProposal:
        wall, cpu = outcome.wall_s, outcome.cpu_s
        failed = check_ended(outcome, self.author)
        if failed is not None:
            return failed
        try:
            files = _changes(before, outcome.outputs, {name.removeprefix(WORK) for name in outcome.unread})
            plan = _plan(outcome)
        except Unreadable as error:
            return NoProposal(self.author, f"refused: {error}", wall_s=wall, cpu_s=cpu)
        if not files:
            reason = "the program changed nothing"
            return NoProposal(self.author, reason, exhausted=plan.exhausted, wall_s=wall, cpu_s=cpu)
        words = (plan.rationale, plan.weakness, plan.predicted)
        return Proposal(self.author, None, files, *words, wall, cpu, target=plan.target)


def _plan(outcome: Outcome) -> Plan:
    try:
        plan = parse_plan(outcome.outputs.get(PLAN))
    except Unreadable as error:
        raise Unreadable(f"{PLAN} {error}") from error
    if PLAN in outcome.outputs:
        return plan
    said = outcome.stdout[-4 * SAID :].decode("utf-8", "replace").strip()[-SAID:]
    return Plan(rationale=visible(said, limit=2 * SAID))


def _changes(
    before: Mapping[str, bytes], outputs: Mapping[str, bytes], unread: Set[str] = frozenset()
) -> dict[str, bytes | None]:
    """Files that differ between the copy and what came back; ``None`` for those that are gone."""
    after = {name.removeprefix(WORK): data for name, data in outputs.items() if name.startswith(WORK)}
    if before and not after:
        raise Unreadable("nothing is left of the tree")
    files: dict[str, bytes | None] = {}
    for path, data in after.items():
        if before.get(path) == data or (path not in before and _litter(path)):
            continue
        files[path if path in before else tree_path(path)] = data
    gone = [path for path in before if path not in after]
    if any(each.as_posix() in unread for path in gone for each in (PurePath(path), *PurePath(path).parents)):
        raise Unreadable("a link, a pipe or the like stands where a file was")  # to delete it was never proposed
    files.update(dict.fromkeys(gone))
    sizes = [len(data) for data in files.values() if data is not None]
    if len(files) > MAX_FILES or sum(sizes) > MAX_TOTAL_BYTES or max(sizes, default=0) > MAX_FILE_BYTES:
        raise Unreadable("the changed files are too many or too large")
    return dict(sorted(files.items()))


def _litter(path: str) -> bool:
    return matches_any(_LITTER, path) or path.split("/")[0] == ".git"  # a repository of the program's own


@contextmanager
def _copy_of(tree: Path) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """A writable copy without ``.git`` and links, and the contents of every file in it; removed afterwards."""
    top = Path(tempfile.mkdtemp(prefix=prefix("work")))
    try:
        before: dict[str, bytes] = {}
        room = MAX_TREE_BYTES
        for path in _plain_files(tree):
            source, target = tree / path, top / path
            data = source.read_bytes()
            room -= len(data)
            if room < 0 or len(before) >= MAX_TREE_FILES:
                raise UsageError(
                    "tree-too-large",
                    f"a command improver gets a copy of the tree, which is over {MAX_TREE_BYTES >> 20} MiB",
                    fix="keep large artifacts out of the repository",
                )
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            target.write_bytes(data)
            target.chmod(0o755 if os.access(source, os.X_OK) and source.stat().st_mode & 0o111 else 0o644)
            before[path] = data
        for folder in (top, *(item for item in top.rglob("*") if item.is_dir())):
            folder.chmod(0o755)
        yield top, before
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _plain_files(tree: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(tree):
        below = Path(folder).relative_to(tree)
        folders[:] = [] if len(below.parts) >= MAX_DEPTH else sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and name != ".git":
                yield (below / name).as_posix()


def task_text(view: View, goal: str = "", *, models: bool = False) -> str:
    """``task.md``: what may be changed, what counts as better, and the one word each earlier proposal got.  # P-4"""
    parts = [
        "# Task\n",
        "Make one change to the files in the current directory that makes this system better.",
        f"What counts as better: {visible(goal)}." if goal else "What counts as better is measured after you finish.",
        "The change is judged on evidence that you cannot see; a score that you print counts for nothing.\n",
        "## What you may change\n",
        *(f"- `{visible(glob, lines=False)}`" for glob in view.allow),
        f"\nAt most {view.max_changed_lines} lines, added and removed together. Leave everything else as it is: "
        "a change anywhere else gets the whole proposal refused.",
        "\n## How to work\n",
        "Edit the files in place and end with exit status 0. There is no network and no version history.",
        *(["Models answer at `$OPENAI_BASE_URL` and `$ANTHROPIC_BASE_URL`, up to a limit."] if models else []),
        "If you like, write a plan to `$FESTINA_OUT/proposal.json`: an object with `rationale` and `weakness` (text) "
        "and `predicted` (a number: the gain you expect).\n",
    ]
    if view.public_scores:
        parts += ["## Public scores of the current state\n"]
        parts += [f"- {visible(name, lines=False)}: {value:.6g}" for name, value in sorted(view.public_scores.items())]
    parts += ["\n## Earlier proposals, newest first\n", *map(told, reversed(view.history[-SHOWN_ROWS:]))]
    if not view.history:
        parts.append("None yet.")
    parts.append("\nAll of them, with their patches: `/view/history.jsonl`. Do not repeat one.\n")
    text = "\n".join(parts)
    data = text.encode()
    return text if len(data) <= MAX_TASK_BYTES else data[:MAX_TASK_BYTES].decode("utf-8", "ignore") + "\n…\n"


def told(row: HistoryRow) -> str:
    """An earlier proposal for a model or a person: its word, and the start of what it changed.  # P-4"""
    word = row.word + (f" ({visible(row.reason, lines=False, limit=40)})" if row.reason else "")
    word += f", public gain {row.gain:+.4g}" if row.gain is not None else ""
    return "\n".join([f"- proposal {row.proposal}: {word}", *changed_lines(row.patch)])


def changed_lines(patch: str) -> list[str]:
    """The first lines that a patch adds and takes away, harmless to show.  # T-5"""
    lines = patch.split("\n")
    changed = [line for line in lines if line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- "))]
    shown = [f"      {visible(line, lines=False, limit=160)}" for line in changed[:SHOWN_LINES]]
    return shown + ([f"      … {len(changed) - SHOWN_LINES} more"] if len(changed) > SHOWN_LINES else [])
