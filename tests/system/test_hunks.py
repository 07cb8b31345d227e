"""A change taken apart and put together again: the parts are what a reviewer sees, and they always add up."""

from __future__ import annotations

import random
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.system.hunks import take_apart
from festina.system.repo import ApplyFailed, Repo


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    root = tmp_path_factory.mktemp("hunks")
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    (root / "f").write_text("".join(f"line {i}\n" for i in range(60)))
    (root / "same").write_text("a\nb\nc\nd\n" * 20)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "start"], check=True)
    return Repo(root, scratch=tmp_path_factory.mktemp("scratch"))


def tree_with(repo: Repo, base: str, files: dict[str, bytes | None]) -> str:
    tree = repo.write_files(base, files)
    repo.promote(tree)
    return tree


def edited(lines: list[str], coins: random.Random) -> list[str]:
    out = list(lines)
    for _ in range(coins.randrange(1, 6)):
        at = coins.randrange(len(out) + 1)
        kind = coins.choice(["insert", "delete", "change"])
        if kind == "insert" or at == len(out):
            out[at:at] = [f"new {coins.randrange(99)}\n"] * coins.randrange(1, 3)
        else:
            out[at : at + coins.randrange(1, 4)] = [] if kind == "delete" else [f"changed {coins.randrange(99)}\n"]
    return out


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.booleans(), st.sampled_from(["f", "same"]))
def test_V8_every_combination_is_made_and_the_parts_add_up(
    repo: Repo, coins: random.Random, cut: bool, name: str
) -> None:
    add_up(repo, coins, cut, name)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.booleans(), st.sampled_from(["f", "same"]))
def test_V8_many_combinations_are_made_and_their_parts_add_up(
    repo: Repo, coins: random.Random, cut: bool, name: str
) -> None:
    add_up(repo, coins, cut, name)


def add_up(repo: Repo, coins: random.Random, cut: bool, name: str) -> None:
    base = repo.tree_of(repo.head())
    before = repo.read_file(base, name).decode().splitlines(keepends=True)
    after = "".join(edited(before, coins))
    tree = tree_with(repo, base, {name: after[: -1 if cut else None].encode(), "added": b"x\n"})
    parts = take_apart(repo, base, tree)
    n = len(parts.parts)
    assert n >= 1 + (repo.read_file(tree, name) != repo.read_file(base, name))
    whole = (1 << n) - 1
    assert parts.combine(repo, 0) == base
    assert parts.combine(repo, whole) == tree
    for i in range(n):  # what is left out and what is put in alone make up the change together
        without, alone = parts.combine(repo, whole ^ 1 << i), parts.combine(repo, 1 << i)
        assert without != tree
        assert alone != base
        repo.promote(without)
        again = take_apart(repo, without, tree)
        assert sum(part.added for part in again.parts) == parts.parts[i].added
        repo.discard(alone)


def test_V8_a_hunk_whose_context_occurs_twice_lands_where_it_was(repo: Repo) -> None:
    base = repo.tree_of(repo.head())
    lines = ["a\n", "b\n", "c\n", "d\n"] * 20
    lines[10], lines[70] = "first\n", "second\n"
    tree = tree_with(repo, base, {"same": "".join(lines).encode()})
    parts = take_apart(repo, base, tree)
    assert len(parts.parts) == 2
    alone = repo.read_file(parts.combine(repo, 2), "same").decode().splitlines()
    assert alone[70] == "second"
    assert alone[10] == "c"


def test_V8_whole_files_are_one_part_and_many_hunks_are_grouped(repo: Repo) -> None:
    base = repo.tree_of(repo.head())
    files: dict[str, bytes | None] = {f"new{i:02}": b"x\n" * i for i in range(1, 20)}
    tree = tree_with(repo, base, {**files, "f": None, "same": b"\x00binary"})
    parts = take_apart(repo, base, tree)
    assert len(parts.parts) == 12
    assert sum(len(part.pieces) for part in parts.parts) == 21
    assert parts.combine(repo, (1 << 12) - 1) == tree
    assert len(take_apart(repo, base, tree, most=3).parts) == 3


def test_V8_places_are_lines_of_the_new_version(repo: Repo) -> None:
    base = repo.tree_of(repo.head())
    lines = [f"line {i}\n" for i in range(60)]
    lines[20] = "other\n"
    del lines[40:42]
    parts = take_apart(repo, base, tree_with(repo, base, {"f": "".join(lines).encode()}))
    assert [part.place for part in parts.parts] == ["f:18-24", "f:38-43"]
    assert [(part.added, part.removed) for part in parts.parts] == [(1, 1), (0, 2)]


def test_V8_a_file_where_a_folder_would_be_is_one_part_or_no_tree(repo: Repo) -> None:
    """Either the change cannot be taken apart, or the combination that no tree can be is refused."""
    base = repo.tree_of(repo.head())
    gone = tree_with(repo, base, {"f": None})
    tree = tree_with(repo, gone, {"f/inside": b"x\n"})
    parts = take_apart(repo, base, tree)
    assert parts.combine(repo, (1 << len(parts.parts)) - 1) == tree
    made = 0
    for mask in range(1 << len(parts.parts)):
        try:
            made += bool(parts.combine(repo, mask))
        except ApplyFailed:
            continue
    assert made >= 2
