"""Hostile patches against any tree: what they are, what they make, and why each must be refused.

``Targets`` names the files of a tree that they act on; ``BUILDERS`` make patch text by hand, because git would not
write most of it. ``takes`` says whether plain ``git apply --index`` takes the same bytes: the positive control.

Not covered: what a changed file does (the sandbox's part).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

NULL_ID = "0" * 40


@dataclass(frozen=True, slots=True)
class Targets:
    """The files of one tree that the patches act on, each with its bytes. Empty: the tree has no such file."""

    allowed: str  # text of several lines, which the scope lets change
    files: Mapping[str, bytes]
    manifest: str = "festina.toml"
    scorer: str = ""
    items: str = ""  # public items
    needed: str = ""  # a file that the manifest's commands name
    outside: str = ""  # text that the scope does not let change
    folder: str = ""  # where new files are made: a folder that the scope covers, or ""

    def path(self, name: str) -> str:
        return f"{self.folder}{name}"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One patch. ``reason``: the class it must be refused with when the scope allows every path."""

    name: str
    patch: bytes
    reason: str
    guard: bool = False
    takes: bool = True


def quoted(name: bytes | str) -> bytes:
    """A name as git writes it in a header: C-style quotes where needed."""
    raw = name.encode() if isinstance(name, str) else name
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in raw):
        return raw
    return b'"' + b"".join(bytes([b]) if 32 <= b < 127 and b not in b'"\\' else b"\\%03o" % b for b in raw) + b'"'


def new(path: bytes | str, text: str | bytes = "x = 1\n", mode: str = "100644") -> bytes:
    """A file that was not there."""
    raw = path.encode() if isinstance(path, str) else path
    data = text.encode() if isinstance(text, str) else text
    head = (
        b"diff --git " + quoted(b"a/" + raw) + b" " + quoted(b"b/" + raw) + b"\nnew file mode " + mode.encode() + b"\n"
    )
    if not data:
        return head + b"index 0000000000000000000000000000000000000000..e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n"
    ended = data.endswith(b"\n")
    lines = data.removesuffix(b"\n").split(b"\n")
    body = b"".join(b"+" + line + b"\n" for line in lines) + (b"" if ended else b"\\ No newline at end of file\n")
    return head + b"--- /dev/null\n+++ " + quoted(b"b/" + raw) + b"\n@@ -0,0 +1,%d @@\n" % len(lines) + body


def delete(path: str, data: bytes) -> bytes:
    """A file gone."""
    ended = data.endswith(b"\n")
    lines = data.removesuffix(b"\n").split(b"\n")
    name = path.encode()
    head = b"diff --git a/%s b/%s\ndeleted file mode 100644\n--- a/%s\n+++ /dev/null\n" % (name, name, name)
    body = b"".join(b"-" + line + b"\n" for line in lines)
    return head + b"@@ -1,%d +0,0 @@\n" % len(lines) + body + (b"" if ended else b"\\ No newline at end of file\n")


def edit(path: str, data: bytes, line: str | bytes, *, old: bytes | None = None) -> bytes:
    """The first line of a file replaced; ``old``: what the patch claims that it was."""
    fresh = line.encode() if isinstance(line, str) else line
    lines = data.split(b"\n")
    ended = lines[-1] == b""
    lines = lines[:-1] if ended else lines
    context = lines[1:4]
    last = len(lines) <= 4 and not ended
    name = path.encode()
    mark = b"\\ No newline at end of file\n"
    count = 1 + len(context)
    body = b"-%s\n" % (lines[0] if old is None else old)
    body += mark if last and not context else b""
    body += b"+%s\n" % fresh + (mark if last and not context else b"")
    body += b"".join(b" " + each + b"\n" for each in context) + (mark if last and context else b"")
    head = b"diff --git a/%s b/%s\n--- a/%s\n+++ b/%s\n" % (name, name, name, name)
    return head + b"@@ -1,%d +1,%d @@\n" % (count, count) + body


def chmod(path: str, old: str, now: str) -> bytes:
    return f"diff --git a/{path} b/{path}\nold mode {old}\nnew mode {now}\n".encode()


def move(kind: str, source: str, target: str) -> bytes:
    """``kind`` is copy or rename."""
    return (
        f"diff --git a/{source} b/{target}\nsimilarity index 100%\n{kind} from {source}\n{kind} to {target}\n".encode()
    )


def binary(path: str) -> bytes:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
        f"index {NULL_ID}..f76dd238ade08917e6712764a16a22005a50573d\n".encode()
        + b"GIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
    )


def gitlink(path: str) -> bytes:
    name = path.encode()
    return (
        b"diff --git a/%s b/%s\nnew file mode 160000\nindex 0000000..1234567\n--- /dev/null\n+++ b/%s\n"
        b"@@ -0,0 +1 @@\n+Subproject commit " % (name, name, name)
    ) + b"1" * 40 + b"\n"


def hostile(t: Targets) -> tuple[Hostile, ...]:
    """Every patch that this tree offers a place for."""
    return (*_places(t), *_headers(t), *_kinds(t), *_names(t), *_texts(t), *_guards(t), *_nothing(t))


def _good(t: Targets, line: str | bytes = b"") -> bytes:
    first = t.files[t.allowed].split(b"\n")[0]
    fresh = line.encode() if isinstance(line, str) else line
    return edit(t.allowed, t.files[t.allowed], first + fresh if fresh else first + b" ")


def _places(t: Targets) -> Iterator[Hostile]:
    yield Hostile("traversal", new(t.path("../../evil.py")), "traversal", takes=False)
    old = b"--- /dev/null\n+++ b/../evil.py\n@@ -0,0 +1 @@\n+x\n"
    yield Hostile("traversal in a traditional patch", old, "traversal", takes=False)
    yield Hostile("dot component", new(t.path("./x.py")), "traversal", takes=False)
    yield Hostile("absolute path", b"--- /dev/null\n+++ /tmp/evil.py\n@@ -0,0 +1 @@\n+x\n", "absolute")
    if t.outside:
        yield Hostile("outside the scope", edit(t.outside, t.files[t.outside], b"changed"), "scope")
    for name, takes in (
        (".git", False), (".GIT", False), ("git~1", False), ("GIT~2", True), (".git ", False), (".git...", False),
        (".g\u200cit", True), ("\uff0egit", True), (".git::$INDEX_ALLOCATION", False),
    ):  # fmt: skip
        patch = new(f"{name}/config", "[core]\n\tfsmonitor = evil\n")
        yield Hostile(f"git internals as {name!a}", patch, "git-internals", takes=takes)
    yield Hostile("attributes", new(t.path(".gitattributes"), "* filter=evil\n"), "git-config")
    yield Hostile("ignored files", new(".drill/.gitignore", "*.py\n"), "git-config")
    yield Hostile("modules", new(".drill/.gitmodules", '[submodule "s"]\n\tpath = s\n'), "git-config")


def _kinds(t: Targets) -> Iterator[Hostile]:
    yield Hostile("symbolic link", new(t.path("peek"), b"/etc/passwd", "120000"), "symlink")
    yield Hostile("submodule", gitlink(t.path("sub")), "submodule")
    yield Hostile("new executable", new(t.path("run.sh"), "#!/bin/sh\n", "100755"), "executable")
    yield Hostile("executable bit", chmod(t.allowed, "100644", "100755"), "executable")
    yield Hostile("setuid mode", new(t.path("su.sh"), "#!/bin/sh\n", "104755"), "mode")
    yield Hostile(
        "file becomes a link",
        delete(t.allowed, t.files[t.allowed]) + new(t.allowed, b"/etc/passwd", "120000"), "symlink",
    )  # fmt: skip
    for name in (
        "conftest.py", "sitecustomize.py", "usercustomize.py", "evil.pth", "sitecustomize/__init__.py",
        "evil.dist-info/entry_points.txt", "pytest.ini",
    ):  # fmt: skip
        yield Hostile(f"startup hook {name}", new(f".drill/{name}"), "startup-hook")
    for name in ("__pycache__/net.cpython-311.pyc", "x.pyc", "fast.so"):
        yield Hostile(f"compiled {name}", new(f".drill/{name}"), "compiled")
    for name in (".github/workflows/drill.yml", ".gitlab-ci.yml", "Jenkinsfile", ".vscode/tasks.json"):
        if name not in t.files:
            yield Hostile(f"CI file {name}", new(name), "ci")
    yield Hostile("binary patch", binary(t.path("w.bin")), "binary")


def _headers(t: Targets) -> Iterator[Hostile]:
    target = t.path("copied.txt")
    source = t.outside or t.manifest
    guarded = source in (t.manifest, t.scorer, t.items)
    reason = "protected" if guarded else "copy-rename"
    yield Hostile("copy of a file", move("copy", source, target), reason, guard=guarded)
    yield Hostile("rename within the scope", move("rename", t.allowed, target), "copy-rename")
    yield Hostile("copy header behind a false hunk", b"garbage\n" + move("copy", t.allowed, target), "copy-rename")
    name = t.allowed.encode()
    lied = _good(t, "#").replace(b"diff --git a/%s b/%s" % (name, name), b"diff --git a/elsewhere b/elsewhere")
    yield Hostile("header names another file", lied, "header-mismatch")
    yield Hostile("one path twice", _good(t, "#") + _good(t, "##"), "duplicate-path", takes=False)
    words = f"Binary files /dev/null and b/{target} differ"
    head = f"diff --git a/{target} b/{target}\nnew file mode 100644\nindex {NULL_ID}..{'1' * 40}\n{words}\n"
    yield Hostile("a file of another branch by its object name", head.encode(), "binary", takes=False)


def _names(t: Targets) -> Iterator[Hostile]:
    swapped = t.allowed.swapcase()
    if swapped != t.allowed and swapped not in t.files:
        yield Hostile("other letters of the same name", new(swapped), "path-collision")
    yield Hostile("two new colliding names", new(t.path("zz.py")) + new(t.path("ZZ.py")), "path-collision")
    for label, name in (
        ("right-to-left override", "\u202eyp.exe"), ("zero-width space", "tra\u200bin.py"), ("newline", "a\nb.py"),
        ("escape sequence", "\x1b[2Jb.py"), ("mixed scripts", "tr\u0430in.py"), ("full-width", "\uff54rain.py"),
        ("decomposed", "cafe\u0301.py"), ("Hangul filler", "\u3164.py"),
    ):  # fmt: skip
        yield Hostile(f"name with {label}", new(t.path(name)), "path-characters")
    yield Hostile("name that is not UTF-8", new(t.path("").encode() + b"\xff\xfe.py"), "path-encoding")
    for label, name in (("trailing dot", "x.py."), ("reserved on Windows", "aux.py"), ("backslash", "a\\..\\x.py")):
        yield Hostile(f"name with {label}", new(t.path(name)), "path-portability")
    yield Hostile("long path", new("d/" * 150 + "x.py"), "path-length")


def _texts(t: Targets) -> Iterator[Hostile]:
    for label, text in (
        ("bidirectional text", "  # \u202e evil \u2066"), ("zero-width text", "#ad\u200bmin"),
        ("an escape sequence", "  # \x1b[1A\x1b[2K"), ("a carriage return", "\rhidden()"),
        ("a line separator", " #\u2028evil()"), ("hidden tag characters", " # \U000e0041\U000e0042"),
    ):  # fmt: skip
        yield Hostile(label, _good(t, text), "text-characters")
    yield Hostile("a zero byte", _good(t, b"\0"), "binary")
    yield Hostile("text that is not UTF-8", _good(t, b"\xff"), "binary")
    yield Hostile("one endless line", new(t.path("big.py"), "x" * 200_001 + "\n"), "line-length")
    yield Hostile("many lines", new(t.path("big.py"), "x\n" * 20_001), "lines")
    yield Hostile("many files", b"".join(new(t.path(f"f{n}.py"), "") for n in range(501)), "files")


def _guards(t: Targets) -> Iterator[Hostile]:
    for label, path in (("manifest", t.manifest), ("scorer", t.scorer), ("public items", t.items)):
        if not path or path not in t.files:
            continue
        data = t.files[path]
        yield Hostile(f"the {label}", edit(path, data, b"changed"), "protected", guard=True)
        yield Hostile(f"the {label} deleted", delete(path, data), "protected", guard=True)
        yield Hostile(f"the {label} renamed", move("rename", path, t.path("old")), "protected", guard=True)
        yield Hostile(f"the {label} beside a good change", _good(t, "#") + edit(path, data, b"changed"), "protected",
                      guard=True)  # fmt: skip
        if path.swapcase() not in t.files:
            yield Hostile(f"the {label} in other letters", new(path.swapcase()), "protected", guard=True)
    if t.scorer.endswith(".py"):
        base = t.scorer.removesuffix(".py")
        yield Hostile("the scorer shadowed by a package", new(f"{base}/__init__.py"), "protected", guard=True)
        alike = t.scorer.replace("o", "\u043e").replace("c", "\u0441")
        if alike != t.scorer:
            yield Hostile("the scorer shadowed by a look-alike", new(alike), "protected", guard=True)
    if t.needed:
        yield Hostile("the program that runs, deleted", delete(t.needed, t.files[t.needed]), "needed")


def _nothing(t: Targets) -> Iterator[Hostile]:
    yield Hostile("garbage", b"please merge this\n", "apply", takes=False)
    yield Hostile("truncated", _good(t, "#")[:-8], "apply", takes=False)
    guess = edit(t.allowed, t.files[t.allowed], b"x", old=b"a guess at what stands here")
    yield Hostile("a guess at context lines", guess, "apply", takes=False)
    elsewhere = edit("no-such-file.py", b"a\nb\n", b"x")
    yield Hostile("a guess at a file's existence", elsewhere, "apply", takes=False)
