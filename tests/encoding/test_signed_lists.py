"""Trust lists and status lists: what was written comes back; signed, not one byte of them is free."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from encoding.spoiling import flips
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.encoding import cose
from trust.encoding.digests import sha256
from trust.encoding.jws import compact, signing_input
from trust.encoding.plain_cbor import decode_cbor
from trust.encoding.status_list import (
    ENTRIES,
    MEDIA_TYPE,
    StatusList,
    decode_status_list,
    encode_status_list,
    pack,
)
from trust.encoding.trust_list import (
    TYP,
    MemberUse,
    TrustedAnchor,
    TrustedAuthority,
    TrustedField,
    TrustedKey,
    TrustedLedgerKey,
    TrustedMaker,
    TrustedMember,
    TrustedSeal,
    TrustedTsa,
    TrustedType,
    TrustList,
    TrustState,
    decode_trust_list,
    encode_trust_list,
)
from trust.model.errors import Malformed, TrustError, VerificationError
from trust.model.status import Status
from verifier.evidence.evidence import check_status_list
from verifier.evidence.trust_list import check_trust_list

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LATER = AT + timedelta(days=7)
ADDRESS = "https://v.chuncheng.example/status/1"
KEY = ec.generate_private_key(ec.SECP256R1())
SPKI = KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
TRUST_LIST = TrustList(
    seq=7,
    issued_at=AT,
    next_update=LATER,
    valid_until=LATER + timedelta(days=23),
    hosts=("V.CHUNCHENG.EXAMPLE",),
    ledger_origin="v.chuncheng.example/ledger",
    ledger_keys=(TrustedLedgerKey("v.chuncheng.example/ledger+00000000+AAAA", 2, None),),
    authorities=(TrustedAuthority("a", "11990100MB9X100103", "春城", "Chuncheng", ("FOOD",)),),
    types=(TrustedType("FOOD", "1234", 1, "食品", "Food", (TrustedField("n", "CZZT", "持证", "holder", 1),)),),
    seals=(
        TrustedSeal(TrustState.ACTIVE, None, "s", "a", "章", "SM2-SM3", (b"c1", b"c2"), b"root", AT, LATER),
        TrustedSeal(TrustState.RETIRED, AT, "t", "a", "章", "P256-SHA256", (b"c3",), b"root", AT, LATER),
    ),
    makers=(TrustedMaker(TrustState.RETIRED, AT, "SM2-SM3", (b"c5",), b"root"),),
    tsas=(TrustedTsa(TrustState.COMPROMISED, AT, "SM2-SM3", (b"c4",), b"root"),),
    keys=(
        TrustedKey(TrustState.ACTIVE, None, cose.key_id(SPKI), "P256-SHA256", SPKI, "status", AT, LATER),
    ),
    status_lists={1: ADDRESS},
    anchors=(TrustedAnchor(TrustState.RETIRED, AT, "银行", "Bank", b"c6", AT, LATER),),
    members=(
        TrustedMember(
            TrustState.ACTIVE, None, "b", "乙", "B", "https://b.example", (b"r1", b"r2"), ("B.EXAMPLE",),
            (MemberUse.SEAL, MemberUse.REPORT), ("53",), None, AT, LATER,
        ),
        TrustedMember(
            TrustState.COMPROMISED, AT, "c", "丙", "C", None, (b"r3",), (), (MemberUse.PRESENT,), None, ("1234",), AT,
            None,
        ),
    ),
)  # fmt: skip
STATUSES = {0: Status.REVOKED, 5: Status.SUSPENDED, ENTRIES - 1: Status.REPLACED}
LISTED = StatusList(ADDRESS, AT, LATER, 3600, pack(STATUSES), "v.chuncheng.example/ledger", 77)


def sign_trust_list(listed: TrustList) -> bytes:
    signed = signing_input(encode_trust_list(listed), TYP, sha256(SPKI))
    return compact(signed, cose.raw_signature("P256-SHA256", KEY.sign(signed, ec.ECDSA(hashes.SHA256()))))


def sign_status_list(
    listed: StatusList, *, media_type: str = MEDIA_TYPE, suite: str = "P256-SHA256"
) -> bytes:
    protected = cose.encode_protected(suite, cose.key_id(SPKI), {16: media_type})
    payload = encode_status_list(listed)
    signature = KEY.sign(cose.to_be_signed(protected, b"", payload), ec.ECDSA(hashes.SHA256()))
    return cose.encode_sign1(protected, payload, cose.raw_signature("P256-SHA256", signature))


# Trust list ------------------------------------------------------------------------------------------------


def test_a_trust_list_comes_back() -> None:
    assert decode_trust_list(encode_trust_list(TRUST_LIST)) == TRUST_LIST
    assert check_trust_list(sign_trust_list(TRUST_LIST), [SPKI]) == TRUST_LIST


def test_a_trust_list_of_three_thousand_seals_is_believed_and_holds_what_they_share_once() -> None:
    one = TRUST_LIST.seals[0]
    root, above = bytes(1000), bytes(999)
    seals = tuple(
        replace(one, seal_id=f"s{n}", certs=(n.to_bytes(900), above), root=root) for n in range(3000)
    )
    many = replace(TRUST_LIST, seals=seals)
    signed = sign_trust_list(many)
    assert check_trust_list(signed, [SPKI]) == many
    assert len(signed) < 3000 * 2100


def test_an_entry_in_an_algorithm_that_nobody_here_knows_is_left_out_and_the_others_stay() -> None:
    """A later version may add one; whoever has not been updated goes on with the rest."""
    new = replace(TRUST_LIST.seals[0], seal_id="new", suite="ML-DSA-65")
    listed = check_trust_list(sign_trust_list(replace(TRUST_LIST, seals=(*TRUST_LIST.seals, new))), [SPKI])
    assert listed == TRUST_LIST


def test_no_byte_of_a_signed_trust_list_can_be_changed() -> None:
    for spoiled in flips(sign_trust_list(TRUST_LIST), masks=(0x01,), step=2):
        with pytest.raises(TrustError):
            check_trust_list(spoiled, [SPKI])


def test_a_trust_list_under_another_root_or_older_than_one_seen_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    other_spki = other.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = sign_trust_list(TRUST_LIST)
    assert check_trust_list(signed, [other_spki, SPKI], least_seq=7) == TRUST_LIST
    for roots, least_seq, code in (
        ([other_spki], 0, "TRUST_LIST_BAD"),
        ([], 0, "TRUST_LIST_BAD"),
        ([SPKI], 8, "TRUST_LIST_ROLLED_BACK"),
    ):
        with pytest.raises(VerificationError) as refused:
            check_trust_list(signed, roots, least_seq=least_seq)
        assert refused.value.code == code


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"null", b"{", b"[" * 100_000,
     encode_trust_list(TRUST_LIST).replace(b"list-1", b"list-2", 1),
     encode_trust_list(TRUST_LIST).replace(b"+00:00", b"", 1),
     encode_trust_list(TRUST_LIST).replace(b'"active"', b'"good"', 1),
     encode_trust_list(TRUST_LIST).replace(b'"seq":7', b'"seq":"x"', 1)],
)  # fmt: skip
def test_a_payload_that_is_no_trust_list_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        decode_trust_list(payload)


def test_one_that_is_not_active_counts_until_its_day() -> None:
    retired = TRUST_LIST.seals[1]
    assert retired.is_good_at(AT - timedelta(seconds=1))
    assert not retired.is_good_at(AT)
    assert not replace(retired, since=None).is_good_at(AT - timedelta(days=999))
    assert TRUST_LIST.seals[0].is_good_at(LATER)


# Status list -----------------------------------------------------------------------------------------------


def test_a_status_list_comes_back() -> None:
    assert decode_status_list(encode_status_list(LISTED)) == LISTED
    assert check_status_list(sign_status_list(LISTED), 1, TRUST_LIST) == LISTED


@settings(max_examples=25)
@given(st.dictionaries(st.integers(0, ENTRIES - 1), st.sampled_from(Status), max_size=20))
def test_every_index_keeps_its_status(statuses: dict[int, Status]) -> None:
    listed = replace(LISTED, packed=pack(statuses))
    for index, status in statuses.items():
        assert listed.status(index) is status
        for beside in (index - 1, index + 1):
            if 0 <= beside < ENTRIES and beside not in statuses:
                assert listed.status(beside) is Status.VALID


def test_an_index_outside_the_list_is_malformed() -> None:
    for index in (-1, ENTRIES):
        with pytest.raises(Malformed):
            LISTED.status(index)


def test_the_bits_are_those_of_the_drafts_example() -> None:
    # draft-ietf-oauth-status-list, its example of a list of two bits as CBOR
    encoded = bytes.fromhex("a2646269747302636c73744b78da3be9f2130003df0207")
    value = cbor2.loads(encoded)  # the draft's keys do not stand in deterministic order, so ours refuses it
    with pytest.raises(Malformed):
        decode_cbor(encoded, max_bytes=1000)
    packed = zlib.decompress(value["lst"])
    assert packed == bytes((0xC9, 0x44, 0xF9))
    numbers = [packed[n // 4] >> 2 * (n % 4) & 3 for n in range(12)]
    assert numbers == [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    meaning = {0: Status.VALID, 1: Status.REVOKED, 2: Status.SUSPENDED, 3: Status.REPLACED}
    made = pack({index: meaning[number] for index, number in enumerate(numbers)})
    assert made[:3] == packed


def test_no_byte_of_a_signed_status_list_can_be_changed() -> None:
    for spoiled in flips(sign_status_list(LISTED)):
        with pytest.raises(TrustError):
            check_status_list(spoiled, 1, TRUST_LIST)


@pytest.mark.parametrize(
    "encoded",
    [
        sign_status_list(replace(LISTED, address=ADDRESS + "0")),
        sign_status_list(replace(LISTED, issued_at=AT - timedelta(seconds=1))),
        sign_status_list(LISTED, media_type="application/cwt"),
        sign_status_list(LISTED, suite="SM2-SM3"),
        sign_status_list(replace(LISTED, packed=LISTED.packed[:-1])),
        sign_status_list(replace(LISTED, packed=LISTED.packed + b"\0")),
        sign_status_list(replace(LISTED, packed=bytes(1 << 24))),
    ],
    ids=["address", "before the key", "media type", "algorithm", "short", "long", "bomb"],
)
def test_a_rightly_signed_list_that_says_other_than_it_should_is_refused(encoded: bytes) -> None:
    with pytest.raises((VerificationError, Malformed)):
        check_status_list(encoded, 1, TRUST_LIST)


def test_a_key_that_is_not_for_status_lists_does_not_sign_them() -> None:
    other_use = replace(TRUST_LIST, keys=(replace(TRUST_LIST.keys[0], use="present"),))
    with pytest.raises(VerificationError):
        check_status_list(sign_status_list(LISTED), 1, other_use)
