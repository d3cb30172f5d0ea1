"""The ledger's keys in custody."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keys.custody import SigningKey
from keys.sm2.encoding import parse_spki
from keys.suites import Suite
from ledger.note import KeyKind
from trust.encoding import cose


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """One of the ledger's keys in custody, Ed25519 or SM2."""

    key: SigningKey

    @property
    def kind(self) -> KeyKind:
        return KeyKind.SM2 if self.key.record.suite is Suite.SM2_SM3 else KeyKind.ED25519

    @property
    def public_key_raw(self) -> bytes:
        if self.kind is KeyKind.SM2:
            return parse_spki(self.key.record.public_key)
        public = load_der_public_key(self.key.record.public_key)
        assert isinstance(public, Ed25519PublicKey)
        return public.public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return cose.raw_signature(self.key.record.suite, self.key.sign(message))
