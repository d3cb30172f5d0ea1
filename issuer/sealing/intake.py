"""Taking in a PDF that a department made. Runs inside the sandbox; the file may be hostile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from issuer.sealing.pdf import check_stampable


def check_stampable_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    return {"pages": check_stampable(blobs[0])}
