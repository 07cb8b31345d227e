"""What a proposal may change, judged by what it does.

``judge`` is pure: it takes the paths on which two trees differ and a ``Scope``, and returns reasons to refuse.
``screen`` applies a patch in quarantine, lets ``judge`` look at the result, and promotes the objects only when
there is nothing to refuse. Order: size and text, application, paths and modes, content.  # P-1, P-2

Always refused, whatever the scope says: git's own files, startup hooks of Python, compiled code, CI files, symbolic
links, submodules, mode changes, deceptive characters, and protected paths. Touching, or naming in a header, a
protected path is a guard-change attempt.  # T-4

Not covered: what the changed code does (the sandbox's part), import shadowing inside a candidate's own tree (the
verifier never imports from it, T-3), and look-alikes within one script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from festina.errors import FestinaError
from festina.system.characters import folded, is_git_dotfile, odd_character, path_problem, shown, skeleton
from festina.system.globs import matches_any
from festina.system.objects import REGULAR, Change
from festina.system.patchtext import NOTHING, PatchText, read_patch
from festina.system.repo import ApplyFailed, Repo

__all__ = ["REASONS", "Change", "Refusal", "Refused", "Scope", "Screened", "judge", "judge_content",
           "patch_text_check", "screen", "screen_files"]  # fmt: skip

Reason = Literal[
    "protected",  # verifier, policy, ledger, sandbox or vault: a guard-change attempt
    "symlink",
    "submodule",
    "scope",  # outside allow, or inside deny
    "size",  # patch or file over its cap
    "files",  # too many files
    "lines",  # too many changed lines
    "line-length",
    "binary",  # not text, in the patch or in a file
    "copy-rename",  # copy or rename header
    "header-mismatch",  # the header names another file than the hunks
    "duplicate-path",  # one path in several sections
    "path-encoding",
    "absolute",
    "traversal",
    "path-characters",  # control, invisible, bidirectional or look-alike characters, not in normal form
    "path-portability",  # names that some systems change or reserve
    "path-length",
    "path-collision",  # taken for another path by some file system or reader
    "path-conflict",  # a file where there was a directory, or the other way round
    "git-internals",  # .git in any spelling, a nested repository
    "git-config",  # .gitattributes, .gitmodules, .gitignore
    "startup-hook",  # code that Python or a test runner starts by itself
    "compiled",
    "ci",
    "executable",  # new executable bit
    "mode",  # any other change of mode
    "kind",  # a kind of change that the scope does not allow
    "needed",  # deletes a file that the manifest names
    "text-characters",  # control, invisible or bidirectional characters in added text
    "apply",  # does not apply: one opaque word
]
REASONS: tuple[str, ...] = get_args(Reason)
Kind = Literal["add", "modify", "delete"]

_STARTUP = (
    "**/conftest.py", "**/sitecustomize.*", "**/sitecustomize/**", "**/usercustomize.*", "**/usercustomize/**",
    "**/*.pth", "**/*._pth", "**/pyvenv.cfg", "**/*.egg-link", "**/*.dist-info/**", "**/*.egg-info/**",
    "**/pytest.ini", "**/.pytest.ini", "**/.envrc",
)  # fmt: skip
_COMPILED = (
    "**/__pycache__/**", "**/*.pyc", "**/*.pyo", "**/*.so", "**/*.so.*", "**/*.pyd", "**/*.dll", "**/*.dylib",
    "**/*.o", "**/*.a", "**/*.class", "**/*.jar", "**/*.whl", "**/*.egg", "**/*.exe",
)  # fmt: skip
_CI = (
    ".github/**", ".gitlab-ci.yml", ".gitlab/**", ".ci/**", ".circleci/**", ".buildkite/**", ".travis.yml",
    ".drone.yml", ".cirrus.yml", ".woodpecker.yml", ".woodpecker/**", ".teamcity/**", ".forgejo/**", ".gitea/**",
    ".azure-pipelines/**", "azure-pipelines.yml", "bitbucket-pipelines.yml", "jenkinsfile", "appveyor.yml",
    ".pre-commit-config.yaml", ".husky/**", ".githooks/**", ".devcontainer/**", ".vscode/**", ".idea/**",
)  # fmt: skip
_DENIED: tuple[tuple[Reason, tuple[str, ...]], ...] = (("startup-hook", _STARTUP), ("compiled", _COMPILED), ("ci", _CI))
_REPOSITORY = ("head", "objects", "refs")
_ABSENT = "000000"
_MAX_LOADED_BYTES = 64 << 20  # file contents held in memory for one proposal
_MAX_FILES = 10_000
_MAX_REFUSALS = 50  # kept for people; one is enough to refuse


@dataclass(frozen=True, slots=True)
class Scope:
    """What a proposal may touch. Globs as in ``globs``; ``deny`` and ``protected`` ignore letter case."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ("add", "modify", "delete")
    max_changed_lines: int = 200
    max_changed_files: int = 20
    max_file_bytes: int = 1 << 20
    max_patch_bytes: int = 4 << 20
    max_line_bytes: int = 5000  # keeps a reviewer's changed line from being a page
    binary: bool = False  # whether files (handed in whole, never as a patch) may hold anything but UTF-8 text
    protected: tuple[str, ...] = ("festina.toml",)
    needed: tuple[str, ...] = ()  # files that must not be deleted
    improver: tuple[str, ...] = ()  # the improver's own code


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason to refuse. ``path`` and ``text`` are safe to show anywhere; the proposer learns ``reason`` only."""

    reason: Reason
    path: str
    text: str


class Refused(FestinaError):
    """The proposal is outside its scope. ``reason`` is the class to record, guard changes first."""

    exit_code = 3

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        ordered = sorted(refusals, key=lambda refusal: REASONS.index(refusal.reason))
        self.refusals = tuple(ordered[:_MAX_REFUSALS])
        self.reason: str = ordered[0].reason
        self.reasons = frozenset(refusal.reason for refusal in refusals)
        self.guard_change = "protected" in self.reasons  # T-4
        super().__init__("refused", f"refused ({self.reason}): {ordered[0].text}", where=ordered[0].path)

    def report(self) -> str:
        """All refusals, one a line, for people."""
        return "".join(f"{r.reason}: {r.path or '(patch)'}: {r.text}\n" for r in self.refusals)


@dataclass(frozen=True, slots=True)
class Screened:
    """A change that may be tested. Its objects are in the repository; no reference names them yet."""

    tree: str
    changes: tuple[Change, ...]
    changed_files: int
    changed_lines: int
    improver_changed: bool
    no_op: bool  # P-3
    guard_change: Literal[False] = False  # a proposal that touches a guard is Refused, never Screened


# What the text says


def patch_text_check(patch: bytes, scope: Scope | None = None, *, binary: bool = False) -> list[Refusal]:
    """Refusals that only the patch's text can give.  # P-1"""
    scope = scope or Scope()
    if len(patch) > scope.max_patch_bytes:
        return [Refusal("size", "", f"the patch is longer than {scope.max_patch_bytes} bytes")]
    if b"\0" in patch:
        return [Refusal("binary", "", "the patch holds a zero byte")]
    return list(_text_refusals(replace(read_patch(patch), binary=False) if binary else read_patch(patch), scope))


def _text_refusals(text: PatchText, scope: Scope) -> Iterator[Refusal]:
    if text.copies or text.similarity:
        yield Refusal("copy-rename", "", "copy and rename headers are refused; write the change out")
    yield from (_guard(name) for name in text.copies if _is_protected(name, scope))
    for mode in text.modes:
        if mode not in REGULAR:
            reason: Reason = "symlink" if mode == "120000" else "submodule" if mode == "160000" else "mode"
            yield Refusal(reason, "", f"the patch names the file mode {shown(mode[:20])}")
    if text.binary:  # whatever the scope says: git would let it name any object of the repository
        yield Refusal("binary", "", "binary data in a patch is refused; hand in whole files instead")
    seen: set[str] = set()
    for section in text.sections:
        names = section.names()
        if len(names) > 1 or (section.old == section.new == NOTHING):
            yield Refusal("header-mismatch", shown(names[0][:200]), "one section names more than one file")
        if any(raw.startswith("/") and raw != NOTHING for raw in section.raw):
            yield Refusal("absolute", shown(section.raw[0][:200]), "the path is absolute")
        if seen.intersection(names):
            yield Refusal("duplicate-path", shown(names[0][:200]), "one path stands in several sections")
        seen.update(names)
    for name in seen:
        if (refusal := _path_refusal(name)) is not None:
            yield refusal
        if _is_protected(name, scope):
            yield _guard(name)


def _path_refusal(path: str) -> Refusal | None:
    found = path_problem(path)
    return Refusal(found[0], shown(path[:300]), found[1]) if found else None


# What the change does


def judge(changes: Sequence[Change], scope: Scope, existing: Collection[str] = ()) -> list[Refusal]:
    """Reasons to refuse these changes of paths and modes. ``existing``: every path of the base tree.  # P-2"""
    found: list[Refusal] = []
    if len(changes) > scope.max_changed_files:
        found.append(Refusal("files", "", f"{len(changes)} files change, {scope.max_changed_files} may"))
    lines = sum(change.added + change.deleted for change in changes)
    if lines > scope.max_changed_lines:
        found.append(Refusal("lines", "", f"{lines} lines change, {scope.max_changed_lines} may"))
        changes = changes[:_MAX_REFUSALS]  # refused already; the rest would only repeat it
    for change in changes:
        found += _judge_one(change, scope)
    added = [change.path for change in changes if change.old_mode == _ABSENT]
    gone = {change.path for change in changes if change.new_mode == _ABSENT}
    if added:
        found += _judge_neighbours(added, gone, existing)
    return found


def _judge_one(change: Change, scope: Scope) -> Iterator[Refusal]:
    path, name = change.path, shown(change.path)
    if _is_protected(path, scope):
        yield _guard(path)
    if change.old_mode == _ABSENT and (refusal := _path_refusal(path)) is not None:
        yield refusal
    if any(is_git_dotfile(part) for part in path.split("/")):
        yield Refusal("git-config", name, "files that configure git are refused")
    key = skeleton(path)
    for reason, globs in _DENIED:
        if matches_any(globs, key):
            yield Refusal(reason, name, "such files are always refused")
    yield from _judge_mode(change, name)
    if not matches_any(scope.allow, path):
        yield Refusal("scope", name, "not covered by allow")
    elif matches_any((folded(glob) for glob in scope.deny), folded(path)):
        yield Refusal("scope", name, "covered by deny")
    kind: Kind = "add" if change.old_mode == _ABSENT else "delete" if change.new_mode == _ABSENT else "modify"
    if kind not in scope.kinds:
        yield Refusal("kind", name, f"the scope does not allow to {kind} files")
    if kind == "delete" and path in scope.needed:
        yield Refusal("needed", name, "the manifest names this file, so it cannot be deleted")


def _judge_mode(change: Change, name: str) -> Iterator[Refusal]:
    modes = (change.old_mode, change.new_mode)
    if "120000" in modes:
        yield Refusal("symlink", name, "symbolic links are refused")
    elif "160000" in modes:
        yield Refusal("submodule", name, "submodules are refused")
    elif change.new_mode not in (*REGULAR, _ABSENT):
        yield Refusal("mode", name, f"the file mode {change.new_mode} is refused")
    elif change.new_mode == "100755" and change.old_mode != "100755":
        yield Refusal("executable", name, "a new executable bit is refused")
    elif _ABSENT not in modes and change.old_mode != change.new_mode:
        yield Refusal("mode", name, "the file mode changes")


def _judge_neighbours(added: Sequence[str], gone: Collection[str], existing: Collection[str]) -> Iterator[Refusal]:
    """Conflicts between added paths and everything else in the tree."""
    kept = [path for path in existing if path not in gone]
    spelled = {prefix for path in kept for prefix in _prefixes(path)}
    keys = {skeleton(prefix): prefix for prefix in spelled}
    gone_directories = {prefix for path in gone for prefix in _prefixes(path)[:-1]}
    for path in added:
        prefixes = _prefixes(path)
        if path in gone_directories or any(prefix in gone for prefix in prefixes[:-1]):
            yield Refusal("path-conflict", shown(path), "a file takes a directory's place, or the other way round")
        for prefix in prefixes:
            other = keys.setdefault(skeleton(prefix), prefix)
            if other != prefix and prefix not in spelled:
                yield Refusal("path-collision", shown(path), f"can be taken for {shown(other)}")
    if any(part in _REPOSITORY for path in added for part in folded(path).split("/")):
        final = {folded(prefix) for path in (*kept, *added) for prefix in _prefixes(path)}
        yield from _nested_repositories(added, final)


def _nested_repositories(added: Sequence[str], final: Collection[str]) -> Iterator[Refusal]:
    """git takes any directory with HEAD, objects and refs for a repository, and runs what it configures."""
    for path in added:
        parts = folded(path).split("/")
        for at, part in enumerate(parts):
            if part in _REPOSITORY and all("/".join([*parts[:at], name]) in final for name in _REPOSITORY):
                yield Refusal("git-internals", shown(path), "the directory would be a git repository of its own")


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _is_protected(path: str, scope: Scope) -> bool:
    return matches_any(map(skeleton, scope.protected), skeleton(path))


def _guard(path: str) -> Refusal:
    return Refusal("protected", shown(path[:300]), "part of what judges proposals: it cannot be proposed away")


def judge_content(change: Change, old: bytes, new: bytes, scope: Scope) -> list[Refusal]:
    """Reasons to refuse a file's new bytes. Only lines that the old bytes did not hold are looked at.  # P-2"""
    name = shown(change.path)
    if len(new) > scope.max_file_bytes:
        return [Refusal("size", name, f"{len(new)} bytes, {scope.max_file_bytes} are allowed")]
    try:
        if b"\0" in new:
            raise UnicodeDecodeError("utf-8", b"\0", 0, 1, "zero byte")
        lines = new.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return [] if scope.binary else [Refusal("binary", name, "not UTF-8 text")]
    before = Counter(old.decode("utf-8", "replace").split("\n"))
    found: list[Refusal] = []
    for number, line in enumerate(lines, 1):
        if before[line] > 0:
            before[line] -= 1
            continue
        if len(line.encode()) > scope.max_line_bytes:
            found.append(Refusal("line-length", name, f"line {number} is longer than {scope.max_line_bytes} bytes"))
        if (odd := odd_character(line)) is not None:
            found.append(Refusal("text-characters", name, f"line {number} holds {odd}"))
        if len(found) >= _MAX_REFUSALS:
            break
    return found


# Both


def screen(
    repo: Repo, base_tree: str, patch: bytes, scope: Scope, *, protected: Sequence[str] = (), binary: bool = False
) -> Screened:
    """Apply ``patch`` in quarantine and judge the result; raises ``Refused``. An empty patch is a no-op.

    ``binary``: the caller wrote the patch itself, from whole files, so that its binary parts name what they hold.
    """
    scope = replace(scope, protected=(*scope.protected, *protected))
    if not patch.strip():
        return Screened(base_tree, (), 0, 0, improver_changed=False, no_op=True)
    if found := patch_text_check(patch, scope, binary=binary):
        raise Refused(found)
    try:
        tree = repo.apply(base_tree, patch)
    except ApplyFailed as failed:
        raise Refused([Refusal("apply", "", failed.what)]) from None
    return _judge_tree(repo, base_tree, tree, scope, len(patch))


def screen_files(
    repo: Repo, base_tree: str, files: Mapping[str, bytes | None], scope: Scope, *, protected: Sequence[str] = ()
) -> Screened:
    """The same for whole files: new content by path, None to delete."""
    scope = replace(scope, protected=(*scope.protected, *protected))
    size = sum(len(data) for data in files.values() if data is not None)
    known = {entry.path for entry in repo.ls_tree(base_tree)}
    found = [refusal for path in files if path not in known and (refusal := _path_refusal(path))]
    if size > _MAX_LOADED_BYTES or len(files) > _MAX_FILES:
        found.append(Refusal("size", "", "too much for one proposal"))
    if found:
        raise Refused(found)
    try:
        tree = repo.write_files(base_tree, files)
    except ApplyFailed as failed:
        raise Refused([Refusal("apply", "", failed.what)]) from None
    return _judge_tree(repo, base_tree, tree, scope, size)


def _judge_tree(repo: Repo, base_tree: str, tree: str, scope: Scope, size: int) -> Screened:
    """Judge a quarantined tree by its effect; promote it or drop it.  # P-1"""
    try:
        changes = repo.raw_diff(base_tree, tree)
        entries = repo.ls_tree(base_tree)
        found = judge(changes, scope, [entry.path for entry in entries])
        if not found:
            found = _judge_contents(repo, changes, {entry.path: entry.size for entry in entries}, scope, size)
        if found:
            raise Refused(found)
        repo.promote(tree)
    finally:
        repo.discard(tree)  # does nothing after promote
    return Screened(
        tree=tree,
        changes=changes,
        changed_files=len(changes),
        changed_lines=sum(change.added + change.deleted for change in changes),
        improver_changed=any(matches_any(scope.improver, change.path) for change in changes),
        no_op=tree == base_tree,
    )


def _judge_contents(
    repo: Repo, changes: Sequence[Change], sizes: Mapping[str, int], scope: Scope, size: int
) -> list[Refusal]:
    """Fetch and judge the bytes of every changed file, in one git process."""
    if size + sum(sizes.get(change.path, 0) for change in changes) > _MAX_LOADED_BYTES:
        return [Refusal("size", "", "the changed files are too large to be looked at")]
    left = [change for change in changes if change.new_mode != _ABSENT]
    wanted = [oid for change in left for oid in (change.old_oid, change.new_oid) if oid.strip("0")]
    blobs = repo.read_blobs(wanted)
    return [
        refusal
        for change in left
        for refusal in judge_content(change, blobs.get(change.old_oid, b""), blobs[change.new_oid], scope)
    ]
