"""Signed notes and checkpoints against public examples, and what must not be read."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint, check_checkpoint, format_checkpoint, parse_checkpoint
from ledger.note import (
    Note,
    NoteSignature,
    VerifierKey,
    check_note,
    format_note,
    format_vkey,
    parse_note,
    parse_skey,
    parse_vkey,
    signed_note,
)
from trust.encoding.merkle import leaf_hash
from trust.model.errors import Malformed, VerificationError

# C2SP signed-note.md; golang/mod sumdb/note/example_test.go; FiloSottile/torchwood litewitness/testdata.
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72"
    "IneyaQM=\n"
)
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
NEUMANN_NOTE = (
    f"{NEUMANN_TEXT}\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJ"
    "nAM=\n"
)
SUM = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUM_NOTE = (
    "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n"
    "— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExi"
    "xSfwQ=\n"
)
VALID = [(FOO, FOO_NOTE), (NEUMANN, NEUMANN_NOTE), (SUM, SUM_NOTE)]


@pytest.mark.parametrize(("vkey", "note"), VALID, ids=["foo", "neumann", "sumdb"])
def test_a_public_note_verifies_and_is_written_back_the_same(vkey: str, note: str) -> None:
    parsed = check_note(note, vkeys=[parse_vkey(vkey)])
    assert format_note(parsed) == note
    assert format_vkey(parse_vkey(vkey)) == vkey


def test_signing_the_public_text_again_gives_the_public_note() -> None:
    signature = parse_skey(NEUMANN_SKEY).sign(NEUMANN_TEXT.encode())
    assert signed_note(NEUMANN_TEXT, [(parse_vkey(NEUMANN), signature)]) == NEUMANN_NOTE


def test_every_changed_byte_of_a_note_is_refused() -> None:
    data = NEUMANN_NOTE.encode()
    for at in range(len(data)):
        for changed in (data[at] ^ 1, data[at] ^ 0x20):
            spoiled = data[:at] + bytes([changed]) + data[at + 1 :]
            with pytest.raises((Malformed, VerificationError, UnicodeDecodeError)):
                check_note(spoiled.decode(), vkeys=[parse_vkey(NEUMANN)])


@pytest.mark.parametrize("key", [NEUMANN, NEUMANN_SKEY], ids=["vkey", "skey"])
def test_every_part_and_every_change_of_a_key_is_refused(key: str) -> None:
    parse = parse_skey if key.startswith("PRIVATE") else parse_vkey
    parts = {key[start:end] for start in range(len(key)) for end in range(start, len(key) + 1)} - {key}
    changes = {key[:at] + chr(ord(key[at]) + 1) + key[at + 1 :] for at in range(len(key))}
    for each in parts | changes:
        with pytest.raises(Malformed):
            parse(each)


@pytest.mark.parametrize(
    "vkey",
    [
        # golang/mod sumdb/note note_test.go: the key id fits, the key does not
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        NEUMANN.replace("c74f20a3", "C74F20A3"),
        NEUMANN.replace("+c74f20a3+", "++"),
        " " + NEUMANN,
        NEUMANN + "\n",
    ],
)
def test_a_bad_key_is_refused(vkey: str) -> None:
    with pytest.raises(Malformed):
        parse_vkey(vkey)


LINE = NEUMANN_NOTE[len(NEUMANN_TEXT) + 1 :]


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        NEUMANN_TEXT,
        NEUMANN_TEXT + "\n",
        NEUMANN_TEXT + LINE,
        NEUMANN_NOTE[:-1],
        NEUMANN_NOTE + "\n",
        NEUMANN_NOTE.replace("— ", "- "),
        NEUMANN_NOTE.replace("—", "–"),
        NEUMANN_NOTE.replace("you ", "you\t"),
        NEUMANN_NOTE.replace("\n\n", "\r\n\r\n"),
        NEUMANN_NOTE.replace("nAM=", "nAN="),  # the same bytes, with stray bits behind them
        NEUMANN_NOTE.replace("nAM=", "nAM"),
        NEUMANN_NOTE.replace("— PeterNeumann ", "— Peter+Neumann "),
        NEUMANN_NOTE.replace("— PeterNeumann ", "— \u00a0 "),
        NEUMANN_NOTE.replace("— PeterNeumann ", "—  "),
        NEUMANN_NOTE + LINE * 100,
        NEUMANN_TEXT + "\n— PeterNeumann x08gow==\n",
        NEUMANN_NOTE.replace("If", "\ud800"),
    ],
)
def test_what_is_not_exactly_a_note_is_not_parsed(note: str) -> None:
    parse_note(NEUMANN_NOTE)
    with pytest.raises(Malformed):
        parse_note(note)


def test_a_text_may_hold_empty_lines_because_the_last_one_separates() -> None:
    text = "one\n\ntwo\n"
    key = Ed25519PrivateKey.generate()
    vkey = VerifierKey(name="印证", public_key=key.public_key().public_bytes_raw())
    note = signed_note(text, [(vkey, key.sign(text.encode()))])
    assert check_note(note, vkeys=[vkey]).text == text


def test_an_unknown_line_means_nothing_and_a_known_one_must_verify() -> None:
    neumann = parse_vkey(NEUMANN)
    unknown = "— stranger AAAAAAAA\n"
    assert len(check_note(NEUMANN_NOTE + unknown, vkeys=[neumann]).signatures) == 2
    with pytest.raises(VerificationError) as unsigned:
        check_note(NEUMANN_NOTE, vkeys=[parse_vkey(FOO)])
    assert unsigned.value.code == "NOTE_UNSIGNED"
    forged = NoteSignature(name=neumann.name, key_id=neumann.key_id, signature=bytes(64))
    good = parse_note(NEUMANN_NOTE)
    for signatures in ((forged, *good.signatures), (*good.signatures, forged)):
        with pytest.raises(VerificationError) as bad:
            check_note(format_note(Note(text=NEUMANN_TEXT, signatures=signatures)), vkeys=[neumann])
        assert bad.value.code == "NOTE_SIGNATURE_BAD"


# golang/mod sumdb/tlog/note_test.go
GOOD_TREE = "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"


def test_the_public_tree_text_is_read_and_written() -> None:
    checkpoint = Checkpoint(origin="go.sum database tree", size=123456789012, root=leaf_hash(b"hello world"))
    assert parse_checkpoint(GOOD_TREE) == checkpoint
    assert format_checkpoint(checkpoint) == GOOD_TREE
    longer = Checkpoint(origin="x", size=0, root=bytes(32), extensions=("a", "b"))
    assert parse_checkpoint(format_checkpoint(longer)) == longer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        GOOD_TREE[:-1],
        GOOD_TREE + "\n",
        GOOD_TREE.replace("123456789012", "0xabcdef"),
        GOOD_TREE.replace("123456789012", "0123456789012"),
        GOOD_TREE.replace("123456789012", "+123456789012"),
        GOOD_TREE.replace("123456789012", "１２３"),
        GOOD_TREE.replace("123456789012", "9223372036854775808"),
        GOOD_TREE.replace("123456789012", ""),
        GOOD_TREE.replace("Bb0=", "BTOOBIG="),
        GOOD_TREE.replace("Bb0=", "Bb1="),
        GOOD_TREE.replace("go.sum database tree", ""),
        "go.sum database tree\n123456789012\n",
    ],
)
def test_what_is_not_exactly_a_checkpoint_is_not_parsed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_checkpoint(text)


def test_a_checkpoint_of_another_origin_than_its_key_is_refused() -> None:
    with pytest.raises(VerificationError) as refused:
        check_checkpoint(SUM_NOTE, log_vkey=parse_vkey(SUM))
    assert refused.value.code == "LOG_ORIGIN_MISMATCH"
