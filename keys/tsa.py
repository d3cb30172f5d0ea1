"""A time-stamp authority of our own (RFC 3161; GM/T 0033 for SM2).

It signs a TSTInfo over a digest. The token is written with `trust.encoding.cms`, so that a verifier can
rebuild it from its parts and no byte of it is left free. Its certificate hangs under a root of its own: a
seal key cannot vouch for the time of its own use.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, core, tsp, x509

from keys import asn1
from keys.custody import SigningKey
from trust.encoding.cms import encode_time_stamp_token
from trust.encoding.digests import digest, sha256
from trust.model.clock import Clock
from trust.model.errors import Malformed

POLICY_OID = "2.25.188304937846211902361047912273940281458"
"""Our time-stamping policy: the service's own clock, one second of accuracy."""


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """`certs` are DER: first the one that signs, then those above it, without the root."""

    key: SigningKey
    certs: Sequence[bytes]
    clock: Clock

    @property
    def suite(self) -> str:
        return self.key.record.suite.value

    def stamp(self, imprint: bytes, algorithm: str, *, nonce: int | None = None) -> bytes:
        """A time-stamp token (DER ContentInfo) over `imprint`, a digest made with `algorithm`.

        Raises `Malformed` for a digest that is not SHA-256 or SM3, and `KeyUnavailable`.
        """
        asn1.register()
        if algorithm not in ("sha256", "sm3") or len(imprint) != 32:
            raise Malformed("A time-stamp is made over a SHA-256 or SM3 digest of 32 bytes.")
        tst_info = self._tst_info(imprint, algorithm, nonce, self.clock.now()).dump()
        signed_attrs = self._signed_attrs(tst_info).dump()
        return encode_time_stamp_token(
            suite=self.suite,
            tsa_certs=self.certs,
            tst_info=tst_info,
            signed_attrs=signed_attrs,
            signature=self.key.sign(signed_attrs),
        )

    def respond(self, request: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """The answer to an RFC 3161 request."""
        imprint = request["message_imprint"]
        token = self.stamp(
            imprint["hashed_message"].native,
            imprint["hash_algorithm"]["algorithm"].native,
            nonce=request["nonce"].native,
        )
        return tsp.TimeStampResp(
            {"status": {"status": "granted"}, "time_stamp_token": cms.ContentInfo.load(token)}
        )

    def _tst_info(self, imprint: bytes, algorithm: str, nonce: int | None, at: datetime) -> tsp.TSTInfo:
        info: dict[str, Any] = {
            "version": "v1",
            "policy": POLICY_OID,
            "message_imprint": {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": imprint},
            "serial_number": secrets.randbits(126) | (1 << 126),
            "gen_time": at.replace(microsecond=0),
            "accuracy": {"seconds": 1},
        }
        if nonce is not None:
            info["nonce"] = nonce
        return tsp.TSTInfo(info)

    def _signed_attrs(self, tst_info: bytes) -> cms.CMSAttributes:
        cert = x509.Certificate.load(self.certs[0])
        # ESSCertIDv2 with its default digest, SHA-256: written absent, as DER demands (RFC 5035 §4).
        ess = tsp.SigningCertificateV2(
            {
                "certs": [
                    {
                        "cert_hash": sha256(self.certs[0]),
                        "issuer_serial": {
                            "issuer": [x509.GeneralName("directory_name", cert.issuer)],
                            "serial_number": cert.serial_number,
                        },
                    }
                ]
            }
        )
        content_digest = digest(self.key.record.suite.digest, tst_info)
        attributes = [
            ("content_type", cms.ContentType("tst_info")),
            ("message_digest", core.OctetString(content_digest)),
            ("signing_certificate_v2", ess),
        ]
        return cms.CMSAttributes(
            [cms.CMSAttribute({"type": name, "values": (value,)}) for name, value in attributes]
        )
