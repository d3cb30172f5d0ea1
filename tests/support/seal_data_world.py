"""A good world for national seal data: makers, signers and a time-stamp authority, each under a root of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import core

from keys.custody import FileKeyProvider, KeyPurpose, SigningKey
from keys.pki.build import Profile, RevokedSerial, Subject, make_crl, make_x509_cert
from keys.pki.chain import ChainTrust
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from keys.tsa import TimeStampAuthority
from trust.encoding import ses
from trust.encoding.der import OCTET_STRING, UTF8_STRING, octets, sequence, tlv
from trust.encoding.digests import digest
from verifier.checks.seal_data import SealDataTrust

MADE = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
USED = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ENDS = datetime(2031, 3, 1, tzinfo=UTC)
SIGNATURE_OIDS = {
    Suite.SM2_SM3: "1.2.156.10197.1.501",
    Suite.RSA3072_SHA256: "1.2.840.113549.1.1.11",
    Suite.P256_SHA256: "1.2.840.10045.4.3.2",
}
PICTURE = b"\x89PNG\r\n\x1a\nnot a real picture"
DOCUMENT = b"the bytes that the seal protects"


@dataclass
class FixedClock:
    at: datetime

    def now(self) -> datetime:
        return self.at


@dataclass
class Tree:
    """A root, one certificate under it, and the root's revocation list."""

    root_key: SigningKey
    root: bytes
    key: SigningKey
    cert: bytes
    revoked: list[RevokedSerial] = field(default_factory=list)

    def trust(self) -> ChainTrust:
        crl = make_crl(
            self.root_key,
            self.root,
            self.revoked,
            number=1,
            this_update=USED + timedelta(hours=1),
            next_update=ENDS + timedelta(days=3650),
        )
        return ChainTrust((self.root,), (), (crl,))

    def revoke(self, at: datetime) -> None:
        self.revoked.append(RevokedSerial(read_x509_cert(self.cert).serial, at))


@dataclass
class SealDataWorld:
    suite: Suite
    makers: Tree
    signers: Tree
    stamps: Tree

    @classmethod
    def at(cls, folder: Path, suite: Suite = Suite.SM2_SM3) -> SealDataWorld:
        provider = FileKeyProvider(folder, lambda: b"for tests only", kdf_rounds=100)
        return cls(
            suite,
            make_tree(provider, suite, Profile.SEAL_MAKER, KeyPurpose.SEAL_MAKER),
            make_tree(provider, suite, Profile.SEAL, KeyPurpose.SEAL),
            make_tree(provider, suite, Profile.TIME_STAMP, KeyPurpose.TIME_STAMP),
        )

    @property
    def oid(self) -> str:
        return SIGNATURE_OIDS[self.suite]

    def trust(self) -> SealDataTrust:
        return SealDataTrust(self.makers.trust(), self.signers.trust(), self.stamps.trust())

    def stamp(self, data: bytes, at: datetime = USED) -> bytes:
        tsa = TimeStampAuthority(self.stamps.key, (self.stamps.cert,), FixedClock(at))
        algorithm = self.suite.digest
        return tsa.stamp(digest(algorithm, data), algorithm)

    def info(self, **changes: Any) -> ses.SealInfo:
        values: dict[str, Any] = {
            "version": 4,
            "vendor": "yinzheng",
            "seal_id": "53010020260001",
            "seal_type": 1,
            "name": "春城市场监督管理局",
            "certs": (self.signers.cert,),
            "created_at": MADE,
            "valid_from": MADE,
            "valid_until": ENDS,
            "picture": ses.SealPictureData("PNG", PICTURE, 42, 42),
        }
        return ses.SealInfo(**(values | changes))

    def seal(
        self, info: ses.SealInfo | None = None, *, stamped: bool = False, oid: str | None = None
    ) -> bytes:
        encoded = ses.encode_seal_info(info or self.info())
        signature = self.makers.key.sign(encoded)
        return ses.encode_seal(
            encoded,
            maker_cert=self.makers.cert,
            signature_oid=oid or self.oid,
            signature=signature,
            time_stamp=self.stamp(signature, MADE) if stamped else None,
        )

    def seal_2014(self) -> bytes:
        """By hand, from the ASN.1 of GM/T 0031-2014: UTCTime, no type of list, three things signed."""
        picture = sequence(_ia5("PNG"), octets(PICTURE), _int(42), _int(42))
        times = [core.UTCTime(at).dump() for at in (MADE, MADE, ENDS)]
        info = sequence(
            sequence(_ia5("ES"), _int(1), _ia5("yinzheng")),
            _ia5("53010020140001"),
            sequence(
                _int(1),
                tlv(UTF8_STRING, "春城市场监督管理局".encode()),
                sequence(octets(self.signers.cert)),
                *times,
            ),
            picture,
        )
        cert, oid = octets(self.makers.cert), core.ObjectIdentifier(self.oid).dump()
        signature = self.makers.key.sign(sequence(info, cert, oid))
        return sequence(info, sequence(cert, oid, bits(signature)))

    def signature(
        self,
        seal: bytes | None = None,
        *,
        version: int = 4,
        data_hash: bytes | None = None,
        signed_at: datetime = USED,
        signer: Tree | None = None,
        stamped: bool = True,
        oid: str | None = None,
        extensions: Sequence[ses.ExtensionData] = (),
    ) -> bytes:
        signer = signer or self.signers
        tbs = ses.encode_tbs_sign(
            version=version,
            seal=seal or self.seal(),
            signed_at=signed_at,
            data_hash=data_hash if data_hash is not None else digest(self.suite.digest, DOCUMENT),
            property_info="0 100 200 300",
            extensions=extensions,
        )
        value = signer.key.sign(tbs)
        return ses.encode_seal_signature(
            tbs,
            signer_cert=signer.cert,
            signature_oid=oid or self.oid,
            signature=value,
            time_stamp=self.stamp(value) if stamped else None,
        )

    def signature_2014(self, time_info: bytes | None = None, *, octet_strings: bool = False) -> bytes:
        string = (lambda data: tlv(OCTET_STRING, data)) if octet_strings else bits
        tbs = sequence(
            _int(1),
            self.seal_2014(),
            string(core.UTCTime(USED).dump() if time_info is None else time_info),
            string(digest(self.suite.digest, DOCUMENT)),
            _ia5("/Doc_0/Signs/Sign_0/Signature.xml"),
            octets(self.signers.cert),
            core.ObjectIdentifier(self.oid).dump(),
        )
        return sequence(tbs, bits(self.signers.key.sign(tbs)))


def make_tree(
    provider: FileKeyProvider,
    suite: Suite,
    profile: Profile,
    purpose: KeyPurpose,
    *,
    not_before: datetime = MADE - timedelta(days=1),
    not_after: datetime = ENDS + timedelta(days=1),
) -> Tree:
    def new(wanted: KeyPurpose) -> SigningKey:
        return provider.open(provider.generate(wanted, suite, label=wanted, at=MADE).key_id, wanted)

    root_key, key = new(KeyPurpose.ROOT_CA), new(purpose)
    name = Subject(f"{profile.value} 根", "印证测试")
    root = make_x509_cert(
        Profile.ROOT,
        name,
        root_key.record.public_key,
        root_key,
        None,
        not_before=MADE - timedelta(days=9),
        not_after=ENDS + timedelta(days=9),
        crl_address=None,
    )
    cert = make_x509_cert(
        profile,
        Subject(f"{profile.value} 证书", "印证测试"),
        key.record.public_key,
        root_key,
        root,
        not_before=not_before,
        not_after=not_after,
        crl_address=None,
    )
    return Tree(root_key, root, key, cert)


def bits(data: bytes) -> bytes:
    return tlv(0x03, b"\x00", data)


def _ia5(text: str) -> bytes:
    return tlv(0x16, text.encode("ascii"))


def _int(value: int) -> bytes:
    return bytes(core.Integer(value).dump())
