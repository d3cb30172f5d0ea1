"""Receipts: one text each, every byte of it bound."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.log_keys import only_key

from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.note import SignerKey, VerifierKey, signed_note
from ledger.proof import (
    Receipt,
    check_embedded_receipt,
    check_receipt,
    format_receipt,
    parse_receipt,
)
from ledger.sequencing import AppendRequest, Batch, new_state
from trust.encoding import merkle
from trust.encoding.entry import EntryKind
from trust.model.errors import Malformed, VerificationError

ORIGIN = "example.org/log"
SKEY = SignerKey(name=ORIGIN, seed=b"\x07" * 32)
VKEY = VerifierKey(name=ORIGIN, public_key=SKEY.public_key_raw)
INDEX = 5


def note_over(leaves: list[bytes], *, key: SignerKey = SKEY, origin: str = ORIGIN) -> str:
    text = format_checkpoint(Checkpoint(origin=origin, size=len(leaves), root=merkle.root(leaves)))
    vkey = VerifierKey(name=key.name, public_key=key.public_key_raw)
    return signed_note(text, [(vkey, key.sign(text.encode()))])


def good_world() -> tuple[list[bytes], Receipt]:
    """Eight entries, and the receipt of number 5."""
    batch = Batch(new_state(ORIGIN), at_ms=1, operations={}, subjects={}, counts={})
    batch.add_genesis()
    batch.add_key_event(bytes(32))
    for number in range(1, 7):
        batch.add(
            [
                AppendRequest(
                    operation_id=number,
                    kind=EntryKind.ISSUED,
                    actor="A",
                    subject_id=number,
                    ref=bytes([number]) * 32,
                    commit=b"c" * 32,
                    suite="",
                )
            ]
        )
    leaves = [each.leaf_hash for each in batch.entries]
    proof = tuple(merkle.prove_inclusion(INDEX, leaves))
    receipt = Receipt(index=INDEX, hashes=proof, checkpoint=note_over(leaves))
    return [each.entry_bytes for each in batch.entries], receipt


ENTRIES, RECEIPT = good_world()
TEXT = format_receipt(RECEIPT)


def test_a_good_receipt_shows_its_entry() -> None:
    for check in (check_receipt, check_embedded_receipt):
        checked = check(ENTRIES[INDEX], TEXT, log_keys=only_key(VKEY))
        assert checked.entry.seq == INDEX
        assert checked.leaf_hash == merkle.leaf_hash(ENTRIES[INDEX])
        assert checked.checkpoint.size == 8


def test_a_receipt_is_written_as_the_format_says() -> None:
    # transparency-dev/formats proof/tlog_proof_test.go
    plain = Receipt(index=0, hashes=(), checkpoint="checkpoint\n")
    assert format_receipt(plain) == "c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n"
    assert parse_receipt(format_receipt(plain)) == plain
    assert parse_receipt(TEXT) == RECEIPT


def test_every_flipped_bit_of_a_receipt_is_refused() -> None:
    data = TEXT.encode()
    for at in range(len(data)):
        for bit in range(8):
            spoiled = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            with pytest.raises((VerificationError, UnicodeDecodeError)):
                check_embedded_receipt(ENTRIES[INDEX], spoiled.decode(), log_keys=only_key(VKEY))


def test_every_inserted_or_dropped_character_of_a_receipt_is_refused() -> None:
    for at in range(len(TEXT) + 1):
        for inserted in ("\n", " ", "\r", "0", "A", "="):
            spoiled = TEXT[:at] + inserted + TEXT[at:]
            with pytest.raises(VerificationError):
                check_embedded_receipt(ENTRIES[INDEX], spoiled, log_keys=only_key(VKEY))
        if at < len(TEXT):
            with pytest.raises(VerificationError):
                check_embedded_receipt(ENTRIES[INDEX], TEXT[:at] + TEXT[at + 1 :], log_keys=only_key(VKEY))


HASH = TEXT.split("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("@v1\n", "@v1\nextra AAAA\n"),  # allowed by the format, authenticated by nothing
        TEXT.replace("@v1\n", "@v1\nextra !\n"),
        TEXT.replace("index 5\n", ""),
        TEXT.replace("index 5", "index -5"),
        TEXT.replace("index 5", "index 05"),
        TEXT.replace("index 5", "index  5"),
        TEXT.replace("index 5", "index notanumber"),
        TEXT.replace("index 5", "index 9223372036854775808"),
        TEXT.replace("index 5\n", "index 5\nindex 5\n"),
        TEXT.replace(HASH, HASH[:-2] + "~="),
        TEXT.replace(HASH, "A" * 86 + "=="),
        TEXT.replace(HASH, "A" * 70_000),
        TEXT.replace("\n", "\r\n"),
        TEXT.split("\n\n")[0] + "\n\n",
        TEXT.split("\n\n")[0],
        f"c2sp.org/tlog-proof@v1\nindex 5\n{(HASH + chr(10)) * 64}\n{RECEIPT.checkpoint}",
    ],
)
def test_what_is_not_exactly_a_receipt_is_not_parsed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_receipt(text)
    with pytest.raises(VerificationError) as refused:
        check_receipt(ENTRIES[INDEX], text, log_keys=only_key(VKEY))
    assert refused.value.code == "LEDGER_RECEIPT_MALFORMED"


def test_another_entry_is_not_shown_by_it() -> None:
    for other in (ENTRIES[INDEX - 1], ENTRIES[INDEX] + b"\0", b""):
        with pytest.raises(VerificationError):
            check_receipt(other, TEXT, log_keys=only_key(VKEY))


def test_a_checkpoint_of_another_key_or_log_is_refused() -> None:
    leaves = [merkle.leaf_hash(each) for each in ENTRIES]
    other_key = SignerKey(name=ORIGIN, seed=b"\x08" * 32)
    other_name = SignerKey(name="example.org/other", seed=b"\x07" * 32)
    for note in (
        note_over(leaves, key=other_key),
        note_over(leaves, key=other_name),
        note_over(leaves, origin="example.org/other"),
    ):
        with pytest.raises(VerificationError):
            check_receipt(
                ENTRIES[INDEX], format_receipt(replace(RECEIPT, checkpoint=note)), log_keys=only_key(VKEY)
            )


def test_an_entry_that_names_another_log_or_place_is_refused_though_it_is_in_the_tree() -> None:
    for leaves_of in (ENTRIES[::-1], ENTRIES[1:] + ENTRIES[:1]):
        leaves = [merkle.leaf_hash(each) for each in leaves_of]
        receipt = Receipt(
            index=0, hashes=tuple(merkle.prove_inclusion(0, leaves)), checkpoint=note_over(leaves)
        )
        with pytest.raises(VerificationError) as refused:
            check_receipt(leaves_of[0], format_receipt(receipt), log_keys=only_key(VKEY))
        assert refused.value.code == "LEDGER_ENTRY_MISPLACED"


def test_a_second_signature_line_is_refused_only_inside_a_document() -> None:
    for line in ("— stranger AAAAAAAA\n", RECEIPT.checkpoint.split("\n\n")[1]):
        text = TEXT + line
        check_receipt(ENTRIES[INDEX], text, log_keys=only_key(VKEY))
        with pytest.raises(VerificationError, match="signature lines"):
            check_embedded_receipt(ENTRIES[INDEX], text, log_keys=only_key(VKEY))
