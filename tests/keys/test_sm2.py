"""SM2 as the standard has it: its own example, a second implementation, one encoding, many threads."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from asn1crypto import keys as asn1_keys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from gmssl import sm2 as gmssl_sm2

from keys import sm2
from keys.sm2 import libcrypto, pure
from trust.encoding.digests import digest, sm3
from trust.model.errors import KeyUnavailable, Malformed

# GB/T 32918.5 Annex A.2. The scalar is public there; a key of ours is never a Python number.
D = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
POINT = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
K = "59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21"
MESSAGE = b"message digest"
SIGNATURE = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
EMPTY_ID = encode_dss_signature(
    0x27F1BA35327863638AFCE55EA5560734B20DC6F4AA21B74217BCAE759F2EB983,
    0x9815B803017B841EE27BC729B026A72FABDF588D3E7041E03E6A1DD43485497B,
)
# Made by the openssl program over the line "hello", with the usual ID.
OTHERS_POINT = bytes.fromhex(
    "0448c84413e087a7026cb638588fe02ab0cf48eddce4641e1fb2a5a89469e6240b"
    "0f4b53192742aa8279783cdf1e7cc065c701a5dda572c56350bab0bf54f429e0"
)
OTHERS_SIGNATURE = bytes.fromhex(
    "30440220505db19510e8b5901f2c4b13db0818c8081511410576e5d48ed23472b9613007"
    "0220038fbeef569efb9cc1318e8e231f81ddff43d09d43e440b3d7b930aee95e69db"
)
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123

Engine = type[libcrypto.PublicKey] | type[pure.PublicKey]
Opener = type[libcrypto.PrivateKey] | type[pure.PrivateKey]


@pytest.fixture(params=[libcrypto.PublicKey, pure.PublicKey], ids=["libcrypto", "gmssl"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine's public key."""
    opened: Engine = request.param
    return opened


@pytest.fixture(scope="module")
def key() -> libcrypto.PrivateKey:
    return libcrypto.PrivateKey.generate()


def refuses(key: sm2.Sm2PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.check(message, signature)
    except InvalidSignature:
        return True
    return False


def test_z_and_e_are_those_of_the_standard() -> None:
    z = sm2.z_value(POINT)
    assert z.hex() == "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    assert sm3(z + MESSAGE).hex() == "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"


def test_the_example_of_the_standard_verifies(engine: Engine) -> None:
    engine(sm2.encode_spki(POINT)).check(MESSAGE, SIGNATURE)


def test_the_oracle_signs_the_example_of_the_standard() -> None:
    oracle = gmssl_sm2.CryptSM2(private_key=D, public_key=POINT[1:].hex(), asn1=True)
    assert bytes.fromhex(oracle.sign(digest("sm3", sm2.z_value(POINT), MESSAGE), K)) == SIGNATURE


def test_a_signature_made_with_an_empty_id_is_refused(engine: Engine) -> None:
    assert refuses(engine(sm2.encode_spki(POINT)), MESSAGE, EMPTY_ID)


def test_what_another_program_signed_verifies_and_its_raw_form_is_refused(engine: Engine) -> None:
    public = engine(sm2.encode_spki(OTHERS_POINT))
    public.check(b"hello\n", OTHERS_SIGNATURE)
    r, s = decode_dss_signature(OTHERS_SIGNATURE)
    assert refuses(public, b"hello\n", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_what_libcrypto_signs_the_oracle_verifies(key: libcrypto.PrivateKey) -> None:
    for message in (b"", b"a", bytes(1000), "印证".encode()):
        pure.PublicKey(key.public_key).check(message, key.sign(message))


def test_what_the_oracle_signs_libcrypto_verifies() -> None:
    oracle = pure.PrivateKey(bytes.fromhex(D), POINT)
    public = libcrypto.PublicKey(oracle.public_key)
    for message in (b"", b"a", bytes(1000)):
        public.check(message, oracle.sign(message))


@pytest.mark.parametrize("first", [0x04, 0x40, 0x00])
def test_the_first_byte_of_a_key_does_not_matter(engine: Engine, first: int) -> None:
    key = libcrypto.PrivateKey.generate()
    while sm2.parse_spki(key.public_key)[1] != first:
        key = libcrypto.PrivateKey.generate()
    engine(key.public_key).check(b"message", key.sign(b"message"))


def test_two_signatures_over_one_message_differ(key: libcrypto.PrivateKey) -> None:
    assert key.sign(b"x") != key.sign(b"x")


def test_a_changed_message_and_another_key_are_refused(engine: Engine, key: libcrypto.PrivateKey) -> None:
    signature = key.sign(b"message")
    assert not refuses(engine(key.public_key), b"message", signature)
    assert refuses(engine(key.public_key), b"messagf", signature)
    assert refuses(engine(libcrypto.PrivateKey.generate().public_key), b"message", signature)


def _integer(value: int, padding: bytes = b"") -> bytes:
    body = padding + value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes((2, len(body))) + body


def _sequence(body: bytes) -> bytes:
    return bytes((0x30, len(body))) + body


R, S = decode_dss_signature(SIGNATURE)
OTHER_ENCODINGS = {
    "raw r and s": R.to_bytes(32, "big") + S.to_bytes(32, "big"),
    "a padded r": _sequence(_integer(R, b"\0") + _integer(S)),
    "a padded s": _sequence(_integer(R) + _integer(S, b"\0")),
    "a long length": b"\x30\x81\x46" + SIGNATURE[2:],
    "an indefinite length": b"\x30\x80" + SIGNATURE[2:] + b"\0\0",
    "a trailing byte": SIGNATURE + b"\0",
    "a third number": _sequence(_integer(R) + _integer(S) + _integer(1)),
    "a trailing byte inside": b"\x30\x47" + SIGNATURE[2:] + b"\0",
    "negative numbers": _sequence(b"\x02\x20" + R.to_bytes(32, "big") + b"\x02\x20" + S.to_bytes(32, "big")),
    "a cut end": SIGNATURE[:-1],
    "nothing": b"",
    "r above the order": _sequence(_integer(R + N) + _integer(S)),
    "s above the order": _sequence(_integer(R) + _integer(S + N)),
    "r and s exchanged": encode_dss_signature(S, R),
    "the other s": encode_dss_signature(R, N - S),
    "r of zero": encode_dss_signature(0, S),
    "s of zero": encode_dss_signature(R, 0),
    "both zero": encode_dss_signature(0, 0),
    "r and s adding to the order": encode_dss_signature(R, N - R),
}


@pytest.mark.parametrize("name", OTHER_ENCODINGS)
def test_any_other_encoding_is_refused(engine: Engine, name: str) -> None:
    assert refuses(engine(sm2.encode_spki(POINT)), MESSAGE, OTHER_ENCODINGS[name])


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    public = libcrypto.PublicKey(sm2.encode_spki(POINT))
    for at in range(len(SIGNATURE) * 8):
        flipped = bytearray(SIGNATURE)
        flipped[at // 8] ^= 1 << at % 8
        assert refuses(public, MESSAGE, bytes(flipped)), at


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spki: spki[:-1],
        lambda spki: spki + b"\0",
        lambda spki: spki[:26] + b"\x02" + spki[27:],
        lambda spki: spki[:-1] + bytes((spki[-1] ^ 1,)),  # not on the curve
        lambda spki: spki[:27] + bytes(64),
        lambda spki: spki.replace(bytes.fromhex("2a811ccf5501822d"), bytes.fromhex("2a811ccf5501822e")),
        lambda spki: b"",
    ],
)
def test_what_is_no_point_of_the_curve_is_no_key(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Malformed):
        libcrypto.PublicKey(spoil(sm2.encode_spki(POINT)))


def test_one_key_serves_many_threads(key: libcrypto.PrivateKey) -> None:
    public = libcrypto.PublicKey(key.public_key)

    def work(number: int) -> bool:
        message = b"%d" % number
        signature = key.sign(message)
        public.check(message, signature)
        return refuses(public, message + b"!", signature)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(640)))


def test_handles_are_freed() -> None:
    """20,000 operations on keys that come and go do not make the process grow."""
    encrypted = libcrypto.PrivateKey.generate().to_encrypted_pkcs8(b"pass", kdf_rounds=1)
    spki = sm2.encode_spki(POINT)

    def work(rounds: int) -> None:
        for _ in range(rounds):
            own = libcrypto.PrivateKey.from_encrypted_pkcs8(encrypted, b"pass")
            public = libcrypto.PublicKey(spki)
            for _ in range(9):
                own.sign(b"x")
                assert refuses(public, MESSAGE, b"")
        gc.collect()

    work(100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work(1000)  # twenty operations each: loading two keys, signing, refusing
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 4096, f"{grown} KiB"


def test_a_private_key_comes_back_from_its_encrypted_form_only(key: libcrypto.PrivateKey) -> None:
    encrypted = key.to_encrypted_pkcs8(b"pass", kdf_rounds=1000)
    parsed = asn1_keys.EncryptedPrivateKeyInfo.load(encrypted, strict=True)
    assert parsed["encryption_algorithm"].kdf_iterations == 1000
    assert parsed["encryption_algorithm"].encryption_cipher == "aes"
    again = libcrypto.PrivateKey.from_encrypted_pkcs8(encrypted, b"pass")
    assert again.public_key == key.public_key
    libcrypto.PublicKey(key.public_key).check(b"x", again.sign(b"x"))


@pytest.mark.parametrize("opener", [libcrypto.PrivateKey, pure.PrivateKey], ids=["libcrypto", "gmssl"])
def test_a_private_key_does_not_open_with_another_passphrase_or_damaged(opener: Opener) -> None:
    encrypted = libcrypto.PrivateKey.generate().to_encrypted_pkcs8(b"pass", kdf_rounds=10)
    opener.from_encrypted_pkcs8(encrypted, b"pass")
    for damaged, passphrase in (
        (encrypted, b"Pass"),
        (encrypted[:-1], b"pass"),
        (encrypted + b"\0", b"pass"),
    ):
        with pytest.raises(KeyUnavailable):
            opener.from_encrypted_pkcs8(damaged, passphrase)


def test_the_two_engines_open_the_same_key(key: libcrypto.PrivateKey) -> None:
    encrypted = key.to_encrypted_pkcs8(b"pass", kdf_rounds=10)
    fallback = pure.PrivateKey.from_encrypted_pkcs8(encrypted, b"pass")
    assert fallback.public_key == key.public_key
    libcrypto.PublicKey(key.public_key).check(b"x", fallback.sign(b"x"))


# The fallback ----------------------------------------------------------------------------------------------


@pytest.fixture
def without_libcrypto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose libcrypto has no SM2."""
    monkeypatch.setattr(libcrypto, "passes_self_test", lambda: False)
    monkeypatch.setattr(sm2, "_insecure_signing", False)
    for cached in (sm2.engine_name, sm2.load_public_key):
        cached.cache_clear()
    yield
    for cached in (sm2.engine_name, sm2.load_public_key):
        cached.cache_clear()


def test_this_machine_uses_libcrypto() -> None:
    sm2.engine_name.cache_clear()
    assert sm2.engine_name() == "libcrypto"


def test_without_libcrypto_signatures_are_still_verified(without_libcrypto: None) -> None:
    assert sm2.engine_name() == "gmssl"
    public = sm2.load_public_key(sm2.encode_spki(POINT))
    assert isinstance(public, pure.PublicKey)
    public.check(MESSAGE, SIGNATURE)
    assert refuses(public, MESSAGE + b"!", SIGNATURE)


def test_without_libcrypto_nothing_is_signed_or_made(
    without_libcrypto: None, key: libcrypto.PrivateKey
) -> None:
    encrypted = key.to_encrypted_pkcs8(b"pass", kdf_rounds=10)
    with pytest.raises(KeyUnavailable):
        sm2.generate_private_key()
    with pytest.raises(KeyUnavailable):
        sm2.load_private_key(encrypted, b"pass")


def test_the_fallback_signs_only_when_it_was_allowed_to(
    without_libcrypto: None, key: libcrypto.PrivateKey
) -> None:
    encrypted = key.to_encrypted_pkcs8(b"pass", kdf_rounds=10)
    sm2.allow_insecure_signing()
    opened = sm2.load_private_key(encrypted, b"pass")
    assert isinstance(opened, pure.PrivateKey)
    libcrypto.PublicKey(key.public_key).check(b"x", opened.sign(b"x"))
    with pytest.raises(KeyUnavailable):
        sm2.generate_private_key()


def test_allowing_insecure_signing_changes_nothing_where_libcrypto_works(
    monkeypatch: pytest.MonkeyPatch, key: libcrypto.PrivateKey
) -> None:
    monkeypatch.setattr(sm2, "_insecure_signing", True)
    encrypted = key.to_encrypted_pkcs8(b"pass", kdf_rounds=10)
    assert isinstance(sm2.load_private_key(encrypted, b"pass"), libcrypto.PrivateKey)
