"""Nothing that a repository or a candidate configures is ever run; plain git, the control, runs it.  # P-1, T-5"""

from __future__ import annotations

from pathlib import Path

import pytest

from festina.system.repo import Repo
from festina.system.scope import Scope, screen
from tests.system.conftest import make_repository, plain_git

HOOKS = (
    "pre-commit",
    "post-commit",
    "commit-msg",
    "prepare-commit-msg",
    "reference-transaction",
    "post-checkout",
    "post-index-change",
    "pre-auto-gc",
    "post-rewrite",
    "applypatch-msg",
    "pre-applypatch",
    "update",
)
ATTRIBUTES = b"""* filter=evil ident export-subst
*.py diff=evil text eol=crlf
*.u16 working-tree-encoding=UTF-16
*.bin -diff
"""
TEXT = b"# $Id$ $Format:%H$\nx = 1\n"


class Trap:
    """A repository in which every setting that can name a program names one that leaves a mark."""

    def __init__(self, base: Path) -> None:
        self.marks = base / "marks"
        self.marks.mkdir()
        self.tools = base / "tools"
        self.tools.mkdir()
        self.root = make_repository(base / "system")
        (self.root / ".gitattributes").write_bytes(ATTRIBUTES)
        (self.root / "ident.py").write_bytes(TEXT)
        (self.root / "wide.u16").write_bytes("hello\n".encode("utf-16"))
        plain_git(self.root, "add", "-A")
        plain_git(self.root, "commit", "-qm", "attributes")
        self._configure()

    def tool(self, name: str, then: str = "exec cat") -> str:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\ntouch '{self.marks}/{name}'\n{then}\n")
        path.chmod(0o755)
        return str(path)

    def _configure(self) -> None:
        settings = {
            "core.hooksPath": str(self.tools),
            "core.fsmonitor": self.tool("fsmonitor", "exit 1"),
            "core.pager": self.tool("pager"),
            "core.sshCommand": self.tool("ssh"),
            "core.editor": self.tool("editor"),
            "diff.external": self.tool("external"),
            "filter.evil.clean": self.tool("clean"),
            "filter.evil.smudge": self.tool("smudge"),
            "diff.evil.textconv": self.tool("textconv"),
            "diff.evil.command": self.tool("command"),
            "alias.cat-file": "!" + self.tool("alias"),
            "alias.st": "!" + self.tool("alias"),
            "gpg.program": self.tool("gpg"),
            "commit.gpgSign": "true",
            "credential.helper": self.tool("credential"),
            "extensions.partialClone": "origin",
            "remote.origin.promisor": "true",
            "remote.origin.url": "ext::" + self.tool("remote", "exit 1"),
            "protocol.ext.allow": "always",
            "core.attributesFile": str(self.root / ".gitattributes"),
            "core.worktree": str(self.root),
        }
        for hook in HOOKS:
            self.tool(hook)
            (self.root / ".git/hooks").mkdir(exist_ok=True)
            (self.root / ".git/hooks" / hook).symlink_to(self.tools / hook)
        for key, value in settings.items():
            plain_git(self.root, "config", key, value)
        extra = self.tools / "included"
        extra.write_text(
            f'[filter "evil"]\n\tprocess = {self.tool("process", "exit 1")}\n[core]\n\taskPass = {self.tool("ask")}\n'
        )
        self.included = extra
        (self.root / ".git/info").mkdir(exist_ok=True)
        (self.root / ".git/info/attributes").write_bytes(ATTRIBUTES)

    def include(self) -> None:
        plain_git(self.root, "config", "include.path", str(self.included))

    def sprung(self) -> set[str]:
        return {path.name for path in self.marks.iterdir()}


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


PATCH = (
    b"diff --git a/ident.py b/ident.py\n--- a/ident.py\n+++ b/ident.py\n@@ -1,2 +1,3 @@\n # $Id$ $Format:%H$\n-x = 1\n"
    b"+x = 2\n+# $Id$ $Format:%H$\ndiff --git a/new.u16 b/new.u16\nnew file mode 100644\n--- /dev/null\n+++ b/new.u16\n"
    b"@@ -0,0 +1 @@\n+plain\n"
)


def test_control_plain_git_runs_what_is_configured(trap: Trap) -> None:
    (trap.root / "ident.py").write_bytes(TEXT + b"y = 2\n")
    (trap.root / "run.sh").write_bytes(b"#!/bin/false\n")
    for command in (
        ["status"],
        ["diff"],
        ["log", "-p", "-1"],
        ["add", "-A"],
        ["-c", "commit.gpgSign=false", "commit", "-qm", "x"],
        ["st"],
        ["checkout", "-q", "HEAD~1"],
        ["update-ref", "refs/x/y", "HEAD"],
        ["archive", "HEAD"],
        ["cat-file", "-e", "1" * 40],
    ):
        plain_git(trap.root, *command, check=False)
    expected = {
        "clean",
        "smudge",
        "fsmonitor",
        "external",
        "command",
        "textconv",
        "pre-commit",
        "reference-transaction",
        "post-checkout",
        "alias",
        "remote",
    }
    assert expected <= trap.sprung(), expected - trap.sprung()
    trap.include()
    (trap.root / "train.py").write_bytes(b"other = 1\n")
    plain_git(trap.root, "add", "train.py", check=False)
    assert "process" in trap.sprung()


def test_P1_no_configured_program_runs(trap: Trap, tmp_path: Path) -> None:
    trap.include()
    (trap.root / "ident.py").touch()  # stale stat data: git would have to filter the file to compare it
    for mark in trap.marks.iterdir():
        mark.unlink()
    with Repo.discover(trap.root / "model") as repo:
        head = repo.head()
        base = repo.tree_of(head)
        repo.require_clean()
        screened = screen(repo, base, PATCH, Scope(allow=("**",)))
        assert repo.diff(base, screened.tree).count(b"diff --git") == 2
        commit = repo.commit(screened.tree, [head], "change", at="2026-01-02T03:04:05Z")
        repo.cas_ref("refs/festina/line", commit, None)
        assert repo.ref("refs/festina/line") == commit
        repo.config_set("festina.home", "x")
        assert repo.config_get("festina.home") == "x"
        out = tmp_path / "out"
        repo.export_tree(commit, out)
        with pytest.raises(Exception, match="missing"):
            repo.read_blob("1" * 40)  # a partial clone would fetch it
        repo.sweep_stale_locks()
    assert trap.sprung() == set()
    assert (out / "ident.py").read_bytes() == TEXT.replace(b"x = 1", b"x = 2") + b"# $Id$ $Format:%H$\n"
    assert (out / "new.u16").read_bytes() == b"plain\n"
    assert (out / "train.py").read_bytes() == b"a = 1\nb = 2\n"


def test_P1_attributes_of_the_tree_do_not_change_the_canonical_patch(trap: Trap) -> None:
    """``-diff`` would turn a readable patch into an opaque one."""
    with Repo(trap.root) as repo:
        base = repo.tree_of(repo.head())
        marked = repo.write_files(base, {".gitattributes": b"* -diff\n", "train.py": b"a = 7\nb = 2\n"})
        assert b"+a = 7\n" in repo.diff(base, marked)
        assert [(c.added, c.deleted) for c in repo.raw_diff(base, marked) if c.path == "train.py"] == [(1, 1)]
