"""RFC 6962 / 9162 trees against published vectors and against an independent implementation.

Vectors: certificate-transparency's reference tests (merkletree/merkle_tree_test.cc), as also used by
transparency-dev/merkle (testonly/constants.go) and Chromium's ct_log_verifier.
"""

from __future__ import annotations

import hashlib

import pymerkle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.ledger.merkle import (
    EMPTY_ROOT,
    Tree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [bytes.fromhex(x) for x in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [bytes.fromhex(x) for x in (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)]  # fmt: skip
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
G = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
H = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
I = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"  # noqa: E741
INCLUSION = [  # (leaf, size, path); the vectors count leaves from 1, this table from 0
    (0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, F]), (2, 3, [I]), (1, 5, [H, B, D]),
]  # fmt: skip
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [G, E, F]), (2, 5, [B, D])]


def tree_of(leaves: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


def test_L2_published_hashes_of_leaf_and_node():
    assert leaf_hash(b"") == ROOTS[1]
    assert leaf_hash(bytes(range(16, 32))).hex() == "3bfb960453ebaebf33727da7a1f4db38acc051d381b6da20d6d4e88f0eabfd7a"
    left, right = bytes(range(32)), bytes(range(32, 64))
    assert node_hash(left, right).hex() == "1a378704c17da31e2d05b6d121c2bb2c7d76f6ee6fa8f983e596c2d034963c57"


@pytest.mark.parametrize("size", range(9))
def test_L2_published_roots(size: int):
    assert tree_of(LEAVES[:size]).root() == ROOTS[size]
    assert tree_of(LEAVES).root_at(size) == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_L2_published_inclusion_proofs(index: int, size: int, path: list[str]):
    proof = [bytes.fromhex(x) for x in path]
    assert tree_of(LEAVES).inclusion_proof(index, size) == proof
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, ROOTS[size])


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCY)
def test_L2_published_consistency_proofs(first: int, second: int, path: list[str]):
    proof = [bytes.fromhex(x) for x in path]
    assert tree_of(LEAVES).consistency_proof(first, second) == proof
    assert verify_consistency(first, second, proof, ROOTS[first], ROOTS[second])


def test_L2_roots_agree_with_pymerkle():
    tree, other = Tree(), pymerkle.InmemoryTree(algorithm="sha256")
    for n in range(70):
        assert tree.root() == (other.get_root() if n else EMPTY_ROOT)
        data = hashlib.sha256(b"%d" % n).digest()
        tree.append(leaf_hash(data))
        other.append_entry(data)


def naive(hashes: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as the text says it."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(naive(hashes[:k]), naive(hashes[k:]))


def test_L2_every_proof_of_every_small_tree_holds_and_no_other_does():
    hashes = [leaf_hash(b"%d" % n) for n in range(34)]
    tree = Tree()
    for leaf in hashes:
        tree.append(leaf)
    for size in range(1, 34):
        root = naive(hashes[:size])
        assert tree.root_at(size) == root
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            assert verify_inclusion(hashes[index], index, size, proof, root)
            assert not verify_inclusion(hashes[index], (index + 1) % 34, size, proof, root)
            assert not verify_inclusion(hashes[index], index, size, [*proof, root], root)
            assert not proof or not verify_inclusion(hashes[index], index, size, proof[:-1], root)
        for first in range(1, size):
            proof = tree.consistency_proof(first, size)
            assert verify_consistency(first, size, proof, naive(hashes[:first]), root)
            assert not verify_consistency(first, size, proof, naive(hashes[: first - 1]), root)
            assert not verify_consistency(first, size, [*proof, root], naive(hashes[:first]), root)
            assert not verify_consistency(first, size, proof[:-1], naive(hashes[:first]), root)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_L2_a_changed_proof_never_holds(data: st.DataObject):
    size = data.draw(st.integers(2, 40))
    tree = tree_of([b"%d" % n for n in range(size)])
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(index, size)
    which, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    broken = bytearray(proof[which])
    broken[bit // 8] ^= 1 << bit % 8
    proof[which] = bytes(broken)
    assert not verify_inclusion(leaf_hash(b"%d" % index), index, size, proof, tree.root())


def test_L2_a_node_is_never_taken_for_a_leaf():
    two = tree_of([b"a", b"b"])
    inner = leaf_hash(b"a") + leaf_hash(b"b")
    assert two.root() != leaf_hash(inner)  # positive control: without prefixes the two would be one
    assert hashlib.sha256(inner).digest() == hashlib.sha256(leaf_hash(b"a") + leaf_hash(b"b")).digest()


def test_wrong_sizes_are_the_callers_bug():
    tree = tree_of(LEAVES)
    for call in (lambda: tree.root_at(9), lambda: tree.inclusion_proof(3, 3), lambda: tree.consistency_proof(3, 9)):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(ValueError, match="32 bytes"):
        tree.append(b"short")


def test_truncate_restores_the_earlier_tree():
    tree = tree_of(LEAVES)
    tree.truncate(5)
    assert (len(tree), tree.root()) == (5, ROOTS[5])
    for leaf in LEAVES[5:]:
        tree.append(leaf_hash(leaf))
    assert tree.root() == ROOTS[8]
