"""The trust list for people: whose seals count here, under which roots, and the trusted deployments and CAs.

The page shows the decoded signed list; only the age of the members' lists is added. People compare the fingerprint
that the command line shows with this page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from ledger.witness.policy import parse_policy
from trust.encoding.trust_list import TrustedAuthority, TrustedMember, TrustedType, TrustList, TrustState
from trust.encoding.well_known import BUNDLE_PATH
from trust.web.shell import Shell, route_class
from verifier.evidence.trust_list import check_trust_list, root_fingerprint
from verifier.membership.keeping import KeptBundle
from verifier.service import VerifierService

_CHIPS = {TrustState.ACTIVE: "valid", TrustState.RETIRED: "replaced", TrustState.COMPROMISED: "revoked"}


@dataclass(frozen=True, slots=True)
class MemberView:
    """`types`: names in both languages, or the code of a type that is not ours; None if all are allowed."""

    entry: TrustedMember
    roots: Sequence[str]
    types: Sequence[tuple[str, str]] | None
    kept: KeptBundle | None

    @property
    def chip(self) -> str:
        return _CHIPS[self.entry.state]


def trusted_router(shell: Shell[VerifierService]) -> APIRouter:
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )

    @router.get("/trust")
    def trusted(request: Request) -> Response:
        service = shell.service
        at, roots = service.clock.now(), service.lists.roots()
        listed = check_trust_list(service.lists.newest(at), roots)
        kept = {each.entry.member_id: each for each in service.member_bundles.list()}
        return shell.page(
            request,
            "trust.html",
            listed=listed,
            roots=[_grouped(root_fingerprint(root)) for root in roots],
            authorities=[(each, _types_of(each, listed)) for each in listed.authorities],
            members=[_member(each, listed, kept.get(each.member_id)) for each in listed.members],
            anchors=[each for each in listed.anchors if each.counts_at(at)],
            log_keys=[key.vkey for key in listed.ledger_keys if key.until_size is None],
            witnesses=_witnesses(listed),
            bundle=BUNDLE_PATH,
        )

    return router


def _types_of(authority: TrustedAuthority, listed: TrustList) -> list[TrustedType]:
    return [each for each in listed.types if each.short in authority.types]


def _member(entry: TrustedMember, listed: TrustList, kept: KeptBundle | None) -> MemberView:
    names = {each.type_code: (each.name_zh, each.name_en) for each in listed.types}
    types = [names.get(code, (code, code)) for code in entry.type_codes] if entry.type_codes else None
    return MemberView(entry, [_grouped(root_fingerprint(root)) for root in entry.roots], types, kept)


def _witnesses(listed: TrustList) -> list[str]:
    if not listed.witness_policy:
        return []
    policy = parse_policy(listed.witness_policy.encode())
    return list(dict.fromkeys(each.vkey.name for each in policy.witnesses))


def _grouped(fingerprint: str) -> str:
    """The fingerprint in groups of eight characters, so that two people can read it to each other."""
    return " ".join(fingerprint[start : start + 8] for start in range(0, len(fingerprint), 8))
