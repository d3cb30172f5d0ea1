"""Seal identities: keys whose X.509 certificates come from outside certification authorities.

A seal that is made with one is verified with that CA's chain and not with ours. Identities of several CAs can exist
side by side: each has its own chain and its own root. Which seal uses which identity is decided elsewhere
(`issuer.seals.lifecycle`).

    request ──> CSR out ──> certificate in ──┐
    PKCS #12 in ─────────────────────────────┴──> SealIdentity
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from issuer.pki import sql
from keys.composite import CompositeKeyProvider
from keys.custody import KeyPurpose, KeyRecord
from keys.pki.build import Subject, make_csr
from keys.pki.importing import SEAL_SUITES, CheckedChain, check_seal_chain, public_key_of, read_pkcs12
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from trust.audit.trail import Act, Trail
from trust.encoding.der import split_elements
from trust.encoding.digests import sha256
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.errors import Malformed, NotFound
from trust.storage import tables
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class SealIdentity:
    """A key with its chain. `certs` are DER, the seal's own first and without the root; `root` is the trusted root.

    `identity_id` is the first 16 bytes of SHA-256 over the certificate, in hex. Open the key with
    `KeyPurpose.SEAL`. `revoked_at`: the time of revocation according to the CAs' lists, or None.
    """

    identity_id: str
    label: str
    suite: Suite
    key_id: str
    certs: tuple[bytes, ...]
    root: bytes
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None

    @property
    def issuer_name(self) -> str:
        """The common name of the CA that issued the certificate."""
        return read_x509_cert((*self.certs, self.root)[1]).common_name


@dataclass(frozen=True, slots=True)
class SealIdentities:
    """Use cases on identities from outside."""

    database: Database
    keys: CompositeKeyProvider
    clock: Clock
    trail: Trail

    def request(
        self, actor: Actor, subject: Subject, suite: Suite, *, label: str, place: str | None = None
    ) -> tuple[KeyRecord, bytes]:
        """Makes a key (in `place`, `file` or `pkcs11`; by default as the settings say) and a CSR (DER) for it."""
        actor.check_may(Permission.SET_UP)
        if suite not in SEAL_SUITES:
            raise Malformed(
                f"{suite.value} keys do not seal documents.",
                "Choose SM2-SM3, RSA3072-SHA256 or P256-SHA256.",
            )
        provider = self.keys if place is None else self.keys.provider(place)
        record = provider.generate(KeyPurpose.SEAL, suite, label=label, at=self.clock.now())
        self.trail.note(actor.ref, Act("key.new", "done", subject=record.key_id))
        return record, self.request_again(record.key_id, subject)

    def request_again(self, key_id: str, subject: Subject) -> bytes:
        """A CSR (DER) for an existing key: for another CA, or after the first request was lost."""
        return make_csr(self.keys.open(key_id, KeyPurpose.SEAL), subject)

    def import_certificate(
        self, actor: Actor, cert: bytes, others: Sequence[bytes], roots: Sequence[bytes], *, label: str
    ) -> SealIdentity:
        """Imports the certificate that a CA issued for a request. All are DER. Raises `Malformed` (see
        `keys.pki.importing`)."""
        actor.check_may(Permission.SET_UP)
        key_id = sha256(public_key_of(cert))[:16].hex()
        known = [record for record in self.keys.records() if record.key_id == key_id]
        # If its key is not here, the empty public key makes the check fail.
        public_key = known[0].public_key if known else b""
        chain = check_seal_chain(cert, others, roots, public_key=public_key, at=self.clock.now())
        self.keys.open(key_id, KeyPurpose.SEAL)  # raises unless the key can be opened and is for seals
        return self._store(actor, chain, key_id, label)

    def import_pkcs12(
        self,
        actor: Actor,
        data: bytes,
        password: bytes,
        others: Sequence[bytes],
        roots: Sequence[bytes],
        *,
        label: str,
    ) -> SealIdentity:
        """Imports key and certificate from a PKCS #12 file. The key is stored in our own files, under our
        passphrase."""
        actor.check_may(Permission.SET_UP)
        held = read_pkcs12(data, password)
        at = self.clock.now()
        chain = check_seal_chain(held.cert, (*held.others, *others), roots, public_key=held.public_key, at=at)
        record = self.keys.files.adopt(held.key, KeyPurpose.SEAL, chain.suite, label=label, at=at)
        return self._store(actor, chain, record.key_id, label)

    def list(self) -> list[SealIdentity]:
        with self.database.read() as connection:
            return list_identities(connection)

    def get(self, identity_id: str) -> SealIdentity:
        """Raises `NotFound`."""
        with self.database.read() as connection:
            row = tables.one_row(connection, sql.SealIdentityRow, id=identity_id)
        if row is None:
            raise NotFound(
                f"No certificate {identity_id} was imported.", "List them with `yinzheng pki list`."
            )
        return _identity(row)

    def _store(self, actor: Actor, chain: CheckedChain, key_id: str, label: str) -> SealIdentity:
        identity_id = sha256(chain.certs[0])[:16].hex()
        row = sql.SealIdentityRow(
            id=identity_id,
            label=label,
            suite=chain.suite.value,
            key_id=key_id,
            certs=b"".join(chain.certs),
            root=chain.root,
            not_before=tables.to_micros(chain.not_before),
            not_after=tables.to_micros(chain.not_after),
            imported_at=tables.to_micros(self.clock.now()),
        )
        with self.database.write() as connection:
            tables.serialise(connection, "seal identity")
            if tables.one_row(connection, sql.SealIdentityRow, id=identity_id) is None:
                tables.insert(connection, row)
                self.trail.record(
                    connection, actor.ref, Act("certificate.import", "done", subject=identity_id)
                )
        return self.get(identity_id)


def list_identities(connection: Connection) -> list[SealIdentity]:
    """All imported identities, read in the caller's transaction."""
    return [_identity(row) for row in tables.all_rows(connection, sql.SealIdentityRow)]


def _identity(row: sql.SealIdentityRow) -> SealIdentity:
    return SealIdentity(
        identity_id=row.id,
        label=row.label,
        suite=Suite(row.suite),
        key_id=row.key_id,
        certs=split_elements(bytes(row.certs)),
        root=bytes(row.root),
        not_before=tables.from_micros(row.not_before),
        not_after=tables.from_micros(row.not_after),
        revoked_at=tables.from_micros(row.revoked_at) if row.revoked_at is not None else None,
    )
