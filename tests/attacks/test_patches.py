"""Hostile patches: each is refused with the right reason, most while plain ``git apply --index`` takes them.

``takes`` records what plain git does with the same bytes in the same repository: the positive control. Where git
refuses by itself the case stays, because the reason class must be right and because git's rules have changed before.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from festina.drill.own import patches
from festina.drill.own.patches import chmod, move, new
from festina.system.objects import Change
from festina.system.repo import ApplyFailed, Repo
from festina.system.scope import REASONS, Refused, Scope, judge, judge_content, patch_text_check, screen, screen_files

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{w}_{k}": v for w in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "t"), ("EMAIL", "t@localhost"))},
}
BASE = {
    "train.py": "a = 1\nb = 2\nc = 3\n",
    "model/net.py": "layers = 2\n",
    "model/café.py": "x = 1\n",
    "lib/util.py": "def f():\n    return 1\n",
    "Makefile": "all:\n\ttrue\n",
    "festina.toml": "run = ['python', 'train.py']\n",
    "scoring.py": "def score():\n    return 0\n",
    "data/public.jsonl": "{}\n",
    "private/notes.txt": "hidden answer\n",
    "tool.sh": "#!/bin/sh\n",
    "bare/HEAD": "ref: refs/heads/x\n",
    "bare/refs/x": "x\n",
}
WIDE = Scope(
    allow=("**",),
    deny=("private/**",),
    max_changed_files=5,
    protected=("festina.toml", "scoring.*", "scoring/**", "data/public.jsonl"),
    needed=("train.py",),
)
NARROW = Scope(allow=("train.py",))


def git(cwd: Path, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *args], cwd=cwd, env=ENV, input=stdin, capture_output=True, check=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("system")
    git(root, "init", "-q", "-b", "main")
    for name, text in BASE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "tool.sh").chmod(0o755)
    (root / "link").symlink_to("train.py")
    git(root, "add", "-A")
    assert git(root, "commit", "-qm", "start").returncode == 0
    assert git(root, "hash-object", "-w", "--stdin", stdin=ELSEWHERE).stdout.decode().strip() == STOLEN_OID
    return root


@pytest.fixture(scope="module")
def repo(original: Path) -> Iterator[Repo]:
    with Repo(original) as opened:
        yield opened


@pytest.fixture(scope="module")
def tree(repo: Repo) -> str:
    return repo.tree_of(repo.head())


def delete(path: str, text: str | None = None) -> bytes:
    return patches.delete(path, (text or BASE[path]).encode())


def edit(path: str, old: str, line: str | bytes) -> bytes:
    """Replace the first line of a file, which the patch claims to be ``old``."""
    return patches.edit(path, BASE[path].encode(), line, old=old.encode())


GOOD = edit("train.py", "a = 1", "a = 5")


@dataclass(frozen=True)
class Attack:
    name: str
    patch: bytes
    reason: str
    takes: bool = True  # whether plain git takes it
    guard: bool = False
    scope: Scope = WIDE


SYMLINK = new("model/peek", b"/etc/passwd", "120000")
GITLINK = patches.gitlink("sub")
BINARY = patches.binary("model/w.bin")

ELSEWHERE = b"the labels, on another branch\n"
STOLEN_OID = hashlib.sha1(b"blob %d\0" % len(ELSEWHERE) + ELSEWHERE).hexdigest()


def stolen(words: str) -> bytes:
    """git fetches the named object from the store without any data in the patch, wherever it came from."""
    head = f"diff --git a/model/s.txt b/model/s.txt\nnew file mode 100644\nindex {'0' * 40}..{STOLEN_OID}\n"
    return f"{head}{words}\n".encode()


# What the drill ships, against this tree; below stands only what needs this tree or a narrower scope.
SHIPPED = [
    Attack(f"drill: {each.name}", each.patch, each.reason, each.takes, each.guard)
    for each in patches.hostile(
        patches.Targets(
            allowed="train.py", files={name: text.encode() for name, text in BASE.items()}, scorer="scoring.py",
            items="data/public.jsonl", needed="train.py", folder="model/",
        )
    )
]  # fmt: skip
ATTACKS = [
    *SHIPPED,
    # Where it writes
    Attack("absolute path after the prefix", new("/tmp/evil.py"), "absolute", takes=False),
    Attack("outside allow", edit("lib/util.py", "def f():", "def g():"), "scope", scope=NARROW),
    Attack("inside deny", new("private/more.txt"), "scope"),
    Attack("inside deny in other letters", new("PRIVATE/more.txt"), "scope"),
    Attack("Makefile outside allow", edit("Makefile", "all:", "evil:"), "scope", scope=NARROW),
    # What kind of thing it makes
    Attack(
        "link is redirected",
        b"diff --git a/link b/link\nindex 1..2 120000\n--- a/link\n+++ b/link\n@@ -1 +1 @@\n-train.py\n"
        b"\\ No newline at end of file\n+private/notes.txt\n\\ No newline at end of file\n",
        "symlink",
    ),
    Attack(
        "link is deleted",
        b"diff --git a/link b/link\ndeleted file mode 120000\n--- a/link\n+++ /dev/null\n@@ -1 +0,0 @@\n"
        b"-train.py\n\\ No newline at end of file\n",
        "symlink",
    ),
    Attack(
        "submodule by .gitmodules",
        new(".gitmodules", '[submodule "s"]\n\tpath = s\n\turl = ext::sh -c evil\n'),
        "git-config",
    ),
    Attack("executable bit dropped", chmod("tool.sh", "100755", "100644"), "mode"),
    Attack("directory mode", new("model/dir", "x\n", "040000"), "mode"),
    Attack("file becomes a directory", delete("lib/util.py") + new("lib/util.py/x.py"), "path-conflict"),
    Attack(
        "directory becomes a file", delete("model/net.py") + delete("model/café.py") + new("model"), "path-conflict"
    ),
    # Copies, renames, headers that lie
    Attack("copy of an unreadable file", move("copy", "private/notes.txt", "model/notes.txt"), "copy-rename"),
    Attack("rename within the scope", move("rename", "lib/util.py", "lib/tool.py"), "copy-rename"),
    Attack("rename of a protected file", move("rename", "scoring.py", "model/old.py"), "protected", guard=True),
    Attack(
        "rename over a protected file",
        delete("scoring.py") + move("rename", "lib/util.py", "scoring.py"),
        "protected",
        guard=True,
    ),
    Attack("copy of a protected file", move("copy", "scoring.py", "model/s.py"), "protected", guard=True),
    Attack(
        "old rename headers",
        b"diff --git a/lib/util.py b/lib/t.py\nrename old lib/util.py\nrename new lib/t.py\n",
        "copy-rename",
    ),
    Attack(
        "copy header behind a false hunk",
        b"garbage\n" + move("copy", "private/notes.txt", "model/n.txt") + GOOD,
        "copy-rename",
    ),
    Attack(
        "header names another file",
        GOOD.replace(b"diff --git a/train.py b/train.py", b"diff --git a/lib/util.py b/lib/util.py"),
        "header-mismatch",
    ),
    Attack(
        "traditional patch with two names",
        b"--- a/lib/util.py\n+++ b/train.py\n@@ -1 +1 @@\n-a = 1\n+a = 5\n",
        "header-mismatch",
        takes=False,
    ),
    Attack("one path twice", GOOD + edit("train.py", "a = 5", "a = 6"), "duplicate-path"),
    Attack("added and deleted again", new("model/x.py", "x\n") + delete("model/x.py", "x\n"), "duplicate-path"),
    # git's own files
    *(
        Attack(
            f"git internals as {name!a}",
            new(f"{name}/config", "[core]\n\tfsmonitor = evil\n"),
            "git-internals",
            takes=takes,
        )
        for name, takes in (
            (".git\ufeff", True),
            ("model/.git", False),
            (".gi\u2060t", True),
        )
    ),
    Attack("nested repository", new("bare/objects/x", "x\n"), "git-internals"),
    Attack("attributes in other letters", new(".GitAttributes", "* filter=evil\n"), "git-config"),
    Attack("ignored files", new(".gitignore", "*.py\n"), "git-config"),
    # Code that starts by itself
    *(
        Attack(f"startup hook {name}", new(name), "startup-hook")
        for name in (
            "conftest.py",
            "model/conftest.py",
            "model/Conftest.PY",
            "sitecustomize.py",
            "lib/usercustomize.py",
            "evil.pth",
            "sitecustomize/__init__.py",
            "python311._pth",
            "evil.dist-info/entry_points.txt",
            "pyvenv.cfg",
        )
    ),
    Attack("empty startup hook", new("conftest.py", ""), "startup-hook"),
    *(
        Attack(f"compiled {name}", new(name), "compiled")
        for name in (
            "model/__pycache__/net.cpython-311.pyc",
            "x.pyc",
            "model/fast.so",
            "x.so.1",
            "x.pyd",
            "m/__PYCACHE__/y.py",
        )
    ),
    *(
        Attack(f"CI file {name}", new(name), "ci")
        for name in (
            ".github/workflows/x.yml",
            ".GitHub/x.yml",
            ".ci/run.sh",
        )
    ),
    # Names that deceive
    Attack("case collision", new("TRAIN.py"), "path-collision"),
    Attack("case collision of directories", new("Model/new.py"), "path-collision"),
    Attack("two new colliding names", new("z.py") + new("Z.py"), "path-collision"),
    Attack("compatibility characters", new("model/\ufb01le.py"), "path-characters"),
    Attack("whole-script look-alike", new("lib/\u0441\u043e\u0440\u0443.py") + new("lib/copy.py"), "path-collision"),
    Attack("trailing space", new("model/x.py "), "path-portability"),
    Attack("stream on Windows", new("model/x.py:evil"), "path-portability"),
    Attack("backslash", new("model\\..\\x.py"), "path-portability"),
    Attack("long component", new("x" * 200 + ".py"), "path-length"),
    # What it writes
    Attack(
        "variation selectors carry data", edit("train.py", "a = 1", "a = 1 # \U000e0101\U000e0102"), "text-characters"
    ),
    Attack("binary patch where binary files are allowed", BINARY, "binary", scope=Scope(allow=("**",), binary=True)),
    *(
        Attack(f"file of another branch by its object name: {words}", stolen(words), "binary")
        for words in ("Binary files /dev/null and b/model/s.txt differ", "Files /dev/null and b/model/s.txt differ")
    ),
    # How much
    Attack(
        "large file",
        new("model/big.py", ("x" * 99 + "\n") * 11_000),
        "size",
        scope=Scope(allow=("**",), max_changed_lines=10**6),
    ),
    # What must stay
    Attack("manifest in other letters", new("Festina.toml"), "protected", guard=True),
    Attack(
        "good change beside a protected one",
        GOOD + edit("scoring.py", "def score():", "def s():"),
        "protected",
        guard=True,
    ),
    Attack("kind of change", new("model/x.py"), "kind", scope=Scope(allow=("**",), kinds=("modify",))),
    # Patches that are none
    Attack("headers only", b"diff --git a/train.py b/train.py\nindex 1111111..2222222 100644\n", "apply", takes=False),
    Attack("truncated", GOOD[:-8], "apply", takes=False),
    Attack("does not fit", edit("train.py", "zzz", "a = 5"), "apply", takes=False),
    Attack(
        "modifies a missing file",
        edit("train.py", "a = 1", "a = 5").replace(b"train.py", b"model/no.py"),
        "apply",
        takes=False,
    ),
    Attack("writes through a link", new("link/x.py"), "apply", takes=False),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_P2_hostile_patch_is_refused_for_the_right_reason(repo: Repo, tree: str, attack: Attack) -> None:
    with pytest.raises(Refused) as caught:
        screen(repo, tree, attack.patch, attack.scope)
    assert caught.value.reason == attack.reason, caught.value.report()
    assert caught.value.guard_change is attack.guard  # T-4
    assert caught.value.report().isascii(), "a refusal's text must be safe to print"  # T-5


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_control_plain_git(original: Path, tmp_path: Path, attack: Attack) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original, copy, symlinks=True)
    git(copy, "update-index", "-q", "--refresh")
    done = git(copy, "apply", "--index", "-", stdin=attack.patch)
    assert (done.returncode == 0) is attack.takes, done.stderr.decode(errors="replace")


def test_the_control_takes_most_of_them() -> None:
    assert len(ATTACKS) >= 100
    assert sum(attack.takes for attack in ATTACKS) >= 80


# Classes that only a patch's text shows: what they make is a change like any other, or none.
TEXT_ONLY = {"copy-rename", "header-mismatch", "duplicate-path", "absolute"}


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.takes and a.reason not in TEXT_ONLY], ids=lambda a: a.name)
def test_P1_the_effect_alone_is_refused_too(repo: Repo, tree: str, attack: Attack) -> None:
    """Without the reading of headers: whatever a cleverer text hides, the resulting tree shows."""
    try:
        made = repo.apply(tree, attack.patch)
    except ApplyFailed:
        return  # the private directory protects names that plain git takes
    try:
        changes = repo.raw_diff(tree, made)
        found = judge(changes, attack.scope, [entry.path for entry in repo.ls_tree(tree)])
        oids = [oid for c in changes for oid in (c.old_oid, c.new_oid) if oid.strip("0") and c.new_mode != "160000"]
        blobs = repo.read_blobs(oids)
        for change in changes:
            old, fresh = blobs.get(change.old_oid, b""), blobs.get(change.new_oid, b"")
            found += judge_content(change, old, fresh, attack.scope)
    finally:
        repo.discard(made)
    if attack.name == "directory mode":  # nothing comes of it here; git's apply --index makes a plain file
        assert changes == ()
    elif attack.name.startswith("file of another branch"):
        assert blobs == {STOLEN_OID: ELSEWHERE}  # why the text is refused: the effect is a file like any other
    elif attack.name == "binary patch where binary files are allowed":
        assert not found
    elif "protected" in attack.reason and "copy" in attack.name:  # a file like any other: only the text tells
        assert [change.path for change in changes] in (["model/s.py"], ["model/copied.txt"])
    else:
        assert found, changes


@pytest.mark.parametrize(
    "name", [".git", ".GIT", "git~1", ".git ", ".git.", ".g\u200cit", ".git::$INDEX_ALLOCATION", "gi7d29~1"]
)
def test_P2_git_names_are_refused_by_effect(name: str) -> None:
    """git never let these into an index here; a tree made by other means is judged the same."""
    change = Change(f"sub/{name}/config", "000000", "100644", "0" * 40, "1" * 40, 1, 0)
    assert "git-internals" in {refusal.reason for refusal in judge([change], WIDE)}


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//x", ""])
def test_P2_impossible_paths_are_refused_by_effect(path: str) -> None:
    change = Change(path, "000000", "100644", "0" * 40, "1" * 40, 1, 0)
    assert {refusal.reason for refusal in judge([change], WIDE)} & {"traversal", "absolute"}


def test_P2_fifty_megabytes_are_refused_before_git_sees_them(repo: Repo, tree: str) -> None:
    patch = new("model/big.py", b"x" * 79 + b"\n") + b"+" * (50 << 20)
    before = os.times()
    with pytest.raises(Refused) as caught:
        screen(repo, tree, patch, WIDE)
    assert caught.value.reason == "size"
    after = os.times()
    assert (
        after.children_user + after.children_system == before.children_user + before.children_system
    )  # no process ran


def test_P1_a_patch_of_many_headers_is_read_in_linear_time() -> None:
    patch = (
        b"diff --git " + b"a b " * 5000 + b"\n" + b"--- a/x\n" * 20_000 + b"@@ -1,999999999 +1,999999999 @@\n" * 20_000
    )
    before = os.times().user
    patch_text_check(patch, WIDE)
    assert os.times().user - before < 5


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({".git/hooks/pre-commit": b"evil"}, "git-internals"),
        ({"../x": b""}, "traversal"),
        ({"/etc/x": b""}, "absolute"),
        ({"scoring.py": b"cheat"}, "protected"),
        ({"conftest.py": b""}, "startup-hook"),
        ({"train.py": b"\0"}, "binary"),
        ({"train.py": None}, "needed"),
        ({"no-such-file": None}, None),
        ({"train.py/x": b""}, "path-conflict"),
        ({"model/\udcff.py": b"x"}, "path-encoding"),
        ({"lib/util.py": None, "lib/util.py/x": b""}, "path-conflict"),
        ({"x\ny": b""}, "path-characters"),
    ],
)
def test_P2_whole_files_are_judged_like_patches(repo: Repo, tree: str, files: dict, reason: str | None) -> None:
    if reason is None:
        assert screen_files(repo, tree, files, WIDE).no_op
        return
    with pytest.raises(Refused) as caught:
        screen_files(repo, tree, files, WIDE)
    assert caught.value.reason == reason, caught.value.report()


def test_P2_every_reason_class_is_attacked() -> None:
    assert {attack.reason for attack in ATTACKS} == set(REASONS)


def test_P1_a_refused_patch_leaves_no_object_behind(original: Path, repo: Repo, tree: str) -> None:
    before = sorted((original / ".git/objects").rglob("*"))
    for attack in ATTACKS[::7]:
        with pytest.raises(Refused):
            screen(repo, tree, attack.patch, attack.scope)
    assert sorted((original / ".git/objects").rglob("*")) == before


@pytest.mark.parametrize(
    "patch",
    [
        GOOD,
        new("model/deep/er.py"),
        new("model/empty.py", ""),
        new("model/naïve résumé.py", "x = 'ünïcödé ☕'\n"),
        new("lib/модель.py", "# честный комментарий\n"),
        new("model/crlf.py", "a = 1\r\nb = 2\r\n"),
        new("model/no_newline.py", "x"),
        new("model/headers.py", "--- a/x\n+++ b/y\nrename from me\n"),
        delete("lib/util.py"),
        edit("tool.sh", "#!/bin/sh", "#!/bin/bash"),
        b"Here is my patch, I hope you like it.\n\n" + GOOD,
        GOOD + new("model/b.py") + delete("lib/util.py"),
        GOOD.replace(b"diff --git a/train.py b/train.py\n", b""),
        edit("Makefile", "all:", "all: x"),
    ],
)
def test_P3_honest_patches_pass(repo: Repo, tree: str, patch: bytes) -> None:
    screened = screen(repo, tree, patch, WIDE)
    assert screened.tree != tree
    assert screened.changed_files >= 1
    again = screen(repo, tree, repo.diff(tree, screened.tree), WIDE)  # the canonical patch says the same
    assert again.tree == screened.tree


def test_P2_binary_files_pass_whole_where_the_scope_says_so(repo: Repo, tree: str) -> None:
    scope = Scope(allow=("model/**",), binary=True)
    assert screen_files(repo, tree, {"model/w.bin": b"\0\xff"}, scope).changed_files == 1


def test_P2_no_change_is_left_unjudged_in_a_crowd() -> None:
    crowd = [Change(f"m/{n}.py", "000000", "100644", "0" * 40, "1" * 40, 0, 0) for n in range(3000)]
    found = judge(
        [*crowd, Change("x.pth", "000000", "100644", "0" * 40, "1" * 40, 0, 0)], Scope(("**",), max_changed_files=10**6)
    )
    assert {refusal.reason for refusal in found} == {"startup-hook"}
