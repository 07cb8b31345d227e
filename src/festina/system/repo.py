"""The repository under improvement, through git plumbing that runs nothing the repository configures.

Trees, blobs and patches are handled in a private git directory (see ``git``), so nothing is ever checked out
and no filter, hook, attribute or setting of the repository takes part. A patch is applied to a temporary index
with a quarantined object directory; the repository's object store does not change before ``promote``.  # P-1

git processes: ``apply`` 2 (1 more on the first use of a base), ``raw_diff`` 1, ``read_blobs`` 1, ``export_tree`` 2,
``commit`` 1, ``cas_ref`` 1 to 2, ``ref`` 1. Each costs about 3 ms.

Not covered: tree objects are taken as git returns them (blobs are hashed again), and a repository with a
split index cannot be checked for cleanliness.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType

from festina.errors import Fault, FestinaError, IntegrityError, UsageError
from festina.system import export, layers, objects
from festina.system.characters import shown
from festina.system.git import GitResult, git, make_private_dir
from festina.system.locks import stale_locks
from festina.system.objects import OID, Change, TreeEntry
from festina.system.scratch import prefix

__all__ = ["ApplyFailed", "Repo"]

_REF = re.compile(r"(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|\.(?:/|$)))refs/[A-Za-z0-9._/@+-]+[A-Za-z0-9_@+-]")
_APPLY_TIMEOUT_S = 20.0
_FREE_BYTES = 16 << 20  # below this a failed apply is blamed on the disk and not on the patch  # T-6
_MAX_CACHED_TREES = 16
_WORKTREE_SETTINGS = r"^core\.(autocrlf|eol|filemode|symlinks|ignorecase)$"  # none of them names a program
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Festina"), ("EMAIL", "festina@localhost"))
}


class ApplyFailed(FestinaError):
    """The patch does not apply. Always the same words: context lines must not answer guesses.  # P-1"""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("apply", "the patch does not apply to its base")


@dataclass(frozen=True, slots=True)
class _Stage:
    """A temporary index and a quarantined object directory."""

    path: Path

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def index(self) -> Path:
        return self.path / "index"


def _oid(value: str) -> str:
    if OID.fullmatch(value) is None:
        raise ValueError(f"not a git object name: {value!r}")  # the caller's bug, never hostile input
    return value


class Repo:
    """One git repository with a working tree. Use as a context manager, or call ``close``.

    ``root`` is the top of the working tree. ``scratch`` is where temporary files go (default: the system's
    temporary directory); it may be wiped whenever no ``Repo`` is open.
    """

    def __init__(self, root: Path, *, scratch: Path | None = None) -> None:
        self.root = root.resolve()
        self._git_dir = _find_git_dir(self.root)
        common = self._git_dir / "commondir"  # a linked worktree keeps objects and references elsewhere
        self._common = (self._git_dir / common.read_text().strip()).resolve() if common.is_file() else self._git_dir
        self._objects = self._common / "objects"
        if not self._objects.is_dir():
            raise UsageError("not-a-git-repository", f"{self._git_dir} holds no git objects", where=str(root))
        self._scratch_base = scratch
        self._pending: dict[str, _Stage] = {}
        self._trees: dict[str, tuple[TreeEntry, ...]] = {}
        self._lock = threading.RLock()  # stages and caches: a change may be made while another one is tested

    @classmethod
    def discover(cls, path: Path, *, scratch: Path | None = None) -> Repo:
        """The repository whose working tree holds ``path``."""
        start = path.resolve()
        for folder in (start, *start.parents):
            if (folder / ".git").exists():
                return cls(folder, scratch=scratch)
        raise UsageError(
            "not-a-git-repository", "neither it nor a directory above it is a git repository",
            fix="run `git init`, then `git add` and `git commit` what is to be improved", where=str(start),
        )  # fmt: skip

    def __enter__(self) -> Repo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def objects(self) -> Path:
        """Where the repository keeps its objects: another one may borrow them."""
        return self._objects

    def close(self) -> None:
        """Delete temporary files, objects that were never promoted among them."""
        if "_private" in self.__dict__:
            self._finalizer()
            del self.__dict__["_private"]
        self._pending.clear()

    # Reading the repository's own directory

    def head(self) -> str:
        """The commit that HEAD names."""
        found = git(self._git_dir, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1, 128))
        if found.code != 0:
            raise UsageError(
                "no-commit", f"{self.root} has no commit yet",
                fix="git add what is to be improved, then git commit", where=str(self.root),
            )  # fmt: skip
        return found.out.decode().strip()

    def require_clean(self) -> None:
        """Raise ``UsageError`` ``dirty-tree`` if a tracked file differs from HEAD. Untracked files do not matter.

        Filters are never run: where a repository uses them (LFS), a file that git itself would first have to
        filter counts as changed.
        """
        (self._private / "HEAD").write_text(self.head() + "\n")
        index = self._git_dir / "index"
        settings = git(self._git_dir, "config", "--null", "--get-regexp", _WORKTREE_SETTINGS, ok=(0, 1)).out.decode()
        options = [part for item in settings.split("\0")[:-1] for part in ("-c", "=".join(item.split("\n", 1)))]
        status = self._run(
            "-c", "core.bare=false", *options, "status", "--porcelain=v1", "-z", "--no-renames",
            "--untracked-files=no", "--ignore-submodules=all",
            env={"GIT_WORK_TREE": str(self.root), "GIT_INDEX_FILE": str(index)},
        ).out  # fmt: skip
        dirty = [objects.fsdecode(item[3:]) for item in status.split(b"\0")[:-1]]
        if dirty:
            named = ", ".join(shown(path) for path in dirty[:5]) + (f" and {len(dirty) - 5} more" * (len(dirty) > 5))
            raise UsageError(
                "dirty-tree", f"files differ from the last commit: {named}",
                fix="commit or stash them; what is improved is always a commit", where=str(self.root),
            )  # fmt: skip

    def config_get(self, key: str) -> str | None:
        """One setting of the repository's own configuration file, or None."""
        found = git(self._git_dir, "config", "--local", "--null", "--get", key, ok=(0, 1))
        return found.out.decode(errors="replace").removesuffix("\0") if found.code == 0 else None

    def config_set(self, key: str, value: str) -> None:
        """Set one setting of the repository's own configuration file."""
        git(self._git_dir, "config", "--local", "--replace-all", key, value)

    # References

    def ref(self, name: str) -> str | None:
        """The object that a full reference name (``refs/…``) points to, or None if there is none."""
        _check_ref(name)
        found = git(self._git_dir, "for-each-ref", "--format=%(refname) %(objectname)", name)
        if b"broken" in found.err:
            raise IntegrityError("ref-broken", f"git cannot read the reference {name}", where=name)
        for line in found.out.decode(errors="replace").splitlines():
            full, _, oid = line.partition(" ")
            if full == name:
                return oid
        return None

    def cas_ref(self, name: str, new: str, old: str | None) -> None:
        """Move a reference from ``old`` (None: it must not exist) to ``new``, or raise ``ref-moved``.  # D-1

        The move is in the reference's log and on disk when this returns.
        """
        _check_ref(name)
        before = _oid(old) if old is not None else "0" * len(_oid(new))
        done = git(
            self._git_dir, "update-ref", "--create-reflog", "--no-deref", "-m", "festina", name, new, before,
            env={**_IDENTITY}, fsync=True, ok=(0, 1, 128),
        )  # fmt: skip
        if done.code == 0:
            self._give_ref_back(name)
            return
        now = self.ref(name)
        if now != old:
            raise IntegrityError(
                "ref-moved", f"{name} is at {now or 'nothing'} and not at {old or 'nothing'}: something else moved it",
                fix="`festina status` shows the recorded line; the next run reconciles it", where=name,
            )  # fmt: skip
        words = done.err.decode(errors="replace").strip()[:300]
        raise Fault("ref-not-moved", f"git could not move {name}: {words!a}", where=name)

    def sweep_stale_locks(self, *, before: float | None = None) -> list[Path]:
        """Delete lock files of ``refs/festina`` that a killed git left; returns them.

        Call it under the engine lock only; ``before`` is the Unix time at which that lock was taken.
        """
        swept = list(stale_locks(self._common, self.root, before=before))
        for path in swept:
            path.unlink(missing_ok=True)
        return swept

    def _give_ref_back(self, name: str) -> None:
        parts = name.split("/")
        made = [self._common / base / "/".join(parts[:n]) for base in ("", "logs") for n in range(2, len(parts) + 1)]
        objects.restore_owner([path for path in made if path.exists()], self._objects)

    # Reading objects

    def tree_of(self, commit: str) -> str:
        """The tree of a commit."""
        found = self._run("rev-parse", "--verify", "--quiet", f"{_oid(commit)}^{{tree}}", ok=(0, 1, 128))
        if found.code != 0:
            raise IntegrityError("object-missing", f"there is no commit or tree {commit}", where=commit)
        return found.out.decode().strip()

    def long_name(self, short: str) -> str | None:
        """The commit that a short object name (hexadecimal) names; None where there is none, or several."""
        found = self._run("rev-parse", "--verify", "--quiet", f"{short}^{{commit}}", ok=(0, 1, 128))
        return found.out.decode().strip() if found.code == 0 else None

    def log_records(self, tip: str, most: int) -> list[str]:
        """Commits from ``tip`` back along first parents: name, tree, parents, time, author and message by ``\\x1f``."""
        form = "%H%x1f%T%x1f%P%x1f%ct%x1f%an%x1f%B"
        found = self._run("log", "-z", "--first-parent", f"-n{most}", f"--format={form}", _oid(tip), ok=(0, 128))
        if found.code != 0:
            raise UsageError("history-cut", "the branch's history is not complete here", fix="git fetch --unshallow",
                             where=str(self.root))  # fmt: skip
        return [record for record in found.out.decode("utf-8", "replace").split("\0") if record]

    def ls_tree(self, tree: str) -> tuple[TreeEntry, ...]:
        """Every leaf of a tree (or of a commit's tree), in git's order."""
        with self._lock:
            if _oid(tree) not in self._trees:
                listed = self._run("ls-tree", "-r", "-z", "-l", "--full-tree", tree, ok=(0, 1, 128))
                if listed.code != 0:
                    raise IntegrityError("object-missing", f"there is no complete tree {tree}", where=tree)
                while len(self._trees) >= _MAX_CACHED_TREES:
                    self._trees.pop(next(iter(self._trees)), None)
                self._trees[tree] = objects.parse_ls_tree(listed.out)
            return self._trees[tree]

    def read_blobs(self, oids: Sequence[str]) -> dict[str, bytes]:
        """Blobs by object name, each hashed again. All of them are held in memory."""
        wanted = list(dict.fromkeys(_oid(oid) for oid in oids))
        if not wanted:
            return {}
        raw = self._run("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in wanted).encode()).out
        return dict(objects.parse_batch(raw, wanted))

    def read_blob(self, oid: str) -> bytes:
        return self.read_blobs([oid])[oid]

    def read_file(self, tree: str, path: str) -> bytes:
        """The bytes of a regular file in a tree or commit. Raises ``UsageError`` ``file-not-in-tree``."""
        for entry in self.ls_tree(tree):
            if entry.path == path and entry.mode in objects.REGULAR:
                return self.read_blob(entry.oid)
        raise UsageError("file-not-in-tree", f"the commit holds no regular file {shown(path)}", where=shown(path))

    def raw_diff(self, old: str, new: str) -> tuple[Change, ...]:
        """The paths on which two trees differ, without rename detection."""
        raw = self._run(
            "diff-tree", "-r", "--raw", "--numstat", "-z", "--no-renames", "--text", "--no-ext-diff",
            "--no-textconv", "--no-abbrev", _oid(old), _oid(new),
        )  # fmt: skip
        return objects.parse_raw_diff(raw.out)

    def diff(self, old: str, new: str) -> bytes:
        """The canonical patch from one tree to another: no renames, full object names, binary as git binary."""
        return self._run(
            "diff-tree", "-r", "--patch", "--binary", "--full-index", "--no-renames", "--no-ext-diff",
            "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=myers",
            "--no-indent-heuristic", "--unified=3", "--inter-hunk-context=0", _oid(old), _oid(new),
        ).out  # fmt: skip

    def export_tree(self, tree: str, dest: Path) -> export.Export:
        """Write a tree to the new directory ``dest``, read-only; see ``export``. Nothing is filtered or linked."""
        return export.write_export(self.ls_tree(tree), dest, self.read_blobs)

    def layer_base(self, tree: str, path: Path) -> layers.Base:
        """What ``export_layer`` needs of ``tree``, which was exported to ``path``."""
        return layers.Base.of(tree, path, self.ls_tree(tree))

    def export_layer(self, base: layers.Base, tree: str, dest: Path) -> export.Export:
        """Write what ``tree`` changes of ``base`` to the new directory ``dest``; see ``layers``."""
        return layers.write_layer(base, self.raw_diff(base.tree, tree), dest, self.read_blobs)

    # Making objects

    def apply(self, base_tree: str, patch: bytes) -> str:
        """The tree that ``patch`` makes of ``base_tree``, its objects quarantined. Raises ``ApplyFailed``.  # P-1"""
        with self._stage(base_tree) as stage:
            try:
                done = self._run(
                    "apply", "--cached", "--whitespace=nowarn", "-p1", "-",
                    stdin=patch, stage=stage, timeout_s=_APPLY_TIMEOUT_S, ok=range(-64, 256),
                )  # fmt: skip
            except Fault as fault:
                if fault.name != "git-timeout":
                    raise
                raise ApplyFailed from None
            if done.code != 0:
                self._blame_disk_first()
                raise ApplyFailed
            return self._keep(stage)

    def write_files(self, base_tree: str, files: Mapping[str, bytes | None]) -> str:
        """The tree with ``files`` replaced (None: deleted), quarantined. Old files keep their mode, new ones 0644."""
        modes = {entry.path: entry.mode for entry in self.ls_tree(base_tree)}
        with self._stage(base_tree) as stage:
            contents = [(path, data) for path, data in files.items() if data is not None]
            for number, (_, data) in enumerate(contents):
                (stage.path / str(number)).write_bytes(data)
            names = "".join(f"{stage.path / str(n)}\n" for n in range(len(contents))).encode()
            hashed = self._run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names, stage=stage)
            zeros = "0" * len(base_tree)
            lines = [f"0 {zeros}\t{path}" for path, data in files.items() if data is None]
            for (path, _), oid in zip(contents, hashed.out.decode().split(), strict=True):
                mode = modes.get(path, "100644")
                lines.append(f"{mode if mode in objects.REGULAR else '100644'} {oid}\t{path}")
            if any("\0" in line or line.endswith("\t") for line in lines):
                raise ApplyFailed
            listing = b"".join(objects.fsencode(line) + b"\0" for line in lines)
            done = self._run("update-index", "-z", "--index-info", stdin=listing, stage=stage, ok=range(-64, 256))
            if done.code != 0 or b"gnoring path" in done.err:  # git skips paths such as .git/x with a warning only
                self._blame_disk_first()
                raise ApplyFailed
            return self._keep(stage)

    def promote(self, tree: str) -> None:
        """Bring the quarantined objects of ``tree`` into the repository. Does nothing for a tree that is there."""
        stage = self._pending.pop(_oid(tree), None)
        if stage is not None:
            try:
                made = objects.promote(stage.objects, self._objects)
                objects.restore_owner(made, self._objects)
            except OSError as error:
                raise Fault("objects-not-written", f"{self._objects}: {error.strerror}") from error
            finally:
                shutil.rmtree(stage.path, ignore_errors=True)

    def discard(self, tree: str) -> None:
        """Drop the quarantined objects of ``tree``, if there are any."""
        stage = self._pending.pop(_oid(tree), None)
        self._trees.pop(tree, None)
        if stage is not None:
            shutil.rmtree(stage.path, ignore_errors=True)

    def commit(self, tree: str, parents: Sequence[str], message: str, *, at: str) -> str:
        """Write a commit of a promoted tree. Same arguments, same object: identity is fixed, time is ``at``.

        ``at`` is RFC 3339 with an offset; fractions of a second are dropped, because git keeps whole ones.
        """
        when = datetime.fromisoformat(at)
        if when.tzinfo is None:
            raise ValueError(f"a time without an offset: {at!r}")
        date = f"@{int(when.timestamp())} +0000"
        arguments = [part for parent in parents for part in ("-p", _oid(parent))]
        text = message.replace("\0", "\ufffd").encode("utf-8", "replace")
        done = git(
            self._private, "commit-tree", _oid(tree), *arguments, stdin=text, fsync=True,
            env={**_IDENTITY, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date,
                 "GIT_OBJECT_DIRECTORY": str(self._objects)},
        )  # fmt: skip
        oid = done.out.decode().strip()
        path = self._objects / oid[:2] / oid[2:]
        objects.restore_owner([p for p in (path.parent, path) if p.exists()], self._objects)
        return oid

    # Inside

    @cached_property
    def _private(self) -> Path:
        if self._scratch_base is not None:
            self._scratch_base.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = git(self._git_dir, "config", "--get", "extensions.objectformat", ok=(0, 1))
        path = Path(tempfile.mkdtemp(prefix=prefix("git"), dir=self._scratch_base))
        make_private_dir(path, object_format=found.out.decode().strip() or "sha1")
        self._finalizer = weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return path

    def _run(
        self, *args: str, stdin: bytes = b"", stage: _Stage | None = None,
        env: Mapping[str, str] | None = None, timeout_s: float = 60.0, ok: Sequence[int] = (0,),
    ) -> GitResult:  # fmt: skip
        """git in the private directory; it sees the repository's objects and all that is quarantined."""
        stages = [] if stage else list(self._pending.values())
        sources = alternates_of(self._objects, stages)
        environment = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": sources, **(env or {})}
        if stage is not None:
            environment |= {"GIT_INDEX_FILE": str(stage.index), "GIT_OBJECT_DIRECTORY": str(stage.objects)}
        return git(self._private, *args, stdin=stdin, env=environment, timeout_s=timeout_s, ok=ok)

    @contextmanager
    def _stage(self, base_tree: str) -> Iterator[_Stage]:
        """A stage whose index holds ``base_tree``; deleted at the end unless ``_keep`` took it."""
        cached = self._private / f"index-{_oid(base_tree)}"
        stage = _Stage(Path(tempfile.mkdtemp(prefix="stage-", dir=self._private)))
        with self._lock:
            try:
                stage.objects.mkdir()
                if cached.exists():
                    shutil.copyfile(cached, stage.index)
                else:
                    read = self._run("read-tree", base_tree, stage=stage, ok=(0, 128))
                    if read.code != 0:
                        what = f"there is no complete tree {base_tree}"
                        raise IntegrityError("object-missing", what, where=base_tree)
                    self._cache_index(stage.index, cached)
                yield stage
            finally:
                if stage not in self._pending.values():
                    shutil.rmtree(stage.path, ignore_errors=True)

    def _cache_index(self, index: Path, cached: Path) -> None:
        for old in sorted(self._private.glob("index-*"), key=lambda path: path.stat().st_mtime)[:-4]:
            old.unlink(missing_ok=True)
        temporary = index.with_name("cached")
        shutil.copyfile(index, temporary)
        os.rename(temporary, cached)

    def _keep(self, stage: _Stage) -> str:
        """Write the stage's index as a tree and leave the stage pending under that tree's name."""
        tree = self._run("write-tree", stage=stage).out.decode().strip()
        self.discard(tree)
        self._pending[tree] = stage
        return tree

    def _blame_disk_first(self) -> None:
        if shutil.disk_usage(self._private).free < _FREE_BYTES:
            raise Fault("disk-full", f"no space is left for temporary files in {self._private.parent}")  # T-6


def alternates_of(own: Path, stages: Sequence[_Stage]) -> str:
    return objects.alternates([own, *(stage.objects for stage in stages)])


def _check_ref(name: str) -> None:
    if _REF.fullmatch(name) is None:
        raise ValueError(f"not a full reference name: {name!r}")  # the caller's bug


def _find_git_dir(root: Path) -> Path:
    """The git directory of a working tree: ``.git``, or what a ``.git`` file of a linked worktree names."""
    marker = root / ".git"
    if marker.is_file():
        text = marker.read_text(errors="replace").strip()
        marker = (root / text.removeprefix("gitdir:").strip()).resolve() if text.startswith("gitdir:") else marker
    if not (marker / "HEAD").is_file():
        raise UsageError(
            "not-a-git-repository", "it is not the top of a git working tree",
            fix="run `git init`, then `git add` and `git commit` what is to be improved", where=str(root),
        )  # fmt: skip
    return marker
