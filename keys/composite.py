"""Some keys in files, others in a token: one `KeyProvider` over both."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from keys.custody import FileKeyProvider, KeyProvider, KeyPurpose, KeyRecord, SigningKey
from keys.suites import Suite
from trust.model.errors import NotFound


@dataclass(frozen=True, slots=True)
class CompositeKeyProvider:
    """`in_token` says which new keys are made in the token. Where an old key lives, its record says.

    Imported private keys go to `files`; SM2 keys too, as no token of PKCS #11 can hold them.
    """

    files: FileKeyProvider
    token: KeyProvider | None = None
    in_token: Set[tuple[KeyPurpose, Suite]] = frozenset()

    def generate(self, purpose: KeyPurpose, suite: Suite, *, label: str, at: datetime) -> KeyRecord:
        provider: KeyProvider = self.files
        if self.token is not None and (purpose, suite) in self.in_token:
            provider = self.token
        return provider.generate(purpose, suite, label=label, at=at)

    def records(self) -> list[KeyRecord]:
        """Every key of both, in the order of making."""
        listed = [*self.files.records(), *(self.token.records() if self.token is not None else ())]
        return sorted(listed, key=lambda record: (record.created_at, record.key_id))

    def open(self, key_id: str, purpose: KeyPurpose) -> SigningKey:
        if self.token is not None and not self.files.has(key_id):
            return self.token.open(key_id, purpose)
        return self.files.open(key_id, purpose)

    def provider(self, place: str) -> KeyProvider:
        """The provider called `file` or `pkcs11`. Raises `NotFound` where there is no token."""
        if place == "file":
            return self.files
        if place != "pkcs11" or self.token is None:
            raise NotFound(
                f"There is no place for keys called {place} here.",
                "Give file, or set YINZHENG_PKCS11_MODULE and YINZHENG_PKCS11_TOKEN for pkcs11.",
            )
        return self.token

    def place_of(self, key_id: str) -> str:
        """`file` or `pkcs11`. Raises `NotFound`."""
        if self.files.has(key_id):
            return "file"
        if self.token is not None and any(record.key_id == key_id for record in self.token.records()):
            return "pkcs11"
        raise NotFound(f"There is no key {key_id}.", "List the keys with `yinzheng keys list`.")
