"""Merkle trees of RFC 6962 §2.1 (RFC 9162 §2.1): hashing, proofs, and checking them. Nothing is stored here.

    H            SHA-256, or SM3 for our second tree over the same entries (GB/T 32905)
    leaf(d)      H(0x00 || d)
    node(l, r)   H(0x01 || l || r)
    root([])     H("")
    root([h])    h
    root(hs)     node(root(hs[:k]), root(hs[k:]))       k = the largest power of two below len(hs)

The prefixes prevent a leaf from being passed off as a node. Every hash has 32 bytes, and a check refuses any other
length before it computes, because with other lengths bytes could be moved between neighbours.

An inclusion proof of leaf i lists the roots of the subtrees beside the path from the leaf to the root, the leaf's
sibling first. A consistency proof shows that one tree is a prefix of a later one. Proofs that are too short or too long
are refused. Consistency from size 0 is refused as well, because every tree has the empty one as a prefix and such a
proof proves nothing; a caller that accepts a first contact must handle it itself.

Example (SHA-256), the tree over the two entries "" and 00:

    leaf("")     6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
    leaf(00)     96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7
    root         fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
    proof of leaf 0 in size 2:  [leaf(00)]

A *range* below is a pair (start, end) of leaf numbers: its root is the root over exactly those leaves. The
`…_ranges` functions name the subtrees a proof consists of, so that a tree kept in memory and a tree kept in
tiles prove by the same rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives import hashes

from trust.model.errors import VerificationError

HASH_SIZE: Final = 32

Range = tuple[int, int]


_NEW_SM3: Final = hashes.Hash(hashes.SM3())


def _sm3(data: bytes) -> bytes:
    hasher = _NEW_SM3.copy()  # cheaper than making a new one, which matters for millions of hashes
    hasher.update(data)
    return hasher.finalize()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


_HASHERS: Final[dict[str, Callable[[bytes], bytes]]] = {"sha256": _sha256, "sm3": _sm3}


def empty_root(*, algorithm: str = "sha256") -> bytes:
    return _HASHERS[algorithm](b"")


def leaf_hash(entry: bytes, *, algorithm: str = "sha256") -> bytes:
    return _HASHERS[algorithm](b"\x00" + entry)


def node_hash(left: bytes, right: bytes, *, algorithm: str = "sha256") -> bytes:
    return _HASHERS[algorithm](b"\x01" + left + right)


def root(hashes: Iterable[bytes], *, algorithm: str = "sha256") -> bytes:
    """Root of the tree over these leaf hashes."""
    tree = CompactRange(algorithm=algorithm)
    for each in hashes:
        tree.append(each)
    return tree.root()


def prove_inclusion(index: int, hashes: Sequence[bytes], *, algorithm: str = "sha256") -> list[bytes]:
    """Proof that leaf `index` is in the tree over all of `hashes`."""
    ranges = inclusion_ranges(index, len(hashes))
    return [root(hashes[start:end], algorithm=algorithm) for start, end in ranges]


def prove_consistency(old_size: int, hashes: Sequence[bytes], *, algorithm: str = "sha256") -> list[bytes]:
    """Proof that the tree over the first `old_size` of `hashes` is a prefix of the tree over all of them."""
    ranges = consistency_ranges(old_size, len(hashes))
    return [root(hashes[start:end], algorithm=algorithm) for start, end in ranges]


def check_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes, algorithm: str = "sha256"
) -> None:
    """Checks that `leaf` (a leaf hash) is number `index` in the tree of `size` under `root`.

    Raises `VerificationError` otherwise. RFC 9162 §2.1.3.2.
    """
    if not 0 <= index < size:
        raise VerificationError(f"Leaf {index} cannot be in a tree of size {size}.")
    _check_hash_sizes(leaf, root, *proof)
    fn, sn = index, size - 1
    computed = leaf
    for sibling in proof:
        if sn == 0:
            raise VerificationError(f"The inclusion proof is too long: {len(proof)} hashes for size {size}.")
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed, algorithm=algorithm)
            fn, sn = _skip_right_border(fn, sn)
        else:
            computed = node_hash(computed, sibling, algorithm=algorithm)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise VerificationError(f"The inclusion proof is too short: {len(proof)} hashes for size {size}.")
    if computed != root:
        raise VerificationError(f"The inclusion proof of leaf {index} leads to another root.")


def check_consistency(
    *,
    size1: int,
    root1: bytes,
    size2: int,
    root2: bytes,
    proof: Sequence[bytes],
    algorithm: str = "sha256",
) -> None:
    """Checks that the tree (`size1`, `root1`) is a prefix of the tree (`size2`, `root2`).

    Raises `VerificationError` otherwise, also for size 0. RFC 9162 §2.1.4.2.
    """
    if not 0 < size1 <= size2:
        raise VerificationError(f"No consistency can be shown from size {size1} to size {size2}.")
    _check_hash_sizes(root1, root2, *proof)
    if size1 == size2:
        if proof:
            raise VerificationError("Trees of one size need no proof, but one is given.")
        if root1 != root2:
            raise VerificationError(f"Two different roots of size {size1}.")
        return
    if not proof:
        raise VerificationError(f"The consistency proof from {size1} to {size2} is empty.")
    path = [root1, *proof] if size1 & (size1 - 1) == 0 else list(proof)
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    computed1 = computed2 = path[0]
    for each in path[1:]:
        if sn == 0:
            raise VerificationError(f"The consistency proof is too long: {len(proof)} hashes.")
        if fn & 1 or fn == sn:
            computed1 = node_hash(each, computed1, algorithm=algorithm)
            computed2 = node_hash(each, computed2, algorithm=algorithm)
            fn, sn = _skip_right_border(fn, sn)
        else:
            computed2 = node_hash(computed2, each, algorithm=algorithm)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise VerificationError(f"The consistency proof is too short: {len(proof)} hashes.")
    if computed1 != root1:
        raise VerificationError(f"The consistency proof does not lead to the root of size {size1}.")
    if computed2 != root2:
        raise VerificationError(f"The consistency proof does not lead to the root of size {size2}.")


class CompactRange:
    """A growing tree, stored as its right edge: one hash for every 1-bit of its size, largest subtree first."""

    __slots__ = ("_algorithm", "_hashes", "_size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = (), *, algorithm: str = "sha256") -> None:
        """An empty tree, or one continued from its `size` and `hashes`."""
        if len(hashes) != size.bit_count() or any(len(each) != HASH_SIZE for each in hashes):
            raise ValueError(f"{len(hashes)} hashes are not the right edge of a tree of size {size}")
        self._size = size
        self._hashes = list(hashes)
        self._algorithm = algorithm

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash."""
        left_over, computed = self._size, leaf
        while left_over & 1:
            computed = node_hash(self._hashes.pop(), computed, algorithm=self._algorithm)
            left_over >>= 1
        self._hashes.append(computed)
        self._size += 1

    def root(self) -> bytes:
        if not self._hashes:
            return empty_root(algorithm=self._algorithm)
        computed = self._hashes[-1]
        for each in reversed(self._hashes[:-1]):
            computed = node_hash(each, computed, algorithm=self._algorithm)
        return computed


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots prove leaf `index` in a tree of `size`, in the order of the proof."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of size {size}")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, size: int) -> list[Range]:
    """The subtrees whose roots prove `old_size` a prefix of `size`, in the order of the proof."""
    if not 0 < old_size <= size:
        raise ValueError(f"no consistency can be shown from size {old_size} to size {size}")
    ranges: list[Range] = []
    start, end = 0, size
    while old_size != end:
        middle = start + _largest_power_below(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start > 0:  # otherwise the last subtree is the old tree, whose root the checker already has
        ranges.append((start, end))
    return ranges[::-1]


def perfect_ranges(start: int, end: int) -> list[Range]:
    """Splits a range that begins a subtree into perfect subtrees, largest first."""
    ranges: list[Range] = []
    while start < end:
        width = 1 << ((end - start).bit_length() - 1)
        ranges.append((start, start + width))
        start += width
    return ranges


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def _skip_right_border(fn: int, sn: int) -> tuple[int, int]:
    """Skips levels on the right border at which a subtree has no sibling."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _check_hash_sizes(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_SIZE:
            raise VerificationError(f"A hash of {len(each)} bytes where {HASH_SIZE} are expected.")
