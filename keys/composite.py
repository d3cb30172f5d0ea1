"""One `KeyProvider` over keys in files and keys in a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from keys.custody import FileKeyProvider, KeyProvider, KeyPurpose, KeyRecord, PyCaPrivateKey, SigningKey
from keys.suites import Suite
from trust.model.errors import NotFound


@dataclass(frozen=True, slots=True)
class CompositeKeyProvider:
    """`in_token` says which new keys are made in the token. The record of an existing key says where it is.

    `before_signing` is called before each use of a key, and raises if it must not be used now. Imported private keys
    go to `files`; SM2 keys too, because PKCS #11 has no mechanism for them.
    """

    files: FileKeyProvider
    token: KeyProvider | None = None
    in_token: Set[tuple[KeyPurpose, Suite]] = frozenset()
    before_signing: list[Callable[[KeyPurpose], None]] = field(default_factory=list)

    def generate(self, purpose: KeyPurpose, suite: Suite, *, label: str, at: datetime) -> KeyRecord:
        provider: KeyProvider = self.files
        if self.token is not None and (purpose, suite) in self.in_token:
            provider = self.token
        return provider.generate(purpose, suite, label=label, at=at)

    def records(self) -> list[KeyRecord]:
        """The records of all keys in both places, in the order in which they were made."""
        listed = [*self.files.records(), *(self.token.records() if self.token is not None else ())]
        return sorted(listed, key=lambda record: (record.created_at, record.key_id))

    def open(self, key_id: str, purpose: KeyPurpose) -> SigningKey:
        in_token = self.token is not None and not self.files.has(key_id)
        provider = self.token if in_token and self.token is not None else self.files
        return _AskedFirst(provider.open(key_id, purpose), self.before_signing)

    def provider(self, place: str) -> KeyProvider:
        """The provider called `file` or `pkcs11`. Raises `NotFound` if there is no token."""
        if place == "file":
            return self.files
        if place != "pkcs11" or self.token is None:
            raise NotFound(
                f"There is no place for keys called {place} here.",
                "Give file, or set YINZHENG_PKCS11_MODULE and YINZHENG_PKCS11_TOKEN for pkcs11.",
            )
        return self.token

    def place_of(self, key_id: str) -> str:
        """Where the key is, `file` or `pkcs11`. Raises `NotFound`."""
        if self.files.has(key_id):
            return "file"
        if self.token is not None and any(record.key_id == key_id for record in self.token.records()):
            return "pkcs11"
        raise NotFound(f"There is no key {key_id}.", "List the keys with `yinzheng keys list`.")


@dataclass(frozen=True, slots=True)
class _AskedFirst:
    """A key that calls `before_signing` before every use."""

    key: SigningKey
    before: Sequence[Callable[[KeyPurpose], None]]

    @property
    def record(self) -> KeyRecord:
        return self.key.record

    @property
    def pyca(self) -> PyCaPrivateKey | None:
        return self.key.pyca

    def sign(self, message: bytes) -> bytes:
        for ask in self.before:
            ask(self.key.record.purpose)
        return self.key.sign(message)
