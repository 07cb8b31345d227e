"""The repository: trees, patches, exports, commits. Real git throughout."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.errors import Fault, IntegrityError, UsageError
from festina.system.export import remove_export
from festina.system.patchtext import without_binary
from festina.system.repo import ApplyFailed, Repo
from festina.system.scope import Refused, Scope, screen, screen_files
from tests.system.conftest import ENV, FILES, make_repository, plain_git

ALL = Scope(allow=("**",), binary=True)
PATCH = b"diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 3\n"


def objects_of(root: Path) -> set[Path]:
    return {path for path in (root / ".git/objects").rglob("*") if path.is_file()}


def test_discover_finds_the_top_from_below(root: Path) -> None:
    with Repo.discover(root / "model") as repo:
        assert repo.root == root.resolve()


@pytest.mark.parametrize("make", [lambda path: None, lambda path: (path / ".git").mkdir()])
def test_no_repository_is_a_usage_error(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    with pytest.raises(UsageError) as caught:
        Repo.discover(tmp_path)
    assert caught.value.name == "not-a-git-repository"
    assert "git init" in caught.value.fix


def test_no_commit_is_a_usage_error(tmp_path: Path) -> None:
    plain_git(tmp_path, "init", "-q")
    with Repo(tmp_path) as repo, pytest.raises(UsageError) as caught:
        repo.head()
    assert caught.value.name == "no-commit"


def test_clean_means_tracked_files_as_committed(repo: Repo, root: Path) -> None:
    (root / "untracked").write_text("x")
    repo.require_clean()
    (root / "train.py").write_text("changed\n")
    (root / "model/net.py").unlink()
    with pytest.raises(UsageError) as caught:
        repo.require_clean()
    assert caught.value.name == "dirty-tree"
    assert "train.py" in caught.value.what
    assert "model/net.py" in caught.value.what


def test_a_staged_change_is_dirty(repo: Repo, root: Path, user_git: Callable[..., bytes]) -> None:
    (root / "new.py").write_text("x\n")
    user_git("add", "new.py")
    with pytest.raises(UsageError, match=r"new\.py"):
        repo.require_clean()


def test_line_end_settings_of_the_user_are_respected(root: Path, repo: Repo, user_git: Callable[..., bytes]) -> None:
    user_git("config", "core.autocrlf", "true")
    (root / "train.py").unlink()
    user_git("checkout", "-q", "train.py")
    assert (root / "train.py").read_bytes() == b"a = 1\r\nb = 2\r\n"
    os.utime(root / "train.py", (1, 1))  # so that its bytes have to be compared
    repo.require_clean()


def test_reading(repo: Repo, tree: str) -> None:
    entries = {entry.path: entry for entry in repo.ls_tree(tree)}
    assert {path: entry.size for path, entry in entries.items()} == {
        **{path: len(data) for path, data in FILES.items()},
        "run.sh": 10,
    }
    assert entries["run.sh"].mode == "100755"
    assert repo.read_file(tree, "data/raw.bin") == FILES["data/raw.bin"]
    with pytest.raises(UsageError, match="no regular file"):
        repo.read_file(tree, "model")
    with pytest.raises(ValueError, match="not a git object name"):
        repo.ls_tree("--upload-pack=evil")
    with pytest.raises(IntegrityError):
        repo.ls_tree("1" * 40)


def test_P1_objects_are_quarantined_until_promoted(repo: Repo, root: Path, tree: str) -> None:
    before = objects_of(root)
    made = repo.apply(tree, PATCH)
    assert objects_of(root) == before
    assert repo.read_file(made, "train.py") == b"a = 1\nb = 3\n"
    with pytest.raises(Fault):
        repo.commit(made, [], "too early", at="2026-01-01T00:00:00Z")
    repo.promote(made)
    assert len(objects_of(root) - before) == 2
    assert plain_git(root, "cat-file", "-p", f"{made}:train.py") == b"a = 1\nb = 3\n"
    plain_git(root, "fsck", "--strict")
    repo.promote(made)  # again: nothing to do


def test_a_discarded_tree_is_gone(repo: Repo, root: Path, tree: str) -> None:
    made = repo.apply(tree, PATCH)
    repo.discard(made)
    with pytest.raises(IntegrityError):
        repo.ls_tree(made)


@pytest.mark.parametrize(
    "patch", [b"", b"nonsense", PATCH[:-5], PATCH.replace(b"b = 2", b"guess = 2"), PATCH.replace(b"train", b"none")]
)
def test_P1_failure_to_apply_is_one_opaque_code(repo: Repo, tree: str, patch: bytes) -> None:
    with pytest.raises(ApplyFailed) as caught:
        repo.apply(tree, patch)
    assert str(caught.value) == "the patch does not apply to its base [apply]"
    assert caught.value.__cause__ is None


def test_P3_a_no_op_is_named_and_so_is_the_same_tree_by_another_way(repo: Repo, tree: str) -> None:
    same = (
        b"diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 2\n"
    )
    assert screen(repo, tree, same, ALL).no_op
    assert screen(repo, tree, b" \n", ALL).no_op
    assert screen_files(repo, tree, {"train.py": FILES["train.py"]}, ALL).no_op
    first = screen(repo, tree, PATCH, ALL)
    whole = b"--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-a = 1\n-b = 2\n+a = 1\n+b = 3\n"
    assert screen(repo, tree, whole, ALL).tree == first.tree
    assert screen_files(repo, tree, {"train.py": b"a = 1\nb = 3\n"}, ALL).tree == first.tree


def test_P2_the_improvers_own_code_is_told_apart(repo: Repo, tree: str) -> None:
    assert not screen(repo, tree, PATCH, ALL).improver_changed
    assert screen(repo, tree, PATCH, Scope(allow=("**",), improver=("train.*",))).improver_changed
    with pytest.raises(Refused):  # named as the improver, yet outside the scope
        screen(repo, tree, PATCH, Scope(allow=("model/**",), improver=("train.py",)))


names = st.sampled_from(["train.py", "model/net.py", "model/new.py", "x.txt", "deep/er/y"])
contents = st.one_of(st.none(), st.binary(max_size=60), st.text("ab\n\r\té", max_size=40).map(str.encode))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(names, contents, max_size=4))
def test_P1_the_canonical_patch_leads_to_the_same_tree(repo: Repo, tree: str, files: dict[str, bytes | None]) -> None:
    made = repo.write_files(tree, files)
    patch = repo.diff(tree, made)
    assert (patch == b"") is (made == tree)
    if patch:
        expected = {**{e.path: repo.read_blob(e.oid) for e in repo.ls_tree(tree)}, **files}
        assert {e.path: repo.read_blob(e.oid) for e in repo.ls_tree(made)} == {
            path: data for path, data in expected.items() if data is not None
        }
        repo.discard(made)
        assert repo.apply(tree, patch) == made
    repo.discard(made)


def test_P4_a_history_row_keeps_the_text_of_a_patch_and_only_the_name_of_binary_files(repo: Repo, tree: str) -> None:
    weights = random.Random(1).randbytes(100_000)
    made = repo.write_files(tree, {"a.bin": weights, "m.txt": b"plain\nGIT binary patch\n", "z.bin": weights[:500]})
    text = without_binary(repo.diff(tree, made)).decode()
    assert len(text) < 1000
    assert "+plain\n+GIT binary patch\n" in text
    assert all(f"diff --git a/{name} b/{name}\n" in text for name in ("a.bin", "m.txt", "z.bin"))
    assert text.count("Binary file, contents left out\n") == 2


def test_write_files_keeps_modes(repo: Repo, tree: str) -> None:
    made = repo.write_files(tree, {"run.sh": b"new\n", "other.sh": b"x\n"})
    modes = {entry.path: entry.mode for entry in repo.ls_tree(made)}
    assert (modes["run.sh"], modes["other.sh"]) == ("100755", "100644")


@pytest.mark.parametrize("name", [".git/x", "../x", "/x", "a//b", "", "a\0b", ".GIT/config"])
def test_write_files_never_drops_a_file_silently(repo: Repo, tree: str, name: str) -> None:
    with pytest.raises(ApplyFailed):
        repo.write_files(tree, {name: b"x"})


def test_export_is_exact_read_only_and_repeatable(repo: Repo, tree: str, tmp_path: Path) -> None:
    made = repo.export_tree(tree, tmp_path / "one")
    repo.export_tree(tree, tmp_path / "two")
    assert (made.files, made.skipped) == (4, ())
    for name, data in FILES.items():
        assert (tmp_path / "one" / name).read_bytes() == data
    stats = [
        [(p.stat().st_mode, p.stat().st_mtime_ns) for p in sorted((tmp_path / d).rglob("*"))] for d in ("one", "two")
    ]
    assert stats[0] == stats[1]
    modes = {oct(p.stat().st_mode & 0o777) for p in (tmp_path / "one").rglob("*")}
    assert modes == {"0o444", "0o555"}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    with pytest.raises(UsageError, match="exists already"):
        repo.export_tree(tree, tmp_path / "one")
    remove_export(tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_export_leaves_out_links_and_submodules(root: Path, tmp_path: Path, user_git: Callable[..., bytes]) -> None:
    (root / "peek").symlink_to("/etc/passwd")
    user_git("add", "peek")
    user_git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    user_git("commit", "-qm", "odd")
    with Repo(root) as repo:
        made = repo.export_tree(repo.head(), tmp_path / "out")
    assert dict(made.skipped) == {"peek": "symlink", "sub": "submodule"}
    assert not (tmp_path / "out/peek").is_symlink()
    assert not (tmp_path / "out/sub").exists()


@pytest.mark.parametrize(
    "entries",
    [
        [("100644", "..", "blob")],
        [("40000", "..", "tree")],
        [("40000", ".git", "tree")],
        [("40000", ".GIT", "tree")],
        [("120000", "a", "blob"), ("40000", "a", "tree")],
        [("100644", "a", "blob"), ("40000", "a", "tree")],
    ],
)
def test_export_of_a_forged_tree_stays_inside(root: Path, tmp_path: Path, entries: list[tuple[str, str, str]]) -> None:
    """Trees that git would never write itself, as an attacker with write access to objects could."""
    blob = plain_git(root, "hash-object", "-w", "--stdin", stdin=b"/etc/passwd").decode().strip()
    inner = plain_git(root, "mktree", stdin=f"100644 blob {blob}\tx\n".encode()).decode().strip()
    raw = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(blob if kind == "blob" else inner) for mode, name, kind in entries
    )
    forged = plain_git(root, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=raw).decode().strip()
    (tmp_path / "base").mkdir()
    with Repo(root) as repo, contextlib.suppress(IntegrityError):
        assert repo.export_tree(forged, tmp_path / "base/out").skipped
    assert {p.name for p in tmp_path.iterdir()} == {"base", "system"}
    assert not any(p.name.lower() == ".git" or p.is_symlink() for p in (tmp_path / "base").rglob("*"))
    assert {p.name for p in (tmp_path / "base").iterdir()} <= {"out"}


def test_D3_a_corrupt_object_is_found(repo: Repo, root: Path, tree: str) -> None:
    import zlib

    entry = next(e for e in repo.ls_tree(tree) if e.path == "train.py")
    path = root / ".git/objects" / entry.oid[:2] / entry.oid[2:]
    path.chmod(0o600)
    path.write_bytes(zlib.compress(b"blob 12\0a = 1\nb = 9\n"))
    assert plain_git(root, "cat-file", "blob", entry.oid) == b"a = 1\nb = 9\n"  # control: git believes it
    with pytest.raises(IntegrityError) as caught:
        repo.read_blob(entry.oid)
    assert caught.value.name == "object-corrupt"


def test_commits_are_deterministic(repo: Repo, root: Path, tree: str) -> None:
    commits = {
        repo.commit(tree, [], "words\n", at=at) for at in ("2026-01-02T03:04:05.678Z", "2026-01-02T04:04:05+01:00")
    }
    assert len(commits) == 1
    text = plain_git(root, "cat-file", "-p", commits.pop()).decode()
    assert "author Festina <festina@localhost> 1767323045 +0000" in text
    with pytest.raises(ValueError, match="offset"):
        repo.commit(tree, [], "x", at="2026-01-02T03:04:05")


def test_sha256_repositories_work(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "wide", "--object-format=sha256")
    with Repo(root) as repo:
        head = repo.head()
        assert len(head) == 64
        made = screen(repo, repo.tree_of(head), PATCH, ALL)
        commit = repo.commit(made.tree, [head], "x", at="2026-01-02T03:04:05Z")
        repo.cas_ref("refs/festina/line", commit, None)
        repo.export_tree(commit, tmp_path / "out")
    assert (tmp_path / "out/train.py").read_bytes() == b"a = 1\nb = 3\n"


@pytest.mark.parametrize("name", ["with space", "co:lon", 'quo"te', "new\nline", "ünï"])
def test_odd_places(tmp_path: Path, name: str) -> None:
    root = make_repository(tmp_path / name)
    with Repo(root, scratch=tmp_path / f"{name} scratch") as repo:
        repo.require_clean()
        assert screen(repo, repo.tree_of(repo.head()), PATCH, ALL).changed_lines == 2


def test_linked_worktrees_work(root: Path, tmp_path: Path, user_git: Callable[..., bytes]) -> None:
    user_git("worktree", "add", "-q", str(tmp_path / "linked"))
    with Repo.discover(tmp_path / "linked/model") as repo:
        repo.require_clean()
        made = screen(repo, repo.tree_of(repo.head()), PATCH, ALL)
        repo.cas_ref("refs/festina/line", repo.commit(made.tree, [], "x", at="2026-01-02T03:04:05Z"), None)
        assert repo.ref("refs/festina/line") is not None
    assert b"refs/festina/line" in user_git("show-ref")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to own files as somebody else")
def test_root_leaves_the_owner_able_to_go_on(root: Path, tree: str) -> None:
    for path in (root, *root.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    with Repo(root) as repo:  # git itself would refuse: dubious ownership
        made = screen(repo, tree, PATCH, ALL)
        repo.cas_ref("refs/festina/a/b", repo.commit(made.tree, [], "x", at="2026-01-02T03:04:05Z"), None)
    assert {path.stat().st_uid for path in (root / ".git").rglob("*")} == {12345}


def test_scratch_is_removed(root: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with Repo(root, scratch=scratch) as repo:
        repo.apply(repo.tree_of(repo.head()), PATCH)
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


def test_threads_share_a_repository(repo: Repo, tree: str) -> None:
    made: list[str] = []

    def work(number: int) -> None:
        made.append(screen(repo, tree, PATCH.replace(b"b = 3", b"b = %d" % number), ALL).tree)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 6


def test_replace_objects_and_grafts_change_nothing(
    repo: Repo, root: Path, tree: str, user_git: Callable[..., bytes]
) -> None:
    entry = next(e for e in repo.ls_tree(tree) if e.path == "train.py")
    fake = user_git("hash-object", "-w", "--stdin", stdin=b"evil\n").decode().strip()
    user_git("replace", entry.oid, fake)
    assert user_git("cat-file", "blob", entry.oid) == b"evil\n"  # control
    assert repo.read_blob(entry.oid) == FILES["train.py"]


def test_apply_takes_little_time(repo: Repo, tree: str) -> None:
    """CPU time, so that a loaded machine does not fail it: two git processes and a copy of the index."""
    repo.apply(tree, PATCH)
    spent, walls = [], []
    for number in range(8):
        before, wall = os.times(), time.perf_counter()
        repo.apply(tree, PATCH.replace(b"b = 3", b"b = 1%d" % number))
        after = os.times()
        spent.append(sum(after[:4]) - sum(before[:4]))
        walls.append(time.perf_counter() - wall)
    assert statistics.median(spent) <= 0.2, (spent, walls)  # 0.02 to 0.04 where nothing else runs


def test_few_processes_are_used(repo: Repo, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts in the module's docstring."""
    calls: list[str] = []
    real = subprocess.run

    def counting(command: list[str], **options: object) -> object:
        calls.append(next(word for word in command[1:] if not word.startswith("-") and "=" not in word))
        return real(command, **options)  # type: ignore[call-overload]  # passed through unchanged

    screen(repo, tree, PATCH, ALL)
    monkeypatch.setattr(subprocess, "run", counting)
    screen(repo, tree, PATCH.replace(b"b = 3", b"b = 4"), ALL)
    assert calls == ["apply", "write-tree", "diff-tree", "cat-file"]
    calls.clear()
    repo.apply(tree, PATCH)
    assert len(calls) == 2


def test_environment_of_the_caller_does_not_leak_in(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for key, value in {
        "GIT_DIR": "/nonexistent",
        "GIT_INDEX_FILE": "/nonexistent",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": "/evil",
        "GIT_TRACE": str(tmp_path / "trace"),
    }.items():
        monkeypatch.setenv(key, value)
    with Repo(root) as repo:
        assert repo.diff(repo.tree_of(repo.head()), screen(repo, repo.tree_of(repo.head()), PATCH, ALL).tree)
    assert not (tmp_path / "trace").exists()
    assert ENV["HOME"] == "/nonexistent"
