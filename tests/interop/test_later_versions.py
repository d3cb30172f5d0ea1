"""Licences that were archived, judged by others: pyHanko's AdES validation, and BouncyCastle.

The worlds of these files begin in the past, eighteen years ago at most, and end now: pyHanko is asked at the real
present, when the certificates that made the first version have really run out.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import ocsp, x509
from interop.test_bouncycastle import Answers, ask
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import OCSPContainer
from support.world import World, make_world

from issuer.archive.evidence import read_signed
from keys import asn1
from keys.custody import KeyPurpose
from keys.pki.validator import Sm2AwareValidator
from keys.suites import Suite
from trust.model.actor import OPERATOR
from trust.model.report import Result
from trust.pdf.gap import SignedGap, check_gaps
from trust.pdf.reading import open_pdf
from trust.pdf.update import read_version

pytestmark = pytest.mark.interop
SUITES = ("sm2", "rsa3072", "p256")
FAMILY = {"sm2": Suite.SM2_SM3, "rsa3072": Suite.RSA3072_SHA256, "p256": Suite.RSA3072_SHA256}
AGES = {"young": (), "old": (6, 6), "ancient": (6, 6, 6)}
"""Years between versions. Seals are for 3 years, time-stamp authorities for 10, issuing CAs for 15."""


@dataclass(frozen=True)
class Archived:
    """A file that was archived. `fresh` are OCSP answers about those of its time-stamp authorities whose certificates
    have not run out, made now; `objections` are the checks of our own verifier that did not pass."""

    data: bytes
    roots: tuple[bytes, ...]
    cas: tuple[bytes, ...]
    tsa_roots: tuple[bytes, ...]
    fresh: list[bytes]
    objections: list[str]


Files = dict[tuple[str, str], Archived]
"""By age and suite."""


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    now = datetime.now(UTC).replace(microsecond=0)
    worlds: dict[str, World] = {}
    try:
        files: Files = {}
        for age, years_between in AGES.items():
            begin = now - timedelta(days=365 * sum(years_between) + 2)
            world = worlds[age] = make_world(tmp_path_factory.mktemp(age) / "data", at=begin)
            pids = _issued(world)
            for years in years_between:
                world.clock.advance(days=365 * years)
                for family in (Suite.SM2_SM3, Suite.RSA3072_SHA256):
                    world.site.issuer.pki.rotate(OPERATOR, "tsa", family)
                world.site.issuer.pki.service_keys.add("status", KeyPurpose.STATUS_LIST, Suite.P256_SHA256)
                _renew(world, list(pids.values()))
            world.clock.at = datetime.now(UTC)
            bundle = world.bundle()
            files |= {(age, suite): _archived(world, pid, bundle) for suite, pid in pids.items()}
        yield files
    finally:
        for world in worlds.values():
            world.close()


def _issued(world: World) -> dict[str, bytes]:
    """The public ids of a licence in each suite, archived once, a day after issue."""
    pids = {suite: world.issue(number, suite=suite)[0].pid for number, suite in enumerate(SUITES, 1)}
    world.clock.advance(days=1)
    _renew(world, list(pids.values()))
    return pids


def _archived(world: World, pid: bytes, bundle: Path) -> Archived:
    data = world.site.issuer.archiving.file(pid)
    report = world.verify_offline(data, bundle)
    trust_list = world.site.verifier.checking.online.gather(world.clock.now()).trust_list
    assert trust_list is not None
    fresh = []
    for gap in check_gaps(data)[1:]:
        (tsa,) = read_signed(gap.cms).signers
        if x509.Certificate.load(tsa).not_valid_after > world.clock.now():
            root = next(each.root for each in trust_list.tsas if each.certs[0] == tsa)
            answered = world.site.issuer.ocsp.evidence(tsa, root)
            assert answered is not None
            fresh.append(answered[0])
    return Archived(
        data,
        tuple({each.root for each in trust_list.seals}),
        tuple({each.certs[1] for each in trust_list.seals}),
        tuple({each.root for each in trust_list.tsas}),
        fresh,
        [each.check for each in report.findings if each.result is not Result.PASSED],
    )


def _renew(world: World, pids: list[bytes]) -> None:
    for renewal in world.site.issuer.archiving.renew(OPERATOR, pids):
        assert renewal.error is None, renewal.error


@pytest.fixture(autouse=True)
def sm2_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library does not hand its caller's validator on to where it judges OCSP responders."""
    monkeypatch.setattr("pyhanko_certvalidator.context.DefaultSignatureValidator", Sm2AwareValidator)


def ades(given: Archived, pdf: bytes, seal_anchors: tuple[bytes, ...]) -> Any:
    """pyHanko's verdict at this moment, with nothing but the file, the roots, the SM2 hook, and what anybody has
    to ask for at that moment: whether authorities that could still be revoked have been."""
    roots = (*seal_anchors, *given.tsa_roots)
    asn1.register()
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(
            trust_roots=[CertTrustAnchor(x509.Certificate.load(der)) for der in roots]
        ),
        # A CA's list goes on and on; of an authority that has expired, it would move the moment to judge past its end.
        revinfo_policy=CertRevTrustPolicy(
            RevocationCheckingPolicy(
                ee_certificate_rule=RevocationCheckingRule.OCSP_REQUIRED,
                intermediate_ca_cert_rule=RevocationCheckingRule.CRL_REQUIRED,
            )
        ),
        signature_validator=Sm2AwareValidator(),
    )
    spec = PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=policy,
            local_knowledge=LocalKnowledge(
                known_ocsps=[
                    container
                    for der in given.fresh
                    for container in OCSPContainer.load_multi(ocsp.OCSPResponse.load(der))
                ]
            ),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
        )
    )
    (seal,) = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures
    return asyncio.run(ades_lta_validation(seal, spec))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("age", AGES)
def test_pyhanko_gives_b_lta_ok_offline(archived: Files, age: str, suite: str) -> None:
    given = archived[age, suite]
    # The library takes an issuing CA that has run out for a broken chain, whatever proves its past (generic_cms.py,
    # 0.38), unless it is an anchor: then it is given the CA that the trust list pins.
    result = ades(given, given.data, given.cas if age == "ancient" else given.roots)
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg
    gaps = check_gaps(given.data)
    assert len(gaps) == 2 + len(AGES[age])
    signers = {cert for gap in gaps for cert in read_signed(gap.cms).signers}
    run_out = [x509.Certificate.load(cert) for cert in signers]
    run_out = [cert for cert in run_out if cert.not_valid_after < datetime.now(UTC)]
    assert len(run_out) == {"young": 0, "old": 2, "ancient": 4}[age]
    if age != "young":
        begins = result.oldest_evidence_record_timestamp
        assert datetime.now(UTC) - begins > timedelta(days=365 * (sum(AGES[age]) - 1))


@pytest.mark.parametrize("suite", SUITES)
def test_pyhanko_does_not_give_it_without_the_later_versions(archived: Files, suite: str) -> None:
    given = archived["old", suite]
    issued = given.data[: sum(check_gaps(given.data)[0].byte_range[2:])]
    assert ades(given, issued, given.roots).ades_subindic is not AdESPassed.OK


@pytest.mark.parametrize("suite", SUITES)
def test_our_own_verifier_agrees(archived: Files, suite: str) -> None:
    """The old licences were for five years; that they have expired is all that is said against them."""
    assert archived["young", suite].objections == []
    assert archived["old", suite].objections == ["validity"]
    assert archived["ancient", suite].objections == ["validity"]


@pytest.fixture(scope="module")
def answers(archived: Files, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    cases: dict[tuple[str, str], dict[str, bytes]] = {}
    for (age, suite), given in archived.items():
        gaps = check_gaps(given.data)
        crls = read_version(given.data, open_pdf(given.data)).evidence.crls
        for number, gap in enumerate(gaps):
            cases[suite, f"{age}-{number}"] = {
                "content.bin": b"".join(gap.signed),
                "stamp.tst" if number else "seal.cms": gap.cms,
                "anchor.der": _root(given.roots, suite),
                "tsa-anchor.der": _root(given.tsa_roots, suite),
                **(_lists(crls, gaps[1]) if number == 0 else {}),
            }
        cases[suite, f"{age}-changed"] = {
            "content.bin": b"".join(gaps[1].signed)[:-100] + b"!" * 100,
            "stamp.tst": gaps[1].cms,
            "tsa-anchor.der": _root(given.tsa_roots, suite),
        }
    return ask(cases, tmp_path_factory.mktemp("bouncycastle"))


def _lists(crls: Sequence[bytes], first_stamp: SignedGap) -> dict[str, bytes]:
    """The revocation lists in the file, asked at the time of the first document time-stamp: BouncyCastle takes no
    list that is younger than the moment it judges."""
    at = read_signed(first_stamp.cms).at.isoformat().replace("+00:00", "Z")
    return {
        "revocation-at.txt": at.encode(),
        **{f"crls/{n}.crl": der for n, der in enumerate(crls)},
    }


def _root(roots: tuple[bytes, ...], suite: str) -> bytes:
    asn1.register()
    wanted = "sm2" if suite == "sm2" else "rsa"
    (found,) = (
        der
        for der in roots
        if (x509.Certificate.load(der).subject.native["common_name"].lower().startswith(wanted))
    )
    return found


@pytest.mark.parametrize("suite", SUITES)
def test_bouncycastle_accepts_seal_and_every_time_stamp(answers: Answers, suite: str) -> None:
    lines = {case: line for (name, case), line in answers.lines.items() if name == suite}
    assert len(lines) == 2 + 4 + 5 + 3
    for case, line in lines.items():
        if case.endswith("changed"):
            assert line.startswith("REFUSED imprint"), line
        else:
            assert line.startswith("OK "), (case, line)
