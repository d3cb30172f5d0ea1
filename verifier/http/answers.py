"""What the verifier answers over HTTP: reports, digests, what is filed under a report code.

What a report's `facts` hold depends on how far the check came: a file that cannot be opened has a digest and no seal.
Members that are there have all of theirs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from keys.suites import Suite
from trust.model.report import Colour, Result, Verdict
from trust.model.seal import SealRole
from trust.model.status import Status
from trust.web.answers import Answer, Base64, Count, LedgerIndex, Pid, Sha256, absent

Code = str
ReportKind = Literal["pdf", "printed-code", "live-code", "scan", "picture", "code", "file"]


class Words(Answer):
    headline: str
    sentence: str
    advice: str


class Messages(Answer):
    """The verdict in words for people."""

    zh: Words = Field(alias="zh-CN")
    en: Words


class FindingAnswer(Answer):
    """The answer to one question. `check` names the question, `code` the reason."""

    check: str = Field(examples=["seal.signature"])
    result: Result
    code: Code = Field(examples=["OK"])
    detail: str


class ShownFieldAnswer(Answer):
    """A field for a person to compare with the paper or the page."""

    name: str
    label_zh: str
    label_en: str
    value: str


class FreshnessAnswer(Answer):
    """How old the status in the verdict is, and until when its source is good."""

    as_of: datetime
    next_update: datetime | None
    online: bool


class SealedECertificate(Answer):
    """The e-certificate in a file, as sealed."""

    pid: Pid
    issuer: str = Field(description="id of the authority")
    type: str
    version: int
    identifier: str | None
    type_name_zh: str | None
    type_name_en: str | None
    issuer_name_zh: str | None
    issuer_name_en: str | None
    photo_sha256: Sha256 | None
    valid_from: datetime
    valid_until: datetime | None


class PrintedECertificate(Answer):
    """The e-certificate of a printed code. Its type has a name if the trust list has the type."""

    pid: Pid
    issuer: str
    issuer_name_zh: str | None
    issuer_name_en: str | None
    type: str
    version: int
    issued_at: datetime
    content: Sha256 = Field(description="root of the hashes over the fields of the issued file")
    type_name_zh: str = absent()
    type_name_en: str = absent()


class PresentedECertificate(Answer):
    """The e-certificate of a live code."""

    pid: Pid
    type: str
    type_name_zh: str | None
    issuer: str
    issuer_name_zh: str | None
    version: int
    valid_from: datetime
    valid_until: datetime | None


class SealFacts(Answer):
    """A seal on the file: what it was when it was used, and what it is `now`."""

    role: SealRole
    id: str
    name: str
    authority: str
    suite: Suite
    x509_sha256: Sha256
    signer: str
    format: Literal["PAdES-B-T", "PAdES-B-LTA"]
    stamped_at: datetime
    time_source: Literal["TSA"]
    now: Literal["in-force", "frozen", "expired", "withdrawn"]


class ReceiptFacts(Answer):
    """The ledger entry that the file's own receipt proves."""

    origin: str
    index: LedgerIndex
    count: Count
    appended_at: datetime
    is_ahead: bool
    tree_size: int = Field(ge=1)
    root: Base64


class StatusAnchor(Answer):
    """The ledger entry that commits to the status list."""

    index: LedgerIndex
    appended_at: datetime
    as_of_size: Count
    checkpoint_size: Count
    witnesses: list[str]


class StatusFacts(Answer):
    status: Status
    as_of: datetime
    next_update: datetime | None
    reason: str | None
    changed_at: datetime | None
    source: Literal["register", "status-list"]
    ledger: StatusAnchor = absent()


class PresentationFacts(Answer):
    """What the issuer said when the live code was used."""

    code_state: Literal["FRESH", "REPEAT", "EXPIRED", "USED", "ELSEWHERE"]
    purpose: str
    level: int = Field(ge=0, le=3)
    used_at: datetime | None
    audience: str | None


class LaterVersionFacts(Answer):
    number: int = Field(ge=1)
    size: Count
    stamped_at: datetime


class DeploymentFacts(Answer):
    """The member of the trust list whose e-certificate it is; left out for one of our own."""

    id: str
    name_zh: str
    name_en: str


class SignatureFacts(Answer):
    """A signature in a file of others."""

    format: str | None = Field(examples=["PAdES-B-T"])
    signer: str
    is_shown: bool
    claimed_at: datetime | None = absent()
    best_time: datetime | None = absent()
    passed: bool


class SeveralFacts(Answer):
    """One of several e-certificates whose codes a picture shows."""

    code: Code
    verdict: Verdict
    type: str | None
    pid: Pid | None


class Facts(Answer):
    """What was found, for machines. Nothing in it is proven unless the verdict says so."""

    sha256: Sha256 = absent()
    sm3: str = absent(pattern="^[0-9a-f]{64}$")
    size: Count = absent()
    pages: Count = absent()
    ecertificate: SealedECertificate | PrintedECertificate | PresentedECertificate = absent()
    seal: SealFacts = absent()
    further_seals: list[SealFacts] = absent()
    ledger: ReceiptFacts = absent()
    versions: list[LaterVersionFacts] = absent()
    status: StatusFacts = absent()
    sealed_before_validity_end: bool = absent()
    fields_not_in_code: list[str] = absent()
    presentation: PresentationFacts = absent()
    deployment: DeploymentFacts = absent()
    licences: list[SeveralFacts] = absent()
    profile: Literal["foreign"] = absent(
        description="judged as a signed file of others, and no e-certificate"
    )
    signatures: list[SignatureFacts] = absent()
    remarks: list[str] = absent()
    typed: str = absent(description="what was typed instead of a code")


class ReportBody(Answer):
    """A verification report, as `yinzheng verify --json` gives it too. Judge by `verdict` and `code`."""

    schema_: Literal["yinzheng-report-1"] = Field(alias="schema")
    kind: ReportKind
    verified_at: datetime
    verdict: Verdict
    code: Code = Field(description="the reason, OK if it passed", examples=["OK", "REVOKED"])
    colour: Colour
    indication: Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE"] | None = Field(
        description="of the seals alone (EN 319 102-1)"
    )
    sub_indication: str | None
    messages: Messages
    findings: list[FindingAnswer]
    facts: Facts
    shown: list[ShownFieldAnswer]
    freshness: FreshnessAnswer | None
    not_checked: list[str]


class VerificationReport(ReportBody):
    """A report that the service filed and signed; null where it did not, as for what could not be read."""

    report_code: str | None = Field(pattern="^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$")
    report_seal: str | None = Field(description="compact JWS over this report (ecert-report+jwt)")


class DigestAnswer(Answer):
    sha256: Sha256
    verdict: Verdict
    code: Code = Field(examples=["OK", "NOT_IN_REGISTER"])
    pid: Pid | None = Field(description="null: the register does not know this file")


class DigestAnswers(Answer):
    as_of: datetime
    items: list[DigestAnswer]


class FiledReportAnswer(Answer):
    """What anybody may see of a report that was filed. No field, no name."""

    report_code: str
    verified_at: datetime
    kind: str
    verdict: Verdict
    code: Code
    input_sha256: Sha256 | None = Field(description="null after an erasure")
    report_sha256: Sha256
    repeatable: bool
    kept_until: datetime
