"""A suite fixes everything; a key of another kind is refused, whatever its signature says."""

from __future__ import annotations

import itertools

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from keys.custody import SigningKey
from keys.suites import Suite, check_signature, suite_of_public_key
from trust.model.errors import Malformed, VerificationError

from .opened import keys_of_every_suite

MESSAGE = b"a message"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[Suite, SigningKey]:
    return keys_of_every_suite(tmp_path_factory.mktemp("keys"))


def spki_of(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("suite", list(Suite))
def test_what_a_key_signs_its_suite_verifies(opened: dict[Suite, SigningKey], suite: Suite) -> None:
    key = opened[suite]
    signature = key.sign(MESSAGE)
    check_signature(suite, key.record.public_key, MESSAGE, signature)
    assert suite_of_public_key(key.record.public_key) is suite
    spoiled = signature[:-1] + bytes((signature[-1] ^ 1,))
    for message, wrong in ((MESSAGE + b"!", signature), (MESSAGE, spoiled), (MESSAGE, b"")):
        with pytest.raises(VerificationError) as refused:
            check_signature(suite, key.record.public_key, message, wrong)
        assert refused.value.code == "SIG_CRYPTO_FAILURE"


@pytest.mark.parametrize(("suite", "other"), list(itertools.permutations(Suite, 2)))
def test_a_key_of_another_kind_is_malformed(
    opened: dict[Suite, SigningKey], suite: Suite, other: Suite
) -> None:
    key = opened[other]
    with pytest.raises(Malformed):
        check_signature(suite, key.record.public_key, MESSAGE, key.sign(MESSAGE))


def test_a_shorter_rsa_key_is_refused_though_its_signature_is_right() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(Malformed):
        check_signature(Suite.RSA3072_SHA256, spki_of(key), MESSAGE, signature)


def test_another_curve_is_refused_though_its_signature_is_right() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(Malformed):
        check_signature(
            Suite.P256_SHA256, spki_of(key), MESSAGE, key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
        )


def test_pss_padding_and_other_digests_are_refused(opened: dict[Suite, SigningKey]) -> None:
    key = opened[Suite.RSA3072_SHA256]
    rsa_key = key.pyca
    assert isinstance(rsa_key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    for signature in (
        rsa_key.sign(MESSAGE, pss, hashes.SHA256()),
        rsa_key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA512()),
        rsa_key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()),
    ):
        with pytest.raises(VerificationError):
            check_signature(Suite.RSA3072_SHA256, key.record.public_key, MESSAGE, signature)


@pytest.mark.parametrize(
    "spki",
    [b"", b"\x30\x00", bytes(91), spki_of(ed448.Ed448PrivateKey.generate())],
    ids=["nothing", "an empty sequence", "zeros", "Ed448"],
)
def test_what_is_no_key_of_a_suite_is_malformed(spki: bytes) -> None:
    with pytest.raises(Malformed):
        suite_of_public_key(spki)
    for suite in Suite:
        with pytest.raises(Malformed):
            check_signature(suite, spki, MESSAGE, bytes(64))


def test_the_digest_goes_with_the_suite() -> None:
    assert {suite: suite.digest for suite in Suite if suite.digest == "sm3"} == {Suite.SM2_SM3: "sm3"}
