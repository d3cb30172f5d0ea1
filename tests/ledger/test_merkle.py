"""The tree against RFC 6962's reference values, and every small tree with every path element spoiled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.encoding import merkle
from trust.model.errors import VerificationError

# transparency-dev/merkle testonly/constants.go @417fb0c: 8 leaf inputs and the roots of sizes 0 to 8.
INPUTS = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# shared/vectors/ledger/sm3-reference-8-leaves.json: made by us; OpenSSL and gmssl agree on every SM3.
SM3_ROOTS = {
    0: "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
    1: "2daef60e7a0b8f5e024c81cd2ab3109f2b4f155cf83adeb2ae5532f74a157fdf",
    8: "bc48ba7a709184b5f2a631e1adeb8dc2a0d4c018c1d6cc89b5664fe154c93b38",
}
SMALL = 33


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % each) for each in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_the_reference_leaves_give_the_reference_roots(size: int) -> None:
    hashes = [merkle.leaf_hash(each) for each in INPUTS[:size]]
    assert merkle.root(hashes).hex() == ROOTS[size]


@pytest.mark.parametrize("size", SM3_ROOTS)
def test_the_same_leaves_give_the_sm3_roots(size: int) -> None:
    hashes = [merkle.leaf_hash(each, algorithm="sm3") for each in INPUTS[:size]]
    assert merkle.root(hashes, algorithm="sm3").hex() == SM3_ROOTS[size]


def test_the_reference_proofs_are_made() -> None:
    hashes = [merkle.leaf_hash(each) for each in INPUTS]
    # rfc6962-reference-8-leaves.json: inclusion of 5 in 8, consistency of 3 with 7
    assert [each.hex() for each in merkle.prove_inclusion(5, hashes)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [each.hex() for each in merkle.prove_consistency(3, hashes[:7])] == [
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
    ]


def root_by_definition(hashes: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word, to have something that shares no code with the compact range."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return merkle.node_hash(root_by_definition(hashes[:split]), root_by_definition(hashes[split:]))


def test_every_inclusion_in_a_small_tree_is_shown_and_no_spoiled_one() -> None:
    hashes = leaves(SMALL)
    for size in range(1, SMALL + 1):
        root = root_by_definition(hashes[:size])
        for index in range(size):
            proof = merkle.prove_inclusion(index, hashes[:size])
            merkle.check_inclusion(hashes[index], index=index, size=size, proof=proof, root=root)
            for spoiled in spoil(proof):
                with pytest.raises(VerificationError):
                    merkle.check_inclusion(hashes[index], index=index, size=size, proof=spoiled, root=root)
            for other in range(-1, size + 1):
                if other != index:
                    with pytest.raises(VerificationError):
                        merkle.check_inclusion(hashes[index], index=other, size=size, proof=proof, root=root)


def test_every_consistency_of_small_trees_is_shown_and_no_spoiled_one() -> None:
    hashes = leaves(SMALL)
    roots = {size: root_by_definition(hashes[:size]) for size in range(1, SMALL + 1)}
    for size in range(1, SMALL + 1):
        for old in range(1, size + 1):
            proof = merkle.prove_consistency(old, hashes[:size])
            check: dict[str, Any] = {"size1": old, "root1": roots[old], "size2": size, "root2": roots[size]}
            merkle.check_consistency(**check, proof=proof)
            for spoiled in spoil(proof):
                with pytest.raises(VerificationError):
                    merkle.check_consistency(**check, proof=spoiled)
            for name in ("root1", "root2"):
                with pytest.raises(VerificationError):
                    merkle.check_consistency(**(check | {name: b"\x01" * 32}), proof=proof)


def spoil(proof: list[bytes]) -> list[list[bytes]]:
    """Each element changed, dropped, shortened, lengthened; one too many at each place."""
    spoiled = [[*proof[:at], bytes(32), *proof[at:]] for at in range(len(proof) + 1)]
    for at, each in enumerate(proof):
        flipped = bytes([each[0] ^ 1]) + each[1:]
        for instead in ([flipped], [], [each[:31]], [each + b"\0"]):
            spoiled.append(proof[:at] + instead + proof[at + 1 :])
    return spoiled


@pytest.mark.parametrize(("size1", "size2"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_consistency_from_nothing_or_backwards_is_refused(size1: int, size2: int) -> None:
    with pytest.raises(VerificationError):
        merkle.check_consistency(
            size1=size1, root1=merkle.empty_root(), size2=size2, root2=merkle.empty_root(), proof=[]
        )


def test_a_short_leaf_or_root_is_refused_even_where_everything_else_matches() -> None:
    for leaf, root in ((b"x", b"x"), (b"x" * 32, b"x" * 31)):
        with pytest.raises(VerificationError, match="bytes"):
            merkle.check_inclusion(leaf, index=0, size=1, proof=[], root=root)


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_compact_range_can_be_put_down_and_taken_up_anywhere(first: int, more: int) -> None:
    hashes = leaves(first + more)
    before = merkle.CompactRange()
    for each in hashes[:first]:
        before.append(each)
    after = merkle.CompactRange(before.size, before.hashes)
    for each in hashes[first:]:
        after.append(each)
    assert after.size == first + more
    assert after.root() == (root_by_definition(hashes) if hashes else merkle.empty_root())


def test_a_compact_range_refuses_hashes_that_do_not_fit_its_size() -> None:
    for size, hashes in ((3, [b"x" * 32]), (1, [b"x"]), (0, [b"x" * 32])):
        with pytest.raises(ValueError, match="right edge"):
            merkle.CompactRange(size, hashes)


def test_a_proof_that_goes_on_above_the_root_is_refused_even_if_its_hashes_fit() -> None:
    above = b"\x0a" * 32
    one, two, three, four = leaves(4)
    with pytest.raises(VerificationError, match="too long"):
        merkle.check_inclusion(one, index=0, size=1, proof=[above], root=merkle.node_hash(above, one))
    with pytest.raises(VerificationError, match="too long"):
        merkle.check_consistency(
            size1=3,
            root1=merkle.node_hash(above, merkle.root([one, two, three])),
            size2=4,
            root2=merkle.node_hash(above, merkle.root([one, two, three, four])),
            proof=[three, four, merkle.node_hash(one, two), above],
        )
