"""A log that another program wrote (Tessera's test log), rebuilt by ours byte for byte."""

from __future__ import annotations

from support.known_answers import (
    GOLDEN_BUNDLES,
    GOLDEN_CHECKPOINTS,
    GOLDEN_KEY,
    GOLDEN_TILES,
    GOLDEN_VKEY,
    GOLDEN_WORDS,
)

from ledger.checkpoint import Checkpoint, check_checkpoint, format_checkpoint
from ledger.note import VerifierKey, format_vkey, signed_note
from ledger.tiles import Tile, encode_bundle, encode_hashes, entries_path, tile_path
from trust.encoding import merkle
from trust.encoding.digests import sha256

LEAVES = [merkle.leaf_hash(word) for word in GOLDEN_WORDS]
VKEY = VerifierKey(name=GOLDEN_KEY.name, public_key=GOLDEN_KEY.public_key_raw)
CHECKPOINT_15 = (
    "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n"
    "— example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/f"
    "mwlM/dlPWF74ewI=\n"
)


def checkpoint_note(size: int) -> str:
    text = format_checkpoint(Checkpoint(origin=VKEY.name, size=size, root=merkle.root(LEAVES[:size])))
    return signed_note(text, [(VKEY, GOLDEN_KEY.sign(text.encode()))])


def test_the_fifteen_words_give_the_golden_checkpoint() -> None:
    assert format_vkey(VKEY) == GOLDEN_VKEY
    assert checkpoint_note(15) == CHECKPOINT_15
    assert check_checkpoint(CHECKPOINT_15, log_vkey=VKEY).size == 15


def test_every_golden_checkpoint_is_rebuilt() -> None:
    made = "".join(checkpoint_note(size) for size in range(16))
    assert sha256(made.encode()).hex() == GOLDEN_CHECKPOINTS


def test_every_golden_tile_and_bundle_is_rebuilt() -> None:
    sizes = range(1, 16)
    for size in sizes:
        tile = Tile(0, 0, size)
        assert (tile_path(tile), entries_path(tile)) == (f"tile/0/000.p/{size}", f"tile/entries/000.p/{size}")
    assert sha256(b"".join(encode_hashes(LEAVES[:size]) for size in sizes)).hex() == GOLDEN_TILES
    assert sha256(b"".join(encode_bundle(GOLDEN_WORDS[:size]) for size in sizes)).hex() == GOLDEN_BUNDLES
