"""A layer over a base shows exactly the tree: compared with a full export, on trees made at random."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.sandbox import kernel
from festina.system.export import remove_export, write_export
from festina.system.layers import Base, write_layer
from festina.system.objects import Change, TreeEntry


def _works() -> bool:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        try:
            os.close(kernel.overlay([one, two]))
        except OSError:
            return False
    return True


pytestmark = pytest.mark.skipif(not _works(), reason="no overlay can be mounted here: root and Linux 5.11 or newer")

# Few names, so that files, folders and deletions of the same names meet; links and git's own names are left out.
NAMES = st.lists(st.sampled_from(["a", "b", "c", ".git", "ü\udcff"]), min_size=1, max_size=4).map("/".join)
MODE = st.sampled_from(["100644", "100644", "100755", "120000", "160000"])
Tree = dict[str, tuple[str, bytes]]  # path -> mode and content


def _possible(files: Tree) -> Tree:
    """No path is a file and a folder at once."""
    kept: Tree = {}
    for path in sorted(files):
        parts = path.split("/")
        if not any("/".join(parts[:n]) in kept for n in range(1, len(parts))):
            kept[path] = files[path]
    return kept


TREES = st.dictionaries(NAMES, st.tuples(MODE, st.sampled_from([b"", b"1", b"2"])), max_size=12).map(_possible)


def _entries(files: Tree) -> list[TreeEntry]:
    return [TreeEntry(path, mode, "commit" if mode == "160000" else "blob", _oid(data), len(data))
            for path, (mode, data) in files.items()]  # fmt: skip


def _oid(data: bytes) -> str:
    return data.hex() or "empty"


def _read(oids: object) -> dict[str, bytes]:
    return {oid: b"" if oid == "empty" else bytes.fromhex(oid) for oid in oids}  # type: ignore[attr-defined]


def _changes(old: Tree, new: Tree) -> list[Change]:
    none = ("000000", b"")
    return [
        Change(path, *(old.get(path, none)[0], new.get(path, none)[0]), _oid(old.get(path, none)[1]),
               _oid(new.get(path, none)[1]), 0, 0)
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]  # fmt: skip


def _view(top: str) -> Iterator[tuple[str, int, int, bytes]]:
    for folder, folders, files in os.walk(top):
        for name in (".", *files):
            path = os.path.join(folder, name)
            found = os.stat(path)
            data = Path(path).read_bytes() if stat.S_ISREG(found.st_mode) else b""
            yield os.path.relpath(path, top), found.st_mode, found.st_mtime_ns, data
        folders.sort()


@settings(max_examples=150, deadline=None)
@given(TREES, TREES)
def test_the_view_through_a_layer_is_the_tree(old: Tree, new: Tree) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "empty").mkdir()
        write_export(_entries(old), place / "base", _read)
        full = write_export(_entries(new), place / "full", _read)
        base = Base.of("t", place / "base", _entries(old))
        layer = write_layer(base, _changes(old, new), place / "layer", _read)
        mount = kernel.overlay([str(layer.path), str(base.path)])
        try:
            assert sorted(_view(f"/proc/self/fd/{mount}")) == sorted(_view(str(full.path)))
            with pytest.raises(OSError, match="Read-only"):
                os.mkdir(f"/proc/self/fd/{mount}/x")
        finally:
            os.close(mount)
            for top in ("base", "full", "layer"):
                remove_export(place / top)
