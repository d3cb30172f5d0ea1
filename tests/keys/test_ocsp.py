"""OCSP requests and answers: what is said, who is believed, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from asn1crypto import ocsp, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError
from support.ocsp_answers import check_response

from keys.custody import KeyPurpose, SigningKey
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.pki.ocsp import (
    GOOD,
    MAX_CERTS,
    MAX_REQUEST_BYTES,
    UNKNOWN,
    CertStatus,
    Responder,
    Revoked,
    make_request,
    read_request,
    refusal,
)
from keys.pki.read import read_x509_cert
from keys.pki.validator import Sm2AwareValidator
from keys.suites import Suite
from trust.model.errors import EvidenceUnavailableError, Malformed, VerificationError

from .opened import AT, new_key, provider_at

SUITES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]
UNTIL = AT + timedelta(hours=1)
NONCE = b"\x04\x11nonce of a test."


@dataclass(frozen=True)
class Ca:
    root: bytes
    seal: bytes
    other: bytes
    responder: Responder
    keys: dict[str, SigningKey]

    def statuses(self, serial: int) -> CertStatus:
        known: dict[int, CertStatus] = {
            read_x509_cert(self.seal).serial: GOOD,
            read_x509_cert(self.other).serial: Revoked(AT),
        }
        return known.get(serial, UNKNOWN)

    def ask(
        self, *certs: bytes, at: datetime = AT, nonce: bytes | None = NONCE, algorithm: str = "sha1"
    ) -> bytes:
        request = read_request(make_request(certs, self.root, nonce=nonce, algorithm=algorithm))
        return self.responder.respond(request, self.statuses, at=at, next_update=at + timedelta(hours=1))


def make_ca(folder: Any, suite: Suite) -> Ca:
    provider = provider_at(folder)
    root_key = new_key(provider, KeyPurpose.ROOT_CA, suite)
    key = new_key(provider, KeyPurpose.OCSP, Suite.SM2_SM3 if suite is Suite.SM2_SM3 else Suite.P256_SHA256)

    def issue(profile: Profile, spki: bytes, issuer: bytes | None, signer: SigningKey = root_key) -> bytes:
        return make_x509_cert(
            profile, Subject(f"{profile.value} {suite}", "印证"), spki, signer, issuer,
            not_before=AT - timedelta(days=1), not_after=AT + timedelta(days=30), crl_address=None,
            ocsp_address="https://v.chuncheng.example/ocsp/root" if profile is Profile.SEAL else None,
        )  # fmt: skip

    root = issue(Profile.ROOT, root_key.record.public_key, None)
    seal, other = (issue(Profile.SEAL, key.record.public_key, root) for _ in range(2))
    cert = issue(Profile.OCSP, key.record.public_key, root)
    return Ca(root, seal, other, Responder(key, cert, root), {"root": root_key, "responder": key})


@pytest.fixture(scope="module")
def cas(tmp_path_factory: pytest.TempPathFactory) -> dict[Suite, Ca]:
    return {suite: make_ca(tmp_path_factory.mktemp("keys"), suite) for suite in SUITES}


@pytest.fixture(params=SUITES)
def ca(request: pytest.FixtureRequest, cas: dict[Suite, Ca]) -> Ca:
    return cas[request.param]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sm3"])
def test_good_revoked_and_unknown(ca: Ca, algorithm: str) -> None:
    answer = ca.ask(ca.seal, ca.other, ca.root, algorithm=algorithm)
    assert check_response(answer, ca.seal, ca.root, at=AT, nonce=NONCE) is GOOD
    assert check_response(answer, ca.other, ca.root, at=AT, nonce=NONCE) == Revoked(AT)
    assert check_response(answer, ca.root, ca.root, at=AT, nonce=NONCE) is UNKNOWN


def test_another_cas_certificate_is_unknown_and_never_good(cas: dict[Suite, Ca]) -> None:
    ours, theirs = cas[Suite.P256_SHA256], cas[Suite.RSA3072_SHA256]
    request = read_request(make_request([ours.seal], theirs.root, nonce=None, algorithm="sha256"))
    answer = ours.responder.respond(request, lambda _: GOOD, at=AT, next_update=UNTIL)
    read = ocsp.OCSPResponse.load(answer).response_data["responses"][0]
    assert read["cert_status"].name == "unknown"


def test_the_address_stands_in_the_certificate(ca: Ca) -> None:
    assert x509.Certificate.load(ca.seal).ocsp_urls == ["https://v.chuncheng.example/ocsp/root"]
    responder = x509.Certificate.load(ca.responder.cert)
    assert responder.ocsp_no_check_value is not None
    assert responder.ocsp_urls == []


def test_pyhankos_validator_believes_the_answers(ca: Ca, monkeypatch: pytest.MonkeyPatch) -> None:
    # For a delegated responder the library makes a context of its own and forgets the validator that it was
    # given (validate_ocsp.py of 0.33); with SM2 it has to be its default.
    monkeypatch.setattr("pyhanko_certvalidator.context.DefaultSignatureValidator", Sm2AwareValidator)

    def validate(cert: bytes) -> Any:
        context: Any = ValidationContext(
            trust_roots=[x509.Certificate.load(ca.root)],
            ocsps=[ocsp.OCSPResponse.load(ca.ask(cert))],
            allow_fetching=False,
            revocation_mode="require",
            moment=AT,
            signature_validator=Sm2AwareValidator(),
        )
        validator: Any = CertificateValidator(x509.Certificate.load(cert), validation_context=context)
        return asyncio.run(validator.async_validate_usage({"non_repudiation"}))

    assert validate(ca.seal) is not None
    with pytest.raises(RevokedError):
        validate(ca.other)


def test_no_flipped_byte_makes_another_answer(cas: dict[Suite, Ca]) -> None:
    ca = cas[Suite.P256_SHA256]
    answer = ca.ask(ca.other)
    refused = 0
    for position in range(len(answer)):
        spoiled = bytearray(answer)
        spoiled[position] ^= 1
        try:
            status = check_response(bytes(spoiled), ca.other, ca.root, at=AT, nonce=NONCE)
        except (VerificationError, EvidenceUnavailableError, Malformed):
            refused += 1
        else:
            assert status == Revoked(AT), f"byte {position} of {len(answer)}"
    # Nothing rests on the outer algorithm in the carried certificate: that may differ, and no more.
    assert refused > len(answer) - 30


def test_who_may_not_answer_is_not_believed(cas: dict[Suite, Ca]) -> None:
    ca, stranger = cas[Suite.P256_SHA256], cas[Suite.RSA3072_SHA256]
    key = ca.keys["responder"]
    for cert in (ca.seal, stranger.responder.cert):  # not a responder's; delegated by another CA
        spoiled = Responder(key if cert == ca.seal else stranger.keys["responder"], cert, ca.root)
        request = read_request(make_request([ca.seal], ca.root, nonce=None, algorithm="sha1"))
        answer = spoiled.respond(request, lambda _: GOOD, at=AT, next_update=UNTIL)
        with pytest.raises(VerificationError):
            check_response(answer, ca.seal, ca.root, at=AT)
    # The CA itself may.
    own = Responder(ca.keys["root"], ca.root, ca.root)
    answer = own.respond(request, lambda _: GOOD, at=AT, next_update=UNTIL)
    assert check_response(answer, ca.seal, ca.root, at=AT) is GOOD


def test_an_answer_to_another_question_or_of_another_time(ca: Ca) -> None:
    answer = ca.ask(ca.seal)
    with pytest.raises(VerificationError, match="nonce"):
        check_response(answer, ca.seal, ca.root, at=AT, nonce=b"another")
    with pytest.raises(VerificationError, match="nonce"):
        check_response(ca.ask(ca.seal, nonce=None), ca.seal, ca.root, at=AT, nonce=NONCE)
    with pytest.raises(EvidenceUnavailableError):
        check_response(answer, ca.other, ca.root, at=AT, nonce=NONCE)
    for at in (AT - timedelta(hours=2), AT + timedelta(hours=2)):
        with pytest.raises(EvidenceUnavailableError):
            check_response(answer, ca.seal, ca.root, at=at, nonce=NONCE)
    with pytest.raises(EvidenceUnavailableError, match="try_later"):
        check_response(refusal("try_later"), ca.seal, ca.root, at=AT)


def test_an_answer_without_an_end_is_good_for_its_moment(cas: dict[Suite, Ca]) -> None:
    ca = cas[Suite.P256_SHA256]
    answer = ocsp.OCSPResponse.load(ca.ask(ca.seal))
    basic = answer.basic_ocsp_response
    data = ocsp.ResponseData.load(basic["tbs_response_data"].dump())
    item = data["responses"][0]
    item["next_update"] = None
    signed = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": data,
            "signature_algorithm": basic["signature_algorithm"],
            "signature": ca.keys["responder"].sign(data.dump(force=True)),
            "certs": basic["certs"],
        }
    )
    body = {"response_type": "basic_ocsp_response", "response": signed}
    der = ocsp.OCSPResponse({"response_status": "successful", "response_bytes": body}).dump()
    assert check_response(der, ca.seal, ca.root, at=AT, nonce=NONCE) is GOOD
    with pytest.raises(EvidenceUnavailableError) as refused:
        check_response(der, ca.seal, ca.root, at=AT + timedelta(minutes=30), nonce=NONCE)
    assert refused.value.code == "STATUS_STALE"


def test_what_is_no_request_is_malformed(ca: Ca) -> None:
    good = make_request([ca.seal], ca.root, nonce=NONCE, algorithm="sha1")
    assert read_request(good).nonce == NONCE
    extensions = good.index(bytes.fromhex("06092b0601050507300102")) - 6
    assert good[extensions] == 0xA2
    for wrong in (
        b"",
        b"junk",
        good[:-1],
        good + b"\0",
        good + bytes(MAX_REQUEST_BYTES),
        make_request([], ca.root, nonce=None, algorithm="sha1"),
        make_request([ca.seal] * (MAX_CERTS + 1), ca.root, nonce=None, algorithm="sha1"),
        make_request([ca.seal], ca.root, nonce=b"", algorithm="sha1"),
        make_request([ca.seal], ca.root, nonce=bytes(129), algorithm="sha1"),
        good.replace(bytes.fromhex("06052b0e03021a"), bytes.fromhex("06052b0e03021b")),
        # Extensions under the number of a type that asn1crypto knows by name alone (REAL).
        good[:extensions] + b"\xe9" + good[extensions + 1 :],
    ):
        with pytest.raises(Malformed):
            read_request(wrong)
