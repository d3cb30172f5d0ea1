"""Keys for the tests in this folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from keys.custody import FileKeyProvider, KeyPurpose, SigningKey
from keys.suites import Suite

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
PASSPHRASE = b"for tests only"


def provider_at(folder: Path, passphrase: bytes = PASSPHRASE) -> FileKeyProvider:
    return FileKeyProvider(folder, lambda: passphrase, kdf_rounds=100)


def new_key(provider: FileKeyProvider, purpose: KeyPurpose, suite: Suite) -> SigningKey:
    record = provider.generate(purpose, suite, label=f"{purpose} {suite}", at=AT)
    return provider.open(record.key_id, purpose)


def keys_of_every_suite(folder: Path) -> dict[Suite, SigningKey]:
    provider = provider_at(folder)
    return {suite: new_key(provider, KeyPurpose.SEAL, suite) for suite in Suite}
