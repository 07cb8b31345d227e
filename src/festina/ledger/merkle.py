"""RFC 6962 / RFC 9162 Merkle tree over SHA-256: roots, inclusion proofs, consistency proofs.  # L-2

``Tree`` keeps every complete subtree's hash (64 bytes a leaf), so any root or proof at any size costs
O(log n) hashes. The verifying functions need no tree and never raise: wrong input is ``False``.
Leaves and nodes are hashed under different prefixes, so a node can never be passed off as a leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(n: int) -> int:
    """The largest power of two smaller than ``n`` (n >= 2)."""
    return 1 << ((n - 1).bit_length() - 1)


class Tree:
    """Append-only list of leaf hashes with its Merkle roots and proofs. ``truncate`` exists for rollbacks."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]  # level k holds the hashes of complete subtrees of 2**k leaves

    def __len__(self) -> int:
        return len(self._levels[0]) // HASH

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash (32 bytes)."""
        if len(leaf) != HASH:
            raise ValueError("a leaf hash has 32 bytes")
        levels = self._levels
        position = len(levels[0]) // HASH
        levels[0] += leaf
        node, height = leaf, 0
        while position & 1:  # a pair is complete at this height
            row = levels[height]
            node = sha256(b"\x01" + row[-2 * HASH : -HASH] + node).digest()
            position >>= 1
            height += 1
            if height == len(levels):
                levels.append(bytearray())
            levels[height] += node

    def truncate(self, size: int) -> None:
        """Forget all leaves from ``size`` on."""
        for height, row in enumerate(self._levels):
            del row[(size >> height) * HASH :]

    def leaf(self, index: int) -> bytes:
        found = bytes(self._levels[0][index * HASH : (index + 1) * HASH]) if index >= 0 else b""
        if not found:
            raise IndexError(index)
        return found

    def root(self) -> bytes:
        return self.root_at(len(self))

    def root_at(self, size: int) -> bytes:
        """Root of the first ``size`` leaves."""
        if not 0 <= size <= len(self):
            raise IndexError(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def _range(self, start: int, end: int) -> bytes:
        """Hash over leaves [start, end): a stored subtree, or the join of two smaller ranges."""
        width = end - start
        if width & (width - 1) == 0 and start % width == 0:
            height = width.bit_length() - 1
            at = (start >> height) * HASH
            return bytes(self._levels[height][at : at + HASH])
        middle = start + _split(width)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Sibling hashes from the leaf up, for leaf ``index`` in the tree of the first ``size`` leaves."""
        if not 0 <= index < size <= len(self):
            raise IndexError((index, size))
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """Hashes that show the tree of ``first`` leaves to be a prefix of the tree of ``second`` leaves."""
        if not 0 <= first <= second <= len(self):
            raise IndexError((first, second))
        if first in (0, second):
            return []
        path: list[bytes] = []
        start, end, whole = 0, second, True
        while first != end:
            middle = start + _split(end - start)
            if first <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._range(start, end))
        return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2. ``leaf`` is a leaf hash."""
    if not 0 <= index < size or any(len(h) != HASH for h in (leaf, root, *proof)):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and found == root


def verify_consistency(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """RFC 9162 §2.1.4.2. The empty tree is a prefix of every tree; equal sizes need equal roots and no proof."""
    if not 0 <= first <= second or any(len(h) != HASH for h in (first_root, second_root, *proof)):
        return False
    if first == second:
        return not proof and first_root == second_root and (first > 0 or first_root == EMPTY_ROOT)
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            new = node_hash(new, node)
        at >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root
