"""Revocation lists of CAs outside: fetched, checked, kept, never rolled back, and believed by verifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import core, crl, pem, x509
from support.outside_ca import OutsideCa, new_key, requested_key, sm2_algorithm
from support.world import MARKET, START, World

from issuer.pki.identities import SealIdentity
from issuer.pki.outside_crls import OutsideCrls
from keys.pki.build import Subject, signature_algorithm
from keys.suites import Suite
from trust.fetching import FetchFailed
from trust.model.actor import OPERATOR
from trust.model.errors import Conflict, Malformed
from trust.model.report import Verdict

SUITES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]
NAMES = [suite.value for suite in SUITES]
BASE = "http://crl.example"
SEAL = "chuncheng-market-outside"


@dataclasses.dataclass
class Outside:
    """A CA outside with a seal of ours under it, and what its server answers."""

    world: World
    ca: OutsideCa
    served: dict[str, bytes] = dataclasses.field(default_factory=dict)
    asked: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.publish()
        self.identity = self.imported()

    @property
    def crls(self) -> OutsideCrls:
        return dataclasses.replace(self.world.site.issuer.outside_crls, fetch=self.fetch)

    def fetch(self, address: str) -> bytes:
        self.asked.append(address)
        if address not in self.served:
            raise FetchFailed("There is no connection (ConnectError).", code="FETCH_UNREACHABLE")
        return self.served[address]

    def publish(self, *revoked: bytes, **changes: Any) -> None:
        at = self.world.clock.now()
        self.served[f"{BASE}/ca.crl"] = self.ca.crl(at, *revoked, **changes)
        self.served[f"{BASE}/root.crl"] = self.ca.crl(at, of="root", number=changes.get("number", 1))

    def imported(self) -> SealIdentity:
        identities = self.world.site.issuer.identities
        _, request = identities.request(OPERATOR, Subject("章", MARKET.name_zh), self.ca.suite, label="")
        cert = self.ca.issue(requested_key(request))
        return identities.import_certificate(OPERATOR, cert, [self.ca.cert], [self.ca.root], label="")

    def seal(self) -> bytes:
        self.world.site.issuer.seals.make(
            OPERATOR, SEAL, MARKET.authority_id, self.ca.suite, identity=self.identity
        )
        return self.issue(1)

    def issue(self, number: int) -> bytes:
        (outcome,) = self.world.try_issue(self.world.application(number, seal=SEAL))
        if outcome.error is not None:
            raise outcome.error
        assert outcome.issued is not None
        return self.world.site.issuer.issuing.issued_file(outcome.issued.pid)

    def codes(self) -> list[str]:
        return [each.error.code if each.error else "" for each in self.crls.refresh()]


@pytest.fixture
def outside(world: World) -> Outside:
    return Outside(world, OutsideCa("outside", Suite.SM2_SM3, START, BASE))


@pytest.mark.parametrize("suite", SUITES, ids=NAMES)
def test_with_the_lists_of_its_ca_a_seal_from_outside_passes_online_and_offline(
    world: World, suite: Suite
) -> None:
    outside = Outside(world, OutsideCa("outside", suite, START, BASE))
    pdf = outside.seal()
    before = world.verify(pdf)
    assert (before.verdict, before.code) == (Verdict.INDETERMINATE, "STATUS_STALE"), before.findings
    assert outside.codes() == ["", ""]
    assert sorted(outside.asked) == [f"{BASE}/ca.crl", f"{BASE}/root.crl"]
    for report in (world.verify(pdf), world.verify_offline(pdf, world.bundle())):
        assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
    world.clock.advance(days=8)
    assert world.verify(pdf).code == "STATUS_STALE", "what ran out proves nothing new"


@pytest.mark.parametrize("suite", SUITES, ids=NAMES)
def test_a_revocation_outside_says_what_one_of_ours_says(world: World, suite: Suite) -> None:
    outside = Outside(world, OutsideCa("outside", suite, START, BASE))
    world.clock.advance(hours=2)
    pdf = outside.seal()
    world.clock.advance(hours=2)
    outside.publish(outside.identity.certs[0], number=2)
    outside.crls.refresh()
    assert world.verify(pdf).verdict is Verdict.PASSED, "revoked after it was sealed"
    with pytest.raises(Conflict) as caught:
        outside.issue(2)
    assert caught.value.code == "SEAL_NOT_USABLE"
    outside.publish(outside.identity.certs[0], number=3, since=START + timedelta(hours=1))
    outside.crls.refresh()
    for report in (world.verify(pdf), world.verify_offline(pdf, world.bundle())):
        assert (report.verdict, report.code) == (Verdict.FAILED, "SEAL_CERT_REVOKED"), report.findings


def test_a_certificate_that_its_ca_revoked_makes_no_seal_until_a_hold_is_lifted(outside: Outside) -> None:
    outside.publish(outside.identity.certs[0])
    outside.crls.refresh()
    (identity,) = outside.world.site.issuer.identities.list()
    assert identity.revoked_at == START
    seals = outside.world.site.issuer.seals
    with pytest.raises(Conflict) as caught:
        seals.make(OPERATOR, SEAL, MARKET.authority_id, identity.suite, identity=identity)
    assert caught.value.code == "IDENTITY_REVOKED"
    outside.world.clock.advance(hours=1)
    outside.publish(number=2)
    outside.crls.refresh()
    (identity,) = outside.world.site.issuer.identities.list()
    assert identity.revoked_at is None
    outside.identity = identity
    outside.seal()


def test_a_revoked_ca_in_between_takes_its_certificates_with_it(outside: Outside) -> None:
    outside.served[f"{BASE}/root.crl"] = outside.ca.crl(START, outside.ca.cert, of="root")
    outside.crls.refresh()
    outside.publish(number=2)
    assert outside.world.site.issuer.identities.list()[0].revoked_at == START


def test_an_older_list_never_takes_the_place_of_a_newer_one(outside: Outside) -> None:
    old = dict(outside.served)
    outside.world.clock.advance(hours=1)
    outside.publish(outside.identity.certs[0], number=2)
    assert outside.codes() == ["", ""]
    kept = outside.crls.list()
    outside.served = old
    assert outside.codes() == ["CRL_OLDER", "CRL_OLDER"]
    now_listed = outside.crls.list()
    assert [each.this_update for each in now_listed] == [each.this_update for each in kept]
    assert all("older than the one" in (each.problem or "") for each in now_listed)
    assert outside.world.site.issuer.identities.list()[0].revoked_at is not None
    outside.world.clock.advance(hours=1)
    outside.publish(number=1)
    assert outside.codes() == ["CRL_OLDER", "CRL_OLDER"], "a later date with a lower number"
    with pytest.raises(Malformed) as caught:
        outside.crls.take(OPERATOR, old[f"{BASE}/ca.crl"])
    assert caught.value.code == "CRL_OLDER"


def idp(**limits: Any) -> dict[str, Any]:
    return {"extn_id": "issuing_distribution_point", "critical": True, "extn_value": limits}


DELTA = {"extn_id": "delta_crl_indicator", "critical": True, "extn_value": 1}
UNKNOWN = {"extn_id": "1.2.3.4", "critical": True, "extn_value": core.ParsableOctetString(b"\x05\x00")}


def _where(address: str) -> x509.DistributionPointName:
    return x509.DistributionPointName("full_name", [x509.GeneralName("uniform_resource_identifier", address)])


def _last_bit_turned(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda ca: ca.crl(START, signed_by=new_key(ca.suite)), "CRL_SIGNATURE"),
        (lambda ca: _last_bit_turned(ca.crl(START)), "CRL_SIGNATURE"),
        (lambda ca: ca.crl(START, of="root"), "CRL_OTHER_ISSUER"),
        (lambda ca: OutsideCa("outside", ca.suite, START).crl(START), "CRL_SIGNATURE"),
        (lambda ca: ca.crl(START, algorithm=signature_algorithm(Suite.P256_SHA256)), "CRL_ALGORITHM"),
        (lambda ca: ca.crl(START, algorithm=sm2_algorithm("1.2.156.10197.1.301.1")), "CRL_ALGORITHM"),
        (lambda ca: ca.crl(START + timedelta(minutes=6)), "CRL_NOT_YET"),
        (lambda ca: ca.crl(START, extensions=[idp(only_contains_ca_certs=True)]), "CRL_PARTIAL"),
        (lambda ca: ca.crl(START, extensions=[idp(indirect_crl=True)]), "CRL_PARTIAL"),
        (lambda ca: ca.crl(START, extensions=[idp(only_some_reasons={"key_compromise"})]), "CRL_PARTIAL"),
        (lambda ca: ca.crl(START, extensions=[idp(distribution_point=_where(f"{BASE}/2.crl"))]), "CRL_PARTIAL"),
        (lambda ca: ca.crl(START, extensions=[DELTA]), "CRL_PARTIAL"),
        (lambda ca: ca.crl(START, extensions=[UNKNOWN]), "CRL_PARTIAL"),
        (lambda ca: b"<html>not found</html>", "CRL_UNREADABLE"),
        (lambda ca: ca.crl(START)[:100], "CRL_UNREADABLE"),
        (lambda ca: pem.armor("CERTIFICATE", ca.cert), "CRL_UNREADABLE"),
    ],
)  # fmt: skip
def test_a_list_that_is_not_the_cas_whole_truth_is_refused_and_the_old_one_stays(
    outside: Outside, spoil: Callable[[OutsideCa], bytes], code: str
) -> None:
    assert outside.codes() == ["", ""]
    pdf = outside.seal()
    outside.served[f"{BASE}/ca.crl"] = spoil(outside.ca)
    assert sorted(outside.codes()) == ["", code]
    assert {each.problem.partition(":")[0] for each in outside.crls.list() if each.problem} == {code}
    assert outside.world.verify(pdf).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    "good",
    [
        lambda ca: ca.crl(START, number=None),
        lambda ca: pem.armor("X509 CRL", ca.crl(START)),
        lambda ca: ca.crl(START, algorithm=sm2_algorithm(null=True)),
        lambda ca: ca.crl(START, extensions=[idp(distribution_point=_where(f"{BASE}/ca.crl"))]),
    ],
)  # fmt: skip
def test_a_list_in_another_shape_that_means_the_same_is_kept_and_believed(
    outside: Outside, good: Callable[[OutsideCa], bytes]
) -> None:
    outside.served[f"{BASE}/ca.crl"] = good(outside.ca)
    assert outside.codes() == ["", ""]
    assert outside.world.verify(outside.seal()).verdict is Verdict.PASSED


def test_the_keeper_fetches_what_is_due_and_asks_again_sooner_after_a_failure(outside: Outside) -> None:
    crls, clock = outside.crls, outside.world.clock
    crls.run()
    assert len(outside.asked) == 2
    crls.run()
    clock.advance(minutes=59)
    crls.run()
    assert len(outside.asked) == 2
    root = outside.served.pop(f"{BASE}/root.crl")
    clock.advance(minutes=1)
    crls.run()
    assert len(outside.asked) == 4
    clock.advance(minutes=5)
    crls.run()
    assert outside.asked[4:] == [f"{BASE}/root.crl"]
    (failed,) = [each for each in crls.list() if each.problem]
    assert failed.next_update is not None, "the old one stays"
    outside.served[f"{BASE}/root.crl"] = root
    clock.advance(minutes=5)
    crls.run()
    assert [each.problem for each in crls.list()] == [None, None]


def test_without_an_address_a_list_comes_as_a_file(world: World) -> None:
    outside = Outside(world, OutsideCa("outside", Suite.SM2_SM3, START))
    pdf = outside.seal()
    assert outside.codes() == ["CRL_NO_ADDRESS", "CRL_NO_ADDRESS"]
    for der in (outside.ca.crl(START), outside.ca.crl(START, of="root")):
        assert outside.crls.take(OPERATOR, der).is_new
        assert not outside.crls.take(OPERATOR, pem.armor("X509 CRL", der)).is_new
    assert world.verify(pdf).verdict is Verdict.PASSED
    stranger = OutsideCa("stranger", Suite.SM2_SM3, START)
    with pytest.raises(Malformed) as caught:
        outside.crls.take(OPERATOR, stranger.crl(START))
    assert caught.value.code == "CRL_OTHER_ISSUER"


@pytest.mark.parametrize("suite", SUITES, ids=NAMES)
def test_a_licence_sealed_outside_is_archived_and_verifies_offline_for_long(
    world: World, suite: Suite
) -> None:
    outside = Outside(world, OutsideCa("outside", suite, START, BASE))
    outside.crls.refresh()
    world.clock.advance(hours=1)
    outside.seal()
    (due,) = world.site.issuer.archiving.due(START + timedelta(days=2))
    world.clock.advance(days=1, hours=1)
    (early,) = world.site.issuer.archiving.renew(OPERATOR, [due.pid])
    assert early.error is not None
    assert early.error.code == "CRL_TOO_OLD", "the list has to be made after the signature"
    outside.publish(number=2)
    outside.crls.refresh()
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [due.pid])
    assert renewal.error is None, renewal.error
    later = world.site.issuer.archiving.file(due.pid)
    held = [crl.CertificateList.load(der) for der in outside.served.values()]
    assert all(each.dump() in later for each in held)
    report = world.verify_offline(later, world.bundle())
    assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
    world.clock.advance(days=300)  # nobody makes lists for that CA any more; the archive still proves it
    report = world.verify_offline(later, world.bundle())
    assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings


def test_lists_that_a_clock_ahead_took_keep_no_others_away(outside: Outside) -> None:
    """Both clocks were two days ahead for a while; ours, and the CA's, are right again."""
    outside.world.clock.advance(days=2)
    outside.publish(number=5)
    assert outside.codes() == ["", ""]
    outside.world.clock.advance(days=-2)
    outside.publish(number=6)
    outside.asked.clear()
    outside.crls.run()  # within the keeper's minute, not after two days
    assert len(outside.asked) == 2
    listed = outside.crls.refresh()
    assert [each.error for each in listed] == [None, None]
    pdf = outside.seal()
    assert outside.world.verify(pdf).verdict is Verdict.PASSED
