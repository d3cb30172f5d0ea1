"""Gathering the evidence that proves a signature after its CAs and responders are gone.

It consists of all certificates above each signing one, up to a root, and for each of these issuers a revocation list
that was made after the signature (ETSI EN 319 142-1 §5.4.2). The signing certificates are read from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, crl, tsp

from keys import asn1
from keys.pki.read import check_issued_by, read_x509_cert
from trust.encoding.cms import SEAL_DATA_OID, SIGNATURE_TIME_STAMP_OID
from trust.encoding.ses import decode_seal
from trust.model.errors import EvidenceUnavailableError, Malformed, VerificationError
from trust.pdf.update import DocumentEvidence

_MOST_ABOVE = 8


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature of a file: the certificates (DER) that signed it and its parts, and the time by its time-stamp."""

    signers: tuple[bytes, ...]
    others: tuple[bytes, ...]
    at: datetime


def read_signed(frame: bytes) -> Signed:
    """Reads the CMS of a seal, or a time-stamp token, that we made. Raises `Malformed`."""
    asn1.register()
    try:
        signed_data = cms.ContentInfo.load(frame)["content"]
        signer, others = _signer(signed_data)
        if signed_data["encap_content_info"]["content_type"].native == "tst_info":
            return Signed((signer,), others, _time_of(signed_data))
        (signer_info,) = signed_data["signer_infos"]
        token = _attribute(signer_info["unsigned_attrs"], SIGNATURE_TIME_STAMP_OID)
        seal = decode_seal(_attribute(signer_info["signed_attrs"], SEAL_DATA_OID).dump())
        stamp = token["content"]
        tsa, more = _signer(stamp)
        return Signed((signer, seal.maker_cert, tsa), (*others, *more), _time_of(stamp))
    except (ValueError, TypeError, KeyError, StopIteration) as exc:
        raise Malformed("The signature is not in the form that seals of ours have.") from exc


def read_seals(frames: Sequence[bytes]) -> Signed:
    """All seals of one licence. Raises `Malformed`."""
    each = [read_signed(frame) for frame in frames]
    return Signed(
        tuple(dict.fromkeys(cert for one in each for cert in one.signers)),
        tuple(dict.fromkeys(cert for one in each for cert in one.others)),
        max(one.at for one in each),
    )


def _signer(signed_data: Any) -> tuple[bytes, tuple[bytes, ...]]:
    (signer_info,) = signed_data["signer_infos"]
    sid = signer_info["sid"].chosen
    certs = [choice.chosen for choice in signed_data["certificates"]]
    signer = next(
        each
        for each in certs
        if (each.issuer, each.serial_number) == (sid["issuer"], sid["serial_number"].native)
    )
    return signer.dump(), tuple(each.dump() for each in certs if each is not signer)


def _attribute(attributes: Any, oid: str) -> Any:
    return next(each["values"][0] for each in attributes if each["type"].dotted == oid)


def _time_of(signed_data: Any) -> datetime:
    info = tsp.TSTInfo.load(signed_data["encap_content_info"]["content"].parsed.dump())
    at: datetime = info["gen_time"].native
    return at


OcspSource = Callable[[bytes, bytes], tuple[bytes, bytes] | None]
"""Returns, for a certificate and its issuer (DER), a responder's answer and its certificate, or None."""


def gather_evidence(
    signed: Signed, *, known_certs: Sequence[bytes], crls: Sequence[bytes], ocsp: OcspSource
) -> DocumentEvidence:
    """All certificates above the signers, the newest revocation list of each issuer, and OCSP answers.

    Our verification only uses the lists. OCSP answers are for other validators, because some judge a past signature at
    the time of a later list of the same issuer, when the signer has expired. Raises `EvidenceUnavailableError`:
    NO_CERTIFICATE_CHAIN_FOUND, or CRL_TOO_OLD if there is no list from after the signature.
    """
    certs: dict[bytes, None] = {}
    ocsps: dict[bytes, None] = {}
    chosen: dict[bytes, None] = {}
    for signer in signed.signers:
        issuers = _issuers(signer, (*signed.others, *known_certs))
        for issuer in issuers:
            certs[issuer] = None
            chosen[_newest(issuer, crls, signed.at)] = None
        certs[signer] = None
        if issuers and (answered := ocsp(signer, issuers[0])) is not None:
            ocsps[answered[0]] = None
            certs[answered[1]] = None
    return DocumentEvidence(tuple(certs), tuple(ocsps), tuple(chosen))


def _issuers(cert: bytes, known: Iterable[bytes]) -> list[bytes]:
    """The certificates above `cert`, up to its root."""
    by_subject: dict[bytes, list[bytes]] = {}
    for each in known:
        by_subject.setdefault(read_x509_cert(each).subject, []).append(each)
    above: list[bytes] = []
    while True:
        facts = read_x509_cert(cert)
        if facts.issuer == facts.subject:
            return above
        issuer = next((each for each in by_subject.get(facts.issuer, ()) if _is_issued_by(cert, each)), None)
        if issuer is None or len(above) == _MOST_ABOVE:
            raise EvidenceUnavailableError(
                "The certificates above a signature are not at hand.",
                "Import those of the authority that issued it.",
                code="NO_CERTIFICATE_CHAIN_FOUND",
            )
        above.append(issuer)
        cert = issuer


def _is_issued_by(cert: bytes, issuer: bytes) -> bool:
    try:
        check_issued_by(cert, issuer)
    except (Malformed, VerificationError):
        return False
    return True


def _newest(issuer: bytes, crls: Sequence[bytes], after: datetime) -> bytes:
    subject = read_x509_cert(issuer).subject
    newest, made_at = None, after
    for der in crls:
        listed = crl.CertificateList.load(der)
        this_update: datetime = listed["tbs_cert_list"]["this_update"].native
        if listed.issuer.dump() == subject and this_update >= made_at:
            newest, made_at = der, this_update
    if newest is None:
        raise EvidenceUnavailableError(
            "There is no revocation list yet that was made after the signature.",
            "Wait for the issuer's next list, or fetch it.",
            code="CRL_TOO_OLD",
        )
    return newest
