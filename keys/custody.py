"""Custody: where private keys are stored, and the only way to use one.

A key has one purpose for its whole life. Opening it states the purpose, and a seal key cannot be opened to
sign a checkpoint. Callers get a `SigningKey`, never the private key itself.

`FileKeyProvider` is for small installations: one encrypted PKCS #8 file per key (mode 0600), with a record beside it
that says what the key is for. The two files of a key:

    keys/9f3c…e1.key.pem    -----BEGIN ENCRYPTED PRIVATE KEY-----  (RFC 5958, PBES2: PBKDF2-HMAC-SHA-256, AES-256-CBC)
    keys/9f3c…e1.json       {"id": "9f3c…e1", "purpose": "seal", "suite": "SM2-SM3", "public_key": "3059…",
                             "label": "…", "created_at": "2026-11-23T08:00:00+00:00"}

The id is the first 16 bytes of SHA-256 over the SubjectPublicKeyInfo, so it cannot refer to another key.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from asn1crypto import pem
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from keys import sm2
from keys.suites import Suite, check_signature
from trust.encoding.digests import sha256
from trust.model.errors import Conflict, KeyUnavailable, NotFound, NotPermitted, VerificationError
from trust.storage.folder import create_durably, write_durably


class KeyPurpose(StrEnum):
    ROOT_CA = "root-ca"
    ISSUING_CA = "issuing-ca"
    SEAL = "seal"
    SEAL_MAKER = "seal-maker"
    TIME_STAMP = "time-stamp"
    CHECKPOINT = "checkpoint"
    PRESENTATION = "presentation"
    STATUS_LIST = "status-list"
    TRUST_LIST = "trust-list"
    OCSP = "ocsp"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key without opening it. `public_key` is a SubjectPublicKeyInfo (DER)."""

    key_id: str
    purpose: KeyPurpose
    suite: Suite
    public_key: bytes
    label: str
    created_at: datetime


_TRIAL = b"yinzheng: a trial signature of a key that was opened"

PyCaPrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SigningKey(Protocol):
    """A key that was opened for its purpose. Signing is safe from many threads."""

    @property
    def record(self) -> KeyRecord: ...

    @property
    def pyca(self) -> PyCaPrivateKey | None:
        """The key as an object of `cryptography`; None for SM2 and for a key in a token, so callers must not depend on
        it."""

    def sign(self, message: bytes) -> bytes:
        """A signature as `keys.suites` describes for the key's suite. Raises `KeyUnavailable`."""


class KeyProvider(Protocol):
    """Makes, keeps and opens keys. A made key is durable when `generate` returns."""

    def generate(self, purpose: KeyPurpose, suite: Suite, *, label: str, at: datetime) -> KeyRecord: ...

    def records(self) -> Sequence[KeyRecord]: ...

    def open(self, key_id: str, purpose: KeyPurpose) -> SigningKey:
        """Opens a key for its purpose. Raises `NotFound`, `NotPermitted` (another purpose) or `KeyUnavailable`."""


class FileKeyProvider:
    """Keys as encrypted files in one folder. Opened keys stay in memory for the life of the process."""

    def __init__(self, folder: Path, passphrase: Callable[[], bytes], *, kdf_rounds: int = 300_000) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._kdf_rounds = kdf_rounds
        self._opened: dict[str, SigningKey] = {}
        self._lock = threading.Lock()

    def generate(self, purpose: KeyPurpose, suite: Suite, *, label: str, at: datetime) -> KeyRecord:
        if suite is not Suite.SM2_SM3:
            return self.adopt(_generate_pyca(suite), purpose, suite, label=label, at=at)
        private = sm2.generate_private_key()
        record = make_record(private.public_key, purpose, suite, label, at)
        encrypted = private.to_encrypted_pkcs8(self._passphrase(), kdf_rounds=self._kdf_rounds)
        self._store(_Sm2SigningKey(record, private), encrypted)
        return record

    def adopt(
        self, private: PyCaPrivateKey, purpose: KeyPurpose, suite: Suite, *, label: str, at: datetime
    ) -> KeyRecord:
        """Stores a key that was made elsewhere, encrypted with our passphrase.

        The caller must check that it is strong enough for the suite. Adopting the same key again returns the existing
        record; with another purpose it raises `Conflict`.
        """
        record = make_record(_spki(private), purpose, suite, label, at)
        if self.has(record.key_id):
            known = next(each for each in self.records() if each.key_id == record.key_id)
            if known.purpose is not purpose:
                raise Conflict(f"The key {record.key_id} is here already, for {known.purpose.value}.")
            return known
        encrypted = private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            # The library chooses PBES2 with AES-256-CBC, and offers no choice of rounds for PKCS #8, so an operator's
            # own passphrase must be long; the one that `init` makes has 256 bits.
            serialization.BestAvailableEncryption(self._passphrase()),
        )
        self._store(_PyCaSigningKey(record, private), encrypted)
        return record

    def _store(self, key: SigningKey, encrypted: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The key is written first, then its record: a crash in between leaves a file that nothing refers to, and
        # that a repeated import may replace.
        path = self._folder / f"{key.record.key_id}.key.pem"
        write_durably(path, pem.armor("ENCRYPTED PRIVATE KEY", encrypted))
        path.chmod(0o600)
        path = self._folder / f"{key.record.key_id}.json"
        create_durably(path, encode_record(key.record))
        path.chmod(0o600)
        self._opened[key.record.key_id] = key

    def records(self) -> list[KeyRecord]:
        found = [decode_record(path.read_bytes(), path.stem) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda record: (record.created_at, record.key_id))

    def has(self, key_id: str) -> bool:
        """True if this folder has the key. Does not check that it can be opened."""
        return (self._folder / f"{key_id}.json").exists()

    def open(self, key_id: str, purpose: KeyPurpose) -> SigningKey:
        with self._lock:
            key = self._opened.get(key_id) or self._load(key_id)
            self._opened[key_id] = key
        if key.record.purpose is not purpose:
            raise NotPermitted(
                f"Key {key_id} is for {key.record.purpose.value} and cannot be used for {purpose.value}.",
                "Use a key that was made for this purpose.",
            )
        return key

    def _load(self, key_id: str) -> SigningKey:
        try:
            record = decode_record((self._folder / f"{key_id}.json").read_bytes(), key_id)
            armoured = (self._folder / f"{key_id}.key.pem").read_bytes()
        except FileNotFoundError as exc:
            raise NotFound(f"There is no key {key_id}.", "List the keys with `yinzheng keys list`.") from exc
        try:
            _, _, encrypted = pem.unarmor(armoured)
        except ValueError as exc:
            raise KeyUnavailable(
                f"The file of key {key_id} is damaged.", "Restore it from a backup."
            ) from exc
        passphrase = self._passphrase()
        if record.suite is Suite.SM2_SM3:
            private = sm2.load_private_key(encrypted, passphrase)
            key: _Sm2SigningKey | _PyCaSigningKey = _Sm2SigningKey(record, private)
            spki = private.public_key
        else:
            try:
                # The primes of an RSA key were tested when it was made or imported; testing them again takes 85 ms at
                # every start. Below, a signature shows that the numbers still belong together.
                pyca = serialization.load_der_private_key(
                    encrypted, passphrase, unsafe_skip_rsa_key_validation=True
                )
            except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
                raise KeyUnavailable(
                    f"Key {key_id} could not be opened.",
                    "Check the passphrase and that the key file is whole.",
                ) from exc
            if not isinstance(pyca, PyCaPrivateKey):
                raise KeyUnavailable(f"Key {key_id} is of a kind that no suite uses.")
            key = _PyCaSigningKey(record, pyca)
            spki = _spki(pyca)
        if spki != record.public_key:
            raise KeyUnavailable(f"The record of key {key_id} belongs to another key.", "Restore both files.")
        _check_signs(key)
        return key


@dataclass(frozen=True, slots=True)
class _Sm2SigningKey:
    record: KeyRecord
    private: sm2.Sm2PrivateKey

    @property
    def pyca(self) -> None:
        return None

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


@dataclass(frozen=True, slots=True)
class _PyCaSigningKey:
    record: KeyRecord
    pyca: PyCaPrivateKey

    def sign(self, message: bytes) -> bytes:
        match self.pyca:
            case rsa.RSAPrivateKey() as key:
                return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePrivateKey() as key:
                return key.sign(message, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(message)


def _check_signs(key: _Sm2SigningKey | _PyCaSigningKey) -> None:
    """Raises `KeyUnavailable` unless what the private key signs is verified by the public key of its record."""
    try:
        check_signature(key.record.suite, key.record.public_key, _TRIAL, key.sign(_TRIAL))
    except (ValueError, VerificationError) as exc:
        raise KeyUnavailable(
            f"Key {key.record.key_id} does not sign as it should: its file is damaged.",
            "Restore it from a backup.",
        ) from exc


def _generate_pyca(suite: Suite) -> PyCaPrivateKey:
    match suite:
        case Suite.RSA3072_SHA256:
            return rsa.generate_private_key(public_exponent=65537, key_size=3072)
        case Suite.P256_SHA256:
            return ec.generate_private_key(ec.SECP256R1())
        case Suite.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case Suite.SM2_SM3:
            raise AssertionError("SM2 keys come from keys.sm2")


def _spki(key: PyCaPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def make_record(spki: bytes, purpose: KeyPurpose, suite: Suite, label: str, at: datetime) -> KeyRecord:
    """The record of a new key; its id comes from the public key (SubjectPublicKeyInfo, DER)."""
    return KeyRecord(sha256(spki)[:16].hex(), purpose, suite, spki, label, at)


def encode_record(record: KeyRecord) -> bytes:
    """The JSON file beside a key (see the top of this module)."""
    listed = {
        "id": record.key_id,
        "purpose": record.purpose.value,
        "suite": record.suite.value,
        "public_key": record.public_key.hex(),
        "label": record.label,
        "created_at": record.created_at.isoformat(),
    }
    return (json.dumps(listed, ensure_ascii=False, indent=2) + "\n").encode()


def decode_record(data: bytes, key_id: str) -> KeyRecord:
    """Decodes a record. Raises `KeyUnavailable` if it is damaged or belongs to another key than `key_id`."""
    try:
        listed = json.loads(data)
        spki = bytes.fromhex(listed["public_key"])
        record = KeyRecord(
            listed["id"],
            KeyPurpose(listed["purpose"]),
            Suite(listed["suite"]),
            spki,
            listed["label"],
            datetime.fromisoformat(listed["created_at"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise KeyUnavailable(f"The record of key {key_id} is damaged.", "Restore it from a backup.") from exc
    if record.key_id != key_id or sha256(spki)[:16].hex() != key_id:
        raise KeyUnavailable(
            f"The record of key {key_id} belongs to another key.", "Restore it from a backup."
        )
    return record
