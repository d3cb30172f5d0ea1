"""Checking a department's own PDF before it is sealed. Runs inside the sandbox, because the file may be hostile."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from issuer.sealing.pdf import prepare_stampable


def check_stampable_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The number of pages, and under `pdf` the bytes to seal (Base64) if they differ from the given ones."""
    found = prepare_stampable(blobs[0])
    changed = found.pdf != blobs[0]
    return {"pages": found.pages, "pdf": base64.b64encode(found.pdf).decode() if changed else None}


def decode_prepared(answer: dict[str, Any]) -> bytes | None:
    """The bytes to seal, or None for the given ones. Raises `ValueError` if `answer` is not valid."""
    return base64.b64decode(answer["pdf"], validate=True) if answer["pdf"] is not None else None
