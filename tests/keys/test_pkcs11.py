"""Keys in a token: made there, used there, never seen; and what happens when the token is away."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography import x509
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from support.limits import HANG_SECONDS
from support.token import PIN, RemoteToken, SoftHsm, remote_token

from keys.composite import CompositeKeyProvider
from keys.custody import KeyPurpose
from keys.pkcs11 import Pkcs11KeyProvider
from keys.pki.build import Profile, RevokedSerial, Subject, make_crl, make_x509_cert
from keys.pki.read import check_issued_by
from keys.suites import TOKEN_SUITES, Suite, check_signature
from trust.model.errors import KeyUnavailable, NotFound, NotPermitted

from .opened import AT, provider_at


@pytest.fixture
def provider(softhsm: SoftHsm, token: str, tmp_path: Path) -> Pkcs11KeyProvider:
    return softhsm.provider(tmp_path / "records", token)


def make(provider: Pkcs11KeyProvider, suite: Suite = Suite.P256_SHA256) -> str:
    return provider.generate(KeyPurpose.SEAL, suite, label="食品经营许可专用章", at=AT).key_id


def session(softhsm: SoftHsm, label: str) -> pkcs11.Session:
    """A session of the test's own: logged in, because the provider of this process is."""
    return pkcs11.lib(str(softhsm.module)).get_token(token_label=label).open(rw=True)


def private_object(opened: pkcs11.Session, key_id: str) -> pkcs11.PrivateKey:
    found = opened.get_key(object_class=ObjectClass.PRIVATE_KEY, id=bytes.fromhex(key_id))
    assert isinstance(found, pkcs11.PrivateKey)
    return found


# --- making and using ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", TOKEN_SUITES)
def test_a_key_made_in_the_token_signs_what_others_verify(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str, tmp_path: Path, suite: Suite
) -> None:
    key_id = make(provider, suite)
    record = provider.open(key_id, KeyPurpose.SEAL).record
    # By another provider, as after a restart of the service.
    again = softhsm.provider(tmp_path / "records", token).open(key_id, KeyPurpose.SEAL)
    assert again.record == record
    assert again.pyca is None
    check_signature(suite, record.public_key, b"message", again.sign(b"message"))


@pytest.mark.parametrize("suite", TOKEN_SUITES)
def test_the_private_key_never_comes_out(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str, suite: Suite
) -> None:
    key_id = make(provider, suite)
    opened = session(softhsm, token)
    key = private_object(opened, key_id)
    for name, wanted in {
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.ALWAYS_SENSITIVE: True,
        Attribute.NEVER_EXTRACTABLE: True,
        Attribute.LOCAL: True,
        Attribute.PRIVATE: True,
        Attribute.TOKEN: True,
        Attribute.SIGN: True,
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }.items():
        assert key[name] is wanted, name
    secret = (
        (Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1)
        if suite is Suite.RSA3072_SHA256
        else (Attribute.VALUE,)
    )
    for name in secret:
        with pytest.raises(pkcs11.AttributeSensitive):
            key[name]
    with pytest.raises(pkcs11.PKCS11Error):
        key[Attribute.EXTRACTABLE] = True
    with pytest.raises(pkcs11.PKCS11Error):
        key[Attribute.SENSITIVE] = False
    wrapping: Any = opened.generate_key(
        KeyType.AES, 256, capabilities=MechanismFlag.WRAP | MechanismFlag.ENCRYPT
    )
    for mechanism in (Mechanism.AES_KEY_WRAP, Mechanism.AES_KEY_WRAP_PAD):
        with pytest.raises(pkcs11.KeyUnextractable):
            wrapping.wrap_key(key, mechanism=mechanism)


def test_a_key_that_can_be_taken_out_is_refused(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    key_id = make(provider)
    opened = session(softhsm, token)
    # The same objects, but made so that the key could leave: what a careless hand might restore.
    private_object(opened, key_id).destroy()
    opened.get_key(object_class=ObjectClass.PUBLIC_KEY, id=bytes.fromhex(key_id)).destroy()
    label = "seal P256-SHA256 食品经营许可专用章"
    parameters = bytes.fromhex("06082a8648ce3d030107")
    domain = opened.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: parameters}, local=True)
    public, _ = domain.generate_keypair(
        store=True, label=label, id=b"temporary", private_template={Attribute.EXTRACTABLE: True}
    )
    from keys.custody import encode_record, make_record
    from keys.pkcs11 import _spki

    record = make_record(_spki(public, Suite.P256_SHA256), KeyPurpose.SEAL, Suite.P256_SHA256,
                         "食品经营许可专用章", AT)  # fmt: skip
    for found in list(opened.get_objects({Attribute.ID: b"temporary"})):
        found[Attribute.ID] = bytes.fromhex(record.key_id)
    (tmp_path / "records" / f"{record.key_id}.json").write_bytes(encode_record(record))
    with pytest.raises(KeyUnavailable, match="can be taken out"):
        provider.open(record.key_id, KeyPurpose.SEAL)


def test_the_purpose_stands_in_the_token_too(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    key_id = make(provider)
    with pytest.raises(NotPermitted):
        provider.open(key_id, KeyPurpose.CHECKPOINT)
    path = tmp_path / "records" / f"{key_id}.json"
    path.write_text(path.read_text().replace('"seal"', '"checkpoint"'))
    with pytest.raises(KeyUnavailable, match="does not fit"):
        softhsm.provider(tmp_path / "records", token).open(key_id, KeyPurpose.CHECKPOINT)


def test_sm2_is_one_clear_error(provider: Pkcs11KeyProvider) -> None:
    with pytest.raises(KeyUnavailable, match="no mechanism for SM2-SM3") as caught:
        make(provider, Suite.SM2_SM3)
    assert caught.value.code == "TOKEN_MECHANISM"
    assert "file" in caught.value.todo


def test_unknown_and_lost_keys_are_different_errors(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str
) -> None:
    with pytest.raises(NotFound):
        provider.open("00" * 16, KeyPurpose.SEAL)
    key_id = make(provider)
    private_object(session(softhsm, token), key_id).destroy()
    with pytest.raises(KeyUnavailable, match="does not have the key"):
        provider.open(key_id, KeyPurpose.SEAL)


def test_a_signature_of_another_key_does_not_get_out(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str
) -> None:
    one, two = make(provider), make(provider)
    key = provider.open(one, KeyPurpose.SEAL)
    opened = session(softhsm, token)
    private_object(opened, one).destroy()
    private_object(opened, two)[Attribute.ID] = bytes.fromhex(one)  # as if the token had been exchanged
    with pytest.raises(KeyUnavailable) as caught:
        key.sign(b"x")
    assert caught.value.code == "TOKEN_KEY"


def test_many_threads_sign_at_once(provider: Pkcs11KeyProvider) -> None:
    keys = [provider.open(make(provider, suite), KeyPurpose.SEAL) for suite in TOKEN_SUITES]

    def sign(number: int) -> None:
        key = keys[number % len(keys)]
        message = b"%d" % number
        check_signature(key.record.suite, key.record.public_key, message, key.sign(message))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(sign, range(120)))


def _sign_in_another_process(softhsm: SoftHsm, token: str, folder: Path, key_id: str) -> tuple[int, bytes]:
    key = softhsm.provider(folder, token).open(key_id, KeyPurpose.SEAL)
    return os.getpid(), [key.sign(b"message") for _ in range(20)][-1]


def test_two_processes_use_one_token(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    key = provider.open(make(provider), KeyPurpose.SEAL)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        arguments = (softhsm, token, tmp_path / "records", key.record.key_id)
        other = pool.apply_async(_sign_in_another_process, arguments)
        for _ in range(20):
            key.sign(b"here")
        process, signature = other.get(timeout=HANG_SECONDS)
    assert process != os.getpid()
    check_signature(Suite.P256_SHA256, key.record.public_key, b"message", signature)


# --- as an issuer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [Suite.RSA3072_SHA256, Suite.P256_SHA256])
def test_a_ca_in_the_token_issues_certificates_and_crls(provider: Pkcs11KeyProvider, suite: Suite) -> None:
    root = provider.open(
        provider.generate(KeyPurpose.ROOT_CA, suite, label="root", at=AT).key_id, KeyPurpose.ROOT_CA
    )
    until = AT + timedelta(days=30)
    arguments: dict[str, Any] = {"not_before": AT, "not_after": until, "crl_address": None}
    subject = Subject("测试根", "印证")
    public_key = root.record.public_key
    cert = make_x509_cert(Profile.ROOT, subject, public_key, root, None, **arguments)
    seal = make_x509_cert(Profile.SEAL, Subject("章", "印证"), public_key, root, cert, **arguments)
    check_issued_by(seal, cert)
    loaded = x509.load_der_x509_certificate(cert)
    x509.load_der_x509_certificate(seal).verify_directly_issued_by(loaded)
    crl = make_crl(root, cert, [RevokedSerial(7, AT)], number=1, this_update=AT, next_update=until)
    read = x509.load_der_x509_crl(crl)
    public: Any = loaded.public_key()  # RSA or EC, as made above
    assert read.is_signature_valid(public)
    assert read.get_revoked_certificate_by_serial_number(7) is not None


# --- some here, some there ----------------------------------------------------------------------------------


def test_sm2_lives_in_files_and_the_rest_where_the_settings_say(
    provider: Pkcs11KeyProvider, tmp_path: Path
) -> None:
    files = provider_at(tmp_path / "files")
    both = CompositeKeyProvider(files, provider, frozenset({(KeyPurpose.SEAL, Suite.P256_SHA256)}))
    places = {}
    for purpose, suite in (
        (KeyPurpose.SEAL, Suite.SM2_SM3),
        (KeyPurpose.SEAL, Suite.P256_SHA256),
        (KeyPurpose.CHECKPOINT, Suite.ED25519),
    ):
        key_id = both.generate(purpose, suite, label="a", at=AT).key_id
        places[suite] = both.place_of(key_id)
        both.open(key_id, purpose).sign(b"x")
    assert places == {Suite.SM2_SM3: "file", Suite.P256_SHA256: "pkcs11", Suite.ED25519: "file"}
    assert len(both.records()) == 3
    with pytest.raises(NotFound):
        both.open("00" * 16, KeyPurpose.SEAL)
    with pytest.raises(NotFound):
        CompositeKeyProvider(files).provider("pkcs11")


# --- the PIN ------------------------------------------------------------------------------------------------


def test_a_wrong_pin_is_offered_once_and_written_nowhere(
    softhsm: SoftHsm, token: str, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    asked: list[str] = []
    given = ["wrong-pin-5150"]

    def pin() -> str:
        asked.append(given[0])
        return given[0]

    provider = Pkcs11KeyProvider(tmp_path, module=softhsm.module, token_label=token, pin=pin)
    shown = ""
    for _ in range(5):  # SoftHSM would not lock, but a token that does would after the first few
        with pytest.raises(KeyUnavailable) as caught:
            make(provider)
        assert caught.value.code == "TOKEN_PIN"
        shown += "".join(traceback.format_exception(caught.value))
    shown += caplog.text + "".join(capfd.readouterr())
    assert "wrong-pin" not in shown
    flags = pkcs11.lib(str(softhsm.module)).get_token(token_label=token).flags
    assert flags & pkcs11.TokenFlag.USER_PIN_COUNT_LOW
    assert not flags & pkcs11.TokenFlag.USER_PIN_LOCKED
    given[0] = PIN  # corrected in the file, while the service runs
    make(provider)


def test_no_module_and_no_token_are_said_so(softhsm: SoftHsm, tmp_path: Path) -> None:
    for provider in (
        softhsm.provider(tmp_path, "there is no such token"),
        softhsm.provider(tmp_path, "any", module=tmp_path / "missing.so"),
    ):
        with pytest.raises(KeyUnavailable) as caught:
            make(provider)
        assert caught.value.code == "TOKEN_UNAVAILABLE"


# --- away and back ------------------------------------------------------------------------------------------


def test_a_token_that_was_taken_out_and_put_back_goes_on(
    provider: Pkcs11KeyProvider, softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    key = provider.open(make(provider), KeyPurpose.SEAL)
    folder = softhsm.folder_of(token)
    away = folder.parent.with_name("away")  # temporary folders may lie on another disk
    folder.rename(away)
    for _ in range(2):
        with pytest.raises(KeyUnavailable):
            key.sign(b"x")
    away.rename(folder)
    check_signature(Suite.P256_SHA256, key.record.public_key, b"x", key.sign(b"x"))


@pytest.fixture
def remote(softhsm: SoftHsm, token: str) -> Iterator[RemoteToken]:
    with remote_token(softhsm) as made:
        yield made


def test_a_device_that_restarts_is_found_again(
    remote: RemoteToken, softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    provider = softhsm.provider(tmp_path, token, module=remote.module)
    key = provider.open(make(provider, Suite.RSA3072_SHA256), KeyPurpose.SEAL)
    key.sign(b"before")
    remote.stop()
    with pytest.raises(KeyUnavailable) as caught:
        key.sign(b"while it is away")
    assert caught.value.code == "TOKEN_UNAVAILABLE"
    remote.start()
    check_signature(key.record.suite, key.record.public_key, b"after", key.sign(b"after"))
    # A restart that nobody noticed costs nothing but time.
    remote.stop()
    remote.start()
    check_signature(key.record.suite, key.record.public_key, b"again", key.sign(b"again"))


def test_threads_meet_a_restart_together(
    remote: RemoteToken, softhsm: SoftHsm, token: str, tmp_path: Path
) -> None:
    provider = softhsm.provider(tmp_path, token, module=remote.module)
    key = provider.open(make(provider), KeyPurpose.SEAL)

    is_gone, is_back = threading.Event(), threading.Event()

    def sign(_: int) -> None:
        while not is_back.is_set():
            try:
                key.sign(b"x")
            except KeyUnavailable:
                is_gone.set()
                time.sleep(0.02)
        for _ in range(10):  # begun after the restart: every one has to work
            check_signature(Suite.P256_SHA256, key.record.public_key, b"x", key.sign(b"x"))

    with ThreadPoolExecutor(8) as pool:
        signing = [pool.submit(sign, number) for number in range(8)]
        try:
            remote.stop()
            assert is_gone.wait(timeout=HANG_SECONDS)
            remote.start()
        finally:
            is_back.set()
        for future in signing:
            future.result(timeout=HANG_SECONDS)
