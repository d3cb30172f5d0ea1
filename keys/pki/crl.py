"""Checking revocation lists of outside certification authorities before they are stored (RFC 5280 §6.3).

| code             | refused because                                                                      |
|------------------|--------------------------------------------------------------------------------------|
| CRL_UNREADABLE   | the bytes are no list, or one without a next update                                  |
| CRL_OTHER_ISSUER | another CA's, or the CA may not sign lists                                           |
| CRL_ALGORITHM    | a signature algorithm that is not the suite's, or inner and outer ones that differ   |
| CRL_SIGNATURE    | a signature that is not the CA's                                                     |
| CRL_PARTIAL      | it covers a part only: a delta, some reasons, some kinds of certificates, or another |
|                  | distribution point than our certificates name; or a critical extension is unknown    |
| CRL_NOT_YET      | it is dated in the future                                                            |

Wherever a list is used later, it is taken to be complete for its CA, so an incomplete one is refused here. Whether it
is still in date is not checked here, but on every use.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import crl, pem, x509

from keys import asn1
from keys.pki.build import signature_algorithm
from keys.pki.read import read_x509_cert
from keys.suites import Suite, check_signature
from trust.model.errors import Malformed, VerificationError

_CLOCK_SKEW = timedelta(minutes=5)
_SM2_WITH_NULL = bytes.fromhex("300c06082a811ccf550183750500")
_LIMITS = (
    "only_contains_user_certs",
    "only_contains_ca_certs",
    "only_contains_attribute_certs",
    "indirect_crl",
)


@dataclass(frozen=True, slots=True)
class CheckedCrl:
    """A list that its CA signed. `revoked`: the time of revocation by serial number."""

    der: bytes
    number: int | None
    this_update: datetime
    next_update: datetime
    revoked: Mapping[int, datetime]


def read_crl_file(data: bytes) -> bytes:
    """The list (DER) in a file or a response, which may be DER or PEM. Raises `Malformed`."""
    if not pem.detect(data):
        return data
    try:
        kind, _, der = pem.unarmor(data)
    except ValueError as exc:
        raise _unreadable() from exc
    if kind != "X509 CRL":
        raise _unreadable()
    return bytes(der)


def check_crl(der: bytes, issuer: bytes, *, addresses: Collection[str], at: datetime) -> CheckedCrl:
    """Returns the list if `issuer` (certificate, DER) signed it and it is complete.

    `addresses` are the distribution points that all our certificates under the issuer name. Raises `Malformed`
    with a code of the table above.
    """
    asn1.register()
    facts = read_x509_cert(issuer)
    parsed = _load(der)
    tbs = parsed["tbs_cert_list"]
    if parsed.issuer.dump() != facts.subject or not _may_sign_lists(issuer):
        raise Malformed(
            f"The revocation list is not one of {facts.common_name}.",
            "Fetch that of the CA itself.",
            code="CRL_OTHER_ISSUER",
        )
    _check_algorithm(parsed, facts.suite)
    try:
        check_signature(facts.suite, facts.public_key, tbs.dump(), parsed["signature"].native)
    except VerificationError as exc:
        raise Malformed(
            f"The signature on the revocation list is not that of {facts.common_name}.",
            "Fetch it again, or ask the CA.",
            code="CRL_SIGNATURE",
        ) from exc
    try:
        number = _check_scope(parsed, addresses)
        checked = CheckedCrl(
            der, number, tbs["this_update"].native, tbs["next_update"].native, _revoked(parsed)
        )
    except asn1.NOT_READABLE as exc:
        raise _unreadable() from exc
    if checked.next_update is None:
        raise _unreadable()
    if checked.this_update > at + _CLOCK_SKEW:
        raise Malformed(
            f"The revocation list is dated {checked.this_update.isoformat()}, which is in the future.",
            "Check this machine's clock.",
            code="CRL_NOT_YET",
        )
    return checked


def issuer_name(der: bytes) -> bytes:
    """The name (DER) of the CA in a list's issuer field. Raises `Malformed`."""
    return bytes(_load(der).issuer.dump())


def revoked_serials(der: bytes) -> Mapping[int, datetime]:
    """The time of revocation by serial number, from a list that was checked before."""
    return _revoked(_load(der))


def crl_addresses(cert: bytes) -> list[str]:
    """The http addresses of its issuer's list in a certificate (DER) (RFC 5280 §4.2.1.13)."""
    asn1.register()
    try:
        return _addresses(x509.Certificate.load(cert))
    except asn1.NOT_READABLE as exc:
        raise Malformed("The certificate cannot be read.", "Give it as PEM or DER.") from exc


def _addresses(cert: Any) -> list[str]:
    found: list[str] = []
    for point in cert.crl_distribution_points_value or []:
        # Only complete lists of the certificate's own issuer: without reasons and without another issuer.
        if point["reasons"].native or point["crl_issuer"].native:
            continue
        found += [each for each in _names(point["distribution_point"]) if each.lower().startswith("http://")]
    return found


def _load(der: bytes) -> Any:
    try:
        parsed = crl.CertificateList.load(der, strict=True)
        tbs = parsed["tbs_cert_list"]
        _ = tbs["this_update"].native, parsed.issuer.dump(), tbs["signature"].native
        _ = parsed["signature_algorithm"].native, parsed["signature"].native
    except asn1.NOT_READABLE as exc:
        raise _unreadable() from exc
    return parsed


def _may_sign_lists(issuer: bytes) -> bool:
    usage = x509.Certificate.load(issuer).key_usage_value
    return usage is None or "crl_sign" in usage.native


def _check_algorithm(parsed: Any, suite: Suite) -> None:
    outer, inner = parsed["signature_algorithm"].dump(), parsed["tbs_cert_list"]["signature"].dump()
    allowed = {signature_algorithm(suite).dump()} | ({_SM2_WITH_NULL} if suite is Suite.SM2_SM3 else set())
    if outer != inner or outer not in allowed:
        raise Malformed(
            f"The revocation list is not signed in {suite.value}.",
            "Ask the CA about it.",
            code="CRL_ALGORITHM",
        )


def _check_scope(parsed: Any, addresses: Collection[str]) -> int | None:
    """The list's number, after checking that the list is complete."""
    number: int | None = None
    for extension in parsed["tbs_cert_list"]["crl_extensions"]:
        name, value = extension["extn_id"].native, extension["extn_value"].parsed
        if name == "crl_number":
            number = value.native
        elif name == "issuing_distribution_point":
            points = _names(value["distribution_point"])
            is_elsewhere = bool(points) and not set(points) & set(addresses)
            if (
                is_elsewhere
                or any(value[limit].native for limit in _LIMITS)
                or value["only_some_reasons"].native
            ):
                raise _partial()
        elif name == "delta_crl_indicator" or extension["critical"].native:
            raise _partial()
    return number


def _names(point: Any) -> list[str]:
    """The URIs of a DistributionPointName; empty for a name relative to the issuer, which cannot be fetched."""
    if point.native is None or point.name != "full_name":
        return []
    return [str(each.native) for each in point.chosen if each.name == "uniform_resource_identifier"]


def _revoked(parsed: Any) -> dict[int, datetime]:
    found: dict[int, datetime] = {}
    for entry in parsed["tbs_cert_list"]["revoked_certificates"]:
        # §5.3: an unknown critical extension, such as another issuer's name, changes which certificate is meant.
        if any(each["critical"].native for each in entry["crl_entry_extensions"]):
            raise _partial()
        found[entry["user_certificate"].native] = entry["revocation_date"].native
    return found


def _partial() -> Malformed:
    return Malformed(
        "The revocation list covers only a part of what its CA issued.",
        "Ask the CA for the whole list.",
        code="CRL_PARTIAL",
    )


def _unreadable() -> Malformed:
    return Malformed(
        "The bytes are not a revocation list that can be used.",
        "Give it as DER or PEM.",
        code="CRL_UNREADABLE",
    )
