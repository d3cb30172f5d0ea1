"""Custody: files that only the service can read, and keys that do only what they were made for."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import pem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keys.custody import FileKeyProvider, KeyPurpose, SigningKey
from keys.suites import Suite, check_signature
from trust.encoding.digests import sha256
from trust.model.errors import KeyUnavailable, NotFound, NotPermitted

from .opened import AT, PASSPHRASE, provider_at

# RSA keys take a second to make, and custody treats them as it treats the others.
QUICK = [Suite.SM2_SM3, Suite.P256_SHA256, Suite.ED25519]


@pytest.fixture
def provider(tmp_path: Path) -> FileKeyProvider:
    return provider_at(tmp_path / "keys")


def make(
    provider: FileKeyProvider, suite: Suite = Suite.SM2_SM3, purpose: KeyPurpose = KeyPurpose.SEAL
) -> str:
    return provider.generate(purpose, suite, label="a label 标签", at=AT).key_id


def files(tmp_path: Path, key_id: str) -> tuple[Path, Path]:
    return tmp_path / "keys" / f"{key_id}.key.pem", tmp_path / "keys" / f"{key_id}.json"


@pytest.mark.parametrize("suite", QUICK)
def test_a_key_is_there_again_after_a_restart(
    provider: FileKeyProvider, tmp_path: Path, suite: Suite
) -> None:
    key_id = make(provider, suite)
    before = provider.open(key_id, KeyPurpose.SEAL)
    after = provider_at(tmp_path / "keys").open(key_id, KeyPurpose.SEAL)
    assert after.record == before.record
    assert after.record.label == "a label 标签"
    check_signature(suite, before.record.public_key, b"x", after.sign(b"x"))


def test_opening_again_gives_the_very_same_key(provider: FileKeyProvider, tmp_path: Path) -> None:
    key_id = make(provider)
    fresh = provider_at(tmp_path / "keys")
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: fresh.open(key_id, KeyPurpose.SEAL), range(32)))
    assert all(key is opened[0] for key in opened)


@pytest.mark.parametrize("suite", QUICK)
def test_files_and_folder_are_closed_to_others(
    provider: FileKeyProvider, tmp_path: Path, suite: Suite
) -> None:
    key_id = make(provider, suite)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for path in files(tmp_path, key_id):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("suite", QUICK)
def test_the_file_holds_the_key_encrypted_only(
    provider: FileKeyProvider, tmp_path: Path, suite: Suite
) -> None:
    key_file, _ = files(tmp_path, make(provider, suite))
    kind, _, encrypted = pem.unarmor(key_file.read_bytes())
    assert kind == "ENCRYPTED PRIVATE KEY"
    scheme = asn1_keys.EncryptedPrivateKeyInfo.load(encrypted, strict=True)["encryption_algorithm"]
    assert scheme["algorithm"].native == "pbes2"
    assert (scheme.kdf, scheme.encryption_cipher, scheme.key_length) == ("pbkdf2", "aes", 32)


def test_the_id_of_a_key_is_the_digest_of_its_public_key(provider: FileKeyProvider) -> None:
    key_id = make(provider)
    assert key_id == sha256(provider.open(key_id, KeyPurpose.SEAL).record.public_key)[:16].hex()


@pytest.mark.parametrize("suite", QUICK)
def test_another_passphrase_does_not_open_it(provider: FileKeyProvider, tmp_path: Path, suite: Suite) -> None:
    key_id = make(provider, suite)
    with pytest.raises(KeyUnavailable):
        provider_at(tmp_path / "keys", b"another").open(key_id, KeyPurpose.SEAL)


@pytest.mark.parametrize("other", [p for p in KeyPurpose if p is not KeyPurpose.SEAL])
def test_a_key_is_not_opened_for_another_purpose(
    provider: FileKeyProvider, tmp_path: Path, other: KeyPurpose
) -> None:
    key_id = make(provider)
    for each in (provider, provider_at(tmp_path / "keys")):
        with pytest.raises(NotPermitted):
            each.open(key_id, other)


def test_an_unknown_key_is_not_found(provider: FileKeyProvider) -> None:
    with pytest.raises(NotFound):
        provider.open("00" * 16, KeyPurpose.SEAL)


def test_the_record_of_another_key_is_noticed(provider: FileKeyProvider, tmp_path: Path) -> None:
    one, two = make(provider), make(provider)
    _, one_record = files(tmp_path, one)
    _, two_record = files(tmp_path, two)
    shutil.copy(two_record, one_record)
    with pytest.raises(KeyUnavailable):
        provider_at(tmp_path / "keys").open(one, KeyPurpose.SEAL)


@pytest.mark.parametrize("suite", QUICK)
def test_the_key_file_of_another_key_is_noticed(
    provider: FileKeyProvider, tmp_path: Path, suite: Suite
) -> None:
    one, two = make(provider, suite), make(provider, suite)
    shutil.copy(files(tmp_path, two)[0], files(tmp_path, one)[0])
    with pytest.raises(KeyUnavailable):
        provider_at(tmp_path / "keys").open(one, KeyPurpose.SEAL)


def test_a_record_with_another_public_key_or_suite_is_noticed(
    provider: FileKeyProvider, tmp_path: Path
) -> None:
    one, two = make(provider), make(provider)
    _, path = files(tmp_path, one)
    good = json.loads(path.read_bytes())
    other = json.loads(files(tmp_path, two)[1].read_bytes())
    for change in ({"public_key": other["public_key"]}, {"suite": "P256-SHA256"}, {"id": two}):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(KeyUnavailable):
            provider_at(tmp_path / "keys").open(one, KeyPurpose.SEAL)


@pytest.mark.parametrize("suite", QUICK)
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "other label"])
def test_a_damaged_key_file_is_said_so(
    provider: FileKeyProvider, tmp_path: Path, suite: Suite, damage: str
) -> None:
    key_id = make(provider, suite)
    path, _ = files(tmp_path, key_id)
    good = path.read_bytes()
    kind, _, der = pem.unarmor(good)
    path.write_bytes(
        {
            "empty": b"",
            "text": b"no key here\n",
            "cut": pem.armor(kind, der[:-20]),
            "flipped": pem.armor(kind, der[:-1] + bytes((der[-1] ^ 1,))),
            "other label": pem.armor(kind, der[20:]),
        }[damage]
    )
    with pytest.raises(KeyUnavailable):
        provider_at(tmp_path / "keys").open(key_id, KeyPurpose.SEAL)


@pytest.mark.parametrize("record", [b"", b"[]", b"null", b"{}", b"{", b'{"id": 1}', b"\xff", b'"text"'])
def test_a_damaged_record_is_said_so(provider: FileKeyProvider, tmp_path: Path, record: bytes) -> None:
    key_id = make(provider)
    files(tmp_path, key_id)[1].write_bytes(record)
    fresh = provider_at(tmp_path / "keys")
    with pytest.raises(KeyUnavailable):
        fresh.open(key_id, KeyPurpose.SEAL)
    with pytest.raises(KeyUnavailable):
        fresh.records()


def test_the_records_list_every_key_in_the_order_of_making(provider: FileKeyProvider) -> None:
    made = {make(provider) for _ in range(3)}
    assert {record.key_id for record in provider.records()} == made
    assert [r.key_id for r in provider.records()] == sorted(made)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def opened_with_other_numbers(
    provider: FileKeyProvider, tmp_path: Path, private: rsa.RSAPrivateKey, **added: int
) -> SigningKey:
    """The key as it is opened from a file in which something is `added` to these numbers of the private key."""
    kept = provider.adopt(private, KeyPurpose.SEAL, Suite.RSA3072_SHA256, label="", at=AT)
    true = private.private_numbers()
    spoiled = rsa.RSAPrivateNumbers(
        p=true.p,
        q=true.q,
        d=true.d + added.get("d", 0),
        dmp1=true.dmp1 + added.get("dmp1", 0),
        dmq1=true.dmq1 + added.get("dmq1", 0),
        iqmp=true.iqmp + added.get("iqmp", 0),
        public_numbers=true.public_numbers,
    )
    encrypted = spoiled.private_key(unsafe_skip_rsa_key_validation=True).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSPHRASE),
    )
    files(tmp_path, kept.key_id)[0].write_bytes(pem.armor("ENCRYPTED PRIVATE KEY", encrypted))
    return provider_at(tmp_path / "keys").open(kept.key_id, KeyPurpose.SEAL)


@pytest.mark.parametrize("part", ["d", "dmp1", "dmq1", "iqmp"])
def test_an_rsa_key_with_one_wrong_number_never_signs_wrongly(
    provider: FileKeyProvider, tmp_path: Path, rsa_key: rsa.RSAPrivateKey, part: str
) -> None:
    try:
        key = opened_with_other_numbers(provider, tmp_path, rsa_key, **{part: 2})
    except KeyUnavailable:
        return
    # OpenSSL noticed that the short way failed and took the long one.
    check_signature(Suite.RSA3072_SHA256, key.record.public_key, b"x", key.sign(b"x"))


def test_an_rsa_key_whose_numbers_sign_nothing_is_said_to_be_damaged(
    provider: FileKeyProvider, tmp_path: Path, rsa_key: rsa.RSAPrivateKey
) -> None:
    with pytest.raises(KeyUnavailable, match="does not sign as it should"):
        opened_with_other_numbers(provider, tmp_path, rsa_key, d=2, dmp1=2, dmq1=2)
