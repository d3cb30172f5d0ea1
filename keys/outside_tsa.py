"""Outside time-stamp authorities (RFC 3161 over HTTP), and the fallback when one is down or gives a bad token.

A token from outside is checked completely before it is used, because a licence must not contain what a verifier would
refuse later. `check_outside_token` refuses as TIME_STAMP_BAD what fails one of these checks:

| what                         | why                                                                             |
|------------------------------|---------------------------------------------------------------------------------|
| it rebuilds byte for byte    | the one frame of `trust.encoding.cms`, from pinned certificates: no free byte   |
| signed attributes            | exactly content-type, message-digest, signing-certificate-v2 of the pinned one  |
| signature                    | by the pinned key; the certificate is in its term                               |
| imprint and its algorithm    | it is over the requested digest                                                 |
| nonce                        | it was made for this request, and is not an old answer (RFC 3161 §2.4.2)        |
| genTime                      | between request and answer, allowing for skew and the stated accuracy           |
| no critical extension        | it would have a meaning that is not implemented here                            |

Policy, serial number, accuracy up to a minute, ordering and the name of the authority are not checked.

Fallback: `TimeStampOrder` asks its members in order. One that is down or gives a bad token is left out for a while, so
that not every seal waits for it; if all are left out, all are asked again. If none gives a good token,
`TimeStampUnavailable` is raised, and nothing is sealed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import cms, tsp

from keys import asn1
from keys.pki.read import read_x509_cert
from keys.suites import Suite, check_signature
from keys.tsa import TimeStamper
from trust.encoding.cms import encode_time_stamp_token
from trust.encoding.digests import digest
from trust.model.clock import Clock
from trust.model.errors import OperationalError, TimeStampUnavailable, TrustError, VerificationError

MAX_ANSWER_BYTES = 24 * 1024
"""A longer token would not fit into the gap of a seal, beside certificates and receipt."""
QUERY_TYPE, REPLY_TYPE = "application/timestamp-query", "application/timestamp-reply"
_SKEW = timedelta(seconds=60)
_WORST_ACCURACY = timedelta(seconds=60)
_REST = timedelta(seconds=60)
_ANY_TIME = timedelta(days=200 * 366)
_NONCE_BITS = 64
_ATTRIBUTES = {"content_type", "message_digest", "signing_certificate_v2"}

_log = logging.getLogger("yinzheng.time-stamps")

Post = Callable[[str, bytes], bytes]
"""Sends a query to an address and gives the reply. Raises `TrustError`."""


@dataclass(frozen=True, slots=True)
class OutsideTsa:
    """An outside authority. `certs` are DER, starting with the pinned signer, without the root, which is `root`."""

    url: str
    certs: Sequence[bytes]
    root: bytes
    clock: Clock
    post: Post = field(repr=False)

    @property
    def suite(self) -> str:
        return read_x509_cert(self.certs[0]).suite.value

    def stamp(self, imprint: bytes, algorithm: str) -> bytes:
        """A token (DER) over `imprint`, a digest made with `algorithm`, that passed every check.

        Raises `TimeStampUnavailable` (TIME_STAMP_DOWN, TIME_STAMP_BAD).
        """
        return self._stamp(imprint, algorithm, timedelta(0))

    def now(self) -> datetime:
        """The time of the authority's clock, however far it is from ours. Raises `TimeStampUnavailable`."""
        algorithm = read_x509_cert(self.certs[0]).suite.digest
        token = self._stamp(digest(algorithm, secrets.token_bytes(32)), algorithm, _ANY_TIME)
        return _facts(cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed).at

    def _stamp(self, imprint: bytes, algorithm: str, apart: timedelta) -> bytes:
        """A checked token. `apart`: how far the authority's clock may differ from ours."""
        asn1.register()
        nonce = secrets.randbits(_NONCE_BITS - 1) | 1 << (_NONCE_BITS - 1)
        asked_at = self.clock.now()
        try:
            reply = self.post(self.url, encode_query(imprint, algorithm, nonce))
        except TrustError as exc:
            raise TimeStampUnavailable(
                f"The time-stamp authority {_name(self)} does not answer: {exc.what}",
                "Look whether it is in service.",
                code="TIME_STAMP_DOWN",
            ) from exc
        answered_at = self.clock.now()
        try:
            token = _token_of(reply)
            check_outside_token(
                token,
                self.certs,
                imprint=imprint,
                algorithm=algorithm,
                nonce=nonce,
                asked_at=asked_at - apart,
                answered_at=answered_at + apart,
            )
        except VerificationError as exc:
            raise TimeStampUnavailable(
                f"The answer of the time-stamp authority {_name(self)} is refused: {exc.what}",
                "Ask who runs it. Its certificate may have changed; then pin the new one.",
                code="TIME_STAMP_BAD",
            ) from exc
        return token


@dataclass(slots=True)
class Rests:
    """Until when each authority is left out, by its certificate. Shared by all orders while the service runs."""

    until: dict[bytes, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TimeStampOrder:
    """Authorities in the order in which they are asked. `suite` is common to all: they accept the same digests.

    Only the token says which member made it.
    """

    suite: str
    members: Sequence[TimeStamper]
    clock: Clock
    rests: Rests = field(default_factory=Rests, repr=False)

    @property
    def certs(self) -> Sequence[bytes]:
        """The certificates of the first member."""
        return self.members[0].certs if self.members else ()

    def stamp(self, imprint: bytes, algorithm: str) -> bytes:
        """The token of the first member that returns a good one. Raises `TimeStampUnavailable`."""
        at, until = self.clock.now(), self.rests.until
        awake = [each for each in self.members if until.get(each.certs[0], at) <= at]
        why = [f"{_name(each)} rests" for each in self.members if awake and each not in awake]
        for member in awake or self.members:
            try:
                token = member.stamp(imprint, algorithm)
            except OperationalError as exc:
                until[member.certs[0]] = self.clock.now() + _REST
                why.append(f"{_name(member)} {exc.code}")
                # A bad token is worse than an authority that does not answer.
                level = logging.ERROR if exc.code == "TIME_STAMP_BAD" else logging.WARNING
                _log.log(level, "no time-stamp by %s: %s", _name(member), exc.what, extra={"code": exc.code})
                continue
            until.pop(member.certs[0], None)
            _log.info("time-stamp by %s (%s)", _name(member), ", ".join(why) or "first in order")
            return token
        raise TimeStampUnavailable(
            f"No time-stamp authority gave a time-stamp ({', '.join(why) or 'none is set'}).",
            "Nothing was sealed. Look at the authorities; what waits is carried on by itself.",
        )


def _name(member: TimeStamper) -> str:
    return read_x509_cert(member.certs[0]).common_name


def encode_query(imprint: bytes, algorithm: str, nonce: int) -> bytes:
    """A TimeStampReq (RFC 3161 §2.4.1, DER) for any policy that requests the certificate."""
    fields: dict[str, Any] = {"algorithm": algorithm}
    if algorithm == "sha256":
        fields["parameters"] = None
    query = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {"hash_algorithm": fields, "hashed_message": imprint},
            "nonce": nonce,
            "cert_req": True,
        }
    )
    return bytes(query.dump())


def check_outside_token(
    token: bytes,
    certs: Sequence[bytes],
    *,
    imprint: bytes,
    algorithm: str,
    nonce: int,
    asked_at: datetime,
    answered_at: datetime,
) -> None:
    """Checks that the token is a good answer of the authority with these certificates. Raises `VerificationError`."""
    signer = read_x509_cert(certs[0])
    try:
        (signer_info,) = cms.ContentInfo.load(token, strict=True)["content"]["signer_infos"]
        tst_info = cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed.dump()
        signed_attrs = b"\x31" + signer_info["signed_attrs"].dump()[1:]
        signature = signer_info["signature"].native
        info = tsp.TSTInfo.load(tst_info, strict=True)
        facts = _facts(info)
        attributes = _attributes(signed_attrs)
    except VerificationError:
        raise
    except Exception as exc:  # asn1crypto raises many kinds on hostile input
        raise _bad("it cannot be read") from exc
    rebuilt = encode_time_stamp_token(
        suite=signer.suite.value,
        tsa_certs=certs,
        tst_info=tst_info,
        signed_attrs=signed_attrs,
        signature=signature,
    )
    if rebuilt != token:
        raise _bad("its bytes are not those that the pinned certificates and its parts make")
    _check_attributes(attributes, signer.suite, tst_info, certs[0])
    check_signature(signer.suite, signer.public_key, signed_attrs, signature)
    if facts.has_critical:
        raise _bad("it has a critical extension")
    if (facts.algorithm, facts.imprint) != (algorithm, imprint):
        raise _bad("it is over something else")
    if facts.nonce != nonce:
        raise _bad("it does not bring back the nonce")
    if facts.accuracy > _WORST_ACCURACY:
        raise _bad("its time is less accurate than a minute")
    slack = _SKEW + facts.accuracy
    if not asked_at - slack <= facts.at <= answered_at + slack:
        raise _bad(f"its time is {facts.at.isoformat()}, and here it was {answered_at.isoformat()}")
    if not signer.not_before <= facts.at <= signer.not_after:
        raise _bad("its certificate is outside its term")


@dataclass(frozen=True, slots=True)
class _Facts:
    algorithm: str
    imprint: bytes
    nonce: int | None
    at: datetime
    accuracy: timedelta
    has_critical: bool


def _facts(info: Any) -> _Facts:
    if info["version"].native != "v1":
        raise _bad("it is of another version")
    imprint, accuracy = info["message_imprint"], info["accuracy"].native or {}
    return _Facts(
        algorithm=imprint["hash_algorithm"]["algorithm"].native,
        imprint=imprint["hashed_message"].native,
        nonce=info["nonce"].native,
        at=info["gen_time"].native,
        accuracy=timedelta(
            seconds=accuracy.get("seconds") or 0,
            milliseconds=accuracy.get("millis") or 0,
            microseconds=accuracy.get("micros") or 0,
        ),
        has_critical=any(each["critical"].native for each in info["extensions"]),
    )


def _token_of(reply: bytes) -> bytes:
    try:
        answer = tsp.TimeStampResp.load(reply, strict=True)
        status = answer["status"]["status"].native
        if status not in ("granted", "granted_with_mods"):
            raise _bad(f"it says {status}")
        return bytes(answer["time_stamp_token"].dump())
    except VerificationError:
        raise
    except Exception as exc:  # asn1crypto raises many kinds on hostile input
        raise _bad("it cannot be read") from exc


def _attributes(signed_attrs: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in cms.CMSAttributes.load(signed_attrs, strict=True):
        (value,) = attribute["values"]
        if attribute["type"].native in found:
            raise _bad("a signed attribute stands twice")
        found[attribute["type"].native] = value
    if set(found) != _ATTRIBUTES:
        raise _bad("it signs other attributes than the frame allows")
    return found


def _check_attributes(found: dict[str, Any], suite: Suite, tst_info: bytes, cert: bytes) -> None:
    named = found["signing_certificate_v2"]["certs"][0]
    algorithm = named["hash_algorithm"]["algorithm"].native
    if (
        found["content_type"].native != "tst_info"
        or found["message_digest"].native != digest(suite.digest, tst_info)
        or algorithm not in ("sha256", "sm3")
        or named["cert_hash"].native != digest(algorithm, cert)
    ):
        raise _bad("it does not sign its own content, or names another certificate")


def _bad(why: str) -> VerificationError:
    return VerificationError(why, code="TIME_STAMP_BAD")
