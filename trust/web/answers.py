"""The models of answers that all routes of the API share, and what they are made of.

A model describes an answer and does not make it: routes build plain values, and the tests hold every answer that they
get against the description (docs/adr/0033).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """An object in an answer. It has these members and no others."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def absent(**more: Any) -> Any:
    """A member that is left out where there is nothing to say, and never null."""
    return Field(default=None, **more)


Pid = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{32}$",
        description="public id of an e-certificate",
        examples=["b5ed1393952db919726bc0fcfefcda45"],
    ),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hex")]
Base64 = Annotated[str, Field(pattern="^[A-Za-z0-9+/]*={0,2}$")]
Count = Annotated[int, Field(ge=0)]
LedgerIndex = Annotated[int, Field(ge=0, description="number of the entry in the ledger")]


class BothLanguages(Answer):
    zh: str = Field(alias="zh-CN")
    en: str


class Reason(Answer):
    """One reason of a refusal. The value that was sent is not repeated."""

    pointer: str = Field(description="where in the request", examples=["/fields/holder_code"])
    code: str = Field(examples=["CHECK_DIGIT"])
    detail: str
    detail_zh: str = absent()


class Problem(Answer):
    """What the API answers where it cannot do what was asked (RFC 9457). `code` is stable, texts are for people."""

    type: str = Field(pattern="^urn:yinzheng:problem:[a-z0-9-]+$")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="what was found, and what to do")
    code: str = Field(pattern="^[A-Z][A-Z0-9_]*$", examples=["STATE_CONFLICT"])
    trace_id: str = Field(description="the same as in X-Trace-Id and in the service's log")
    errors: list[Reason] = absent(description="every reason at once")
