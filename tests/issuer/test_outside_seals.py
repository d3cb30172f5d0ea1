"""Seals whose certificate comes from a CA outside, and seals of our own CA after it was rotated."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from support.outside_ca import OutsideCa, requested_key
from support.reports import facts_of
from support.world import MARKET, START, World

from issuer.pki import sql
from issuer.pki.identities import SealIdentity
from issuer.seals.registry import ESeal
from keys.pki.build import Subject
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from trust.model.actor import OPERATOR
from trust.model.errors import Conflict, NotFound
from trust.model.report import Report, Verdict
from trust.model.seal import SealAct
from trust.sandbox.lanes import Lane
from trust.storage import tables

SUITES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]
NAMES = [suite.value for suite in SUITES]
SEAL = "chuncheng-market-outside"


def imported(world: World, ca: OutsideCa, **spoiled: object) -> SealIdentity:
    identities = world.site.issuer.identities
    _, request = identities.request(OPERATOR, Subject("专用章", MARKET.name_zh), ca.suite, label=ca.name)
    cert = ca.issue(requested_key(request), **spoiled)
    return identities.import_certificate(OPERATOR, cert, [ca.cert], [ca.root], label=ca.name)


def sealed_outside(world: World, ca: OutsideCa, seal_id: str = SEAL) -> ESeal:
    return world.site.issuer.seals.make(
        OPERATOR, seal_id, MARKET.authority_id, ca.suite, identity=imported(world, ca)
    )


def issue_with(world: World, seal_id: str, number: int = 1) -> bytes:
    (outcome,) = world.try_issue(world.application(number, seal=seal_id))
    assert outcome.error is None, outcome.error
    assert outcome.issued is not None
    return world.site.issuer.issuing.issued_file(outcome.issued.pid)


def verified(world: World, pdf: bytes, *crls: bytes) -> Report:
    at = world.clock.now()
    evidence = world.site.verifier.checking.online.gather(at)
    evidence = dataclasses.replace(evidence, crls=(*evidence.crls, *crls))
    return world.site.verifier.checking.verifiers[Lane.MACHINE].verify_bytes(pdf, evidence, at)


@pytest.mark.parametrize("suite", SUITES, ids=NAMES)
def test_a_seal_with_a_certificate_from_outside_passes_under_that_cas_root(
    world: World, suite: Suite
) -> None:
    ca = OutsideCa("outside", suite, START)
    seal = sealed_outside(world, ca)
    assert seal.certs[1:] == (ca.cert,)
    assert seal.root == ca.root
    pdf = issue_with(world, SEAL)
    lists = (ca.crl(START), ca.crl(START, of="root"))
    report = verified(world, pdf, *lists)
    assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
    assert facts_of(report)["seal"]["x509_sha256"] == read_x509_cert(seal.cert).sha256.hex()
    known = world.site.issuer.pki.known_certs()
    assert ca.cert in known
    assert ca.root in known
    since = START - timedelta(hours=1)
    revoked = verified(world, pdf, ca.crl(START, seal.cert, since=since), lists[1])
    assert (revoked.verdict, revoked.code) == (Verdict.FAILED, "SEAL_CERT_REVOKED"), revoked.findings


def test_the_history_says_with_which_certificate_a_seal_was_made(world: World) -> None:
    seal = sealed_outside(world, OutsideCa("outside", Suite.SM2_SM3, START))
    (made,) = [each for each in world.site.issuer.seals.registry.history(SEAL) if each.act is SealAct.MAKE]
    assert made.detail == seal.identity_id
    assert made.entry_seq is not None


def test_a_certificate_that_does_not_fit_the_seal_makes_none(world: World) -> None:
    seals, ca = world.site.issuer.seals, OutsideCa("outside", Suite.SM2_SM3, START)
    identity = imported(world, ca)
    short = imported(world, ca, days=(-1, 1))
    seals.make(OPERATOR, "first", MARKET.authority_id, Suite.SM2_SM3, identity=identity)
    for number, (suite, given, code) in enumerate(
        (
            (Suite.SM2_SM3, identity, "IDENTITY_IN_USE"),
            (Suite.RSA3072_SHA256, identity, "IDENTITY_SUITE"),
            (Suite.SM2_SM3, short, "IDENTITY_TERM"),
        )
    ):
        if code == "IDENTITY_TERM":
            world.clock.advance(days=2)
        with pytest.raises(Conflict) as caught:
            seals.make(OPERATOR, f"other-{number}", MARKET.authority_id, suite, identity=given)
        assert caught.value.code == code
        with pytest.raises(NotFound):
            seals.registry.get(f"other-{number}")
    gone = dataclasses.replace(imported(world, ca), key_id="00" * 16)
    with pytest.raises(NotFound):
        seals.make(OPERATOR, "other-0", MARKET.authority_id, Suite.SM2_SM3, identity=gone)


def test_revoking_a_seal_from_outside_puts_nothing_on_a_list_of_ours(world: World) -> None:
    ca = OutsideCa("outside", Suite.SM2_SM3, START)
    sealed_outside(world, ca)
    pdf = issue_with(world, SEAL)
    world.clock.advance(hours=1)
    world.site.issuer.seals.revoke(OPERATOR, SEAL)
    with world.site.stores.register.read() as connection:
        assert tables.all_rows(connection, sql.RevokedCertRow) == []
    lists = (ca.crl(world.clock.now()), ca.crl(world.clock.now(), of="root"))
    assert verified(world, pdf, *lists).verdict is Verdict.PASSED, "it was sealed before"


@pytest.mark.parametrize("suite", SUITES, ids=NAMES)
def test_a_seal_stays_under_the_ca_that_made_it_when_the_ca_is_rotated(world: World, suite: Suite) -> None:
    pki, seals = world.site.issuer.pki, world.site.issuer.seals
    before = f"chuncheng-market-{suite.value.split('-')[0].lower()}"
    first = issue_with(world, before, 1)
    old_ca = seals.registry.get(before).certs[1]
    new_id = pki.rotate(OPERATOR, "seal-ca", suite)
    second = issue_with(world, before, 2)
    seals.make(OPERATOR, "after", MARKET.authority_id, suite)
    third = issue_with(world, "after", 3)
    assert seals.registry.get(before).certs[1] == old_ca
    assert seals.registry.get("after").certs[1] == bytes(pki.issuing_ca(suite).cert) != old_ca
    for pdf in (first, second, third):
        report = world.verify(pdf)
        assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
    world.clock.advance(hours=1)
    seals.revoke(OPERATOR, before, since=START)
    seals.revoke(OPERATOR, "after")
    with world.site.stores.register.read() as connection:
        listed = {row.serial: row.ca_id for row in tables.all_rows(connection, sql.RevokedCertRow)}
    assert listed == {
        str(read_x509_cert(seals.registry.get(before).cert).serial): new_id.removesuffix(".2"),
        str(read_x509_cert(seals.registry.get("after").cert).serial): new_id,
    }
    assert world.verify(first).code == "SEAL_CERT_REVOKED"
    assert world.verify(third).verdict is Verdict.PASSED
