"""Attacks as proposals: hostile patches against the user's own tree and scope, through the real screen.

A patch is caught when the system's own scope refuses it, and refuses it with the right class where the scope is as
wide as it can be. A touch of what judges must be recorded as a guard-change attempt. The positive control is plain
``git apply --index`` in a copy of the same tree.

Not covered: harm that a patch of the allowed kind does when it runs; that is the candidates' part.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from festina.drill.model import Finding, Honest, Verdict
from festina.drill.own import patches, source
from festina.drill.own.patches import Hostile, Targets
from festina.drill.own.scratch import Own, entry_script
from festina.errors import UsageError
from festina.system.globs import matches_any
from festina.system.objects import REGULAR
from festina.system.scope import Refused, Scope, Screened, screen

_ENV = {
    "PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C",
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "drill"), ("EMAIL", "drill@localhost"))},
}  # fmt: skip
MAX_TARGET = 200_000  # bytes of a file that patches act on


@dataclass(frozen=True, slots=True)
class Result:
    """What the screen said to one patch."""

    patch: Hostile
    own: Refused | Screened
    wide: Refused | Screened
    works: bool  # where nothing screens it

    @property
    def bad(self) -> str:
        """Why it is a hole, or an empty string."""
        if isinstance(self.own, Screened):
            return f"'{self.patch.name}' passed the screen"
        if isinstance(self.wide, Screened):
            return "" if self.patch.reason in ("scope", "needed") else f"'{self.patch.name}' passes where allow is wide"
        if self.wide.reason != self.patch.reason and self.patch.reason not in self.wide.reasons | {"scope"}:
            return f"'{self.patch.name}' was refused as {self.wide.reason}, not as {self.patch.reason}"
        if self.patch.guard and not self.own.guard_change:
            return f"'{self.patch.name}' was not recorded as an attempt to change a guard"
        return ""


def targets(own: Own) -> Targets:
    """The files of this tree that patches can act on. Raises ``UsageError`` when the scope covers no text file."""
    scope = own.manifest.scope_rules()
    files: dict[str, bytes] = {}
    for entry in own.repo.ls_tree(own.tree):
        if entry.mode in REGULAR and entry.size <= MAX_TARGET:
            data = (own.tree_dir / entry.path).read_bytes()
            if b"\0" not in data and data.strip() and entry.path.isascii() and " " not in entry.path:
                files[entry.path] = data
    plain = {entry.path for entry in own.repo.ls_tree(own.tree) if entry.mode == "100644"} & files.keys()
    allowed = [name for name in sorted(plain) if _may_change(scope, name)]
    if not allowed:
        raise UsageError(
            "nothing-may-change", "scope.allow covers no text file of the last commit",
            fix="name the files that proposals may change", where="festina.toml",
        )  # fmt: skip
    several = [name for name in allowed if files[name].count(b"\n") > 2] or allowed
    modules = source.modules(own.manifest.scorers().values())
    scorers = [name for module in modules for name in source.module_files(module) if name in files]
    script, _ = entry_script(own)
    outside = [name for name in sorted(files) if not matches_any(scope.allow, name)
               and not matches_any(scope.protected, name)]  # fmt: skip
    first = several[0]
    folder = f"{first.rpartition('/')[0]}/" if "/" in first else ""
    public = own.manifest.suite.public
    return Targets(
        allowed=first, files=files, scorer=scorers[0] if scorers else "",
        items=public.items if public is not None and public.items in files else "",
        needed=script if script in files else "", outside=outside[0] if outside else "", folder=folder,
    )  # fmt: skip


def _may_change(scope: Scope, name: str) -> bool:
    return matches_any(scope.allow, name) and not matches_any((*scope.deny, *scope.protected), name)


def attack(own: Own, only: Callable[[str], bool]) -> list[Finding]:
    """Every hostile patch, one finding each. The screen is a pure function of tree and patch: one run says it all."""
    if not only("patch/"):
        return []
    t = targets(own)
    scope = own.manifest.scope_rules()
    wide = replace(scope, allow=("**",), deny=(), kinds=("add", "modify", "delete"))
    control = own.place / "control"
    _plain_clone(own.tree_dir, control)
    found: list[Finding] = []
    for patch in patches.hostile(t):
        result = Result(patch, _screened(own, patch, scope), _screened(own, patch, wide), _works(control, patch))
        found.append(_finding(result, len(found) + 1))
    return found


def _screened(own: Own, patch: Hostile, scope: Scope) -> Refused | Screened:
    try:
        return screen(own.repo, own.tree, patch.patch, scope)
    except Refused as refused:
        return refused


def _plain_clone(tree: Path, target: Path) -> None:
    shutil.copytree(tree, target, symlinks=True)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.access(path, os.X_OK) and os.stat(path).st_mode & 0o100 else 0o644)
    for words in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", "drill"]):
        _git(target, *words)


def _git(cwd: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=cwd, env=_ENV, input=stdin, capture_output=True, check=False)


def _works(control: Path, patch: Hostile) -> bool:
    """Whether plain git takes the patch or, where that is what it asks, tells what does not fit. Puts the copy back."""
    _git(control, "update-index", "-q", "--refresh")
    done = _git(control, "apply", "--index", "-", stdin=patch.patch)
    if done.returncode == 0:
        _git(control, "reset", "-q", "--hard")
        _git(control, "clean", "-q", "-f", "-d", "-x")
    told = done.stderr.replace(b"No valid patches in input", b"")
    return done.returncode == 0 or (patch.reason == "apply" and re.search(rb"error: .*[.:]", told) is not None)


def _finding(result: Result, number: int) -> Finding:
    patch = result.patch
    made = partial(
        Finding,
        attack=f"patch/{number:02d}-{_slug(patch.name)}", kind="patch", title=patch.name, runs=1,
        control=float(result.works), did="It was handed in as a proposal against the last commit.",
    )  # fmt: skip
    if result.bad:
        return made(
            verdict=Verdict.HOLE, why=result.bad, fix="report it to Festina: the screen let it through"
        )
    reason = result.own.reason if isinstance(result.own, Refused) else ""
    if not result.works:
        return made(verdict=Verdict.NOT_TESTED, caught=1, why="git refuses it by itself here")
    return made(verdict=Verdict.CAUGHT, caught=1, why=f"refused: {reason}")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def honest(own: Own, extra: Sequence[Path]) -> list[Honest]:
    """Patches of the allowed kinds, and the user's own, must pass."""
    t = targets(own)
    scope = own.manifest.scope_rules()
    data = t.files[t.allowed]
    first = data.split(b"\n")[0]
    rows = []
    tried = {
        "a changed line": patches.edit(t.allowed, data, first + b" "),
        "words around the patch": b"Here is my patch.\n\n" + patches.edit(t.allowed, data, first + b"  "),
    }
    if "modify" not in scope.kinds:
        tried = {}
    for path in extra:
        tried[f"your {path.name}"] = path.read_bytes()
    for name, patch in tried.items():
        found = _screened(own, Hostile(name, patch, ""), scope)
        why = f"refused: {found.report().strip()[:300]}" if isinstance(found, Refused) else ""
        rows.append(Honest(f"patch: {name}", 1, int(isinstance(found, Screened)), why))
    return rows
