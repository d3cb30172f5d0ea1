"""What the issuer answers over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from issuer.catalogue.profile import FieldType
from keys.suites import Suite
from trust.model.seal import SealAct, SealState
from trust.model.status import Status
from trust.web.answers import Answer, BothLanguages, Count, LedgerIndex, Pid, Sha256
from trust.web.paging import Paged


class ECertificateLinks(Answer):
    self_: str = Field(alias="self")
    file: str
    versions: str


_SELF = "/api/v1/certificates/b5ed1393952db919726bc0fcfefcda45"
_ISSUED: dict[str, JsonValue] = {
    "pid": "b5ed1393952db919726bc0fcfefcda45",
    "identifier": "1.2.156.3005.2.11990000MB9Y00016B011.11990100MB9X100103.2MC60FEC96N583K226PP.001.A",
    "type": "FOOD",
    "version": 1,
    "authority": "cc-market",
    "seal": "cc-market-sm2",
    "status": "SUSPENDED",
    "status_reason": "投诉调查",
    "status_at": "2026-11-24T02:00:00+00:00",
    "valid_from": "2026-11-01T00:00:00+08:00",
    "valid_until": "2031-11-01T00:00:00+08:00",
    "issued_at": "2026-11-23T02:00:00+00:00",
    "ledger_index": 19,
    "links": {"self": _SELF, "file": f"{_SELF}/file", "versions": f"{_SELF}/versions"},
}


class ECertificateAnswer(Answer):
    """An e-certificate as its department sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ISSUED]})

    pid: Pid
    identifier: str = Field(description="证照标识", examples=[_ISSUED["identifier"]])
    type: str = Field(description="short name of its type", examples=["FOOD"])
    version: int = Field(ge=1)
    authority: str = Field(description="id of the authority that issued it")
    seal: str = Field(description="id of the seal that counts in law")
    status: Status
    status_reason: str | None
    status_at: datetime | None = Field(description="since when it has this status, if it was changed")
    valid_from: datetime
    valid_until: datetime | None = Field(description="null: without end")
    issued_at: datetime
    ledger_index: LedgerIndex
    links: ECertificateLinks


class FileVersionLinks(Answer):
    file: str
    receipt: str


class FileVersion(Answer):
    """The issued file (0), or a later version that holds it and evidence that lasts."""

    number: Count
    level: Literal["PAdES-B-T", "PAdES-B-LTA"]
    sha256: Sha256
    parent_sha256: Sha256 | None
    stamped_at: datetime | None
    next_due_at: datetime | None = Field(description="when the next version is made")
    ledger_index: LedgerIndex
    links: FileVersionLinks


class FileVersions(Paged):
    items: list[FileVersion]


class StartedPresentation(Answer):
    code: str = Field(description="what the QR code shows; changes until it is used or ends")
    changes_at: datetime
    ends_at: datetime


class TypeField(Answer):
    name: str
    gb: str = Field(description="its name in GB/T 36903")
    type: FieldType
    required: bool
    max_length: Count
    choices: list[str]
    label: BothLanguages


class ECertificateType(Answer):
    short: str = Field(examples=["FOOD"])
    type_code: str = Field(description="证照类型代码")
    version: str = Field(pattern="^[0-9]{3}$")
    name: BothLanguages
    fields: list[TypeField]


class ECertificateTypes(Paged):
    items: list[ECertificateType]


class SealPolicyAnswer(Answer):
    """The authorised uses of a seal; null means without limit."""

    types: list[str] | None
    callers: list[str] | None = Field(description="ids of API keys, or `operator`")
    per_day: Count | None
    second_approval_above: Count | None


class SealAnswer(Answer):
    """An e-seal from its application on."""

    id: str
    authority: str
    name: str
    second_line: str
    suite: Suite
    state: SealState
    renews: str | None
    identity: str | None = Field(description="the certificate of a CA outside that it was made with")
    not_before: datetime | None = Field(description="null until it is made")
    not_after: datetime | None
    policy: SealPolicyAnswer | None


class Seals(Paged):
    seals: list[SealAnswer]


class SealEventAnswer(Answer):
    act: SealAct
    by: str
    at: datetime
    effective_at: datetime
    note: str
    ledger_index: LedgerIndex | None = Field(description="null until the ledger has it")


class SealHistory(Paged):
    events: list[SealEventAnswer]


class SealUseAnswer(Answer):
    at: datetime
    by: str
    pid: Pid


class SealUses(Paged):
    uses: list[SealUseAnswer]


class AskedApproval(Answer):
    approval: int = Field(ge=1, description="number of the request, for the person who approves it")
