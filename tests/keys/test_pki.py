"""X.509 of ours, read back with a library that did not write it: the profile table of keys/pki/build.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from keys.custody import KeyPurpose, SigningKey
from keys.pki.build import Profile, RevokedSerial, Subject, make_crl, make_x509_cert
from keys.pki.read import check_issued_by, read_x509_cert
from keys.suites import Suite, check_signature
from trust.encoding.digests import sha256
from trust.model.errors import Malformed, VerificationError

from .opened import AT, new_key, provider_at

LATER = AT + timedelta(days=365)
CRL_ADDRESS = "https://v.chuncheng.example/crl/seal-root.crl"
FAMILIES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]


@dataclass(frozen=True)
class Tree:
    """A root, and under it one certificate of every other profile."""

    family: Suite
    root_key: SigningKey
    certs: dict[Profile, bytes]
    keys: dict[Profile, SigningKey]


def make_tree(provider: Any, family: Suite) -> Tree:
    purposes = {
        Profile.ROOT: KeyPurpose.ROOT_CA,
        Profile.ISSUING: KeyPurpose.ISSUING_CA,
        Profile.SEAL: KeyPurpose.SEAL,
        Profile.SEAL_MAKER: KeyPurpose.SEAL_MAKER,
        Profile.TIME_STAMP: KeyPurpose.TIME_STAMP,
        Profile.OCSP: KeyPurpose.OCSP,
    }
    keys = {profile: new_key(provider, purpose, family) for profile, purpose in purposes.items()}
    certs: dict[Profile, bytes] = {}
    for profile in Profile:
        certs[profile] = make_x509_cert(
            profile,
            Subject(f"测试 {profile.value}", "印证"),
            keys[profile].record.public_key,
            keys[Profile.ROOT],
            certs.get(Profile.ROOT),
            not_before=AT.replace(microsecond=123456),
            not_after=LATER,
            crl_address=None if profile is Profile.ROOT else CRL_ADDRESS,
        )
    return Tree(family, keys[Profile.ROOT], certs, keys)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[Suite, Tree]:
    provider = provider_at(tmp_path_factory.mktemp("keys"))
    return {family: make_tree(provider, family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def tree(request: pytest.FixtureRequest, trees: dict[Suite, Tree]) -> Tree:
    return trees[request.param]


# The profile table -----------------------------------------------------------------------------------------

TABLE = {
    # profile: (CA, path length, key usage, extended key usage)
    Profile.ROOT: (True, None, {"key_cert_sign", "crl_sign"}, None),
    Profile.ISSUING: (True, 0, {"key_cert_sign", "crl_sign"}, None),
    Profile.SEAL: (False, None, {"digital_signature", "non_repudiation"}, None),
    Profile.SEAL_MAKER: (False, None, {"digital_signature", "non_repudiation"}, None),
    Profile.TIME_STAMP: (False, None, {"digital_signature", "non_repudiation"}, "time_stamping"),
    Profile.OCSP: (False, None, {"digital_signature", "non_repudiation"}, "ocsp_signing"),
}


@pytest.mark.parametrize("profile", list(Profile))
def test_every_certificate_has_the_extensions_of_its_profile(tree: Tree, profile: Profile) -> None:
    ca, path_length, usage, extended_usage = TABLE[profile]
    stamps = extended_usage == "time_stamping"
    cert = asn1_x509.Certificate.load(tree.certs[profile], strict=True)
    found = {e["extn_id"].native: (e["critical"].native, e["extn_value"].parsed) for e in
             cert["tbs_certificate"]["extensions"]}  # fmt: skip
    names = {"basic_constraints", "key_usage", "key_identifier", "authority_key_identifier"}
    names |= {"extended_key_usage"} if extended_usage else set()
    names |= {"ocsp_no_check"} if profile is Profile.OCSP else set()
    names |= {"crl_distribution_points"} if profile is not Profile.ROOT else set()
    assert set(found) == names
    critical, constraints = found["basic_constraints"]
    assert critical
    assert (constraints["ca"].native, constraints["path_len_constraint"].native) == (ca, path_length)
    assert found["key_usage"][0]
    assert found["key_usage"][1].native == usage
    if stamps:
        assert found["extended_key_usage"][0], "RFC 3161 §2.3 asks for a critical one"
    if extended_usage:
        assert found["extended_key_usage"][1].native == [extended_usage]
    if profile is not Profile.ROOT:
        assert CRL_ADDRESS.encode() in found["crl_distribution_points"][1].dump()
    root = asn1_x509.Certificate.load(tree.certs[Profile.ROOT])
    assert found["authority_key_identifier"][1]["key_identifier"].native == root.key_identifier
    assert cert.serial_number.bit_length() == 127
    assert cert.subject.native == {
        "country_name": "CN",
        "organization_name": "印证",
        "common_name": f"测试 {profile.value}",
    }
    assert (cert.not_valid_before, cert.not_valid_after) == (AT, LATER)


@pytest.mark.parametrize("profile", list(Profile))
def test_cryptography_reads_the_same_from_an_rsa_certificate(
    trees: dict[Suite, Tree], profile: Profile
) -> None:
    tree = trees[Suite.RSA3072_SHA256]
    ca, path_length, usage, extended_usage = TABLE[profile]
    cert = x509.load_der_x509_certificate(tree.certs[profile])
    constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        True,
        ca,
        path_length,
    )
    found = cert.extensions.get_extension_for_class(x509.KeyUsage).value
    assert found.key_cert_sign == found.crl_sign == ("crl_sign" in usage)
    assert found.digital_signature == found.content_commitment == ("digital_signature" in usage)
    if extended_usage:
        extended = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        is_stamp = profile is Profile.TIME_STAMP
        wanted = ExtendedKeyUsageOID.TIME_STAMPING if is_stamp else ExtendedKeyUsageOID.OCSP_SIGNING
        assert extended.critical == is_stamp
        assert list(extended.value) == [wanted]
    else:
        with pytest.raises(x509.ExtensionNotFound):
            cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    cert.verify_directly_issued_by(x509.load_der_x509_certificate(tree.certs[Profile.ROOT]))
    if profile is not Profile.ROOT:
        with pytest.raises((InvalidSignature, ValueError)):
            cert.verify_directly_issued_by(cert)


def test_an_sm2_certificate_names_sm2_with_sm3_and_no_parameters(trees: dict[Suite, Tree]) -> None:
    for der in trees[Suite.SM2_SM3].certs.values():
        cert = asn1_x509.Certificate.load(der, strict=True)
        for algorithm in (cert["signature_algorithm"], cert["tbs_certificate"]["signature"]):
            assert algorithm.dump() == bytes.fromhex("300a06082a811ccf55018375")


def test_serial_numbers_do_not_repeat(tree: Tree) -> None:
    serials = {read_x509_cert(der).serial for der in tree.certs.values()}
    assert len(serials) == len(tree.certs)


def test_a_time_from_2050_on_is_generalized(trees: dict[Suite, Tree]) -> None:
    for tree in trees.values():
        der = make_x509_cert(
            Profile.ROOT, Subject("x", "y"), tree.root_key.record.public_key, tree.root_key, None,
            not_before=AT, not_after=datetime(2050, 1, 1, tzinfo=UTC), crl_address=None,
        )  # fmt: skip
        validity = asn1_x509.Certificate.load(der)["tbs_certificate"]["validity"]
        assert (validity["not_before"].name, validity["not_after"].name) == ("utc_time", "general_time")


# Reading ---------------------------------------------------------------------------------------------------


def test_the_facts_of_a_certificate_are_those_it_was_made_of(tree: Tree) -> None:
    facts = read_x509_cert(tree.certs[Profile.SEAL])
    key = tree.keys[Profile.SEAL]
    assert (facts.suite, facts.public_key) == (tree.family, key.record.public_key)
    assert facts.sha256 == sha256(tree.certs[Profile.SEAL])
    assert facts.common_name == "测试 seal"
    assert facts.issuer == read_x509_cert(tree.certs[Profile.ROOT]).subject
    assert (facts.not_before, facts.not_after) == (AT, LATER)


@pytest.mark.parametrize("profile", list(Profile))
def test_the_root_issued_every_certificate(tree: Tree, profile: Profile) -> None:
    check_issued_by(tree.certs[profile], tree.certs[Profile.ROOT])


def test_a_certificate_is_not_issued_by_another_name(tree: Tree) -> None:
    with pytest.raises(Malformed):
        check_issued_by(tree.certs[Profile.SEAL], tree.certs[Profile.ISSUING])


def test_a_certificate_is_not_issued_by_another_key_of_the_same_name(tree: Tree, tmp_path: Path) -> None:
    impostor_key = new_key(provider_at(tmp_path), KeyPurpose.ROOT_CA, tree.family)
    impostor = make_x509_cert(
        Profile.ROOT, Subject("测试 root", "印证"), impostor_key.record.public_key, impostor_key, None,
        not_before=AT, not_after=LATER, crl_address=None,
    )  # fmt: skip
    assert read_x509_cert(impostor).subject == read_x509_cert(tree.certs[Profile.ROOT]).subject
    with pytest.raises(VerificationError):
        check_issued_by(tree.certs[Profile.SEAL], impostor)


def test_no_byte_of_a_certificate_can_be_changed(tree: Tree) -> None:
    good = tree.certs[Profile.SEAL]
    for at in range(0, len(good), 7):
        spoiled = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
        if _outside_the_signature(good, at):
            continue
        with pytest.raises((Malformed, VerificationError, ValueError)):
            check_issued_by(spoiled, tree.certs[Profile.ROOT])


def _outside_the_signature(good: bytes, at: int) -> bool:
    """The outer algorithm and the outer headers are not signed in X.509; certificates are pinned by their bytes."""
    cert = asn1_x509.Certificate.load(good)
    tbs = cert["tbs_certificate"].dump()
    start = good.index(tbs)
    signature = good.index(cert["signature_value"].native)
    return at < start or start + len(tbs) <= at < signature


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"no certificate", bytes(500)])
def test_what_is_no_certificate_is_malformed(der: bytes) -> None:
    with pytest.raises(Malformed):
        read_x509_cert(der)


def test_a_certificate_with_trailing_bytes_is_malformed(tree: Tree) -> None:
    with pytest.raises(Malformed):
        read_x509_cert(tree.certs[Profile.SEAL] + b"\0")


# Revocation lists ------------------------------------------------------------------------------------------

REVOKED = [RevokedSerial(1 << 126, AT - timedelta(days=2)), RevokedSerial(12345, AT - timedelta(days=1))]


def crl_of(tree: Tree, revoked: list[RevokedSerial]) -> bytes:
    return make_crl(
        tree.root_key, tree.certs[Profile.ROOT], revoked, number=7,
        this_update=AT.replace(microsecond=5), next_update=AT + timedelta(days=7),
    )  # fmt: skip


@pytest.mark.parametrize("revoked", [[], REVOKED], ids=["empty", "two"])
def test_a_revocation_list_says_what_was_revoked_when(tree: Tree, revoked: list[RevokedSerial]) -> None:
    listed = asn1_crl.CertificateList.load(crl_of(tree, revoked), strict=True)
    tbs = listed["tbs_cert_list"]
    assert tbs["version"].native == "v2"
    assert listed.issuer.dump() == read_x509_cert(tree.certs[Profile.ROOT]).subject
    assert (tbs["this_update"].native, tbs["next_update"].native) == (AT, AT + timedelta(days=7))
    found = [
        (entry["user_certificate"].native, entry["revocation_date"].native)
        for entry in tbs["revoked_certificates"]
    ]
    assert found == [(entry.serial, entry.revoked_at) for entry in revoked]
    assert listed.crl_number_value.native == 7
    root = asn1_x509.Certificate.load(tree.certs[Profile.ROOT])
    assert listed.authority_key_identifier == root.key_identifier
    check_signature(tree.family, tree.root_key.record.public_key, tbs.dump(), listed["signature"].native)


def test_a_changed_revocation_list_does_not_verify(tree: Tree) -> None:
    listed = asn1_crl.CertificateList.load(crl_of(tree, REVOKED), strict=True)
    tbs = listed["tbs_cert_list"].dump()
    changed = tbs.replace((12345).to_bytes(2, "big"), (12346).to_bytes(2, "big"))
    assert changed != tbs
    with pytest.raises(VerificationError):
        check_signature(tree.family, tree.root_key.record.public_key, changed, listed["signature"].native)


def test_cryptography_reads_an_rsa_revocation_list(trees: dict[Suite, Tree]) -> None:
    tree = trees[Suite.RSA3072_SHA256]
    listed = x509.load_der_x509_crl(crl_of(tree, REVOKED))
    root = x509.load_der_x509_certificate(tree.certs[Profile.ROOT])
    public = root.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert listed.is_signature_valid(public)
    assert {entry.serial_number for entry in listed} == {entry.serial for entry in REVOKED}
    assert listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
