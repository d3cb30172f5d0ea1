"""Taking in a PDF that a department made. Runs inside the sandbox; the file may be hostile."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from issuer.sealing.pdf import prepare_stampable


def check_stampable_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """`pdf` (Base64) are the bytes to seal, where they are not the given ones."""
    found = prepare_stampable(blobs[0])
    changed = found.pdf != blobs[0]
    return {"pages": found.pages, "pdf": base64.b64encode(found.pdf).decode() if changed else None}


def decode_prepared(answer: dict[str, Any]) -> bytes | None:
    """The bytes to seal, or None for the given ones. Raises `ValueError` for what is no such answer."""
    return base64.b64decode(answer["pdf"], validate=True) if answer["pdf"] is not None else None
