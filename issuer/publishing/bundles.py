"""Writing our offline bundle as a folder or a zip file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from issuer.publishing.publishing import Publishing
from trust.encoding.plain_zip import encode_zip
from trust.storage.folder import write_durably


def write_bundle(publishing: Publishing, members: Mapping[str, bytes], path: Path, at: datetime) -> None:
    """Writes our lists and those of the members to a folder, or to a zip file if the name ends in .zip.

    `members`: files by their names in the bundle (`verifier.membership`).
    """
    publishing.log.publish()
    if path.suffix == ".zip":
        write_durably(path, encode_zip(publishing.bundle(at) | dict(members)))
    else:
        publishing.write_bundle(path, at, members)
