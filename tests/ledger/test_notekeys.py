"""The kinds of note keys: public examples, our SM2 line, and every changed byte refused."""

from __future__ import annotations

import pytest
from support.known_answers import POST_QUANTUM_LINE, POST_QUANTUM_SEED, POST_QUANTUM_VKEY_SHA256

from keys import sm2
from keys.sm2.encoding import parse_spki
from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.note import (
    KeyKind,
    SignerKey,
    VerifierKey,
    check_note,
    check_note_signature,
    cosignature_time,
    format_skey,
    format_vkey,
    parse_note,
    parse_skey,
    parse_vkey,
    signed_note,
)
from trust.encoding.cose import raw_signature
from trust.encoding.digests import sha256
from trust.model.errors import Malformed, VerificationError

# FiloSottile/sunlight cmd/skylight/testdata/witness
WITNESS = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
TEXT = "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n"
LINE = (
    "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlwLKas"
    "xEGTLIqAVusneCBmBw==\n"
)


def test_a_public_cosignature_verifies_and_states_its_time() -> None:
    note = check_note(f"{TEXT}\n{LINE}", vkeys=[parse_vkey(WITNESS)])
    assert cosignature_time(note.signatures[0].signature) == 1767139200
    assert format_vkey(parse_vkey(WITNESS)) == WITNESS


def test_a_post_quantum_cosignature_that_three_libraries_accept_verifies() -> None:
    key = SignerKey(name="witness.example.org", seed=POST_QUANTUM_SEED, kind=KeyKind.ML_DSA_44)
    written = format_vkey(key.vkey)
    assert sha256(written.encode()).hex() == POST_QUANTUM_VKEY_SHA256
    assert parse_vkey(written) == key.vkey
    check_note(f"{TEXT}\n{POST_QUANTUM_LINE}\n", vkeys=[key.vkey])


def sm2_key() -> tuple[VerifierKey, sm2.Sm2PrivateKey]:
    private = sm2.generate_private_key()
    public = parse_spki(private.public_key)
    return VerifierKey(name="example.org/log", public_key=public, kind=KeyKind.SM2), private


def signature_of(kind: KeyKind) -> tuple[VerifierKey, bytes]:
    """A key of this kind and its signature over `TEXT`."""
    if kind is KeyKind.SM2:
        vkey, private = sm2_key()
        return vkey, raw_signature("SM2-SM3", private.sign(TEXT.encode()))
    key = SignerKey(name="example.org/w", seed=b"\x07" * 32, kind=kind)
    return key.vkey, key.cosign(TEXT, time=1) if kind.is_cosignature else key.sign(TEXT.encode())


@pytest.mark.parametrize("kind", KeyKind)
def test_a_key_of_every_kind_is_written_and_read_back(kind: KeyKind) -> None:
    vkey, signature = signature_of(kind)
    assert parse_vkey(format_vkey(vkey)) == vkey
    assert check_note(signed_note(TEXT, [(vkey, signature)]), vkeys=[vkey]).text == TEXT
    if kind is not KeyKind.SM2:
        skey = SignerKey(name="example.org/w", seed=b"\x07" * 32, kind=kind)
        assert parse_skey(format_skey(skey)) == skey
        assert "0707" not in repr(skey)


@pytest.mark.parametrize("kind", KeyKind)
def test_every_changed_byte_of_a_signature_is_refused(kind: KeyKind) -> None:
    vkey, signature = signature_of(kind)
    step = 37 if kind is KeyKind.ML_DSA_44 else 1
    for at in range(0, len(signature), step):
        spoiled = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        with pytest.raises(VerificationError):
            check_note_signature(vkey, TEXT, spoiled)
    for wrong in (b"", signature[:-1], signature + b"\0", signature[:8], bytes(len(signature))):
        with pytest.raises(VerificationError):
            check_note_signature(vkey, TEXT, wrong)
    for text in (TEXT + "x\n", TEXT.replace("300", "301"), TEXT.replace("rome", "Rome")):
        with pytest.raises(VerificationError):
            check_note_signature(vkey, text, signature)


@pytest.mark.parametrize("kind", KeyKind)
def test_every_changed_byte_of_a_key_is_refused(kind: KeyKind) -> None:
    text = format_vkey(signature_of(kind)[0])
    step = 41 if kind is KeyKind.ML_DSA_44 else 1
    for at in range(0, len(text), step):
        with pytest.raises(Malformed):
            parse_vkey(text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :])


def test_a_cosignature_binds_the_name_of_a_post_quantum_witness() -> None:
    one = SignerKey(name="one", seed=bytes(32), kind=KeyKind.ML_DSA_44)
    other = SignerKey(name="other", seed=bytes(32), kind=KeyKind.ML_DSA_44)
    with pytest.raises(VerificationError):
        check_note_signature(other.vkey, TEXT, one.cosign(TEXT, time=5))


def test_a_cosignature_without_a_time_is_refused() -> None:
    for kind in (KeyKind.COSIGNATURE, KeyKind.ML_DSA_44):
        key = SignerKey(name="w", seed=bytes(32), kind=kind)
        with pytest.raises(Malformed):
            key.cosign(TEXT, time=0)


def test_one_line_of_each_kind_can_stand_under_one_checkpoint() -> None:
    text = format_checkpoint(Checkpoint(origin="example.org/log", size=5, root=bytes(32)))
    vkey, private = sm2_key()
    log = SignerKey(name="example.org/log", seed=bytes(32))
    witness = SignerKey(name="w", seed=b"\x01" * 32, kind=KeyKind.COSIGNATURE)
    post_quantum = SignerKey(name="w", seed=b"\x01" * 32, kind=KeyKind.ML_DSA_44)
    note = signed_note(
        text,
        [
            (log.vkey, log.sign(text.encode())),
            (vkey, raw_signature("SM2-SM3", private.sign(text.encode()))),
            (witness.vkey, witness.cosign(text, time=9)),
            (post_quantum.vkey, post_quantum.cosign(text, time=9)),
        ],
    )
    for known in (log.vkey, vkey, witness.vkey, post_quantum.vkey):
        assert check_note(note, vkeys=[known]) == parse_note(note)
