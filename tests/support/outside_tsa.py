"""A real time-stamp authority on this machine under a root of its own, honest until a test spoils it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from asn1crypto import core, pem, tsp

from keys import asn1
from keys.outside_tsa import REPLY_TYPE
from keys.suites import Suite
from support.outside_ca import OutsideCa, _sign, new_key, spki_of
from support.plain_http import Answer, PlainServer
from trust.encoding.cms import (
    encode_attribute,
    encode_constant_time_stamp_attributes,
    encode_signed_attributes,
    encode_time_stamp_token,
)
from trust.encoding.der import sequence
from trust.encoding.digests import digest

_serials = itertools.count(1)


@dataclass
class OtherTsa:
    """`values` replace those of an honest TSTInfo; `spoil` changes the finished token; `status` that of the reply."""

    suite: Suite
    clock: Any
    server: PlainServer
    name: str = "outside"
    values: dict[str, Any] = field(default_factory=dict)
    spoil: Callable[[bytes], bytes] = lambda token: token
    attributes: tuple[bytes, ...] = ()
    status: str = "granted"
    http_status: int = 200
    key: Any = None
    stamped: int = 0

    def __post_init__(self) -> None:
        asn1.register()
        self.ca = OutsideCa(f"{self.name} TSA", self.suite, self.clock.now(), self.server.url)
        self.own_key = new_key(self.suite)
        self.key = self.key or self.own_key
        self.cert = self.ca.make(
            f"{self.name} time-stamps",
            spki_of(self.own_key),
            issuer=(f"{self.name} TSA CA", self.ca.key),
            usage={"digital_signature"},
            extended=["time_stamping"],
            is_extended_critical=True,
            days=(-1, 3000),
        )
        self.server.answers[self.path] = self._answer
        self.publish()

    @property
    def path(self) -> str:
        return f"/{self.name}"

    @property
    def url(self) -> str:
        return self.server.url + self.path

    def publish(self, *revoked: bytes, number: int = 1) -> None:
        at = self.clock.now()
        self.server.answers["/ca.crl"] = Answer(self.ca.crl(at, *revoked, number=number))
        self.server.answers["/root.crl"] = Answer(self.ca.crl(at, of="root", number=number))

    def write_certs(self, folder: Path) -> Path:
        path = folder / f"{self.name}.pem"
        certs = (self.cert, self.ca.cert, self.ca.root)
        path.write_bytes(b"".join(pem.armor("CERTIFICATE", each) for each in certs))
        return path

    def _answer(self, body: bytes) -> Answer:
        self.stamped += 1
        request = tsp.TimeStampReq.load(body, strict=True)
        assert request["cert_req"].native
        status = tsp.PKIStatusInfo({"status": self.status}).dump()
        token = self.spoil(self._token(request)) if self.status.startswith("granted") else b""
        encoded = sequence(status, token)
        return Answer(encoded, self.http_status, {"Content-Type": REPLY_TYPE})

    def _token(self, request: Any) -> bytes:
        values = {
            "version": "v1",
            "policy": "1.2.3.4.5",
            "message_imprint": request["message_imprint"],
            "serial_number": next(_serials),
            "gen_time": self.clock.now() - timedelta(milliseconds=250),
            "accuracy": {"millis": 500},
            "ordering": True,
            "nonce": request["nonce"],
            **self.values,
        }
        tst_info = tsp.TSTInfo({name: value for name, value in values.items() if value is not None}).dump()
        constant = encode_constant_time_stamp_attributes(self.cert)
        signed_attrs = encode_signed_attributes(
            [*constant, *self.attributes], digest(self.suite.digest, tst_info)
        )
        return encode_time_stamp_token(
            suite=self.suite.value,
            tsa_certs=(self.cert, self.ca.cert),
            tst_info=tst_info,
            signed_attrs=signed_attrs,
            signature=_sign(self.key, signed_attrs),
        )


SIGNING_TIME = encode_attribute("1.2.840.113549.1.9.5", core.UTCTime("261123020000Z").dump())
"""An attribute that many authorities sign beside those that the frame allows."""
