"""Evidence from the running service itself: the online answers to the verifier's two ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from issuer import sql
from issuer.archive import sql as archive_sql
from issuer.authorities import Authorities
from issuer.drafting import display_fields
from issuer.presenting import Level, Presenting
from issuer.publishing import Publishing
from trust.app.members import MemberBundles
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.encoding.trust_list import TrustList
from trust.model.answers import StatusFact
from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import Conflict, EvidenceUnavailableError
from trust.model.report import Finding, Freshness, Result
from trust.model.status import Status
from trust.storage import tables
from trust.storage.sql import Database
from trust.storage.unbelieved import instead_of_edited
from verifier.evidence import NO_MEMBERS, Evidence
from verifier.trust_list import check_trust_list
from verifier.verifying import LiveFact, status_finding, validity_finding


@dataclass(frozen=True, slots=True)
class OnlineEvidence:
    """Trust list, CRLs and register of this very service, as of now."""

    publishing: Publishing
    authorities: Authorities
    database: Database
    members: MemberBundles
    _checked: dict[tuple[bytes, ...], TrustList] = field(default_factory=dict)

    def _trust_list(self, at: datetime) -> TrustList:
        """Checked once for each list that is published."""
        compact, roots = self.publishing.trust_list(at), self.publishing.roots()
        known = self._checked.get((compact, *roots))
        if known is None:
            known = check_trust_list(compact, roots)
            self._checked.clear()
            self._checked[(compact, *roots)] = known
        return known

    def gather(self, at: datetime) -> Evidence:
        trust_list = self._trust_list(at)
        crls = tuple(der for _, der, _ in self.authorities.known_crls(at))
        register = _Register(self.database)
        members = self.members.source(trust_list, at) if trust_list.members else NO_MEMBERS
        return Evidence(trust_list, crls, register, register, online=True, members=members)


@dataclass(frozen=True, slots=True)
class _Register:
    database: Database

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        with instead_of_edited(_edited), self.database.read() as connection:
            row = sql.find_ecertificate(connection, pid=pid)
        if row is None:
            raise EvidenceUnavailableError(
                "The register does not know this e-certificate.",
                "Ask the issuing department.",
                code="UNKNOWN_ISSUER",
            )
        if row.pending_operation is not None:
            raise EvidenceUnavailableError(
                "The status is being changed at this moment.", "Check again in a moment.", code="TRY_LATER"
            )
        return StatusFact(
            Status(row.status),
            Freshness(at, None, online=True),
            row.status_reason,
            tables.from_micros(row.status_at) if row.status_at is not None else None,
        )

    def pid_of_file(self, sha256: bytes) -> bytes | None:
        with instead_of_edited(_edited), self.database.read() as connection:
            row = sql.find_ecertificate(connection, issued_sha256=sha256)
            if row is None and (later := archive_sql.version_with(connection, sha256)) is not None:
                row = sql.find_ecertificate(connection, id=later.ecertificate_id)
        return bytes(row.pid) if row is not None else None

    def is_erased(self, pid: bytes) -> bool:
        with instead_of_edited(_edited), self.database.read() as connection:
            row = sql.find_ecertificate(connection, pid=pid)
        return row is not None and row.step == "ERASED"


def _edited() -> EvidenceUnavailableError:
    """A row that somebody edited says nothing of the e-certificate: that it was edited is ours to mend."""
    return EvidenceUnavailableError(
        "What the register says of it was changed by another hand.",
        "Ask the issuing department.",
        code="REGISTER_EDITED",
    )


@dataclass(frozen=True, slots=True)
class OnlineLiveCodes:
    """Redeems live codes for the verifier."""

    presenting: Presenting

    def redeem(self, handle: bytes, verifier: str, at: datetime) -> LiveFact:
        fresh = Freshness(at, None, online=True)
        try:
            with instead_of_edited(_edited):
                redeemed = self.presenting.redeem(handle, verifier, at)
        except (Conflict, EvidenceUnavailableError) as exc:
            finding = Finding("code.live", Result.INDETERMINATE, exc.code, exc.what)
            return LiveFact((finding,), {}, (), fresh)
        facts: dict[str, object] = {
            "presentation": {
                "code_state": redeemed.state,
                "purpose": redeemed.purpose,
                "level": int(redeemed.level),
                "used_at": redeemed.used_at.isoformat() if redeemed.used_at else None,
                "audience": redeemed.audience,
            }
        }
        if redeemed.state == "ELSEWHERE":
            return LiveFact(
                (Finding("code.live", Result.INDETERMINATE, "CODE_FOR_ANOTHER"),), facts, (), fresh
            )
        if redeemed.issued is None:
            code = "CODE_USED" if redeemed.state == "USED" else "CODE_EXPIRED"
            return LiveFact((Finding("code.live", Result.FAILED, code),), facts, (), fresh)
        return self._fact_of(redeemed.issued, redeemed.level, facts, fresh, at)

    def _fact_of(
        self,
        issued: IssuedECertificate,
        level: Level,
        facts: dict[str, object],
        fresh: Freshness,
        at: datetime,
    ) -> LiveFact:
        data = decode_ecertificate_data(issued.data)
        begins, ends = data.validity()
        facts["ecertificate"] = {
            "pid": issued.pid.hex(),
            "type": issued.type_short,
            "type_name_zh": data.metadata.get("ZZMC"),
            "issuer": issued.authority_id,
            "issuer_name_zh": data.metadata.get("ZZBFJG"),
            "version": issued.version,
            "valid_from": begins.isoformat(),
            "valid_until": ends.isoformat() if ends else None,
        }
        facts["status"] = {
            "status": issued.status.value,
            "as_of": at.isoformat(),
            "next_update": None,
            "reason": issued.status_reason,
            "changed_at": issued.status_at.isoformat() if issued.status_at else None,
            "source": "register",
        }
        findings = (
            Finding("code.live", Result.PASSED),
            status_finding(issued.status),
            validity_finding(begins, ends, at),
        )
        return LiveFact(findings, facts, display_fields(data, level), fresh)
