"""Time-stamps: over the digest that was asked for, in the one encoding, and good in openssl's eyes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core, pem, tsp, x509

from keys import asn1
from keys.custody import KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.suites import Suite, check_signature
from keys.tsa import POLICY_OID, TimeStampAuthority
from trust.encoding.cms import encode_time_stamp_token
from trust.encoding.digests import digest, sha256
from trust.model.errors import Malformed

from .opened import AT, new_key, provider_at

IMPRINT = sha256(b"a document")
WITHIN_A_SECOND = AT.replace(microsecond=999999)


@dataclass
class Stopped:
    at: datetime = WITHIN_A_SECOND

    def now(self) -> datetime:
        return self.at


@dataclass(frozen=True)
class Made:
    tsa: TimeStampAuthority
    root: bytes


@pytest.fixture(scope="module", params=[Suite.SM2_SM3, Suite.RSA3072_SHA256])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    provider = provider_at(tmp_path_factory.mktemp("keys"))
    root_key = new_key(provider, KeyPurpose.ROOT_CA, request.param)
    key = new_key(provider, KeyPurpose.TIME_STAMP, request.param)
    term: dict[str, Any] = {
        "not_before": AT - timedelta(days=1),
        "not_after": AT + timedelta(days=9000),
        "crl_address": None,
    }
    root = make_x509_cert(
        Profile.ROOT, Subject("root", "印证"), root_key.record.public_key, root_key, None,
        **term,
    )  # fmt: skip
    cert = make_x509_cert(
        Profile.TIME_STAMP, Subject("time", "印证"), key.record.public_key, root_key, root,
        **term,
    )  # fmt: skip
    return Made(TimeStampAuthority(key, (cert,), Stopped()), root)


@dataclass(frozen=True)
class Parts:
    tst_info: bytes
    signed_attrs: bytes
    signature: bytes

    @property
    def info(self) -> tsp.TSTInfo:
        return tsp.TSTInfo.load(self.tst_info, strict=True)


def parts_of(token: bytes) -> Parts:
    asn1.register()
    signed_data = cms.ContentInfo.load(token, strict=True)["content"]
    (signer,) = signed_data["signer_infos"]
    return Parts(
        signed_data["encap_content_info"]["content"].parsed.dump(),
        b"\x31" + signer["signed_attrs"].dump()[1:],
        signer["signature"].native,
    )


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_a_token_says_what_was_stamped_and_when(made: Made, algorithm: str) -> None:
    info = parts_of(made.tsa.stamp(IMPRINT, algorithm)).info
    assert info["message_imprint"]["hashed_message"].native == IMPRINT
    assert info["message_imprint"]["hash_algorithm"]["algorithm"].native == algorithm
    assert info["gen_time"].native == AT, "whole seconds"
    assert info["accuracy"]["seconds"].native == 1
    assert info["policy"].dotted == POLICY_OID
    assert info["nonce"].native is None


def test_the_nonce_comes_back_and_serials_do_not_repeat(made: Made) -> None:
    infos = [parts_of(made.tsa.stamp(IMPRINT, "sha256", nonce=n)).info for n in (0, 1, 1 << 70)]
    assert [info["nonce"].native for info in infos] == [0, 1, 1 << 70]
    assert len({info["serial_number"].native for info in infos}) == 3


def test_the_signature_is_over_attributes_that_name_content_and_certificate(made: Made) -> None:
    parts = parts_of(made.tsa.stamp(IMPRINT, "sha256"))
    record = made.tsa.key.record
    check_signature(record.suite, record.public_key, parts.signed_attrs, parts.signature)
    found = {
        a["type"].native: a["values"][0] for a in cms.CMSAttributes.load(parts.signed_attrs, strict=True)
    }
    assert set(found) == {"content_type", "message_digest", "signing_certificate_v2"}
    assert found["content_type"].native == "tst_info"
    assert found["message_digest"].native == digest(record.suite.digest, parts.tst_info)
    assert found["signing_certificate_v2"]["certs"][0]["cert_hash"].native == sha256(made.tsa.certs[0])


def test_a_token_is_exactly_what_its_parts_make(made: Made) -> None:
    token = made.tsa.stamp(IMPRINT, "sha256", nonce=7)
    parts = parts_of(token)
    again = encode_time_stamp_token(
        suite=made.tsa.suite,
        tsa_certs=made.tsa.certs,
        tst_info=parts.tst_info,
        signed_attrs=parts.signed_attrs,
        signature=parts.signature,
    )
    assert again == token
    assert cms.ContentInfo.load(token, strict=True)["content"].dump(force=False) in token


NONCES = [None, 0, 1, 127, 128, 255, 256, 1 << 63, 1 << 70, -1, -128, -129]


@pytest.mark.parametrize("nonce", NONCES)
@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_what_is_signed_is_written_as_the_library_would(
    made: Made, algorithm: str, nonce: int | None
) -> None:
    """Content and attributes are written element by element; asn1crypto makes the same bytes from the values."""
    parts = parts_of(made.tsa.stamp(IMPRINT, algorithm, nonce=nonce))
    values = {
        "version": "v1",
        "policy": POLICY_OID,
        "message_imprint": {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": IMPRINT},
        "serial_number": parts.info["serial_number"].native,
        "gen_time": AT,
        "accuracy": {"seconds": 1},
    }
    assert parts.tst_info == tsp.TSTInfo(values | ({} if nonce is None else {"nonce": nonce})).dump()
    cert = x509.Certificate.load(made.tsa.certs[0])
    issuer_serial = {
        "issuer": [x509.GeneralName("directory_name", cert.issuer)],
        "serial_number": cert.serial_number,
    }
    named = {"certs": [{"cert_hash": sha256(made.tsa.certs[0]), "issuer_serial": issuer_serial}]}
    attributes = {
        "content_type": cms.ContentType("tst_info"),
        "message_digest": core.OctetString(digest(made.tsa.key.record.suite.digest, parts.tst_info)),
        "signing_certificate_v2": tsp.SigningCertificateV2(named),
    }
    assert (
        parts.signed_attrs
        == cms.CMSAttributes(
            [cms.CMSAttribute({"type": name, "values": (value,)}) for name, value in attributes.items()]
        ).dump()
    )


def test_a_clock_of_another_zone_gives_the_same_time(made: Made) -> None:
    east = AT.astimezone(timezone(timedelta(hours=8)))
    token = replace(made.tsa, clock=Stopped(east)).stamp(IMPRINT, "sha256")
    assert parts_of(token).info["gen_time"].native == AT


@pytest.mark.parametrize(
    ("imprint", "algorithm"),
    [(IMPRINT, "sha1"), (IMPRINT[:31], "sha256"), (b"", "sm3"), (IMPRINT * 2, "sha512")],
)
def test_other_digests_are_not_stamped(made: Made, imprint: bytes, algorithm: str) -> None:
    with pytest.raises(Malformed):
        made.tsa.stamp(imprint, algorithm)


def test_a_request_is_answered_with_its_nonce(made: Made) -> None:
    request = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": IMPRINT},
            "nonce": 99,
            "cert_req": True,
        }
    )
    answer = made.tsa.respond(tsp.TimeStampReq.load(request.dump()))
    answer = tsp.TimeStampResp.load(answer.dump(), strict=True)
    assert answer["status"]["status"].native == "granted"
    assert parts_of(answer["time_stamp_token"].dump()).info["nonce"].native == 99


@pytest.mark.interop
def test_openssl_verifies_an_rsa_token_and_refuses_another_digest(made: Made, tmp_path: Path) -> None:
    if made.tsa.suite != "RSA3072-SHA256":
        pytest.skip("openssl ts knows SM2 with an empty ID only")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "token").write_bytes(made.tsa.stamp(IMPRINT, "sha256"))
    (tmp_path / "root.pem").write_bytes(pem.armor("CERTIFICATE", made.root))

    def verify(imprint: bytes) -> subprocess.CompletedProcess[str]:
        options = f"-in token -token_in -CAfile root.pem -attime {int(AT.timestamp())}"
        command = ["openssl", "ts", "-verify", "-digest", imprint.hex(), *options.split()]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    good = verify(IMPRINT)
    assert good.returncode == 0, good.stderr
    assert verify(IMPRINT[::-1]).returncode != 0
