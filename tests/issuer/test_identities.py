"""Identities from outside: PKCS #12 in, request out and certificate back, several CAs beside each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from support.actors import trail_of
from support.outside_ca import PASSWORD, OutsideCa, new_key, pfx, requested_key, spki_of
from support.token import SoftHsm
from support.world import START, StoppedClock

from issuer.pki.identities import SealIdentities
from keys.composite import CompositeKeyProvider
from keys.custody import FileKeyProvider, KeyPurpose
from keys.pkcs11 import Pkcs11KeyProvider
from keys.pki.build import Subject
from keys.suites import Suite, check_signature
from trust.app.database import migrate_register
from trust.model.actor import OPERATOR
from trust.model.errors import Malformed, NotFound
from trust.storage.sql import Database

SUBJECT = Subject("行政许可专用章", "春城市市场监督管理局")


def identities(database: Database, folder: Path, token: Pkcs11KeyProvider | None = None) -> SealIdentities:
    migrate_register(database)
    files = FileKeyProvider(folder, lambda: b"ours", kdf_rounds=10)
    return SealIdentities(
        database, CompositeKeyProvider(files, token), StoppedClock(), trail_of(database, StoppedClock())
    )


def test_requests_to_several_cas_come_back_as_identities(
    new_database: Callable[[], Path | str], tmp_path: Path
) -> None:
    with Database(new_database()) as database:
        ours = identities(database, tmp_path / "keys")
        cas = [OutsideCa("CA one", Suite.SM2_SM3, START), OutsideCa("CA two", Suite.SM2_SM3, START)]
        roots = [ca.root for ca in cas]
        for ca in cas:
            record, request = ours.request(OPERATOR, SUBJECT, Suite.SM2_SM3, label=ca.name)
            cert = ca.issue(requested_key(request))
            made = ours.import_certificate(OPERATOR, cert, [ca.cert], roots, label=ca.name)
            assert made == ours.import_certificate(OPERATOR, cert, [ca.cert], roots, label="again"), (
                "a repeat is no other"
            )
            assert (made.key_id, made.certs, made.root) == (record.key_id, (cert, ca.cert), ca.root)
            assert made.issuer_name == f"{ca.name} CA"
            key = ours.keys.open(made.key_id, KeyPurpose.SEAL)
            check_signature(made.suite, record.public_key, b"x", key.sign(b"x"))
        assert {identity.label for identity in ours.list()} == {"CA one", "CA two"}
        with pytest.raises(NotFound):
            ours.get("00" * 16)
        # The same key at the other CA, too.
        again = requested_key(ours.request_again(made.key_id, SUBJECT))
        ours.import_certificate(OPERATOR, cas[0].issue(again), [cas[0].cert], roots, label="second CA")
        assert len(ours.list()) == 3
        stranger = cas[0].issue(spki_of(new_key(Suite.SM2_SM3)))
        with pytest.raises(Malformed) as caught:
            ours.import_certificate(OPERATOR, stranger, [cas[0].cert], roots, label="no key")
        assert caught.value.code == "X509_KEY_MISMATCH"


@pytest.mark.parametrize("suite", [Suite.RSA3072_SHA256, Suite.P256_SHA256])
def test_a_pkcs12_is_taken_in_and_encrypted_anew(tmp_path: Path, suite: Suite) -> None:
    with Database(tmp_path / "register.sqlite") as database:
        ours = identities(database, tmp_path / "keys")
        ca, key = OutsideCa("CA", suite, START), new_key(suite)
        cert = ca.issue(spki_of(key))
        made = ours.import_pkcs12(OPERATOR, pfx(ca, key, cert), PASSWORD, [], [ca.root], label="p12")
        assert made == ours.import_pkcs12(OPERATOR, pfx(ca, key, cert), PASSWORD, [], [ca.root], label="p12")
        fresh = FileKeyProvider(tmp_path / "keys", lambda: b"ours")  # not under the CA's password
        opened = fresh.open(made.key_id, KeyPurpose.SEAL)
        check_signature(suite, spki_of(key), b"x", opened.sign(b"x"))
        for spoiled, password in ((pfx(ca, key, cert), b"wrong"), (b"\x30\x03\x02\x01\x03", PASSWORD)):
            with pytest.raises(Malformed) as caught:
                ours.import_pkcs12(OPERATOR, spoiled, password, [], [ca.root], label="")
            assert caught.value.code == "X509_UNREADABLE"


def test_a_pkcs12_that_is_refused_leaves_no_key(tmp_path: Path) -> None:
    with Database(tmp_path / "register.sqlite") as database:
        ours = identities(database, tmp_path / "keys")
        ca = OutsideCa("CA", Suite.RSA3072_SHA256, START)
        weak, good = new_key(Suite.RSA3072_SHA256, bits=2048), new_key(Suite.P256_SHA256)
        for key, spoiled, code in (
            (weak, {}, "X509_WEAK_KEY"),
            (good, {"days": (-3, -1)}, "X509_EXPIRED"),
            (good, {"usage": {"key_encipherment"}}, "X509_ENCRYPTION"),
        ):
            given = pfx(ca, key, ca.issue(spki_of(key), **spoiled))
            with pytest.raises(Malformed) as caught:
                ours.import_pkcs12(OPERATOR, given, PASSWORD, [], [ca.root], label="")
            assert caught.value.code == code
        assert ours.keys.records() == []
        assert ours.list() == []


def test_a_key_in_a_token_gets_its_certificate_from_outside(
    softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    with Database(tmp_path / "register.sqlite") as database:
        ours = identities(database, tmp_path / "keys", softhsm.provider(tmp_path / "token", token))
        ca = OutsideCa("CA", Suite.RSA3072_SHA256, START)
        record, request = ours.request(
            OPERATOR, SUBJECT, Suite.RSA3072_SHA256, label="in the token", place="pkcs11"
        )
        assert x509.load_der_x509_csr(request).is_signature_valid
        made = ours.import_certificate(
            OPERATOR, ca.issue(requested_key(request)), [ca.cert], [ca.root], label=""
        )
        assert made.key_id == record.key_id
        assert ours.keys.place_of(made.key_id) == "pkcs11"
