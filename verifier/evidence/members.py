"""Other deployments: trusted exactly as far as our own trust list says.

A member's trust list is signed by its own roots, which ours names. It is narrowed to what ours allows (`narrow`), and
then seals, time-stamps, ledger and status lists are checked as if they were ours. The time at which an object was made
is known only after those checks; whether the member was trusted at that time is a finding of its own
(`deployment_finding`).

    retired since T         what it made before T counts; the time is the one that the member's own clock gave
    compromised             nothing counts, because the holder of its root keys can write any list with any date
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from trust.encoding.digests import sha256
from trust.encoding.trust_list import MemberUse, TrustedAuthority, TrustedMember, TrustList, TrustState
from trust.model.report import Finding, Result
from verifier.evidence.evidence import Evidence, Member

_DIVISION = slice(2, 8)
"""Where a credit code has the administrative division of the body that registered it (GB 32100-2015, 4.4)."""


def narrow(listed: TrustList, entry: TrustedMember, own: TrustList) -> TrustList:
    """A member's trust list, reduced to what `entry` allows.

    Authorities that are in our `own` list are left out, because our list decides about them.
    """
    types = tuple(
        each for each in listed.types if entry.type_codes is None or each.type_code in entry.type_codes
    )
    shorts = {each.short for each in types}
    own_codes = {each.uscc for each in own.authorities}
    authorities = tuple(
        replace(each, types=tuple(short for short in each.types if short in shorts))
        for each in listed.authorities
        if _is_in_divisions(each, entry) and each.uscc not in own_codes
    )
    known = {each.authority_id for each in authorities}
    uses = {use.value for use in entry.uses}
    return replace(
        listed,
        hosts=tuple(host for host in listed.hosts if host in entry.hosts),
        authorities=authorities,
        types=types,
        seals=tuple(
            each for each in listed.seals if each.authority_id in known and MemberUse.SEAL in entry.uses
        ),
        keys=tuple(each for each in listed.keys if each.use == "status" or each.use in uses),
        anchors=(),
        members=(),
    )


def deployment_finding(entry: TrustedMember, made_at: datetime) -> Finding:
    """The finding on whether the member was trusted at `made_at`, when it sealed or signed the object."""
    too_late = entry.not_after is not None and made_at > entry.not_after
    if made_at < entry.not_before or too_late or not entry.is_good_at(made_at):
        detail = f"the trust list does not trust {entry.member_id} for {made_at.isoformat()}"
        return Finding("issuer.deployment", Result.INDETERMINATE, "UNKNOWN_ISSUER", detail)
    return Finding("issuer.deployment", Result.PASSED, detail=entry.member_id)


def deployment_facts(entry: TrustedMember) -> dict[str, Any]:
    return {"id": entry.member_id, "name_zh": entry.name_zh, "name_en": entry.name_en}


class MemberLists(Protocol):
    """Access to the members' own lists, in an offline bundle or kept by the service."""

    def evidence_of(self, entry: TrustedMember) -> Member:
        """A member with the lists that are available; missing ones are in its evidence's problems. Never raises."""


@dataclass(frozen=True, slots=True)
class ListedMembers:
    """The members of a trust list; a member's lists are read only when an object may belong to it."""

    own: TrustList
    lists: MemberLists

    def of_seals(self, certs: Collection[str]) -> Member | None:
        """The member that lists a seal with one of these certificates (SHA-256, hex)."""
        wanted = set(certs)
        for entry in self.own.members:
            if entry.state is TrustState.COMPROMISED:
                continue
            member = self.lists.evidence_of(entry)
            listed = member.evidence.trust_list
            if listed is None or member.seal_certs.isdisjoint(wanted):
                continue
            if any(sha256(seal.certs[0]).hex() in wanted for seal in listed.seals):
                return member
        return None

    def of_host(self, host: str) -> Member | None:
        """The member whose codes name this host."""
        entry = next((each for each in self.own.members if host in each.hosts), None)
        if entry is None:
            return None
        if entry.state is TrustState.COMPROMISED:
            return Member(entry, _nothing("UNKNOWN_ISSUER", "the deployment's roots are compromised"))
        return self.lists.evidence_of(entry)


def missing(entry: TrustedMember, what: str) -> Member:
    """A member without usable lists; `what` says why."""
    return Member(entry, _nothing("STATUS_STALE", what))


def _nothing(code: str, what: str) -> Evidence:
    return Evidence.without_list(Finding("issuer.deployment", Result.INDETERMINATE, code, what))


def _is_in_divisions(authority: TrustedAuthority, entry: TrustedMember) -> bool:
    return entry.divisions is None or authority.uscc[_DIVISION].startswith(tuple(entry.divisions))
