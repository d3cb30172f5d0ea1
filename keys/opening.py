"""Opens custody: the keys of a data folder, in files and in a token if one is named."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

from keys.composite import CompositeKeyProvider
from keys.custody import FileKeyProvider, KeyPurpose
from keys.suites import Suite


@dataclass(frozen=True, slots=True)
class Token:
    """A token (PKCS #11), and the new keys that are made in it."""

    module: Path
    label: str
    read_pin: Callable[[], str]
    keeps: Set[tuple[KeyPurpose, Suite]]


def open_keys(
    folder: Path, read_passphrase: Callable[[], bytes], *, kdf_rounds: int, token: Token | None
) -> CompositeKeyProvider:
    """The keys in the folder, which are encrypted under the passphrase, and in the token. Opens no key."""
    files = FileKeyProvider(folder, read_passphrase, kdf_rounds=kdf_rounds)
    if token is None:
        return CompositeKeyProvider(files)
    from keys.pkcs11 import Pkcs11KeyProvider  # the library is loaded only if there is a token

    provider = Pkcs11KeyProvider(
        folder / "token", module=token.module, token_label=token.label, pin=token.read_pin
    )
    return CompositeKeyProvider(files, provider, token.keeps)
