"""Signed PDFs as others make them, with a PKI of their own: root, issuing CA with revocation lists, TSA, signers."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pypdfium2
from asn1crypto import crl as asn1_crl
from asn1crypto import keys as asn1_keys
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter, append_signature_field
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
OCSP_ADDRESS = "http://ocsp.chengnan-bank.example"
CRL_ADDRESS = "http://crl.chengnan-bank.example/ca.crl"
LEVELS = ("B-B", "B-T", "B-LT", "B-LTA")


def new_key(kind: str) -> Key:
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "rsa1024":
            return rsa.generate_private_key(65537, 1024)
        case _:
            return ec.generate_private_key(ec.SECP256R1())


def name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Chengnan Bank (fictional)"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


@dataclass
class Party:
    key: Key
    cert: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def asn1_cert(self) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(self.der)

    @property
    def asn1_key(self) -> asn1_keys.PrivateKeyInfo:
        encoded = self.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return asn1_keys.PrivateKeyInfo.load(encoded)


@dataclass
class Producer:
    """Somebody else's signing service. `kind` is rsa or ecdsa; `at` the time of everything."""

    kind: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    revoked: list[int] = field(default_factory=list)
    tsa_kind: str = "rsa"  # of other kinds pyHanko's own authority makes nothing
    by_ocsp: bool = False  # whether signers name a responder instead of a revocation list

    @cached_property
    def root(self) -> Party:
        key = new_key(self.kind)
        return Party(key, self._cert("Root", key, None, key, ca=True))

    @cached_property
    def ca(self) -> Party:
        key = new_key(self.kind)
        return Party(key, self._cert("Issuing CA", key, self.root.cert, self.root.key, ca=True))

    @cached_property
    def tsa(self) -> Party:
        key = new_key(self.tsa_kind)
        return Party(key, self._cert("TSA", key, self.root.cert, self.root.key, usage="tsa"))

    @cached_property
    def responder(self) -> Party:
        """Answers about what the issuing CA issued, delegated by it (RFC 6960 §4.2.2.2)."""
        key = new_key(self.kind)
        return Party(key, self._cert("Responder", key, self.ca.cert, self.ca.key, usage="ocsp", crl=False))

    @cached_property
    def signer(self) -> Party:
        return self.new_signer()

    def new_signer(self, common: str = "Contract seal", **changes: Any) -> Party:
        key = new_key(changes.pop("kind", self.kind))
        issuer = changes.pop("issuer", self.ca)
        return Party(key, self._cert(common, key, issuer.cert, issuer.key, **changes))

    def _cert(
        self,
        common: str,
        key: Key,
        issuer: x509.Certificate | None,
        issuer_key: Key,
        *,
        ca: bool = False,
        usage: str = "sign",
        crl: bool = True,
        days: tuple[int, int] = (-30, 700),
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(issuer.subject if issuer else name(common))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at + timedelta(days=days[0]))
            .not_valid_after(self.at + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(
                x509.KeyUsage(usage != "encrypt" and not ca, usage == "sign" and not ca, usage == "encrypt",
                              False, False, ca, ca, False, False),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )  # fmt: skip
        if issuer is not None:
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
            builder = builder.add_extension(authority, critical=False)
            if self.by_ocsp and usage == "sign" and not ca:
                access = x509.AccessDescription(
                    AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(OCSP_ADDRESS)
                )
                builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
            elif crl:
                points = [
                    x509.DistributionPoint([x509.UniformResourceIdentifier(CRL_ADDRESS)], None, None, None)
                ]
                builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
        if usage == "tsa":
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(purpose, critical=True)
        if usage == "ocsp":
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False).add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False
            )
        return builder.sign(issuer_key, hashes.SHA256())

    def ocsp_answer(self, about: Party, *, by: Party | None = None) -> bytes:
        """What `by`, or the responder, says of a certificate of the issuing CA."""
        by = by or self.responder
        revoked = about.cert.serial_number in self.revoked
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=about.cert,
                issuer=self.ca.cert,
                algorithm=hashes.SHA1(),
                cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
                this_update=self.at - timedelta(minutes=1),
                next_update=self.at + timedelta(days=7),
                revocation_time=self.at - timedelta(hours=2) if revoked else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, by.cert)
            .certificates([by.cert])
        )
        return builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def crls(self, at: datetime | None = None, *, revoked_at: datetime | None = None) -> list[bytes]:
        """The lists of root and issuing CA as of `at`; what is revoked was so two hours before, or at `revoked_at`."""
        at = at or self.at
        lists = []
        for party in (self.root, self.ca):
            builder = (
                x509.CertificateRevocationListBuilder()
                .issuer_name(party.cert.subject)
                .last_update(at - timedelta(minutes=1))
                .next_update(at + timedelta(days=7))
                .add_extension(x509.CRLNumber(1), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(party.key.public_key()), critical=False
                )
            )
            for serial in self.revoked if party is self.ca else ():
                entry = x509.RevokedCertificateBuilder().serial_number(serial)
                builder = builder.add_revoked_certificate(
                    entry.revocation_date(revoked_at or at - timedelta(hours=2)).build()
                )
            lists.append(builder.sign(party.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
        return lists

    def sign(
        self,
        pdf: bytes,
        level: str = "B-B",
        *,
        signer: Party | None = None,
        field_name: str = "Signature1",
        digest: str = "sha256",
        stamped_at: datetime | None = None,
        ocsp_by: Party | None = None,
        **meta: Any,
    ) -> bytes:
        """One more signature, as pyHanko makes it."""
        party = signer or self.signer
        store = SimpleCertificateStore()
        store.register_multiple([self.ca.asn1_cert, self.root.asn1_cert])
        context = ValidationContext(
            trust_roots=[self.root.asn1_cert],
            other_certs=[self.ca.asn1_cert, self.tsa.asn1_cert],
            crls=[asn1_crl.CertificateList.load(each) for each in self.crls()],
            ocsps=[asn1_ocsp.OCSPResponse.load(self.ocsp_answer(party, by=ocsp_by))] if self.by_ocsp else [],
            allow_fetching=False,
            revocation_mode="soft-fail",
            moment=self.at,
        )
        long_term = level in ("B-LT", "B-LTA")
        settings = signers.PdfSignatureMetadata(
            field_name=field_name,
            md_algorithm=digest,
            subfilter=SigSeedSubFilter.PADES,
            embed_validation_info=long_term,
            use_pades_lta=level == "B-LTA",
            validation_context=context if long_term else None,
            **meta,
        )
        stamper = None
        if level != "B-B":
            stamper = DummyTimeStamper(
                self.tsa.asn1_cert, self.tsa.asn1_key, certs_to_embed=store,
                fixed_dt=stamped_at or self.at,
            )  # fmt: skip
        simple = signers.SimpleSigner(
            signing_cert=party.asn1_cert, signing_key=party.asn1_key, cert_registry=store
        )
        signing = signers.PdfSigner(
            settings, simple, timestamper=stamper, new_field_spec=SigFieldSpec(field_name)
        )
        out: Any = signing.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), bytes_reserved=32768)
        return bytes(out.getvalue())

    def stamp(self, pdf: bytes, field_name: str = "Stamp") -> bytes:
        """One more document time-stamp, in a field that is there or is made."""
        stamper = DummyTimeStamper(self.tsa.asn1_cert, self.tsa.asn1_key, fixed_dt=self.at)
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        made: Any = signers.PdfTimeStamper(stamper, field_name=field_name)
        return bytes(made.timestamp_pdf(writer, "sha256", bytes_reserved=16384).getvalue())


def with_field(
    pdf: bytes, field_name: str, *, box: tuple[int, int, int, int] = (0, 0, 595, 842), **changes: Any
) -> bytes:
    """An update with an empty signature field that paints `box` of the first page black.

    `changes` are keys of its widget, without the slash.
    """
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    append_signature_field(writer, SigFieldSpec(field_name, box=box, on_page=0))
    for ref in writer.root["/AcroForm"]["/Fields"]:
        field = ref.get_object()
        if field["/T"] == field_name:
            field["/AP"] = generic.DictionaryObject({generic.pdf_name("/N"): _black(writer)})
            for key, value in changes.items():
                field[f"/{key}"] = value
            writer.mark_update(ref.reference)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _black(writer: IncrementalPdfFileWriter) -> Any:
    numbers = generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 595, 842)])
    entries = {
        "/Type": generic.pdf_name("/XObject"),
        "/Subtype": generic.pdf_name("/Form"),
        "/BBox": numbers,
    }
    drawn = {generic.pdf_name(key): value for key, value in entries.items()}
    untyped: Any = generic.StreamObject
    return writer.add_object(untyped(drawn, stream_data=b"0 0 595 842 re f"))


def contract(text: str = "Loan contract No. 7") -> bytes:
    """A page of somebody's."""
    document = pypdfium2.PdfDocument.new()
    document.new_page(595, 842)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()
