"""Certificates from outside: what is taken, and one code for each reason why something is not."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import csr, pem
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from support.outside_ca import OutsideCa, new_key, sm2_algorithm, spki_of

from keys.custody import KeyPurpose
from keys.pki.build import Subject, make_csr
from keys.pki.importing import check_seal_chain, read_certs
from keys.suites import Suite, check_signature
from trust.model.errors import Malformed

from .opened import AT, provider_at  # fmt: skip
from .opened import new_key as new_custody_key

SUITES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]


@pytest.fixture(scope="module")
def cas() -> dict[Suite, OutsideCa]:
    return {suite: OutsideCa(f"Outside {suite.value}", suite, AT) for suite in SUITES}


@pytest.fixture(scope="module")
def keys() -> dict[Suite, bytes]:
    return {suite: spki_of(new_key(suite)) for suite in SUITES}


def code_of(*arguments: Any, **more: Any) -> str:
    with pytest.raises(Malformed) as caught:
        check_seal_chain(*arguments, **{"at": AT, **more})
    assert caught.value.todo
    return caught.value.code


@pytest.mark.parametrize("key_suite", SUITES)
@pytest.mark.parametrize("ca_suite", SUITES)
def test_a_good_chain_is_taken(
    cas: dict[Suite, OutsideCa], keys: dict[Suite, bytes], ca_suite: Suite, key_suite: Suite
) -> None:
    ca, spki = cas[ca_suite], keys[key_suite]
    cert = ca.issue(spki)
    roots = [other.root for other in cas.values()]
    chain = check_seal_chain(cert, [ca.cert], roots, public_key=spki, at=AT)
    assert (chain.certs, chain.root, chain.suite) == ((cert, ca.cert), ca.root, key_suite)
    assert chain.not_after == AT + timedelta(days=365)


def test_sm2_with_null_parameters_is_read_too(cas: dict[Suite, OutsideCa], keys: dict[Suite, bytes]) -> None:
    ca, spki = cas[Suite.SM2_SM3], keys[Suite.SM2_SM3]
    cert = ca.issue(spki, algorithm=sm2_algorithm(null=True))
    assert check_seal_chain(cert, [ca.cert], [ca.root], public_key=spki, at=AT).certs[0] == cert


SPOILED: list[tuple[dict[str, Any], str]] = [
    ({"days": (-9, -1)}, "X509_EXPIRED"),
    ({"days": (1, 9)}, "X509_NOT_YET_VALID"),
    ({"ca": True}, "X509_IS_CA"),
    ({"usage": {"key_encipherment", "data_encipherment", "key_agreement"}}, "X509_ENCRYPTION"),
    ({"usage": {"key_encipherment"}}, "X509_ENCRYPTION"),
    ({"usage": {"digital_signature"}}, "X509_WRONG_USAGE"),
    ({"usage": {"crl_sign"}}, "X509_WRONG_USAGE"),
    ({"usage": None}, "X509_WRONG_USAGE"),
    ({"extended": ["time_stamping"]}, "X509_WRONG_USAGE"),
    ({"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"}, "X509_SIGNATURE"),
    ({"algorithm": sm2_algorithm("1.2.156.10197.1.301.1")}, "X509_SM2_OID"),
    ({"algorithm": sm2_algorithm("1.2.156.10197.1.301.1", null=True)}, "X509_SM2_OID"),
    ({"inner": sm2_algorithm(null=True)}, "X509_ALGORITHM"),
    ({"algorithm": sm2_algorithm("1.2.840.10045.4.3.2")}, "X509_ALGORITHM"),
    ({"critical": "1.2.3.4.5"}, "X509_CHAIN"),
]


@pytest.mark.parametrize(("spoiled", "code"), SPOILED)
def test_each_fault_has_its_code(
    cas: dict[Suite, OutsideCa], keys: dict[Suite, bytes], spoiled: dict[str, Any], code: str
) -> None:
    ca, spki = cas[Suite.SM2_SM3], keys[Suite.SM2_SM3]
    assert code_of(ca.issue(spki, **spoiled), [ca.cert], [ca.root], public_key=spki) == code


def test_a_certificate_for_another_key_or_of_a_kind_we_do_not_use(
    cas: dict[Suite, OutsideCa], keys: dict[Suite, bytes]
) -> None:
    ca, spki = cas[Suite.RSA3072_SHA256], keys[Suite.RSA3072_SHA256]
    given = ([ca.cert], [ca.root])
    assert code_of(ca.issue(spki), *given, public_key=keys[Suite.P256_SHA256]) == "X509_KEY_MISMATCH"
    weak = spki_of(new_key(Suite.RSA3072_SHA256, bits=2048))
    assert code_of(ca.issue(weak), *given, public_key=weak) == "X509_WEAK_KEY"
    for other in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        assert code_of(ca.issue(spki_of(other)), *given, public_key=spki_of(other)) == "X509_KEY_KIND"
    sm2_by_own_oid = (
        bytes.fromhex("3058301206082a811ccf5501822d06062a811ccf5501034200") + b"\x04" + b"\1" * 64
    )
    assert code_of(ca.issue(sm2_by_own_oid), *given, public_key=sm2_by_own_oid) == "X509_KEY_KIND"
    for junk in (b"", b"junk", ca.cert[:-9], ca.cert + b"\0"):
        assert code_of(junk, *given, public_key=spki) == "X509_UNREADABLE"


def test_a_chain_ends_at_a_root_that_was_given(cas: dict[Suite, OutsideCa], keys: dict[Suite, bytes]) -> None:
    ca, other = cas[Suite.SM2_SM3], cas[Suite.P256_SHA256]
    spki = keys[Suite.SM2_SM3]
    cert = ca.issue(spki)
    assert code_of(cert, [], [ca.root], public_key=spki) == "X509_CHAIN"
    assert code_of(cert, [ca.cert, ca.root], [other.root], public_key=spki) == "X509_CHAIN"
    # Signed by somebody who only has the CA's name.
    impostor = OutsideCa(ca.name, Suite.SM2_SM3, AT)
    assert code_of(impostor.issue(spki), [ca.cert], [ca.root], public_key=spki) == "X509_SIGNATURE"
    # A seal's certificate in the place of a CA's.
    root = (f"{ca.name} Root", ca.root_key)
    no_ca = ca.make(f"{ca.name} CA", spki_of(ca.key), issuer=root)
    assert code_of(cert, [no_ca], [ca.root], public_key=spki) == "X509_CHAIN"
    signs_no_certs = ca.make(f"{ca.name} CA", spki_of(ca.key), issuer=root, ca=True, usage={"crl_sign"})
    assert code_of(cert, [signs_no_certs], [ca.root], public_key=spki) == "X509_CHAIN"
    old = ca.make(
        f"{ca.name} CA", spki_of(ca.key), issuer=root, ca=True, usage={"key_cert_sign"}, days=(-9, -1)
    )
    assert code_of(cert, [old], [ca.root], public_key=spki) == "X509_EXPIRED"


def test_certificates_come_as_pem_or_der(cas: dict[Suite, OutsideCa]) -> None:
    ca = cas[Suite.SM2_SM3]
    both = pem.armor("CERTIFICATE", ca.cert) + pem.armor("CERTIFICATE", ca.root)
    assert read_certs(both) == [ca.cert, ca.root]
    assert read_certs(ca.cert) == [ca.cert]
    for wrong in (pem.armor("PRIVATE KEY", b"\x30\x00"), both[:-40]):
        with pytest.raises(Malformed):
            read_certs(wrong)


# --- requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES)
def test_a_request_is_signed_by_its_key_and_others_read_it(tmp_path: Path, suite: Suite) -> None:
    key = new_custody_key(provider_at(tmp_path / "keys"), KeyPurpose.SEAL, suite)
    der = make_csr(key, Subject("行政许可专用章", "春城市市场监督管理局"))
    read = csr.CertificationRequest.load(der, strict=True)
    info = read["certification_request_info"]
    check_signature(suite, key.record.public_key, info.dump(), read["signature"].native)
    assert info["subject_pk_info"].dump() == key.record.public_key
    if suite is Suite.SM2_SM3:
        assert read["signature_algorithm"].dump() == bytes.fromhex("300a06082a811ccf55018375")
    else:
        assert pyca_x509.load_der_x509_csr(der).is_signature_valid
    file = tmp_path / "csr.pem"
    file.write_bytes(pem.armor("CERTIFICATE REQUEST", der))
    command = ["openssl", "req", "-in", str(file), "-noout", "-verify", "-text", "-nameopt", "utf8"]
    if suite is Suite.SM2_SM3:
        command += ["-vfyopt", "distid:1234567812345678"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verify OK" in done.stdout + done.stderr
    assert "Digital Signature, Non Repudiation" in done.stdout
