"""Verifying a file, a code or a picture of a code, online and offline by the same steps.

1. What is it?                     PDF, picture, or text; a failure here is a grey "not read"
2. Look at it                      in the sandbox for files and pictures
3. Entitlement, status, validity   pure questions over (object, evidence, verified_at)
4. Verdict                         PASSED only if every required check passed and none failed

The caller takes `verified_at` from the clock once. Nothing in the object is trusted on its own word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from keys.suites import Suite, check_signature
from trust.encoding import cose
from trust.encoding.codes import (
    MAX_PRINTED_BYTES,
    PRINTED_AAD,
    PrintedClaims,
    ScannedCode,
    decode_printed_claims,
    read_scanned_text,
)
from trust.encoding.commitment import FieldValue
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.trust_list import TrustedMember, TrustList
from trust.model.answers import LedgerAnchor
from trust.model.errors import (
    EvidenceUnavailableError,
    Malformed,
    OperationalError,
    TrustError,
    VerificationError,
)
from trust.model.parties import code_type_name
from trust.model.report import (
    BETWEEN_VALUES,
    Finding,
    Freshness,
    Report,
    Result,
    ShownField,
    Verdict,
    decide,
    is_as_sealed,
)
from trust.pdf.limits import MAX_FILE_BYTES
from trust.sandbox.workers import Apart, Sandbox
from verifier.checks.answers import ComparedBefore, decode_examination, decode_texts
from verifier.checks.headlines import headline_of
from verifier.checks.kinds import looks_like_picture, name_kind, name_typed
from verifier.checks.live import redeem_and_judge
from verifier.checks.seal_on_page import SealOnPage
from verifier.checks.standing import status_finding, validity_finding
from verifier.checks.steps import Examination, is_ahead
from verifier.evidence.evidence import Evidence, Member
from verifier.evidence.members import deployment_facts, deployment_finding
from verifier.ports import LiveCodes

SANDBOX_JOBS = {
    "archived-versions": "verifier.checks.archived_file:archived_versions_job",
    "archived-file": Apart("verifier.checks.readability:archived_file_job"),
    "examine-pdf": "verifier.checks.examine:examine_pdf_job",
    "read-picture": Apart("verifier.checks.pictures:read_picture_job"),
    "read-pages": Apart("verifier.checks.scans:read_pages_job"),
    "compare-seal": Apart("verifier.checks.seal_drawing:compare_seal_job"),
}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REQUIRED_FILE = (
    "file.format",
    "file.active-content",
    "file.gap",
    "file.structure",
    "seal.signature",
    "seal.library",
    "seal.chain",
    "seal.time",
    "seal.data",
    "seal.picture",
    "data.file",
    "ledger.receipt",
    "issuer.entitled",
    "status",
    "validity",
)
REQUIRED_FOREIGN = ("file.format", "file.signatures", "file.active-content", "signature.1", "file.end")
_OF_LICENCES = ("status-list.", "checkpoint", "bundle")
_REQUIRED_OF_MEMBERS = ("issuer.deployment",)
_REQUIRED_PRINTED = ("code.format", "code.signature", "issuer.entitled", "status", "validity")


def checks_of_the_seal() -> tuple[str, ...]:
    """The checks that must pass for a file to be what was sealed and issued, without its current status."""
    return tuple(check for check in _REQUIRED_FILE if check not in ("status", "validity"))


class Verifier:
    """The use case. The caller gathers `evidence` for each call, so that it is never older than the question."""

    def __init__(self, sandbox: Sandbox, *, live: LiveCodes | None) -> None:
        self._sandbox = sandbox
        self._live = live
        self._compare = ComparedBefore(self._compare_apart)

    def verify_bytes(
        self,
        data: bytes,
        evidence: Evidence,
        at: datetime,
        *,
        anchors: Sequence[bytes] = (),
        verifier: str = "",
    ) -> Report:
        """The report on a file: a PDF, a picture of a code, or a text file that contains a code."""
        if len(data) > MAX_FILE_BYTES:
            return not_read("file", "TOO_LARGE", "the file is larger than 20 MiB", at)
        if looks_like_picture(data):
            return self._verify_picture(data, evidence, at, verifier)
        if b"%PDF-" in data[:1024]:
            return self._verify_pdf(data, evidence, at, anchors)
        if (kind := name_kind(data)) is not None:
            return not_read("file", kind, "a kind of file that cannot be checked here", at)
        if data and len(data) <= 8192 and b"\0" not in data:
            return self.verify_text(data.decode("utf-8", "replace"), evidence, at, verifier=verifier)
        return not_read("file", "NOT_A_PDF", "neither a PDF nor a picture nor a code", at)

    def verify_text(self, text: str, evidence: Evidence, at: datetime, *, verifier: str = "") -> Report:
        """The report on a text that a scanner, a camera or a person entered."""
        try:
            code = read_scanned_text(text)
        except Malformed as exc:
            report = not_read("code", exc.code, exc.what, at)
            typed = name_typed(text) if exc.code == "NOT_OURS" else None
            return replace(report, facts={"typed": typed}) if typed is not None else report
        if evidence.trust_list is None or code.host in evidence.trust_list.hosts:
            if code.kind == "P":
                return self._verify_live(code, at, verifier)
            return _verify_printed(code, evidence, at, None)
        member = evidence.members.of_host(code.host)
        if member is None:
            return not_read("code", "NOT_OURS", "the code names a host that is not in the trust list", at)
        if code.kind == "P":
            return _live_code_of(member.entry, at)
        return _verify_printed(code, member.evidence, at, member.entry)

    def _verify_picture(self, data: bytes, evidence: Evidence, at: datetime, verifier: str) -> Report:
        try:
            texts = self._sandbox.run("read-picture", {}, [data], decode_texts)
        except OperationalError:
            raise  # the service's own fault; says nothing about the picture
        except TrustError as exc:
            return not_read("picture", "TOO_LARGE" if exc.code == "TOO_LARGE" else "UNREADABLE", exc.what, at)
        printed = self._printed_codes(texts, evidence, at)
        if len(printed) > 1:
            return _several("picture", printed, at)
        reports: list[Report] = []
        for text in texts:
            # A picture may show other codes too (a payment code on the wall): the first of ours decides, and no other
            # live code is redeemed.
            reports.append(self.verify_text(text, evidence, at, verifier=verifier))
            if reports[-1].was_read:
                return reports[-1]
        return reports[0]

    def _printed_codes(self, texts: Sequence[str], evidence: Evidence, at: datetime) -> list[Report]:
        """Reports on the printed codes among these texts, one for each licence. Live codes are not redeemed."""
        found: dict[tuple[Any, ...], Report] = {}
        for text in texts:
            try:
                code = read_scanned_text(text)
            except Malformed:
                continue
            if code.kind == "P":
                continue
            report = self.verify_text(text, evidence, at)
            if report.was_read:
                named: Any = report.facts.get("ecertificate") or {}
                found.setdefault((named.get("pid"), named.get("version"), None if named else text), report)
        return list(found.values())

    def _verify_scan(self, data: bytes, evidence: Evidence, at: datetime, unsealed: Report) -> Report:
        """Judges an unsigned PDF that shows one of our codes by the code, and adds that it is not the issued file."""
        try:
            texts = self._sandbox.run("read-pages", {}, [data], decode_texts)
        except OperationalError:
            raise
        except TrustError:
            return unsealed
        printed = self._printed_codes(texts, evidence, at)
        if not printed:
            return unsealed
        if len(printed) > 1:
            return _several("scan", printed, at)
        (code,) = printed
        copy = Finding(
            "file.copy", Result.INDETERMINATE, "COPY_WITH_CODE", "judged by the printed code alone"
        )
        findings = (*code.findings, copy)
        # A failure of the licence itself comes first: a revoked licence is revoked on any copy.
        if code.verdict is Verdict.PASSED:
            return replace(
                code, kind="scan", verdict=Verdict.INDETERMINATE, code="COPY_WITH_CODE", findings=findings
            )
        return replace(code, kind="scan", findings=findings)

    def _verify_live(self, code: ScannedCode, at: datetime, verifier: str) -> Report:
        if self._live is None:
            finding = Finding(
                "code.live", Result.INDETERMINATE, "CODE_NEEDS_NETWORK", "a live code says nothing offline"
            )
            return Report("live-code", at, Verdict.INDETERMINATE, "CODE_NEEDS_NETWORK", (finding,))
        try:
            fact = redeem_and_judge(self._live, code.data, verifier, at)
        except Malformed as exc:
            return not_read("live-code", exc.code, exc.what, at)
        return _report(
            "live-code",
            at,
            fact.findings,
            ("code.live", "status", "validity"),
            facts=fact.facts,
            shown=fact.shown,
            freshness=fact.freshness,
            not_checked=("presenter",),
        )

    def _verify_pdf(self, data: bytes, evidence: Evidence, at: datetime, anchors: Sequence[bytes]) -> Report:
        member: Member | None = None
        try:
            examined = self._examine(data, evidence, at, anchors)
            signed_with = examined.facts.pop("signed_with", None)
            if signed_with is not None:
                # Not our seal: it belongs to a member of the trust list, or is under a CA in it, or is unknown.
                member = evidence.members.of_seals(signed_with)
                if member is not None:
                    examined = self._examine(data, member.evidence, at, ())
                elif anchors := _anchors_at(evidence.trust_list, at):
                    examined = self._examine(data, evidence, at, anchors)
        except OperationalError:
            raise  # the service's own fault; says nothing about the file
        except TrustError as exc:
            finding = Finding("file.format", Result.INDETERMINATE, exc.code, exc.what)
            return _report("pdf", at, (finding,), _REQUIRED_FILE)
        if any(each.code == "NO_SEAL" for each in examined.findings):
            return self._verify_scan(data, evidence, at, _judge_file(examined, evidence, at, None))
        if anchors:
            # Our ledger and lists say nothing about files of others, so their problems do not count here.
            problems = [each for each in evidence.problems if not each.check.startswith(_OF_LICENCES)]
            return _report(
                "pdf",
                at,
                [*problems, *examined.findings],
                REQUIRED_FOREIGN,
                facts=examined.facts,
                not_checked=["revocation"]
                if "REVOCATION_NOT_CHECKED" in examined.facts.get("remarks", ())
                else [],
            )
        if member is not None:
            return _judge_file(examined, member.evidence, at, member.entry)
        return _judge_file(examined, evidence, at, None)

    def _examine(
        self, data: bytes, evidence: Evidence, at: datetime, anchors: Sequence[bytes]
    ) -> Examination:
        return self._sandbox.run(
            "examine-pdf",
            {"verified_at": at.isoformat(), "anchors": len(anchors)},
            [data, evidence.trust_list_payload, *anchors, *evidence.crls],
            lambda answer: decode_examination(answer, self._compare),
        )

    def _compare_apart(self, seal: SealOnPage) -> None:
        self._sandbox.run(
            "compare-seal", {"width_mm": seal.width_mm}, [seal.shown, seal.picture], lambda answer: None
        )


def _several(kind: str, printed: Sequence[Report], at: datetime) -> Report:
    """A report that names each of several licences; the person, not the service, must choose which one was meant."""
    findings, shown, named = [], [], []
    for number, report in enumerate(printed, 1):
        ecertificate: Any = report.facts.get("ecertificate") or {}
        result = Result.PASSED if report.verdict is Verdict.PASSED else Result.INDETERMINATE
        findings.append(Finding(f"code.{number}", result, "OK" if result is Result.PASSED else report.code))
        values = [each.value for each in report.shown[:3]]
        kinds = (ecertificate.get("type_name_zh"), ecertificate.get("type_name_en"))
        for_people = " · ".join(str(each) for each in (kinds[0], *values, f"[{report.code}]") if each)
        shown.append(ShownField(f"licence_{number}", f"证照 {number}", f"Licence {number}", for_people))
        named.append(
            {
                "code": report.code,
                "verdict": report.verdict.value,
                "type": kinds[0],
                "pid": ecertificate.get("pid"),
            }
        )
    findings.append(Finding("code.one", Result.INDETERMINATE, "SEVERAL_LICENCES", f"{len(printed)} licences"))
    return Report(
        kind,
        at,
        Verdict.INDETERMINATE,
        "SEVERAL_LICENCES",
        tuple(findings),
        {"licences": named},
        tuple(shown),
    )


def _judge_file(
    examined: Examination, evidence: Evidence, at: datetime, member: TrustedMember | None
) -> Report:
    """The report on a licence: the examination plus status and validity. `member`: the deployment it belongs to, or
    None if ours."""
    findings = [*evidence.problems, *examined.findings]
    facts: dict[str, Any] = {**examined.facts, **_deployment(member)}
    required = _REQUIRED_FILE if member is None else (*_REQUIRED_FILE, *_REQUIRED_OF_MEMBERS)
    if examined.data is None or evidence.trust_list is None:
        return _report("pdf", at, findings, required, facts=facts)
    ecertificate = decode_ecertificate_data(examined.data)
    facts["ecertificate"] = _facts_of(ecertificate, evidence.trust_list)
    if evidence.issued_files is not None:
        findings.append(_check_register(evidence, bytes.fromhex(examined.facts["sha256"]), ecertificate))
    stamped_at = datetime.fromisoformat(examined.facts["seal"]["stamped_at"])
    if member is not None:
        findings.append(deployment_finding(member, stamped_at))
    findings.append(
        _entitlement(
            evidence.trust_list,
            ecertificate.issuer,
            ecertificate.type_short,
            ecertificate.type_version,
            ecertificate.metadata.get("ZZBFJGDM"),
        )
    )
    freshness = _status(
        findings,
        facts,
        evidence,
        ecertificate.pid,
        ecertificate.status_list,
        ecertificate.status_index,
        at,
    )
    begins, ends = ecertificate.validity()
    findings.append(validity_finding(begins, ends, at))
    facts["sealed_before_validity_end"] = ends is None or stamped_at <= ends
    return _report(
        "pdf",
        at,
        findings,
        required,
        facts=facts,
        shown=_shown_of(ecertificate, evidence.trust_list),
        freshness=freshness,
        not_checked=("presenter",),
    )


def _anchors_at(trust_list: TrustList | None, at: datetime) -> list[bytes]:
    return [each.cert for each in trust_list.anchors if each.counts_at(at)] if trust_list else []


def _deployment(member: TrustedMember | None) -> dict[str, Any]:
    return {"deployment": deployment_facts(member)} if member is not None else {}


def _live_code_of(member: TrustedMember, at: datetime) -> Report:
    """The report on a member's live code, which only that member can redeem."""
    finding = Finding("code.live", Result.INDETERMINATE, "CODE_ELSEWHERE", member.member_id)
    return Report("live-code", at, Verdict.INDETERMINATE, "CODE_ELSEWHERE", (finding,), _deployment(member))


def _verify_printed(
    code: ScannedCode, evidence: Evidence, at: datetime, member: TrustedMember | None
) -> Report:
    findings = list(evidence.problems)
    facts = _deployment(member)
    required = _REQUIRED_PRINTED if member is None else (*_REQUIRED_PRINTED, *_REQUIRED_OF_MEMBERS)
    trust_list = evidence.trust_list
    if trust_list is None:
        findings.append(
            Finding("trust-list", Result.INDETERMINATE, "STATUS_STALE", "there is no trust list at hand")
        )
        return _report("printed-code", at, findings, required, facts=facts)
    try:
        claims = _check_printed(code.data, trust_list)
    except TrustError as exc:
        undecided = isinstance(exc, EvidenceUnavailableError)
        if isinstance(exc, Malformed):
            return not_read("printed-code", "UNREADABLE", exc.what, at)
        result = Result.INDETERMINATE if undecided else Result.FAILED
        findings.append(Finding("code.signature", result, exc.code, exc.what))
        return _report("printed-code", at, findings, required, facts=facts)
    findings += [Finding("code.format", Result.PASSED), Finding("code.signature", Result.PASSED)]
    authority = trust_list.authority(claims.issuer)
    facts["ecertificate"] = {
        "pid": claims.pid.hex(),
        "issuer": claims.issuer,
        "issuer_name_zh": authority.name_zh if authority else None,
        "issuer_name_en": authority.name_en if authority else None,
        "type": claims.type_short,
        "version": claims.version,
        "issued_at": claims.issued_at.isoformat(),
        "content": claims.content.hex(),
    }
    if member is not None:
        findings.append(deployment_finding(member, claims.issued_at))
    listed_type = trust_list.type(claims.type_short, claims.type_version)
    findings.append(_entitlement(trust_list, claims.issuer, claims.type_short, claims.type_version, None))
    freshness = _status(findings, facts, evidence, claims.pid, claims.status_list, claims.status_index, at)
    if is_ahead(claims.issued_at, at):
        when = claims.issued_at.isoformat()
        findings.append(Finding("code.time-ahead", Result.INDETERMINATE, "TIME_AHEAD", when))
    # A term without a first day begins with the issue, which was judged above.
    begins = claims.not_before or min(claims.issued_at, at)
    findings.append(validity_finding(begins, claims.expires_at, at))
    shown: list[ShownField] = []
    left_out: list[str] = []
    if listed_type is not None:
        facts["ecertificate"]["type_name_zh"] = listed_type.name_zh
        facts["ecertificate"]["type_name_en"] = listed_type.name_en
        for position, value in sorted(claims.fields.items()):
            if 0 <= position < len(listed_type.fields):
                named = listed_type.fields[position]
                shown.append(ShownField(named.name, named.label_zh, named.label_en, value))
        left_out = [f.name for n, f in enumerate(listed_type.fields) if n not in claims.fields]
    facts["fields_not_in_code"] = left_out
    return _report(
        "printed-code",
        at,
        findings,
        required,
        facts=facts,
        shown=shown,
        freshness=freshness,
        not_checked=("presenter", "page"),
    )


def _check_printed(data: bytes, trust_list: TrustList) -> PrintedClaims:
    """The claims, if a presentation key of the trust list signed them while it was in force."""
    sign1 = cose.decode_sign1(data, max_bytes=MAX_PRINTED_BYTES)
    key = trust_list.key(sign1.kid, "present")
    if key is None:
        raise EvidenceUnavailableError(
            "The key of the code is not in the trust list.", "Fetch a new trust list.", code="UNKNOWN_ISSUER"
        )
    if sign1.alg != cose.ALG_BY_SUITE[key.suite]:
        raise VerificationError(
            "The code claims another algorithm than its key has.", code="SIG_CRYPTO_FAILURE"
        )
    check_signature(
        Suite(key.suite),
        key.spki,
        cose.to_be_signed(sign1.protected, PRINTED_AAD, sign1.payload),
        cose.der_signature(key.suite, sign1.signature),
    )
    claims = decode_printed_claims(sign1.payload)
    if not key.not_before <= claims.issued_at <= key.not_after or not key.is_good_at(claims.issued_at):
        raise VerificationError("The code's key was not in force when it signed.", code="SIG_CRYPTO_FAILURE")
    if key.types is not None and claims.type_short not in key.types:
        raise VerificationError("The code's key may not sign for this type.", code="NOT_ENTITLED")
    return claims


def _entitlement(
    trust_list: TrustList, issuer: str, type_short: str, type_version: int, uscc: object
) -> Finding:
    authority = trust_list.authority(issuer)
    if authority is None or trust_list.type(type_short, type_version) is None:
        return Finding(
            "issuer.entitled", Result.INDETERMINATE, "UNKNOWN_ISSUER", "authority or type is not listed"
        )
    if type_short not in authority.types or uscc not in (None, authority.uscc):
        return Finding(
            "issuer.entitled", Result.FAILED, "NOT_ENTITLED", "the authority may not issue this type"
        )
    return Finding("issuer.entitled", Result.PASSED)


def _status(
    findings: list[Finding],
    facts: dict[str, Any],
    evidence: Evidence,
    pid: bytes,
    status_list: int,
    index: int,
    at: datetime,
) -> Freshness | None:
    try:
        fact = evidence.status.look_up(pid, status_list, index, at)
    except TrustError as exc:
        findings.append(Finding("status", Result.INDETERMINATE, exc.code, exc.what))
        return None
    facts["status"] = {
        "status": fact.status.value,
        "as_of": fact.freshness.as_of.isoformat(),
        "next_update": fact.freshness.next_update.isoformat() if fact.freshness.next_update else None,
        "reason": fact.reason,
        "changed_at": fact.changed_at.isoformat() if fact.changed_at else None,
        "source": "register" if fact.freshness.online else "status-list",
    }
    if fact.anchor is not None:
        facts["status"]["ledger"] = {
            "index": fact.anchor.index,
            "appended_at": fact.anchor.appended_at.isoformat(),
            "as_of_size": fact.anchor.as_of_size,
            "checkpoint_size": fact.anchor.checkpoint_size,
            "witnesses": list(fact.anchor.witnesses),
        }
        if evidence.trust_list is not None and evidence.trust_list.witness_policy:
            findings.append(_witnessed(fact.anchor))
    findings.append(status_finding(fact.status))
    return fact.freshness


def _witnessed(anchor: LedgerAnchor) -> Finding:
    """A remark on the witnesses; not required, because they cosign some seconds after the ledger signs."""
    if anchor.witnesses:
        return Finding("status.witnessed", Result.PASSED, detail=", ".join(anchor.witnesses))
    return Finding("status.witnessed", Result.NOT_CHECKED, "NOT_WITNESSED", "not cosigned by a quorum yet")


def _check_register(evidence: Evidence, sha256: bytes, ecertificate: ECertificateData) -> Finding:
    """Checks, online only, that the register issued exactly this file for this e-certificate."""
    assert evidence.issued_files is not None
    try:
        is_its_file = evidence.issued_files.pid_of_file(sha256) == ecertificate.pid
        is_erased = not is_its_file and evidence.issued_files.is_erased(ecertificate.pid)
    except EvidenceUnavailableError as exc:
        return Finding("register.file", Result.INDETERMINATE, exc.code, exc.what)
    if is_its_file:
        return Finding("register.file", Result.PASSED)
    if is_erased:
        return Finding("register.file", Result.INDETERMINATE, "ERASED", "the register has erased its digest")
    return Finding("register.file", Result.FAILED, "ALTERED", "the register gave out another file")


def _facts_of(ecertificate: ECertificateData, trust_list: TrustList) -> dict[str, Any]:
    begins, ends = ecertificate.validity()
    authority = trust_list.authority(ecertificate.issuer)
    listed = trust_list.type(ecertificate.type_short, ecertificate.type_version)
    return {
        "pid": ecertificate.pid.hex(),
        "issuer": ecertificate.issuer,
        "type": ecertificate.type_short,
        "version": ecertificate.version,
        "identifier": ecertificate.metadata.get("ZZBS"),
        "type_name_zh": ecertificate.metadata.get("ZZMC"),
        "type_name_en": listed.name_en if listed else None,
        "issuer_name_zh": ecertificate.metadata.get("ZZBFJG"),
        "issuer_name_en": authority.name_en if authority else None,
        "photo_sha256": next(filter(_is_picture, ecertificate.metadata.values()), None),
        "valid_from": begins.isoformat(),
        "valid_until": ends.isoformat() if ends else None,
    }


def _shown_of(ecertificate: ECertificateData, trust_list: TrustList) -> list[ShownField]:
    """The fields as sealed, in the order of the type, for a person to compare with the page.

    A photograph is left out: the data hold only its digest, which a person cannot compare (`facts["photo_sha256"]`).
    """
    listed = trust_list.type(ecertificate.type_short, ecertificate.type_version)
    shown: list[ShownField] = []
    for named in listed.fields if listed else ():
        value = ecertificate.metadata.get(named.gb)
        if value and not _is_picture(value):
            values = value if isinstance(value, list) else [value]
            if named.gb == "CZZTDMLXDM":
                values = [code_type_name(code) for code in values]
            # Values ending in a full stop are taken for paragraphs; the type, which would say so, is not known here.
            between = "\n" if any(each.endswith("。") for each in values) else BETWEEN_VALUES
            text = between.join(values)
            shown.append(ShownField(named.name, named.label_zh, named.label_en, text))
    return shown


def _is_picture(value: FieldValue) -> bool:
    """True for a picture, which is its SHA-256 in the data, whatever the type calls the field."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _report(
    kind: str,
    at: datetime,
    findings: Sequence[Finding],
    required: Sequence[str],
    *,
    facts: Mapping[str, Any] | None = None,
    shown: Sequence[ShownField] = (),
    freshness: Freshness | None = None,
    not_checked: Sequence[str] = (),
) -> Report:
    verdict, code = decide(findings, required)
    decided = next((f for f in findings if f.code == code and f.result is not Result.NOT_CHECKED), None)
    headline = headline_of(decided) if decided is not None else code
    believed = is_as_sealed(verdict, ((f.check, f.result) for f in findings))
    return Report(
        kind,
        at,
        verdict,
        headline,
        tuple(findings),
        dict(facts or {}),
        tuple(shown) if believed else (),
        freshness,
        tuple(not_checked),
    )


def not_read(kind: str, code: str, detail: str, at: datetime) -> Report:
    finding = Finding(f"{kind}.read", Result.INDETERMINATE, code, detail)
    return Report(kind, at, Verdict.INDETERMINATE, code, (finding,))
