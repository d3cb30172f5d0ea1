"""Keys in a PKCS #11 token: a hardware security module, a smart card, or SoftHSM (OASIS PKCS #11 v2.40, v3.0).

Keys are made in the device and stay there: CKA_SENSITIVE, not CKA_EXTRACTABLE, and a key that was ever otherwise is
refused. Every signature is checked with the public key in the key's record before it is returned, so a token that was
exchanged, or computed wrongly, gives an error and no seal.

A key is two objects in the token and one record in a folder, which is that of `keys.custody` without a key
file. The objects have the key's id (16 bytes) as CKA_ID and `purpose suite label` as CKA_LABEL, so a changed record
cannot give a key another purpose than the token does.

| suite          | key pair                        | signature                                              |
|----------------|---------------------------------|--------------------------------------------------------|
| RSA3072-SHA256 | CKM_RSA_PKCS_KEY_PAIR_GEN       | CKM_SHA256_RSA_PKCS                                    |
| P256-SHA256    | CKM_EC_KEY_PAIR_GEN             | CKM_ECDSA over the digest; r ‖ s is re-encoded as DER  |
| Ed25519        | CKM_EC_EDWARDS_KEY_PAIR_GEN     | CKM_EDDSA                                              |
| SM2-SM3        | none that is standard           | refused: its keys are in files                         |

A token may be removed and come back while the service runs. Sessions and handles from before are invalid then, so each
records the generation of the library in which it was opened. A call that fails for a reason other than its own request
begins a new generation (C_Finalize, C_Initialize, C_Login) and is repeated once; if that fails too, the caller gets
`KeyUnavailable`, and the next call tries again.

The PIN is read when it is needed and never appears in an error or a log. A PIN that the token refused is not tried
again, because three wrong ones lock most tokens.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from asn1crypto import core
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from keys.custody import KeyPurpose, KeyRecord, SigningKey, decode_record, encode_record, make_record
from keys.suites import Suite, check_signature
from trust.encoding.digests import sha256
from trust.model.errors import KeyUnavailable, NotFound, NotPermitted, VerificationError
from trust.storage.folder import create_durably

_T = TypeVar("_T")

_MECHANISMS = {
    Suite.RSA3072_SHA256: (Mechanism.RSA_PKCS_KEY_PAIR_GEN, Mechanism.SHA256_RSA_PKCS),
    Suite.P256_SHA256: (Mechanism.EC_KEY_PAIR_GEN, Mechanism.ECDSA),
    Suite.ED25519: (Mechanism.EC_EDWARDS_KEY_PAIR_GEN, Mechanism.EDDSA),
}
_P256_PARAMETERS = core.ObjectIdentifier("1.2.840.10045.3.1.7").dump()
_ED25519_PARAMETERS = core.ObjectIdentifier("1.3.101.112").dump()  # RFC 8410 §3

_GUARDED = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
}
"""The required attributes of every private key here (PKCS #11 v2.40 §4.9)."""

_PIN_REFUSED = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
)
# Errors that would be the same in a new session.
_FINAL = (
    pkcs11.MechanismInvalid,
    pkcs11.MechanismParamInvalid,
    pkcs11.KeyTypeInconsistent,
    pkcs11.KeySizeRange,
    pkcs11.TemplateIncomplete,
    pkcs11.TemplateInconsistent,
    pkcs11.AttributeTypeInvalid,
    pkcs11.AttributeValueInvalid,
    pkcs11.DomainParamsInvalid,
    pkcs11.TokenWriteProtected,
    pkcs11.UserPinNotInitialized,
    pkcs11.MultipleTokensReturned,
)


class Pkcs11KeyProvider:
    """Keys in the token with a given label, with their records as files in one folder.

    Any number of threads may use it; they take turns (see `_Module`).
    """

    def __init__(self, folder: Path, *, module: Path, token_label: str, pin: Callable[[], str]) -> None:
        """`module` is the vendor's shared library; `pin` is called for each login.

        Does not load the module or access the token, so that a service can start without them.
        """
        self._folder = folder
        self._token = _Token(module, token_label, pin)
        self._opened: dict[str, _TokenSigningKey] = {}
        self._lock = threading.Lock()

    def generate(self, purpose: KeyPurpose, suite: Suite, *, label: str, at: datetime) -> KeyRecord:
        """As `KeyProvider.generate`. Raises `KeyUnavailable` with the code TOKEN_MECHANISM if the token does not
        support the suite."""
        public_key = self._token.ask(lambda session: _generate(session, purpose, suite, label))
        # The key is made first, then its record: a crash in between leaves a key that nothing refers to.
        record = make_record(public_key, purpose, suite, label, at)
        path = self._folder / f"{record.key_id}.json"
        create_durably(path, encode_record(record))
        path.chmod(0o600)
        return record

    def records(self) -> list[KeyRecord]:
        found = [decode_record(path.read_bytes(), path.stem) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda record: (record.created_at, record.key_id))

    def open(self, key_id: str, purpose: KeyPurpose) -> SigningKey:
        """As `KeyProvider.open`. The first time, the objects in the token are compared with the record."""
        with self._lock:
            key = self._opened.get(key_id)
        if key is None:
            try:
                record = decode_record((self._folder / f"{key_id}.json").read_bytes(), key_id)
            except FileNotFoundError as exc:
                raise NotFound(
                    f"There is no key {key_id}.", "List the keys with `yinzheng keys list`."
                ) from exc
            self._token.ask(lambda session: _check_objects(session, record))
            key = _TokenSigningKey(record, self._token)
            with self._lock:
                key = self._opened.setdefault(key_id, key)
        if key.record.purpose is not purpose:
            raise NotPermitted(
                f"Key {key_id} is for {key.record.purpose.value} and cannot be used for {purpose.value}.",
                "Use a key that was made for this purpose.",
            )
        return key


@dataclass(frozen=True, slots=True)
class _TokenSigningKey:
    record: KeyRecord
    token: _Token

    @property
    def pyca(self) -> None:
        return None

    def sign(self, message: bytes) -> bytes:
        record = self.record
        signature = self.token.ask(lambda session: _sign(session, record, message))
        try:
            check_signature(record.suite, record.public_key, message, signature)
        except VerificationError as exc:
            # Never return a wrong signature: after an injected fault in RSA-CRT it would reveal the key.
            raise KeyUnavailable(
                f"The token made a signature that is not one of key {record.key_id}.",
                "Take the token out of use and look into it.",
                code="TOKEN_KEY",
            ) from exc
        return signature


# --- operations on the token --------------------------------------------------------------------------------


def _generate(session: _Session, purpose: KeyPurpose, suite: Suite, label: str) -> bytes:
    _require_mechanisms(session, suite)
    raw = session.raw_for_writing()
    try:
        # With a random id first, because the real id is computed from the public key.
        temporary = secrets.token_bytes(16)
        template: dict[str, Any] = {
            "id": temporary,
            "label": _object_label(purpose, suite, label),
            "store": True,
            "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
            "private_template": {
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.DECRYPT: False,
                Attribute.UNWRAP: False,
                Attribute.DERIVE: False,
            },
        }
        if suite is Suite.RSA3072_SHA256:
            public, private = raw.generate_keypair(KeyType.RSA, 3072, **template)
        else:
            kind, parameters = (
                (KeyType.EC, _P256_PARAMETERS)
                if suite is Suite.P256_SHA256
                else (KeyType.EC_EDWARDS, _ED25519_PARAMETERS)
            )
            domain = raw.create_domain_parameters(kind, {Attribute.EC_PARAMS: parameters}, local=True)
            public, private = domain.generate_keypair(**template)
        spki = _spki(public, suite)
        for made in (public, private):
            made[Attribute.ID] = sha256(spki)[:16]
        return spki
    finally:
        raw.close()


def _check_objects(session: _Session, record: KeyRecord) -> None:
    """Raises `KeyUnavailable` unless the token has this key with the required attributes, for this purpose."""
    private = session.private_key(record.key_id)
    public = session.find(ObjectClass.PUBLIC_KEY, record.key_id)
    expected = _object_label(record.purpose, record.suite, record.label)
    if private[Attribute.LABEL] != expected or _spki(public, record.suite) != record.public_key:
        raise KeyUnavailable(
            f"The record of key {record.key_id} does not fit the key in the token.",
            "Restore the record from a backup.",
            code="TOKEN_KEY",
        )
    if any(private[name] != wanted for name, wanted in _GUARDED.items()):
        raise KeyUnavailable(
            f"Key {record.key_id} can be taken out of its token, or once could.",
            "Make a new key with `yinzheng keys new`.",
            code="TOKEN_KEY",
        )


def _sign(session: _Session, record: KeyRecord, message: bytes) -> bytes:
    key = session.private_key(record.key_id)
    _, mechanism = _MECHANISMS[record.suite]
    if record.suite is not Suite.P256_SHA256:
        return bytes(key.sign(message, mechanism=mechanism))
    pair = bytes(key.sign(sha256(message), mechanism=mechanism))
    half = len(pair) // 2
    return encode_dss_signature(int.from_bytes(pair[:half]), int.from_bytes(pair[half:]))


def _require_mechanisms(session: _Session, suite: Suite) -> None:
    wanted = _MECHANISMS.get(suite)
    if wanted is None or not set(wanted) <= set(session.raw.token.slot.get_mechanisms()):
        raise KeyUnavailable(
            f"The token has no mechanism for {suite.value}.",
            "Keep keys of this suite in files (`--provider file`), or use another token.",
            code="TOKEN_MECHANISM",
        )


def _object_label(purpose: KeyPurpose, suite: Suite, label: str) -> str:
    return f"{purpose.value} {suite.value} {label}"


def _spki(public: Any, suite: Suite) -> bytes:
    """The SubjectPublicKeyInfo (DER) of a public key object."""
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    try:
        if suite is Suite.RSA3072_SHA256:
            exponent = int.from_bytes(public[Attribute.PUBLIC_EXPONENT])
            key = rsa.RSAPublicNumbers(exponent, int.from_bytes(public[Attribute.MODULUS])).public_key()
        else:
            point = bytes(public[Attribute.EC_POINT])
            # CKA_EC_POINT is a DER OCTET STRING (PKCS #11 v2.40 §2.3.3); some devices omit the wrapping.
            size = 65 if suite is Suite.P256_SHA256 else 32
            point = point if len(point) == size else core.OctetString.load(point, strict=True).native
            if suite is Suite.P256_SHA256:
                key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            else:
                key = ed25519.Ed25519PublicKey.from_public_bytes(point)
    except ValueError as exc:
        raise KeyUnavailable(
            f"The token's public key is not one of {suite.value}.", code="TOKEN_KEY"
        ) from exc
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


# --- sessions -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Session:
    """A logged-in session. `handles`: the private keys found in it so far, by key id."""

    raw: Any
    generation: int
    handles: dict[str, Any] = field(default_factory=dict)

    def private_key(self, key_id: str) -> Any:
        found = self.handles.get(key_id)
        if found is None:
            found = self.handles[key_id] = self.find(ObjectClass.PRIVATE_KEY, key_id)
        return found

    def find(self, kind: ObjectClass, key_id: str) -> Any:
        # python-pkcs11 finishes a search that failed to begin when the object is collected, which prints an
        # error. So the session is tested first with a call that leaves nothing behind.
        with contextlib.suppress(pkcs11.RandomNoRNG, pkcs11.FunctionNotSupported):
            self.raw.generate_random(64)
        return self.raw.get_key(object_class=kind, id=bytes.fromhex(key_id))

    def raw_for_writing(self) -> Any:
        """Opens a second session that may make objects. It shares the login of the first (PKCS #11 §5.6)."""
        return self.raw.token.open(rw=True)


class _Token:
    """The session with one token, opened when needed and again after it was lost."""

    def __init__(self, module: Path, label: str, pin: Callable[[], str]) -> None:
        self._module_path = module
        self._label = label
        self._pin = pin
        self._refused_pin: str | None = None
        self._session: _Session | None = None

    def ask(self, question: Callable[[_Session], _T]) -> _T:
        """Runs `question` in a session, and once more in a new generation if the token seems to be gone.

        `question` may run twice, so repeating it must be harmless. Raises `KeyUnavailable`.
        """
        module = _module(self._module_path)
        with module.turn():
            try:
                return self._answer(module, question)
            except (*_PIN_REFUSED, *_FINAL) as exc:
                raise self._error(exc) from exc
            except pkcs11.PKCS11Error as exc:
                _let_go(exc)  # whatever the error is, the token may have been away
            try:
                module.renew()
                return self._answer(module, question)
            except pkcs11.PKCS11Error as exc:
                raise self._error(exc) from exc

    def _answer(self, module: _Module, question: Callable[[_Session], _T]) -> _T:
        # Sessions are never closed: python-pkcs11 then logs out, which affects the whole process.
        if self._session is None or self._session.generation != module.generation:
            self._session = _Session(self._log_in(module), module.generation)
        return question(self._session)

    def _log_in(self, module: _Module) -> Any:
        pin = self._pin()
        if self._refused_pin is not None and hmac.compare_digest(self._refused_pin.encode(), pin.encode()):
            raise _pin_refused()
        token = module.library().get_token(token_label=self._label)
        try:
            return token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open()  # another provider of this process has logged in
        except _PIN_REFUSED:
            self._refused_pin = pin
            raise

    def _error(self, exc: pkcs11.PKCS11Error) -> KeyUnavailable:
        _let_go(exc)
        kind = type(exc).__name__  # never the text, in which a library may put anything
        match exc:
            case pkcs11.NoSuchKey() | pkcs11.MultipleObjectsReturned():
                return KeyUnavailable(
                    f"The token {self._label} does not have the key.",
                    "Put in the token that it was made in.",
                    code="TOKEN_KEY",
                )
            case _ if isinstance(exc, _PIN_REFUSED):
                return _pin_refused()
            case pkcs11.MultipleTokensReturned():
                return KeyUnavailable(
                    f"More than one token has the label {self._label}.",
                    "Label them differently.",
                    code="TOKEN_UNAVAILABLE",
                )
            case _ if isinstance(exc, _FINAL):
                return KeyUnavailable(
                    f"The token {self._label} refused what was asked ({kind}).",
                    "Check what the token can do.",
                    code="TOKEN_MECHANISM",
                )
        return KeyUnavailable(
            f"The token {self._label} does not answer ({kind}).",
            "Check that it is connected; the service goes on when it is back.",
            code="TOKEN_UNAVAILABLE",
        )


def _pin_refused() -> KeyUnavailable:
    return KeyUnavailable(
        "The token refused the PIN.",
        "Correct the PIN. The same one is not offered again, so that the token does not lock.",
        code="TOKEN_PIN",
    )


def _let_go(exc: BaseException) -> None:
    """Releases objects that the frames of an exception still reference, while no other thread is in the library."""
    traceback.clear_frames(exc.__traceback__)


class _Module:
    """A vendor's library, loaded once in a process, and restarted when a token was lost.

    Only one thread at a time may use it: python-pkcs11 starts libraries without CKF_OS_LOCKING_OK, and then they do no
    locking of their own (PKCS #11 v2.40 §5.4). For more signatures a second, run more processes.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self.generation = 0

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Holds the lock under which this thread alone may use the library."""
        if os.getpid() != self._process:
            raise KeyUnavailable(
                "A process that was forked off cannot use its parent's token.",
                "Start the process anew instead.",
                code="TOKEN_UNAVAILABLE",
            )
        with self._lock:
            yield

    def library(self) -> Any:
        return pkcs11.lib(self._path)

    def renew(self) -> None:
        """Restarts the library, which ends every session of this process with any of its tokens."""
        # Counted first, because open sessions are lost even if the restart fails.
        self.generation += 1
        library = self.library()
        with contextlib.suppress(pkcs11.PKCS11Error):
            library.finalize()
        library.initialize()


@cache  # a library has one instance per process
def _module(path: Path) -> _Module:
    return _Module(path)
