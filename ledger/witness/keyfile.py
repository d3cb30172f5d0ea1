"""The file of a witness's keys: one signing key a line, as `ledger.notekeys` writes them.

    PRIVATE+KEY+w.example.org+b8a2cf20+BF…          the Ed25519 key
    PRIVATE+KEY+w.example.org+31236897+Bl…          the ML-DSA-44 key, if there is one

The keys are not encrypted, but the file is readable by its owner only, so that a witness can restart by itself after a
power cut. The keys only sign that a tree continues another, and losing them costs one witness of a quorum.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.notekeys import KeyKind, SignerKey, check_name, format_skey, parse_skey
from trust.model.errors import Conflict, KeyUnavailable, Malformed, StorageError
from trust.storage.folder import sync_folder

_ONLY_OWNER: Final = 0o600


def new_keys(name: str, kinds: Sequence[KeyKind]) -> list[SignerKey]:
    """A new key of each of these kinds of cosignature, all named `name`. Raises `Malformed` for an invalid name."""
    check_name(name)
    return [SignerKey(name=name, seed=_new_seed(kind), kind=kind) for kind in kinds]


def write_key_file(path: Path, keys: Sequence[SignerKey]) -> None:
    """Writes a new file atomically and durably, readable by its owner only.

    Raises `Conflict` if `path` exists: keys are never overwritten.
    """
    data = "".join(f"{format_skey(key)}\n" for key in keys).encode()
    copy = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _ONLY_OWNER)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(copy, path)  # unlike rename, refuses to replace
        finally:
            copy.unlink()
        sync_folder(path.parent)
    except FileExistsError as exc:
        raise Conflict(
            f"The key file {path} exists.", "Keys are not overwritten. Use another folder."
        ) from exc
    except OSError as exc:
        raise StorageError(f"The key file {path} could not be written: {exc.strerror}.") from exc


def read_key_file(path: Path) -> list[SignerKey]:
    """The keys in the file. Raises `KeyUnavailable`, also if anyone but its owner can read it."""
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise KeyUnavailable(f"The key file {path} cannot be read.", "Make the witness first.") from exc
    if mode & 0o077:
        raise KeyUnavailable(f"The key file {path} can be read by others.", f"Run chmod 600 {path}.")
    try:
        return [parse_skey(line) for line in lines]
    except Malformed as exc:
        raise KeyUnavailable(f"The key file {path} is damaged: {exc.what}", "Restore it.") from exc


def _new_seed(kind: KeyKind) -> bytes:
    match kind:
        case KeyKind.COSIGNATURE:
            return Ed25519PrivateKey.generate().private_bytes_raw()
        case KeyKind.ML_DSA_44:
            return MLDSA44PrivateKey.generate().private_bytes_raw()
        case KeyKind.ED25519 | KeyKind.SM2:
            raise Malformed("A key of this kind makes no cosignatures.")
