"""A log that another program wrote (Tessera's test log), rebuilt by ours byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.checkpoint import Checkpoint, check_checkpoint, format_checkpoint
from ledger.note import VerifierKey, format_vkey, parse_skey, signed_note
from ledger.tiles import Tile, encode_bundle, encode_hashes, entries_path, tile_path
from trust.encoding import merkle

# transparency-dev/tessera testdata/log (Apache-2.0); the key is public and signs only this.
SKEY = parse_skey(
    "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
)
WORDS = "one two three four five six seven eit nain ten ileven twelf threeten fourten fivten"
LEAVES = [merkle.leaf_hash(word.encode()) for word in WORDS.split()]
VKEY = VerifierKey(name=SKEY.name, public_key=SKEY.public_key_raw)
CHECKPOINT_15 = (
    "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n"
    "— example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/f"
    "mwlM/dlPWF74ewI=\n"
)
GOLDEN = Path(__file__).parents[2].parent / "shared/vectors/ledger/tessera-testlog/testdata/log"
needs_files = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"the golden log is not at {GOLDEN}")


def checkpoint_note(size: int) -> str:
    text = format_checkpoint(Checkpoint(origin=SKEY.name, size=size, root=merkle.root(LEAVES[:size])))
    return signed_note(text, [(VKEY, SKEY.sign(text.encode()))])


def test_the_fifteen_words_give_the_golden_checkpoint() -> None:
    assert format_vkey(VKEY).endswith("+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
    assert checkpoint_note(15) == CHECKPOINT_15
    assert check_checkpoint(CHECKPOINT_15, log_vkey=VKEY).size == 15


@needs_files
@pytest.mark.parametrize("size", range(16))
def test_every_golden_checkpoint_is_rebuilt(size: int) -> None:
    assert checkpoint_note(size).encode() == (GOLDEN / f"checkpoint.{size}").read_bytes()


@needs_files
@pytest.mark.parametrize("size", range(1, 16))
def test_every_golden_tile_and_bundle_is_rebuilt(size: int) -> None:
    tile = Tile(0, 0, size)
    words = [word.encode() for word in WORDS.split()[:size]]
    assert encode_hashes(LEAVES[:size]) == (GOLDEN / tile_path(tile)).read_bytes()
    assert encode_bundle(words) == (GOLDEN / entries_path(tile)).read_bytes()
