"""What the ledger answers over HTTP as JSON."""

from __future__ import annotations

from pydantic import Field

from trust.web.answers import Answer, Base64


class ConsistencyProof(Answer):
    """That the ledger of size `old_size` is the beginning of the published one (RFC 6962)."""

    old_size: int = Field(ge=1)
    size: int = Field(ge=1)
    root: Base64 = Field(description="of the published tree")
    proof: list[Base64]
