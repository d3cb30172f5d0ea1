"""National seal data: all three versions are read, each altered byte is refused, each check can fail alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core
from support.seal_data_world import (
    DOCUMENT,
    ENDS,
    MADE,
    PICTURE,
    USED,
    SealDataWorld,
    Tree,
    bits,
    make_tree,
)

from keys.custody import FileKeyProvider, KeyPurpose
from keys.pki.build import Profile
from keys.sm2.encoding import parse_spki, z_value
from keys.suites import Suite
from trust.encoding import ses
from trust.encoding.der import octets, sequence, tlv
from trust.encoding.digests import digest, sha256, sm3
from trust.model.errors import Malformed
from trust.model.report import Finding, Result
from verifier.checks.seal_data import judge_seal, judge_seal_signature

SEAL_CHECKS = ["seal-data.format", "seal-data.signature", "seal-data.maker", "seal-data.term"]
SIGNATURE_CHECKS = [
    "seal-signature.format",
    "seal-signature.signature",
    "seal-signature.listed",
    "seal-data.signature",
    "seal-data.maker",
    "seal-data.term",
    "seal-signature.signer",
    "seal-signature.document",
    "seal-signature.time-stamp",
]


@pytest.fixture(scope="module", params=[Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256])
def any_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SealDataWorld:
    return SealDataWorld.at(tmp_path_factory.mktemp("keys"), request.param)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SealDataWorld:
    return SealDataWorld.at(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def world(shared: SealDataWorld) -> Iterator[SealDataWorld]:
    """SM2; what a test revokes is forgotten after it."""
    yield shared
    for tree in (shared.makers, shared.signers, shared.stamps):
        tree.revoked.clear()


def passed(findings: Sequence[Finding]) -> bool:
    return all(finding.result is Result.PASSED for finding in findings)


def first(findings: Sequence[Finding]) -> tuple[str, Result, str]:
    """What decides: the first finding that did not pass, and that nothing else failed with it."""
    bad = [finding for finding in findings if finding.result is not Result.PASSED]
    return bad[0].check, bad[0].result, bad[0].code


# The three versions ----------------------------------------------------------------------------------------


def test_a_seal_of_version_4_is_read_and_passes(any_world: SealDataWorld) -> None:
    judged = judge_seal(any_world.seal(), any_world.trust(), at=USED)
    assert [finding.check for finding in judged.findings] == SEAL_CHECKS
    assert passed(judged.findings)
    assert judged.seal is not None
    assert judged.seal.version is ses.SesVersion.V4
    assert judged.seal.info == any_world.info()
    assert judged.seal.oddities == ()


def test_a_seal_of_version_5_has_a_time_stamp_that_is_checked(any_world: SealDataWorld) -> None:
    judged = judge_seal(any_world.seal(any_world.info(version=5), stamped=True), any_world.trust(), at=USED)
    assert [finding.check for finding in judged.findings] == [*SEAL_CHECKS, "seal-data.time-stamp"]
    assert passed(judged.findings)
    assert judged.seal is not None
    assert judged.seal.version is ses.SesVersion.V5


def test_a_seal_of_2014_is_read_and_passes(any_world: SealDataWorld) -> None:
    judged = judge_seal(any_world.seal_2014(), any_world.trust(), at=USED)
    assert passed(judged.findings)
    assert judged.seal is not None
    assert judged.seal.version is ses.SesVersion.V2014
    assert (judged.seal.info.valid_until, judged.seal.info.picture.data) == (ENDS, PICTURE)


def test_an_e_seal_signature_passes_in_the_order_of_the_standard(any_world: SealDataWorld) -> None:
    judged = judge_seal_signature(any_world.signature(), DOCUMENT, any_world.trust(), at=USED)
    assert [finding.check for finding in judged.findings] == SIGNATURE_CHECKS
    assert passed(judged.findings)
    assert judged.signature is not None
    assert judged.signature.signed_at == USED


def test_an_e_seal_signature_of_version_5_passes(world: SealDataWorld) -> None:
    seal = world.seal(world.info(version=5), stamped=True)
    der = world.signature(seal, version=5, extensions=[ses.ExtensionData("1.2.3.4", True, b"x")])
    judged = judge_seal_signature(der, DOCUMENT, world.trust(), at=USED)
    assert passed(judged.findings)
    assert judged.signature is not None
    assert judged.signature.extensions == (ses.ExtensionData("1.2.3.4", True, b"x"),)


def test_an_e_seal_signature_of_2014_judges_signer_and_document_before_the_seal(
    any_world: SealDataWorld,
) -> None:
    judged = judge_seal_signature(any_world.signature_2014(), DOCUMENT, any_world.trust(), at=USED)
    assert passed(judged.findings)
    order = [finding.check for finding in judged.findings]
    assert order.index("seal-signature.document") < order.index("seal-data.signature")


def test_2014_carries_a_token_or_a_text_as_its_time(world: SealDataWorld) -> None:
    token = judge_seal_signature(
        world.signature_2014(world.stamp(DOCUMENT)), DOCUMENT, world.trust(), at=USED
    )
    assert passed(token.findings)
    assert token.findings[-1].check == "seal-signature.time-stamp"
    text = judge_seal_signature(
        world.signature_2014(b"2026-11-23 10:00:00", octet_strings=True), DOCUMENT, world.trust(), at=USED
    )
    assert passed(text.findings)
    assert text.signature is not None
    assert text.signature.signed_at == USED
    assert len(text.signature.oddities) == 3
    assert "timeInfo is a text" in text.findings[0].detail


def test_what_writers_in_the_field_do_otherwise_is_read_and_named(world: SealDataWorld) -> None:
    """Explicit FALSE, extension lists tagged in the other way, an untagged time-stamp, a wrapped seal."""
    extension = sequence(core.ObjectIdentifier("1.2.3").dump(), b"\x01\x01\x00", octets(b"y"))
    plain = ses.encode_seal_info(world.info())
    parts = ses._element(plain).content
    info = sequence(parts, tlv(0xA0, sequence(extension)))
    seal = sequence(
        info,
        octets(world.makers.cert),
        core.ObjectIdentifier(world.oid).dump(),
        bits(world.makers.key.sign(info)),
    )
    judged = judge_seal(octets(seal), world.trust(), at=USED)
    assert passed(judged.findings)
    assert judged.seal is not None
    assert len(judged.seal.oddities) == 3
    tbs = ses.encode_tbs_sign(
        version=4, seal=seal, signed_at=USED, data_hash=sm3(DOCUMENT), property_info="all"
    )
    tbs = sequence(ses._element(tbs).content, sequence(extension))
    value = world.signers.key.sign(tbs)
    der = sequence(
        tbs,
        octets(world.signers.cert),
        core.ObjectIdentifier(world.oid).dump(),
        bits(value),
        bits(world.stamp(value)),
    )
    signature = judge_seal_signature(der, DOCUMENT, world.trust(), at=USED)
    assert passed(signature.findings)
    assert signature.signature is not None
    assert "timeStamp without its tag" in signature.signature.oddities


def test_what_is_decoded_encodes_to_the_same_bytes(world: SealDataWorld) -> None:
    der = world.seal(world.info(extensions=(ses.ExtensionData("1.2.156.1", False, b"z"),)))
    seal = ses.decode_seal(der)
    again = ses.encode_seal(
        ses.encode_seal_info(seal.info),
        maker_cert=seal.maker_cert,
        signature_oid=seal.signature_oid,
        signature=seal.signature,
    )
    assert again == der == seal.der


# No free byte ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2014", "4", "5"])
def test_each_altered_byte_of_a_seal_is_refused(world: SealDataWorld, version: str) -> None:
    made: dict[str, Callable[[], bytes]] = {
        "2014": world.seal_2014,
        "4": world.seal,
        "5": lambda: world.seal(world.info(version=5), stamped=True),
    }
    der = made[version]()
    trust, step = world.trust(), 1 if version == "4" else 4
    refused_everywhere(der, lambda spoilt: judge_seal(spoilt, trust, at=USED).findings, step)


@pytest.mark.parametrize("version", ["2014", "4"])
def test_each_altered_byte_of_an_e_seal_signature_is_refused(world: SealDataWorld, version: str) -> None:
    der = world.signature() if version == "4" else world.signature_2014()
    trust = world.trust()
    refused_everywhere(der, lambda spoilt: judge_seal_signature(spoilt, DOCUMENT, trust, at=USED).findings, 5)


def refused_everywhere(der: bytes, judge: Callable[[bytes], Sequence[Finding]], step: int) -> None:
    """Nothing signs some bytes of a time-stamp token (RFC 5652 frames it); those are not passed over in silence."""
    assert all(finding.detail == "" for finding in judge(der) if "time-stamp" in finding.check)
    assert passed(judge(der))
    head, tail = range(16), range(len(der) - 16, len(der))
    for at in sorted({*head, *range(0, len(der), step), *tail}):
        found = judge(der[:at] + bytes((der[at] ^ (1 << at % 8),)) + der[at + 1 :])
        assert not passed(found) or found[-1].detail == "the token has bytes that nothing signs", at


@pytest.mark.parametrize("kind", ["long length", "trailing", "cut", "indefinite", "empty", "raw r and s"])
def test_another_encoding_of_the_same_seal_is_refused(world: SealDataWorld, kind: str) -> None:
    der = world.seal()
    inner = ses._element(der).content
    signature = ses.decode_seal(der).signature
    match kind:
        case "long length":
            spoilt = b"\x30\x84" + len(inner).to_bytes(4, "big") + inner
        case "trailing":
            spoilt = der + b"\x00"
        case "cut":
            spoilt = der[:-1]
        case "indefinite":
            spoilt = b"\x30\x80" + inner + b"\x00\x00"
        case "empty":
            spoilt = b""
        case _:
            integers = ses._element(signature).children()
            raw = b"".join(each.integer().to_bytes(32, "big") for each in integers)
            spoilt = der.replace(bits(signature), bits(raw))
            head = spoilt[: len(spoilt) - len(inner)]
            spoilt = sequence(*(each.whole for each in ses._element(der).children()[:3]), bits(raw))
            assert head
    findings = judge_seal(spoilt, world.trust(), at=USED).findings
    wanted = "seal-data.signature" if kind == "raw r and s" else "seal-data.format"
    assert first(findings)[:2] == (wanted, Result.FAILED)


# Each check fails alone, and says so -----------------------------------------------------------------------


def other(tmp_path: Path, profile: Profile, purpose: KeyPurpose, **term: datetime) -> Tree:
    provider = FileKeyProvider(tmp_path, lambda: b"for tests only", kdf_rounds=100)
    return make_tree(provider, Suite.SM2_SM3, profile, purpose, **term)


def test_a_seal_signed_by_another_maker_is_refused(world: SealDataWorld, tmp_path: Path) -> None:
    foreign = other(tmp_path, Profile.SEAL_MAKER, KeyPurpose.SEAL_MAKER)
    spoilt = replace(world, makers=foreign)
    found = judge_seal(spoilt.seal(), world.trust(), at=USED).findings
    assert first(found) == ("seal-data.maker", Result.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")
    encoded = ses.encode_seal_info(world.info())
    mixed = ses.encode_seal(
        encoded,
        maker_cert=world.makers.cert,
        signature_oid=world.oid,
        signature=foreign.key.sign(encoded),
    )
    found = judge_seal(mixed, world.trust(), at=USED).findings
    assert first(found) == ("seal-data.signature", Result.FAILED, "SIG_CRYPTO_FAILURE")


def test_a_revoked_maker_is_refused_from_then_on(world: SealDataWorld) -> None:
    world.makers.revoke(USED - timedelta(days=1))
    assert first(judge_seal(world.seal(), world.trust(), at=USED).findings) == (
        "seal-data.maker",
        Result.FAILED,
        "CERT_REVOKED",
    )
    assert passed(judge_seal(world.seal(), world.trust(), at=USED - timedelta(days=2)).findings)


def test_version_5_judges_the_maker_at_the_time_of_making(world: SealDataWorld) -> None:
    world.makers.revoke(USED - timedelta(days=1))
    five = world.seal(world.info(version=5), stamped=True)
    assert passed(judge_seal(five, world.trust(), at=USED).findings)


@pytest.mark.parametrize(
    ("at", "code"),
    [(MADE - timedelta(seconds=1), "SES_TERM"), (ENDS + timedelta(seconds=1), "SES_TERM")],
)
def test_a_seal_outside_its_term_is_refused(world: SealDataWorld, at: datetime, code: str) -> None:
    found = judge_seal(world.seal(), world.trust(), at=at).findings
    assert first(found) == ("seal-data.term", Result.FAILED, code)


@pytest.mark.parametrize("edge", [MADE, ENDS])
def test_the_ends_of_the_term_belong_to_it(world: SealDataWorld, edge: datetime) -> None:
    assert passed(judge_seal(world.seal(), world.trust(), at=edge).findings)


@pytest.mark.parametrize("oid", ["1.2.156.10197.1.301.1", "1.2.156.10197.1.301", "1.2.840.113549.1.1.11"])
def test_an_algorithm_that_is_not_the_keys_own_is_refused(world: SealDataWorld, oid: str) -> None:
    assert first(judge_seal(world.seal(oid=oid), world.trust(), at=USED).findings) == (
        "seal-data.signature",
        Result.FAILED,
        "SES_ALGORITHM",
    )
    found = judge_seal_signature(world.signature(oid=oid), DOCUMENT, world.trust(), at=USED).findings
    assert first(found) == ("seal-signature.signature", Result.FAILED, "SES_ALGORITHM")


def test_a_signer_whom_the_seal_does_not_list_is_refused(world: SealDataWorld, tmp_path: Path) -> None:
    stranger = other(tmp_path, Profile.SEAL, KeyPurpose.SEAL)
    trust = replace(world.trust(), signers=stranger.trust())
    found = judge_seal_signature(world.signature(signer=stranger), DOCUMENT, trust, at=USED).findings
    assert first(found) == ("seal-signature.listed", Result.FAILED, "SES_SIGNER_NOT_LISTED")


@pytest.mark.parametrize("form", ["plain", "with Z", "SHA-256", "wrong", "unknown algorithm"])
def test_a_seal_may_list_digests_of_certificates(world: SealDataWorld, form: str) -> None:
    cert = world.signers.cert
    z = z_value(parse_spki(world.signers.key.record.public_key))
    listed = {
        "plain": ses.CertDigest("1.2.156.10197.1.401", sm3(cert)),
        "with Z": ses.CertDigest("SM3", sm3(z + cert)),
        "SHA-256": ses.CertDigest("2.16.840.1.101.3.4.2.1", sha256(cert)),
        "wrong": ses.CertDigest("SM3", sm3(cert + b"x")),
        "unknown algorithm": ses.CertDigest("MD5", sm3(cert)),
    }[form]
    seal = world.seal(world.info(certs=(), cert_digests=(listed,)))
    found = judge_seal_signature(world.signature(seal), DOCUMENT, world.trust(), at=USED).findings
    if form in ("wrong", "unknown algorithm"):
        assert first(found) == ("seal-signature.listed", Result.FAILED, "SES_SIGNER_NOT_LISTED")
    else:
        assert passed(found)


def test_a_signers_certificate_that_was_not_valid_at_the_time_is_refused(
    world: SealDataWorld, tmp_path: Path
) -> None:
    for term, code in (
        ({"not_after": USED - timedelta(days=1)}, "CERT_EXPIRED"),
        ({"not_before": USED + timedelta(days=1)}, "CERT_NOT_YET_VALID"),
    ):
        signer = other(tmp_path / code, Profile.SEAL, KeyPurpose.SEAL, **term)
        spoilt = replace(world, signers=signer)
        found = judge_seal_signature(spoilt.signature(), DOCUMENT, spoilt.trust(), at=USED).findings
        assert first(found) == ("seal-signature.signer", Result.FAILED, code)


def test_a_certificate_that_may_not_sign_is_refused(world: SealDataWorld, tmp_path: Path) -> None:
    ca = other(tmp_path, Profile.ISSUING, KeyPurpose.ISSUING_CA)
    spoilt = replace(world, signers=ca)
    found = judge_seal_signature(spoilt.signature(), DOCUMENT, spoilt.trust(), at=USED).findings
    assert first(found) == ("seal-signature.signer", Result.FAILED, "CERT_USAGE")


def test_a_revoked_signer_is_refused_and_use_before_it_holds(world: SealDataWorld) -> None:
    world.signers.revoke(USED + timedelta(minutes=5))
    assert passed(judge_seal_signature(world.signature(), DOCUMENT, world.trust(), at=USED).findings)
    world.signers.revoked.clear()
    world.signers.revoke(USED - timedelta(minutes=5))
    found = judge_seal_signature(world.signature(), DOCUMENT, world.trust(), at=USED).findings
    assert first(found) == ("seal-signature.signer", Result.FAILED, "CERT_REVOKED")


def test_without_a_revocation_list_nothing_is_proven(world: SealDataWorld) -> None:
    trust = world.trust()
    trust = replace(trust, signers=replace(trust.signers, crls=()))
    found = judge_seal_signature(world.signature(), DOCUMENT, trust, at=USED).findings
    assert first(found) == ("seal-signature.signer", Result.INDETERMINATE, "REVOCATION_UNKNOWN")


def test_another_document_is_refused(world: SealDataWorld) -> None:
    found = judge_seal_signature(world.signature(), DOCUMENT + b".", world.trust(), at=USED).findings
    assert first(found) == ("seal-signature.document", Result.FAILED, "HASH_FAILURE")


def test_a_digest_over_z_is_taken_and_said(world: SealDataWorld) -> None:
    z = z_value(parse_spki(world.signers.key.record.public_key))
    der = world.signature(data_hash=digest("sm3", z, DOCUMENT))
    found = judge_seal_signature(der, DOCUMENT, world.trust(), at=USED).findings
    assert passed(found)
    assert "Z" in next(f.detail for f in found if f.check == "seal-signature.document")


def test_a_time_stamp_over_something_else_is_refused(world: SealDataWorld) -> None:
    read = ses.decode_seal_signature(world.signature())
    for token, code in (
        (world.stamp(b"another signature"), "TIME_STAMP_BAD"),
        (world.stamp(read.signature, USED + timedelta(days=30)), "SES_TIME"),
        (b"\x30\x03\x02\x01\x05", "TIME_STAMP_BAD"),
    ):
        der = ses.encode_seal_signature(
            read.signed,
            signer_cert=read.signer_cert,
            signature_oid=read.signature_oid,
            signature=read.signature,
            time_stamp=token,
        )
        found = judge_seal_signature(der, DOCUMENT, world.trust(), at=USED).findings
        assert first(found) == ("seal-signature.time-stamp", Result.FAILED, code)


def test_what_the_signer_states_as_his_time_is_not_believed(world: SealDataWorld) -> None:
    der = world.signature(signed_at=USED - timedelta(days=400))
    found = judge_seal_signature(der, DOCUMENT, world.trust(), at=USED).findings
    assert first(found) == ("seal-signature.signer", Result.FAILED, "SES_TIME")


def test_a_swapped_picture_breaks_the_makers_signature(world: SealDataWorld) -> None:
    der = world.seal()
    swapped = der.replace(PICTURE, PICTURE.replace(b"real", b"fine"))
    assert swapped != der
    assert first(judge_seal(swapped, world.trust(), at=USED).findings) == (
        "seal-data.signature",
        Result.FAILED,
        "SIG_CRYPTO_FAILURE",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"certs": (), "cert_digests": ()},
        {"cert_digests": (ses.CertDigest("SM3", b"x"),)},
        {"vendor": "印证"},
        {"valid_until": MADE},
    ],
)
def test_seal_data_that_the_standard_does_not_know_is_not_written(
    world: SealDataWorld, changes: dict[str, object]
) -> None:
    with pytest.raises(Malformed):
        ses.encode_seal_info(world.info(**changes))


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x00", b"\x04\x02\x30\x00", b"\x30\x82\xff\xff", bytes(99)]
)
def test_bytes_that_are_no_seal_are_one_clear_finding(world: SealDataWorld, data: bytes) -> None:
    found = judge_seal(data, world.trust(), at=USED).findings
    assert [(f.check, f.result) for f in found] == [("seal-data.format", Result.FAILED)]
    with pytest.raises(Malformed):
        ses.decode_seal_signature(data)


def test_a_list_of_many_empty_elements_is_read_in_one_pass() -> None:
    """In the square of its length this would be minutes."""
    started = time.thread_time()
    with pytest.raises(Malformed):
        ses.decode_seal(sequence(*[b"\x04\x00"] * (ses.MAX_SEAL_BYTES // 2 - 10)))
    assert time.thread_time() - started < 30
