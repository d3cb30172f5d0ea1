"""The random secret of an installation, and the keys for HMACs that are derived from it."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trust.model.errors import KeyUnavailable
from trust.storage.folder import create_durably


class ServiceSecrets:
    """Keys for HMACs, derived from one random secret of the installation (HKDF, one label each).

    Several hosts on one database have the same one. It is made once, with the data folder (`create`): a new one in the
    place of a lost one, or of one that is in another folder, would open nothing that was kept under the old.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        path = folder / "service-secret"
        if not path.exists():
            if not create:
                raise KeyUnavailable(
                    f"The service secret {path} is missing.",
                    "Set YINZHENG_KEYS to the folder of the keys, or restore it from the copy of that folder.",
                )
            create_durably(path, secrets.token_bytes(32))
            path.chmod(0o600)
        self._secret = path.read_bytes()
        if len(self._secret) != 32:
            raise KeyUnavailable("The service secret is damaged.", "Restore it from a backup.")

    def derive(self, label: str) -> bytes:
        return HKDF(hashes.SHA256(), 32, None, label.encode()).derive(self._secret)
