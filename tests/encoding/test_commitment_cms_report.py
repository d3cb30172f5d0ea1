"""Commitments bind every part; the CMS frame has one encoding; a report says the same in JSON."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import cms
from encoding.spoiling import flips
from hypothesis import given
from hypothesis import strategies as st

from keys import asn1
from keys.custody import FileKeyProvider, KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.suites import Suite
from trust.encoding.cms import SIGNATURE_TIME_STAMP_OID, encode_attribute, encode_seal_cms
from trust.encoding.commitment import (
    DocumentDigests,
    content_root,
    document_commit,
    ecertificate_ref,
)
from trust.encoding.der import octets, sequence
from trust.encoding.digests import sha256
from trust.encoding.report import encode_report
from trust.model.errors import Malformed
from trust.model.report import Finding, Freshness, Report, Result, Verdict

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

# Commitments -----------------------------------------------------------------------------------------------

FIELDS: dict[str, str | list[str]] = {"ZZMC": "食品经营许可证", "CZZT": "春城", "KZ": ["a", "b"]}
SALTS = {name: bytes((n,)) * 16 for n, name in enumerate(FIELDS)}
DIGESTS = DocumentDigests(b"\1" * 32, b"\2" * 32, b"\3" * 32)
FOUR_SALTS = tuple(bytes((n,)) * 32 for n in range(4))


def test_a_leaf_is_the_one_in_the_documentation() -> None:
    value = '"食品经营许可证"'.encode()
    leaf = sha256(b"\0" + bytes(16) + b"\0\4ZZMC" + value)
    assert content_root({"ZZMC": "食品经营许可证"}, {"ZZMC": bytes(16)}) == leaf
    assert value.hex().startswith("22e9a39f")
    assert value.hex().endswith("e8af8122")


def test_the_order_of_fields_does_not_matter() -> None:
    expected = content_root(FIELDS, SALTS)
    for names in itertools.permutations(FIELDS):
        assert content_root({n: FIELDS[n] for n in names}, {n: SALTS[n] for n in names}) == expected


def test_any_change_of_a_field_changes_the_root() -> None:
    good = content_root(FIELDS, SALTS)
    changed = [content_root({**FIELDS, name: "other"}, SALTS) for name in FIELDS]
    changed += [content_root(FIELDS, {**SALTS, name: b"\x77" * 16}) for name in FIELDS]
    changed.append(content_root({**FIELDS, "KZ": ["ab"]}, SALTS))
    changed.append(content_root({**FIELDS, "KZ": '["a","b"]'}, SALTS))
    changed.append(content_root({**FIELDS, "NEW": "x"}, {**SALTS, "NEW": bytes(16)}))
    assert good not in changed
    assert len(set(changed)) == len(changed)


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_names_and_values_cannot_run_into_each_other(a: str, x: str, b: str, y: str) -> None:
    same = content_root({a: x}, {a: bytes(16)}) == content_root({b: y}, {b: bytes(16)})
    assert same is ((a, x) == (b, y))


@pytest.mark.parametrize(
    ("fields", "salts"),
    [({}, {}), (FIELDS, {}), (FIELDS, {**SALTS, "MORE": bytes(16)}), ({"a": "b"}, {"a": bytes(15)})],
)
def test_fields_and_salts_have_to_pair_up(
    fields: dict[str, str | list[str]], salts: dict[str, bytes]
) -> None:
    with pytest.raises(Malformed):
        content_root(fields, salts)


def test_any_change_of_a_document_changes_its_commitment() -> None:
    good = document_commit(b"\0" * 32, DIGESTS, FOUR_SALTS)
    other = b"\x77" * 32
    changed = [
        document_commit(other, DIGESTS, FOUR_SALTS),
        document_commit(b"\0" * 32, DocumentDigests(other, DIGESTS.sm3, DIGESTS.signature), FOUR_SALTS),
        document_commit(b"\0" * 32, DocumentDigests(DIGESTS.sha256, other, DIGESTS.signature), FOUR_SALTS),
        document_commit(b"\0" * 32, DocumentDigests(DIGESTS.sha256, DIGESTS.sm3, other), FOUR_SALTS),
        document_commit(
            b"\0" * 32, DocumentDigests(DIGESTS.sm3, DIGESTS.sha256, DIGESTS.signature), FOUR_SALTS
        ),
        *(
            document_commit(b"\0" * 32, DIGESTS, (*FOUR_SALTS[:n], other, *FOUR_SALTS[n + 1 :]))
            for n in range(4)
        ),
    ]
    assert good not in changed
    assert len(set(changed)) == len(changed)


@pytest.mark.parametrize("salts", [FOUR_SALTS[:3], (*FOUR_SALTS, bytes(32)), (bytes(31), *FOUR_SALTS[1:])])
def test_a_document_needs_its_four_salts(salts: tuple[bytes, ...]) -> None:
    with pytest.raises(Malformed):
        document_commit(b"\0" * 32, DIGESTS, salts)
    with pytest.raises(Malformed):
        document_commit(b"\0" * 31, DIGESTS, FOUR_SALTS)


def test_a_reference_hides_and_binds_the_public_id() -> None:
    pid, salt = bytes(range(16)), bytes(32)
    assert ecertificate_ref(pid, salt) == sha256(b"yinzheng/ref/v1\0" + salt + pid)
    assert len({ecertificate_ref(p, s) for p in (pid, bytes(16)) for s in (salt, b"\1" * 32)}) == 4


# The CMS frame ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256])
def frame(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    asn1.register()
    keys = FileKeyProvider(tmp_path_factory.mktemp("keys"), lambda: b"pass", kdf_rounds=10)
    record = keys.generate(KeyPurpose.ROOT_CA, request.param, label="", at=AT)
    key = keys.open(record.key_id, KeyPurpose.ROOT_CA)
    cert = make_x509_cert(
        Profile.ROOT, Subject("x", "y"), record.public_key, key, None,
        not_before=AT, not_after=AT + timedelta(days=9), crl_address=None,
    )  # fmt: skip
    return {
        "suite": request.param.value,
        "x509_certs": [cert],
        "sealing_cert": cert,
        "signed_attrs": cms.CMSAttributes(
            [{"type": "content_type", "values": ["data"]}, {"type": "message_digest", "values": [bytes(32)]}]
        ).dump(),
        "signature": b"a signature",
        "unsigned_attrs": [
            encode_attribute(SIGNATURE_TIME_STAMP_OID, sequence(octets(b"token"))),
            encode_attribute(asn1.RECEIPT_OID, octets(b"receipt")),
        ],
    }


def parts_of(der: bytes) -> dict[str, Any]:
    signed_data = cms.ContentInfo.load(der, strict=True)["content"]
    (signer,) = signed_data["signer_infos"]
    return {
        "x509_certs": [choice.chosen.dump() for choice in signed_data["certificates"]],
        "signed_attrs": b"\x31" + signer["signed_attrs"].dump()[1:],
        "signature": signer["signature"].native,
        "unsigned_attrs": [attribute.dump() for attribute in signer["unsigned_attrs"]],
    }


def test_a_frame_is_read_back_by_asn1crypto(frame: dict[str, Any]) -> None:
    der = encode_seal_cms(**frame)
    found = parts_of(der)
    assert found["unsigned_attrs"] == sorted(frame["unsigned_attrs"])
    assert {name: found[name] for name in ("x509_certs", "signed_attrs", "signature")} == {
        name: frame[name] for name in ("x509_certs", "signed_attrs", "signature")
    }
    signed_data = cms.ContentInfo.load(der, strict=True)["content"]
    (signer,) = signed_data["signer_infos"]
    digest_name = "sm3" if frame["suite"] == "SM2-SM3" else "sha256"
    assert signed_data["version"].native == signer["version"].native == "v1"
    assert [each["algorithm"].native for each in signed_data["digest_algorithms"]] == [digest_name]
    assert signer["digest_algorithm"]["algorithm"].native == digest_name
    assert signed_data["encap_content_info"]["content"].native is None
    mechanism = {"SM2-SM3": "sm3_sm2", "RSA3072-SHA256": "sha256_rsa", "P256-SHA256": "sha256_ecdsa"}
    assert signer["signature_algorithm"]["algorithm"].native == mechanism[frame["suite"]]


def test_the_order_of_certificates_and_attributes_is_that_of_der(frame: dict[str, Any]) -> None:
    certs = [frame["sealing_cert"], *(sequence(octets(bytes((n,)))) for n in range(3))]
    frames = {
        encode_seal_cms(
            **{**frame, "x509_certs": list(order), "unsigned_attrs": frame["unsigned_attrs"][::direction]}
        )
        for order in itertools.permutations(certs)
        for direction in (1, -1)
    }
    assert len(frames) == 1


def test_a_flipped_byte_does_not_rebuild_to_the_same_parts(frame: dict[str, Any]) -> None:
    good = encode_seal_cms(**frame)
    for spoiled in flips(good, masks=(0x01,)):
        try:
            found = parts_of(spoiled)
        except Exception:
            continue  # unreadable
        if found["x509_certs"] != frame["x509_certs"]:
            continue  # certificates are pinned by their bytes
        rebuilt = encode_seal_cms(**{**frame, **found})
        assert rebuilt != spoiled or found != parts_of(good)


# Reports ---------------------------------------------------------------------------------------------------


def report(*findings: Finding, kind: str = "pdf") -> Report:
    return Report(
        kind, AT, Verdict.PASSED, "OK", findings, {"a": 1}, (), Freshness(AT, None, online=True), ("page",)
    )


def test_a_report_is_json_and_says_what_it_was_made_of() -> None:
    made = report(Finding("file.format", Result.PASSED), Finding("seal.chain", Result.PASSED, "OK", "text"))
    value = json.loads(json.dumps(encode_report(made, {"en": {"headline": "x"}})))
    assert set(value) == {
        "schema", "kind", "verified_at", "verdict", "code", "colour", "indication", "sub_indication", "messages",
        "findings", "facts", "shown", "freshness", "not_checked",
    }  # fmt: skip
    assert value["findings"] == [
        {"check": f.check, "result": f.result.value, "code": f.code, "detail": f.detail}
        for f in made.findings
    ]
    assert value["freshness"] == {"as_of": AT.isoformat(), "next_update": None, "online": True}
    assert (value["facts"], value["messages"]) == ({"a": 1}, {"en": {"headline": "x"}})
    assert value["verified_at"] == AT.isoformat()


@pytest.mark.parametrize(
    ("result", "code", "indication", "sub_indication"),
    [
        (Result.FAILED, "HASH_FAILURE", "TOTAL-FAILED", "HASH_FAILURE"),
        (Result.FAILED, "FORMAT_FAILURE", "TOTAL-FAILED", "FORMAT_FAILURE"),
        (Result.FAILED, "SIG_CRYPTO_FAILURE", "TOTAL-FAILED", "SIG_CRYPTO_FAILURE"),
        (Result.FAILED, "SEAL_CERT_REVOKED", "TOTAL-FAILED", "REVOKED"),
        (Result.FAILED, "SIG_CONSTRAINTS_FAILURE", "INDETERMINATE", "SIG_CONSTRAINTS_FAILURE"),
        (Result.INDETERMINATE, "UNKNOWN_ISSUER", "INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND"),
        (Result.INDETERMINATE, "STATUS_STALE", "INDETERMINATE", "TRY_LATER"),
        (Result.INDETERMINATE, "SOMETHING_NEW", "INDETERMINATE", None),
    ],
)
def test_the_seal_layer_speaks_the_words_of_etsi(
    result: Result, code: str, indication: str, sub_indication: str | None
) -> None:
    made = report(Finding("file.format", Result.PASSED), Finding("seal.chain", result, code))
    value = encode_report(made, {})
    assert (value["indication"], value["sub_indication"]) == (indication, sub_indication)


def test_what_is_not_of_the_seal_leaves_its_indication_alone() -> None:
    made = report(Finding("seal.chain", Result.PASSED), Finding("status", Result.FAILED, "REVOKED"))
    assert encode_report(made, {})["indication"] == "TOTAL-PASSED"
    code = report(Finding("code.signature", Result.PASSED), kind="printed-code")
    assert encode_report(code, {})["indication"] is None
