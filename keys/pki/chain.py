"""Chains of X.509 certificates up to roots that the caller trusts (RFC 5280 §6), by pyhanko-certvalidator.

The caller gives the revocation data; no address in a certificate is ever fetched. A revocation list may be newer than
the moment that is judged; what counts is whether the certificate was revoked by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from asn1crypto import crl, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    ExpiredError,
    InsufficientRevinfoError,
    InvalidCertificateError,
    NotYetValidError,
    PathBuildingError,
    PathError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from keys import asn1
from keys.pki.validator import Sm2AwareValidator
from trust.model.errors import EvidenceUnavailableError, VerificationError


class Usage(Enum):
    """The usage that a certificate must allow (GB/T 20518, RFC 5280 §4.2.1.3)."""

    SIGNING = "signing"
    TIME_STAMPING = "time-stamping"


@dataclass(frozen=True, slots=True)
class ChainTrust:
    """Trusted roots, possible intermediate certificates, and revocation lists; all DER."""

    roots: Sequence[bytes]
    intermediates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()

    def context(self, at: datetime) -> Any:
        """A validation context of the library for the moment `at`; each may be used only once."""
        asn1.register()
        return ValidationContext(
            trust_roots=[x509.Certificate.load(der) for der in self.roots],
            other_certs=[x509.Certificate.load(der) for der in self.intermediates],
            crls=[crl.CertificateList.load(der) for der in self.crls],
            allow_fetching=False,
            revocation_mode="require",
            retroactive_revinfo=True,
            moment=at,
            signature_validator=Sm2AwareValidator(),
            algorithm_usage_policy=DisallowWeakAlgorithmsPolicy(),
        )


def check_chain(cert: bytes, trust: ChainTrust, *, at: datetime, usage: Usage) -> None:
    """Checks that `cert` chains to a root, was valid at `at`, not revoked by then, and allows `usage`.

    Raises `VerificationError` (CERT_NOT_YET_VALID, CERT_EXPIRED, CERT_REVOKED, CERT_USAGE, CERT_CHAIN) or
    `EvidenceUnavailableError` (NO_CERTIFICATE_CHAIN_FOUND, REVOCATION_UNKNOWN).
    """
    try:
        asyncio.run(_validate(cert, trust, at, usage))
    except NotYetValidError as exc:
        raise VerificationError(
            "The certificate was not valid yet at that time.", code="CERT_NOT_YET_VALID"
        ) from exc
    except ExpiredError as exc:
        raise VerificationError("The certificate had expired by that time.", code="CERT_EXPIRED") from exc
    except RevokedError as exc:
        raise VerificationError("The certificate was revoked by that time.", code="CERT_REVOKED") from exc
    except InsufficientRevinfoError as exc:
        raise EvidenceUnavailableError(
            "No revocation list at hand says whether the certificate was revoked.",
            "Fetch the revocation lists of its issuers.",
            code="REVOCATION_UNKNOWN",
        ) from exc
    except PathBuildingError as exc:
        raise EvidenceUnavailableError(
            "The certificate does not lead to a trusted root.",
            "Add its issuers, or ask whether the root should be trusted.",
            code="NO_CERTIFICATE_CHAIN_FOUND",
        ) from exc
    except InvalidCertificateError as exc:
        raise VerificationError("The certificate is not for this use.", code="CERT_USAGE") from exc
    except (PathError, ValidationError) as exc:
        raise VerificationError("The certificate's chain does not hold.", code="CERT_CHAIN") from exc
    except asn1.NOT_READABLE as exc:
        raise VerificationError("The certificate cannot be read.", code="FORMAT_FAILURE") from exc


async def _validate(cert: bytes, trust: ChainTrust, at: datetime, usage: Usage) -> None:
    loaded = x509.Certificate.load(cert, strict=True)
    validator: Any = CertificateValidator(loaded, validation_context=trust.context(at))
    if usage is Usage.TIME_STAMPING:
        await validator.async_validate_usage({"digital_signature"}, {"time_stamping"})
        return
    await validator.async_validate_path()
    allowed = loaded.key_usage_value.native if loaded.key_usage_value else set()
    if loaded.ca or not allowed & {"digital_signature", "non_repudiation"}:
        raise InvalidCertificateError("not a signing certificate")
