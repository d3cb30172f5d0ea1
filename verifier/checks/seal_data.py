"""Checking national e-seal data: seals and e-seal signatures of GB/T 38540 and GM/T 0031.

Every check is run and reported; the result is that of the first one in the standard's order that did not pass.

| seal (GB/T 38540, verification of the seal)   | e-seal signature (verification of the signature)       |
|-----------------------------------------------|--------------------------------------------------------|
| `seal-data.format`                            | `seal-signature.format`                                |
| `seal-data.signature`  maker's, over the info | `seal-signature.signature`  signer's, over TBS_Sign    |
| `seal-data.maker`      chain, term, usage     | `seal-signature.listed`     signer is in the seal      |
| `seal-data.term`       at the time of use     | the seal's own checks                                  |
| `seal-data.time-stamp` version 5              | `seal-signature.signer`     chain, term, usage         |
|                                               | `seal-signature.document`   the protected bytes        |
|                                               | `seal-signature.time-stamp`                            |

The order for 2014 differs: there the signer's certificate and the document come before the seal.

Taken literally, "the seal has expired" would make every old document fail. So terms and certificates are judged at
the time of use, `at`, which the caller takes from a time-stamp or a ledger entry. The time that the signer states is
compared with it and never trusted by itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from keys.pki.chain import ChainTrust, Usage, check_chain
from keys.pki.read import read_x509_cert
from keys.sm2.encoding import parse_spki, z_value
from keys.suites import Suite, check_signature
from trust.encoding.digests import digest
from trust.encoding.ses import (
    SealData,
    SealSignatureData,
    SesVersion,
    decode_seal,
    decode_seal_signature,
)
from trust.model.errors import EvidenceUnavailableError, TrustError, VerificationError
from trust.model.report import Finding, Result
from verifier.checks.pdf import CheckedTimeStamp, check_time_stamp

_SUITES = {
    "1.2.156.10197.1.501": Suite.SM2_SM3,
    "1.2.840.113549.1.1.11": Suite.RSA3072_SHA256,
    "1.2.840.10045.4.3.2": Suite.P256_SHA256,
}
T = TypeVar("T")
_STATED_TIME_TOLERANCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SealDataTrust:
    """The trusted makers of seals 制章者, signers 签章者 and time-stamp authorities."""

    makers: ChainTrust
    signers: ChainTrust
    time_stamps: ChainTrust


@dataclass(frozen=True, slots=True)
class JudgedSeal:
    """The seal as read (None if it could not be read) and every finding in the standard's order."""

    seal: SealData | None
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class JudgedSealSignature:
    signature: SealSignatureData | None
    findings: Sequence[Finding]


def judge_seal(der: bytes, trust: SealDataTrust, *, at: datetime) -> JudgedSeal:
    """Runs the checks of a seal for a use at `at`."""
    steps = _Steps()
    seal = steps.read("seal-data.format", lambda: decode_seal(der))
    if seal is not None:
        _judge_seal(steps, seal, trust, at)
    return JudgedSeal(seal, tuple(steps.findings))


def judge_seal_signature(
    der: bytes, protected: bytes, trust: SealDataTrust, *, at: datetime
) -> JudgedSealSignature:
    """Runs the checks of an e-seal signature over the octets `protected`, used at `at`."""
    steps = _Steps()
    read = steps.read("seal-signature.format", lambda: decode_seal_signature(der))
    if read is None:
        return JudgedSealSignature(None, tuple(steps.findings))

    def signature() -> None:
        _check_signature(read.signer_cert, read.signature_oid, read.signed, read.signature)

    def signer() -> None:
        check_chain(read.signer_cert, trust.signers, at=at, usage=Usage.SIGNING)
        if read.signed_at is not None and abs(read.signed_at - at) > _STATED_TIME_TOLERANCE:
            raise VerificationError(
                f"The signer states {read.signed_at.isoformat()}, and it was {at.isoformat()}.",
                code="SES_TIME",
            )

    steps.run("seal-signature.signature", signature)
    steps.run("seal-signature.listed", lambda: check_listed(read.signer_cert, read.seal))
    if read.version is SesVersion.V2014:
        steps.run("seal-signature.signer", signer)
        steps.document(read, protected)
        _judge_seal(steps, read.seal, trust, at)
    else:
        _judge_seal(steps, read.seal, trust, at)
        steps.run("seal-signature.signer", signer)
        steps.document(read, protected)
    stamp = read.time_stamp
    if stamp is not None:
        # In the 2014 version the token is part of what is signed, so it stamps the document, not the signature.
        stamped = protected if read.version is SesVersion.V2014 else read.signature
        steps.run(
            "seal-signature.time-stamp",
            lambda: _remark(_check_stamp(stamp, stamped, trust.time_stamps, not_after=at)),
        )
    return JudgedSealSignature(read, tuple(steps.findings))


def check_listed(signer_cert: bytes, seal: SealData) -> None:
    """Returns if the seal names this certificate as one that may use it. Raises `VerificationError`.

    The 2014 version requires this when signing only; without it any certificate could use any seal, so it is always
    checked. A digest is the plain one; for SM2, the one over Z ‖ certificate, which some write, is accepted too.
    """
    info = seal.info
    if info.certs:
        if signer_cert in info.certs:
            return
    else:
        for listed in info.cert_digests:
            algorithm = _DIGESTS.get(listed.algorithm.upper())
            if algorithm is not None and any(
                hmac.compare_digest(listed.value, each)
                for each in _digests(algorithm, signer_cert, signer_cert)
            ):
                return
    raise VerificationError(
        "The seal does not list the certificate that used it.", code="SES_SIGNER_NOT_LISTED"
    )


_DIGESTS = {
    "1.2.156.10197.1.401": "sm3",
    "SM3": "sm3",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "SHA256": "sha256",
    "SHA-256": "sha256",
}


def _judge_seal(steps: _Steps, seal: SealData, trust: SealDataTrust, at: datetime) -> None:
    def term() -> None:
        if not seal.info.valid_from <= at <= seal.info.valid_until:
            raise VerificationError("The seal was not in its term when it was used.", code="SES_TERM")

    def maker() -> None:
        # Version 5 judges the maker at the time of making, so a maker's certificate may have expired since.
        moment = seal.info.created_at if seal.version is SesVersion.V5 else at
        check_chain(seal.maker_cert, trust.makers, at=moment, usage=Usage.SIGNING)

    steps.run(
        "seal-data.signature",
        lambda: _check_signature(seal.maker_cert, seal.signature_oid, seal.signed, seal.signature),
    )
    steps.run("seal-data.maker", maker)
    steps.run("seal-data.term", term)
    stamp = seal.time_stamp
    if stamp is not None:

        def made() -> str:
            checked = _check_stamp(stamp, seal.signature, trust.time_stamps, not_after=at)
            if seal.info.created_at > checked.at:
                raise VerificationError("The seal says it was made after its time-stamp.", code="SES_TIME")
            return _remark(checked)

        steps.run("seal-data.time-stamp", made)


def _check_signature(cert: bytes, oid: str, signed: bytes, signature: bytes) -> None:
    """Checks with the certificate's algorithm; the one that the message names must be the same."""
    facts = read_x509_cert(cert)
    if _SUITES.get(oid) is not facts.suite:
        raise VerificationError(
            f"The structure names the algorithm {oid}, and the key is for {facts.suite.value}.",
            code="SES_ALGORITHM",
        )
    check_signature(facts.suite, facts.public_key, signed, signature)


def _check_stamp(token: bytes, stamped: bytes, trust: ChainTrust, *, not_after: datetime) -> CheckedTimeStamp:
    checked = check_time_stamp(token, stamped, trust)
    if checked.at > not_after + _STATED_TIME_TOLERANCE:
        raise VerificationError("The time-stamp is later than the use.", code="SES_TIME")
    return checked


def _remark(stamp: CheckedTimeStamp) -> str:
    """A remark if the token does not rebuild to the same bytes: libraries leave parts of it unread."""
    return "" if stamp.is_one_encoding else "the token has bytes that nothing signs"


def _digests(algorithm: str, data: bytes, cert: bytes) -> list[bytes]:
    """The plain digest, and for SM3 under an SM2 certificate the one over Z ‖ data."""
    found = [digest(algorithm, data)]
    if algorithm == "sm3":
        facts = read_x509_cert(cert)
        if facts.suite is Suite.SM2_SM3:
            found.append(digest("sm3", z_value(parse_spki(facts.public_key)), data))
    return found


class _Steps:
    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def read(self, check: str, reading: Callable[[], T]) -> T | None:
        try:
            value = reading()
        except TrustError as exc:
            self._note(check, exc)
            return None
        oddities = getattr(value, "oddities", ())
        self.findings.append(Finding(check, Result.PASSED, detail="; ".join(oddities)))
        return value

    def run(self, check: str, step: Callable[[], str | None]) -> None:
        """Runs a step and adds its finding; the step's return value, if any, becomes a remark in the report."""
        try:
            remark = step()
        except TrustError as exc:
            self._note(check, exc)
        else:
            self.findings.append(Finding(check, Result.PASSED, detail=remark or ""))

    def document(self, read: SealSignatureData, protected: bytes) -> None:
        check = "seal-signature.document"
        try:
            suite = read_x509_cert(read.signer_cert).suite
            plain, *others = _digests(suite.digest, protected, read.signer_cert)
        except TrustError as exc:
            self._note(check, exc)
            return
        if hmac.compare_digest(read.data_hash, plain):
            self.findings.append(Finding(check, Result.PASSED))
        elif any(hmac.compare_digest(read.data_hash, other) for other in others):
            self.findings.append(
                Finding(check, Result.PASSED, detail="the digest is over Z and the document")
            )
        else:
            self.findings.append(
                Finding(check, Result.FAILED, "HASH_FAILURE", "the protected bytes have another digest")
            )

    def _note(self, check: str, exc: TrustError) -> None:
        undecided = isinstance(exc, EvidenceUnavailableError)
        result = Result.INDETERMINATE if undecided else Result.FAILED
        self.findings.append(Finding(check, result, exc.code, exc.what))
