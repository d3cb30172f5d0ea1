"""Other deployments in one trust list: what they issue passes within the limits of their entry, and never beyond."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from support.seen import SeenBefore
from support.shown import Shown, altered, saved_anew, shown
from support.world import JINCHUAN, MARKET, START, World, make_neighbour, world_in

from issuer.catalogue import load_profile
from issuer.presenting.presenting import Level
from keys.custody import KeyPurpose
from keys.suites import Suite
from trust.app.site import create_app
from trust.encoding import cose
from trust.encoding.digests import sha256
from trust.encoding.jws import compact, payload_of, signing_input
from trust.encoding.kept_evidence import decode_kept_evidence
from trust.encoding.plain_zip import encode_zip
from trust.encoding.trust_list import TYP, MemberUse, TrustedMember, TrustState
from trust.model.actor import OPERATOR
from trust.model.errors import (
    Conflict,
    EvidenceUnavailableError,
    Malformed,
    NotFound,
    TrustError,
    VerificationError,
)
from trust.model.report import Report, Verdict
from trust.model.status import StatusAct
from trust.sandbox.lanes import Lane
from trust.sandbox.workers import Sandbox
from verifier.checks.verifying import Verifier
from verifier.evidence.bundle import evidence_from_bundle, read_roots, unpack_bundle
from verifier.evidence.trust_list import root_fingerprint
from verifier.membership.keeping import Proposal
from verifier.reports.sealed_report import check_sealed_report
from verifier.sentences import seal_words, words_for

UNKNOWN = (Verdict.INDETERMINATE, "UNKNOWN_ISSUER")
PASSED = (Verdict.PASSED, "OK")


@dataclass
class Two:
    """Ours, another deployment, and how the latter is proposed as a member."""

    own: World
    other: World

    def proposal(self, **changes: Any) -> Proposal:
        roots = [root_fingerprint(root) for root in self.other.site.issuer.publishing.roots()]
        base = Proposal("jinchuan", "锦川电子证照平台", "Jinchuan e-certificates", roots)
        return replace(base, **changes)

    def join(self, *, is_new: bool = True, **changes: Any) -> TrustedMember:
        packed = self.other.packed_bundle()
        return self.own.site.verifier.member_bundles.propose(
            OPERATOR, self.proposal(**changes), packed, is_new=is_new
        )

    def put_forward(self, **by: float) -> None:
        for world in (self.own, self.other):
            world.clock.advance(**by)

    def judge(self, given: bytes | str, at: datetime | None = None) -> list[Report]:
        """Online and offline, which have to agree."""
        at = at or self.own.clock.now()
        online = self.own.verify(given, at=at)
        offline = self.own.verify_offline(given, self.own.bundle(), at=at)
        assert (online.verdict, online.code) == (offline.verdict, offline.code), (
            online.findings,
            offline.findings,
        )
        assert online.shown == offline.shown
        return [online, offline]

    def verdict(self, given: bytes | str, at: datetime | None = None) -> tuple[Verdict, str]:
        report = self.judge(given, at)[0]
        return report.verdict, report.code


@pytest.fixture
def two(template_folder: Path, neighbour_template: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[Two]:
    own = world_in(template_folder, tmp_path / "own", sandbox)
    shutil.copytree(neighbour_template, tmp_path / "other")
    other = make_neighbour(tmp_path / "other", sandbox=sandbox)
    try:
        yield Two(own, other)
    finally:
        own.close()
        other.close()


def cases_of(other: World) -> dict[str, tuple[Shown, datetime, tuple[Verdict, str], tuple[Verdict, str]]]:
    """What happened: how it is shown, when it is judged, the verdict on the file and on its code."""
    statuses = other.site.issuer.statuses
    _, valid = other.issue(1)
    suspended, suspended_pdf = other.issue(2)
    revoked, revoked_pdf = other.issue(3)
    replaced, replaced_pdf = other.issue(4)
    _, early_pdf = other.issue(6, valid_from="2026-11-25")
    statuses.change(OPERATOR, suspended.pid, StatusAct.SUSPEND, reason="调查")
    statuses.change(OPERATOR, revoked.pid, StatusAct.REVOKE, reason="penalty")
    new = replace(other.application(4, premises="锦川省锦川市新址路8号"), replaces=replaced.pid)
    assert statuses.replace(OPERATOR, replaced.pid, new, reason="迁址").issued is not None
    good = shown(valid)

    def same(code: str) -> tuple[tuple[Verdict, str], tuple[Verdict, str]]:
        return ((Verdict.FAILED, code),) * 2

    return {
        "valid": (good, START, PASSED, PASSED),
        "suspended": (shown(suspended_pdf), START, *same("SUSPENDED")),
        "revoked": (shown(revoked_pdf), START, *same("REVOKED")),
        "replaced": (shown(replaced_pdf), START, *same("REPLACED")),
        "not yet": (shown(early_pdf), START, *same("NOT_YET")),
        "altered": (altered(good), START, (Verdict.FAILED, "ALTERED"), (Verdict.FAILED, "BAD_SEAL")),
        "re-saved": (saved_anew(good), START, (Verdict.FAILED, "ALTERED"), PASSED),
    }


def test_what_a_member_issues_is_judged_as_ours_is(two: Two) -> None:
    cases = cases_of(two.other)
    assert {two.verdict(each.file) for each, *_ in cases.values()} <= {UNKNOWN, (Verdict.FAILED, "ALTERED")}
    assert {two.verdict(each.code) for each, *_ in cases.values()} == {(Verdict.INDETERMINATE, "NOT_OURS")}
    two.join()
    with TestClient(create_app(two.own.site)) as client:
        for name, (given, at, of_file, of_code) in cases.items():
            for form, expected in (("file", of_file), ("code", of_code), ("picture", of_code)):
                online, offline = two.judge(given.as_(form), at)
                assert (online.verdict, online.code) == expected, (name, form, online.findings)
                deployment: Any = online.facts["deployment"]
                assert deployment["id"] == "jinchuan"
                told = [(each.check, each.result) for each in online.findings]
                assert told == [(each.check, each.result) for each in offline.findings]
                sent: Any = (
                    {"json": {"code": given.code}}
                    if form == "code"
                    else {"files": {"file": ("x", given.as_(form))}}
                )
                over_http = client.post("/api/v1/verifications", **sent).json()
                assert (over_http["verdict"], over_http["code"]) == (online.verdict.value, online.code)


def test_whose_it_is_is_said_and_a_report_of_it_can_be_repeated(two: Two) -> None:
    _, pdf = two.other.issue(1)
    two.join()
    online, _ = two.judge(pdf)
    assert ("出自信任列表中的其他平台", "锦川电子证照平台") in seal_words(online.facts, "zh-CN")
    assert ("From another deployment in the trust list", "Jinchuan e-certificates") in seal_words(
        online.facts, "en"
    )
    assert online.freshness is not None
    assert not online.freshness.online
    with TestClient(create_app(two.own.site)) as client:
        filed = client.post("/api/v1/verifications", files={"file": ("x.pdf", pdf)}).json()
    assert filed["verdict"] == "PASSED"
    # Then the member revokes it, its lists are renewed, and it is trusted no more: the report of then stands.
    issued = two.other.site.issuer.issuing.issued(identifier=filed["facts"]["ecertificate"]["identifier"])
    two.put_forward(minutes=10)
    two.other.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    two.own.site.verifier.member_bundles.take("jinchuan", two.other.packed_bundle())
    assert two.verdict(pdf) == (Verdict.FAILED, "REVOKED")
    two.own.site.verifier.members.withdraw(OPERATOR, "jinchuan", TrustState.COMPROMISED, approved_by="second")
    assert two.verdict(pdf) == UNKNOWN
    again = two.own.site.verifier.checking.repeat(OPERATOR, filed["report_code"], pdf)
    assert again.is_same
    assert again.report.verdict is Verdict.PASSED
    # Without the member's trust list of then nothing is said.
    kept = decode_kept_evidence(two.own.site.verifier.reporting._row(filed["report_code"]).evidence or b"")
    assert kept.member is not None
    with two.own.site.stores.register.write() as connection:
        gone = connection.execute(
            sa.text("DELETE FROM kept_list WHERE sha256 = :digest"), {"digest": kept.member.trust_list}
        )
        assert gone.rowcount == 1
    with pytest.raises(EvidenceUnavailableError) as refused:
        two.own.site.verifier.checking.repeat(OPERATOR, filed["report_code"], pdf)
    assert refused.value.code == "NOT_REPEATABLE"


LIMITS: dict[str, tuple[dict[str, Any], tuple[Verdict, str], tuple[Verdict, str]]] = {
    # limits of the entry: the verdict on a file and on a printed code
    "none": ({}, PASSED, PASSED),
    "its division": ({"divisions": ["9802"]}, PASSED, PASSED),
    "another division": ({"divisions": ["97", "9803"]}, UNKNOWN, UNKNOWN),
    "its type": ({"type_codes": [load_profile("FOOD").type_code]}, PASSED, PASSED),
    "another type": ({"type_codes": [load_profile("ROADTP").type_code]}, UNKNOWN, UNKNOWN),
    "files only": ({"uses": [MemberUse.SEAL]}, PASSED, UNKNOWN),
    "codes only": ({"uses": [MemberUse.PRESENT]}, UNKNOWN, PASSED),
    "no host": ({"hosts": []}, PASSED, (Verdict.INDETERMINATE, "NOT_OURS")),
    "trusted from later on": ({"not_before": START + timedelta(days=1)}, UNKNOWN, UNKNOWN),
    "trusted until before": (
        {"not_before": START - timedelta(days=9), "not_after": START - timedelta(days=1)},
        UNKNOWN,
        UNKNOWN,
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_the_limits_of_an_entry_hold(two: Two, limit: str) -> None:
    changes, of_file, of_code = LIMITS[limit]
    _, pdf = two.other.issue(1)
    two.join(**changes)
    given = shown(pdf)
    for report, expected in ((two.judge(given.file)[0], of_file), (two.judge(given.code)[0], of_code)):
        assert (report.verdict, report.code) == expected, report.findings
        if expected != PASSED:
            assert report.shown == ()


def test_what_was_made_before_a_member_retired_still_counts(two: Two) -> None:
    _, before = two.other.issue(1)
    two.join()
    two.put_forward(minutes=5)
    two.own.site.verifier.members.withdraw(OPERATOR, "jinchuan", TrustState.RETIRED)
    two.put_forward(minutes=5)
    _, after = two.other.issue(2)
    two.own.site.verifier.member_bundles.take("jinchuan", two.other.packed_bundle())
    for given, expected in ((before, PASSED), (after, UNKNOWN)):
        assert two.verdict(given) == expected
        assert two.verdict(shown(given).code) == expected


def test_nothing_of_a_compromised_member_counts(two: Two) -> None:
    _, pdf = two.other.issue(1)
    two.join()
    two.own.site.verifier.members.withdraw(OPERATOR, "jinchuan", TrustState.COMPROMISED, approved_by="second")
    assert two.verdict(pdf) == UNKNOWN
    assert two.verdict(shown(pdf).code) == UNKNOWN
    assert not any("members/" in name for name in unpack_bundle(two.own.packed_bundle()).files)


def test_lists_of_a_member_run_out(two: Two) -> None:
    _, pdf = two.other.issue(1)
    two.join()
    a_day_later = START + timedelta(hours=30)
    two.own.clock.at = a_day_later
    assert two.verdict(pdf, a_day_later) == (Verdict.INDETERMINATE, "STATUS_STALE")
    late = START + timedelta(days=30)
    two.own.clock.at = late
    # The file cannot be told from anybody's: its seal stands in a list that proves nothing any more.
    assert two.verdict(pdf, late) == UNKNOWN
    assert two.verdict(shown(pdf).code, late) == (Verdict.INDETERMINATE, "STATUS_STALE")


def test_a_live_code_of_a_member_is_for_the_member_to_check(two: Two) -> None:
    issued, _ = two.other.issue(1)
    two.join()
    presenting = two.other.site.issuer.presenting
    code, _ = presenting.code(
        presenting.start(OPERATOR, issued.pid, purpose="核验", level=Level.MASKED), START
    )
    for report in two.judge(code):
        assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "CODE_ELSEWHERE")
        assert "Jinchuan e-certificates" in words_for(report, "en").sentence
        assert "锦川电子证照平台" in words_for(report, "zh-CN").sentence
    assert two.other.verify(code).code == "OK", "it was not used up"


def test_older_lists_of_a_member_are_not_taken(two: Two) -> None:
    issued, pdf = two.other.issue(1)
    old = two.other.packed_bundle()
    two.put_forward(minutes=20)
    two.other.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    two.join()
    assert two.verdict(pdf) == (Verdict.FAILED, "REVOKED")
    for again in (
        lambda: two.own.site.verifier.member_bundles.take("jinchuan", old),
        lambda: two.own.site.verifier.member_bundles.propose(OPERATOR, two.proposal(), old, is_new=False),
    ):
        with pytest.raises(VerificationError) as refused:
            again()
        assert refused.value.code == "TRUST_LIST_ROLLED_BACK"
    assert two.verdict(pdf) == (Verdict.FAILED, "REVOKED")


def _spoilt(two: Two, change: Callable[[dict[str, bytes]], None]) -> bytes:
    files = dict(unpack_bundle(two.other.packed_bundle()).files)
    change(files)
    return encode_zip(files)


def _own_list(two: Two) -> Callable[[dict[str, bytes]], None]:
    listed = two.own.site.issuer.publishing.trust_list(START)
    return lambda files: files.update({"trust-list.jws": listed})


def _drop(name: str) -> Callable[[Two], Callable[[dict[str, bytes]], None]]:
    def dropping(files: dict[str, bytes]) -> None:
        del files[name]

    return lambda two: dropping


SPOILT: dict[str, tuple[Callable[[Two], Callable[[dict[str, bytes]], None]], str]] = {
    "somebody else's trust list": (_own_list, "TRUST_LIST_BAD"),
    "no trust list": (_drop("trust-list.jws"), "NO_BUNDLE"),
    "no roots": (_drop("roots.json"), "NO_BUNDLE"),
    "a status list of another": (
        lambda two: (
            lambda files: files.update(
                {"status/1.cwt": unpack_bundle(two.own.packed_bundle()).files["status/1.cwt"]}
            )
        ),
        "STATUS_LIST_BAD",
    ),
    "a revocation list of nothing": (
        lambda two: lambda files: files.update({"crls/x.crl": b"nothing"}),
        "CRL_UNREADABLE",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_bundle_is_not_taken_and_changes_nothing(two: Two, how: str) -> None:
    two.own.issue(1)
    _, pdf = two.other.issue(1)
    change, code = SPOILT[how]
    packed = _spoilt(two, change(two))
    with pytest.raises(TrustError) as refused:
        two.own.site.verifier.member_bundles.propose(OPERATOR, two.proposal(), packed, is_new=True)
    assert refused.value.code == code
    assert two.own.site.verifier.members.list() == []
    two.join()
    if how != "no roots":  # which are in the entry by now
        with pytest.raises(TrustError) as refused:
            two.own.site.verifier.member_bundles.take("jinchuan", packed)
        assert refused.value.code == code
    assert two.verdict(pdf) == PASSED


def test_an_entry_that_would_confuse_is_refused(two: Two) -> None:
    two.other.issue(1)
    with pytest.raises(Malformed, match="no root with a fingerprint"):
        two.join(fingerprints=["00" * 32])
    with pytest.raises(Malformed, match="no root with a fingerprint"):
        two.join(fingerprints=[*two.proposal().fingerprints, "00" * 32])
    with pytest.raises(Conflict, match="this deployment"):
        two.join(hosts=["V.CHUNCHENG.EXAMPLE"])
    spoiled: tuple[dict[str, Any], ...] = (
        {"uses": []},
        {"divisions": ["5x"]},
        {"member_id": "../x"},
        {"address": "ftp://x"},
    )
    for changes in spoiled:
        with pytest.raises(Malformed):
            two.join(**changes)
    with pytest.raises(Conflict):
        two.join(is_new=False)
    two.join()
    with pytest.raises(Conflict):
        two.join()
    with pytest.raises(Malformed, match="has this root"):
        two.join(member_id="another")
    with pytest.raises(NotFound):
        two.own.site.verifier.members.withdraw(OPERATOR, "nobody", TrustState.RETIRED)
    assert two.join(is_new=False, divisions=["98"]).divisions == ("98",)


def test_a_member_does_not_speak_for_our_own_departments(two: Two) -> None:
    """The neighbour registers a department under the credit code of one of ours, and issues in its name."""
    impostor = replace(MARKET, authority_id="chuncheng-market-too")
    two.other.site.issuer.authorities.add(OPERATOR, impostor)
    two.other.site.issuer.seals.make(OPERATOR, "impostor", impostor.authority_id, Suite.SM2_SM3)
    two.other.market = impostor
    (outcome,) = two.other.try_issue(two.other.application(1, seal="impostor"))
    assert outcome.issued is not None, outcome.error
    pdf = two.other.site.issuer.issuing.issued_file(outcome.issued.pid)
    two.join()
    assert two.other.verify(pdf).code == "OK"
    assert two.verdict(pdf) == UNKNOWN
    assert two.verdict(shown(pdf).code) == UNKNOWN


def test_members_of_a_member_are_not_ours(two: Two, tmp_path: Path, sandbox: Sandbox) -> None:
    with make_neighbour(tmp_path / "third", sandbox=sandbox, host="v.third.example").site as site:
        third = World(site, two.other.clock, tmp_path / "third", JINCHUAN)
        _, pdf = third.issue(1)
        roots = [root_fingerprint(root) for root in site.issuer.publishing.roots()]
        joined = Proposal("third", "第三平台", "A third", roots)
        two.other.site.verifier.member_bundles.propose(OPERATOR, joined, third.packed_bundle(), is_new=True)
        two.join()
        assert two.other.site.verifier.member_bundles.files()
        assert not any("third" in name for name in two.own.site.verifier.member_bundles.files())
        assert two.verdict(pdf) == UNKNOWN
        assert two.verdict(shown(pdf).code) == (Verdict.INDETERMINATE, "NOT_OURS")


def test_a_report_of_a_member_is_genuine_as_long_as_the_member_is_trusted_with_reports(two: Two) -> None:
    _, pdf = two.other.issue(1)
    with TestClient(create_app(two.other.site)) as client:
        report = client.post("/api/v1/verifications", files={"file": ("x.pdf", pdf)})
    two.join()
    bundle = two.own.bundle()
    assert check_sealed_report(report.content, bundle, read_roots(bundle))["verdict"] == "PASSED"
    two.join(is_new=False, uses=[MemberUse.SEAL, MemberUse.PRESENT])
    bundle = two.own.bundle()
    with pytest.raises(VerificationError, match="No key of the trust list"):
        check_sealed_report(report.content, bundle, read_roots(bundle))


def test_an_older_bundle_of_a_member_is_noticed_by_whoever_saw_a_newer_one(two: Two) -> None:
    _, pdf = two.other.issue(1)
    two.join()
    old = two.own.bundle()
    two.put_forward(hours=13)
    two.own.site.verifier.member_bundles.take("jinchuan", two.other.packed_bundle())
    new, seen = two.own.bundle(), SeenBefore()
    at = two.own.clock.now()
    verifier = Verifier(two.own.site.sandboxes.of[Lane.MACHINE], live=None)

    def verdict(bundle: Path, folder_of_member: Path) -> str:
        mixed = bundle.parent / f"mixed-{len(list(bundle.parent.iterdir()))}"
        shutil.copytree(bundle, mixed)
        shutil.rmtree(mixed / "members")
        shutil.copytree(folder_of_member / "members", mixed / "members")
        evidence = evidence_from_bundle(mixed, at, roots=read_roots(new), seen=seen)
        return verifier.verify_bytes(pdf, evidence, at).code

    assert verdict(new, old) == "OK"
    assert verdict(new, new) == "OK"
    assert verdict(new, old) == "UNKNOWN_ISSUER", "the old one is not believed any more"
    assert len(seen.known) == 2


ODD: tuple[Any, ...] = (None, 7, -1, 2**70, "", "x", "\udcff", [], [[]], {}, True, 1.5)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, of lists the first two items."""
    if path:
        yield path
    items = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def _signed_by_root(world: World, payload: bytes) -> bytes:
    row = world.site.issuer.pki.service_keys.active("trust-root")
    key = world.site.issuer.pki.keys.open(row.key_id, KeyPurpose.TRUST_LIST)
    signed = signing_input(payload, TYP, sha256(bytes(row.spki)))
    return compact(signed, cose.raw_signature(row.suite, key.sign(signed)))


def test_whatever_a_member_signs_breaks_nothing_here(two: Two) -> None:
    """Its root signs a list with anything in any place: it is refused, or it is taken and nothing else changes."""
    _, ours = two.own.issue(1)
    _, theirs = two.other.issue(1)
    code = shown(theirs).code
    two.join()
    bundles, at = two.own.site.verifier.member_bundles, START
    files = dict(unpack_bundle(two.other.packed_bundle()).files)
    del files["bundle.json"]  # which describes the list as it was
    listed = json.loads(payload_of(files["trust-list.jws"]))
    tried = taken = 0
    for path in _paths(listed):
        for odd in ODD:
            changed = copy.deepcopy(listed)
            inner = changed
            for step in path[:-1]:
                inner = inner[step]
            if inner[path[-1]] == odd or path == ("seq",):  # a number that went up never goes down again
                continue
            inner[path[-1]] = odd
            payload = json.dumps(changed, ensure_ascii=True).encode()
            files["trust-list.jws"] = _signed_by_root(two.other, payload)
            tried += 1
            try:
                bundles.take("jinchuan", encode_zip(files))
            except TrustError:
                continue
            taken += 1
            if taken % 20 == 0:
                assert two.own.verify(theirs).kind == "pdf"
                assert two.own.verify(code).kind in ("printed-code", "code")
            source = two.own.site.verifier.checking.online.gather(at).members
            for member in (source.of_host("V.JINCHUAN.EXAMPLE"), source.of_seals(["00" * 32])):
                assert member is None or member.entry.member_id == "jinchuan"
    assert tried > 500
    assert taken > 50
    assert two.own.verify(ours).code == "OK"
    assert two.own.verify(theirs).verdict is not Verdict.FAILED
    with TestClient(create_app(two.own.site)) as client:
        assert client.get("/trust").status_code == 200


def test_lists_of_a_member_that_lie_ahead_keep_no_others_away(two: Two) -> None:
    """Both clocks were two days ahead for a while, and are right again."""
    entry = two.join()
    bundles = two.own.site.verifier.member_bundles
    two.put_forward(days=2)
    bundles.take(entry.member_id, two.other.packed_bundle())
    two.put_forward(days=-2)
    _, pdf = two.other.issue(70)
    bundles.take(entry.member_id, two.other.packed_bundle())
    (kept,) = bundles.list()
    assert kept.tried_at is not None
    assert kept.tried_at <= two.own.clock.now()
    assert two.verdict(pdf) == (Verdict.PASSED, "OK")
