"""The seal's CMS and the time-stamp inside it: taken apart, checked, rebuilt, compared.

`check_seal` finds the pinned seal whose certificate made the signature, checks the signature over the signed
attributes and those over the file, checks the time-stamp with a pinned authority, and then rebuilds the whole
CMS from pinned certificates and checked parts. If one byte differs from the original, the file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, tsp

from keys import asn1
from keys.pki.read import read_x509_cert
from keys.suites import Suite, check_signature
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_seal_cms,
    encode_time_stamp_token,
)
from trust.encoding.commitment import DocumentDigests
from trust.encoding.digests import digest, sha256
from trust.encoding.trust_list import TrustedSeal, TrustedTsa, TrustList
from trust.model.errors import EvidenceUnavailableError, VerificationError
from trust.pdf.gap import SignedGap


@dataclass(frozen=True, slots=True)
class CheckedSeal:
    """A seal signature that verifies. `stamped_at` is the trusted time; `receipt` the receipt (DER), if any."""

    seal: TrustedSeal
    tsa: TrustedTsa
    stamped_at: datetime
    digests: DocumentDigests
    signature: bytes
    seal_data: bytes
    receipt: bytes | None


def check_seal(gap: SignedGap, trust_list: TrustList) -> CheckedSeal:
    """Returns the seal once every check of this module has passed.

    Raises `VerificationError` (FORMAT_FAILURE, HASH_FAILURE, SIG_CRYPTO_FAILURE, …) or
    `EvidenceUnavailableError` (UNKNOWN_ISSUER).
    """
    asn1.register()
    parts = _take_apart(gap.cms)
    seal = _pinned_seal(parts.certs, trust_list)
    suite = Suite(seal.suite)
    seal_data = _check_signed_attrs(parts.signed_attrs, suite, gap, seal)
    check_signature(suite, read_x509_cert(seal.certs[0]).public_key, parts.signed_attrs, parts.signature)
    algorithm = _stamped_digest(parts.token, suite, trust_list)
    tsa, stamped_at = check_token(parts.token, digest(algorithm, parts.signature), algorithm, trust_list)
    if not seal.is_in_force(stamped_at):
        raise VerificationError("The seal was not in force when it was used.", code="SEAL_NOT_IN_FORCE")
    if not seal.is_good_at(stamped_at):
        raise VerificationError("The seal was withdrawn before it was used.", code="SEAL_CERT_REVOKED")
    unsigned = [encode_attribute(SIGNATURE_TIME_STAMP_OID, parts.token)]
    if parts.receipt is not None:
        unsigned.append(encode_attribute(asn1.RECEIPT_OID, parts.receipt))
    rebuilt = encode_seal_cms(
        suite=seal.suite,
        x509_certs=seal.certs,
        sealing_cert=seal.certs[0],
        signed_attrs=parts.signed_attrs,
        signature=parts.signature,
        unsigned_attrs=unsigned,
    )
    if rebuilt != gap.cms:
        raise VerificationError(
            "The signature structure differs from the one its parts make.", code="SIG_CONSTRAINTS_FAILURE"
        )
    return CheckedSeal(
        seal=seal,
        tsa=tsa,
        stamped_at=stamped_at,
        digests=DocumentDigests(
            sha256=digest("sha256", *gap.signed),
            sm3=digest("sm3", *gap.signed),
            signature=sha256(parts.signature),
        ),
        signature=parts.signature,
        seal_data=seal_data,
        receipt=parts.receipt,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    certs: tuple[bytes, ...]
    signed_attrs: bytes
    signature: bytes
    token: bytes
    receipt: bytes | None


def _take_apart(der: bytes) -> _Parts:
    try:
        signed_data = cms.ContentInfo.load(der, strict=True)["content"]
        (signer_info,) = signed_data["signer_infos"]
        unsigned: dict[str, bytes] = {}
        for attribute in signer_info["unsigned_attrs"]:
            (value,) = attribute["values"]
            unsigned[attribute["type"].dotted] = value.dump()
        if len(unsigned) != len(signer_info["unsigned_attrs"]) or not (
            {SIGNATURE_TIME_STAMP_OID}
            <= set(unsigned)
            <= {
                SIGNATURE_TIME_STAMP_OID,
                asn1.RECEIPT_OID,
            }
        ):
            raise VerificationError(
                "The seal carries other unsigned attributes.", code="SIG_CONSTRAINTS_FAILURE"
            )
        return _Parts(
            certs=tuple(choice.chosen.dump() for choice in signed_data["certificates"]),
            signed_attrs=b"\x31" + signer_info["signed_attrs"].dump()[1:],
            signature=signer_info["signature"].native,
            token=unsigned[SIGNATURE_TIME_STAMP_OID],
            receipt=unsigned.get(asn1.RECEIPT_OID),
        )
    except VerificationError:
        raise
    except Exception as exc:  # asn1crypto raises many kinds on hostile input
        raise VerificationError("The seal's CMS cannot be read.", code="FORMAT_FAILURE") from exc


def _pinned_seal(certs: tuple[bytes, ...], trust_list: TrustList) -> TrustedSeal:
    """The seal of the trust list whose certificate is among `certs`, compared byte by byte, never by name."""
    for seal in trust_list.seals:
        if seal.certs[0] in certs:
            return seal
    raise EvidenceUnavailableError(
        "The seal's certificate is not in the trust list.",
        "Ask the issuing department which trust list it is in.",
        code="UNKNOWN_ISSUER",
    )


def _check_signed_attrs(signed_attrs: bytes, suite: Suite, gap: SignedGap, seal: TrustedSeal) -> bytes:
    """Checks that there are exactly content-type, message-digest, signing-certificate-v2 (ETSI EN 319 142-1 §6.3) and
    the seal data, and returns the seal data (DER)."""
    found = _attributes(signed_attrs)
    if set(found) != {"content_type", "message_digest", "signing_certificate_v2", "yinzheng_seal_data"}:
        raise VerificationError(
            "The seal signs other attributes than PAdES names.", code="SIG_CONSTRAINTS_FAILURE"
        )
    if found["content_type"].native != "data" or not _names_certificate(
        found["signing_certificate_v2"], seal.certs[0]
    ):
        raise VerificationError(
            "The seal's signed attributes name another key.", code="SIG_CONSTRAINTS_FAILURE"
        )
    if found["message_digest"].native != digest(suite.digest, *gap.signed):
        raise VerificationError("The file was changed after it was sealed.", code="HASH_FAILURE")
    return bytes(found["yinzheng_seal_data"].dump())


def _stamped_digest(token: bytes, suite: Suite, trust_list: TrustList) -> str:
    """The digest algorithm that the seal's time-stamp must use: that of the seal's suite, or the authority's own if a
    national seal was time-stamped for use abroad. The trust list's entry decides, never the token."""
    if suite is Suite.SM2_SM3:
        try:
            certs = cms.ContentInfo.load(token, strict=True)["content"]["certificates"]
            shown = {choice.chosen.dump() for choice in certs}
        except Exception as exc:  # asn1crypto raises many kinds on hostile input
            raise VerificationError("The time-stamp cannot be read.", code="FORMAT_FAILURE") from exc
        tsa = next((each for each in trust_list.tsas if each.certs[0] in shown), None)
        if tsa is not None:
            return Suite(tsa.suite).digest
    return suite.digest


def check_token(
    token: bytes, imprint: bytes, algorithm: str, trust_list: TrustList
) -> tuple[TrustedTsa, datetime]:
    """The authority and the time of a time-stamp over `imprint`, a digest made with `algorithm`.

    A token that does not rebuild to the same bytes is refused. Raises `VerificationError` (FORMAT_FAILURE,
    TIME_STAMP_BAD, SIG_CRYPTO_FAILURE, SIG_CONSTRAINTS_FAILURE) or `EvidenceUnavailableError` (UNKNOWN_TIME_STAMP).
    """
    try:
        signed_data = cms.ContentInfo.load(token, strict=True)["content"]
        (signer_info,) = signed_data["signer_infos"]
        tst_info = signed_data["encap_content_info"]["content"].parsed.dump()
        signed_attrs = b"\x31" + signer_info["signed_attrs"].dump()[1:]
        signature = signer_info["signature"].native
        certs = tuple(choice.chosen.dump() for choice in signed_data["certificates"])
        info = tsp.TSTInfo.load(tst_info, strict=True)
        stamped_at = info["gen_time"].native
        found = _attributes(signed_attrs)
        right_imprint = (
            info["message_imprint"]["hash_algorithm"]["algorithm"].native == algorithm
            and info["message_imprint"]["hashed_message"].native == imprint
        )
    except Exception as exc:  # asn1crypto raises many kinds on hostile input
        raise VerificationError("The time-stamp cannot be read.", code="FORMAT_FAILURE") from exc
    tsa = next((t for t in trust_list.tsas if t.certs[0] in certs), None)
    if tsa is None:
        raise EvidenceUnavailableError(
            "The time-stamp's authority is not in the trust list.", code="UNKNOWN_TIME_STAMP"
        )
    suite = Suite(tsa.suite)
    if set(found) != {"content_type", "message_digest", "signing_certificate_v2"} or (
        found["content_type"].native != "tst_info"
        or found["message_digest"].native != digest(suite.digest, tst_info)
        or not _names_certificate(found["signing_certificate_v2"], tsa.certs[0])
    ):
        raise VerificationError("The time-stamp does not sign its own content.", code="TIME_STAMP_BAD")
    check_signature(suite, read_x509_cert(tsa.certs[0]).public_key, signed_attrs, signature)
    if not right_imprint:
        raise VerificationError("The time-stamp belongs to another signature.", code="TIME_STAMP_BAD")
    rebuilt = encode_time_stamp_token(
        suite=tsa.suite,
        tsa_certs=tsa.certs,
        tst_info=tst_info,
        signed_attrs=signed_attrs,
        signature=signature,
    )
    if rebuilt != token:
        raise VerificationError(
            "The time-stamp's structure differs from the one its parts make.", code="SIG_CONSTRAINTS_FAILURE"
        )
    if not tsa.is_good_at(stamped_at):
        raise VerificationError("The time-stamp authority was withdrawn by then.", code="TIME_STAMP_BAD")
    return tsa, stamped_at


def _attributes(signed_attrs: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in cms.CMSAttributes.load(signed_attrs, strict=True):
        (value,) = attribute["values"]
        if attribute["type"].native in found:
            raise VerificationError("A signed attribute stands twice.", code="SIG_CONSTRAINTS_FAILURE")
        found[attribute["type"].native] = value
    return found


def _names_certificate(ess: Any, cert: bytes) -> bool:
    """True if the signing-certificate-v2 attribute starts with this certificate (RFC 5035 §3)."""
    try:
        first = ess["certs"][0]
        algorithm = first["hash_algorithm"]["algorithm"].native
        return algorithm in ("sha256", "sm3") and first["cert_hash"].native == digest(algorithm, cert)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
