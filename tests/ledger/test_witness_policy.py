"""Policies: read line by line, refused by line number, and who must have cosigned."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.witness_world import LOG_KEY, SmallLog

from ledger.checkpoint import format_checkpoint
from ledger.note import (
    KeyKind,
    Note,
    NoteSignature,
    SignerKey,
    check_note,
    format_note,
    format_vkey,
    parse_note,
    parse_vkey,
)
from ledger.witness.policy import (
    Group,
    Policy,
    PolicyLog,
    PolicyWitness,
    check_cosigned_checkpoint,
    format_policy,
    parse_policy,
)
from trust.model.errors import Malformed, VerificationError


def key(number: int, kind: KeyKind = KeyKind.COSIGNATURE) -> SignerKey:
    return SignerKey(name=f"w{number}.example.org", seed=bytes([number]) * 32, kind=kind)


LOG = format_vkey(LOG_KEY.vkey)
W1, W2, W3, W4 = (format_vkey(key(number).vkey) for number in (1, 2, 3, 4))
POST_QUANTUM = format_vkey(key(5, KeyKind.ML_DSA_44).vkey)
EXAMPLE = f"""\
# two of three here, and one from elsewhere
log {LOG} https://example.org/log

witness archives {W1} https://archives.example.org/w
witness audit\t{W2}
\twitness 法院 {W3}\t
witness neighbour {POST_QUANTUM} https://w.example.net
group province 2 archives audit 法院
  # indented
group both all province neighbour
quorum both
""".encode()


def test_the_example_is_read_and_written_back() -> None:
    policy = parse_policy(EXAMPLE)
    assert policy.log_vkeys(LOG_KEY.name) == [LOG_KEY.vkey]
    assert [each.name for each in policy.witnesses] == ["archives", "audit", "法院", "neighbour"]
    assert policy.witnesses[3].vkey.kind is KeyKind.ML_DSA_44
    assert policy.groups == (
        Group(name="province", threshold=2, members=("archives", "audit", "法院")),
        Group(name="both", threshold=2, members=("province", "neighbour")),
    )
    assert parse_policy(format_policy(policy)) == policy


def test_the_quorum_of_the_example_is_met_by_two_here_and_one_elsewhere() -> None:
    policy = parse_policy(EXAMPLE)
    here = ["archives", "audit", "法院"]
    for count in range(4):
        for some in itertools.combinations(here, count):
            assert policy.is_satisfied({*some, "neighbour"}) is (count >= 2)
            assert not policy.is_satisfied(some)
    assert not policy.is_satisfied({"province", "both"}), "the names of groups cosign nothing"


@pytest.mark.parametrize(
    ("threshold", "needed"),
    [("any", 1), ("all", 3), ("1", 1), ("2", 2), ("3", 3)],
    ids=lambda each: str(each),
)
def test_a_group_needs_as_many_as_it_says(threshold: str, needed: int) -> None:
    lines = f"witness a {W1}\nwitness b {W2}\nwitness c {W3}\ngroup g {threshold} a b c\nquorum g\n"
    policy = parse_policy(lines.encode())
    assert parse_policy(format_policy(policy)) == policy
    for count in range(4):
        for some in itertools.combinations("abc", count):
            assert policy.is_satisfied(some) is (count >= needed)


def test_a_quorum_of_none_is_always_met_and_of_one_witness_by_that_one() -> None:
    assert parse_policy(b"quorum none\n") == Policy()
    assert Policy().is_satisfied(())
    policy = parse_policy(f"witness a {W1}\nwitness b {W2}\nquorum a\n".encode())
    assert policy.is_satisfied({"a"})
    assert not policy.is_satisfied({"b"})


A, B, G = f"witness a {W1}\n", f"witness b {W2}\n", "group g any a\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", None),
        ("# nothing\n", None),
        (A, None),
        ("quorum none", 1),
        ("\n\nquorum none", 3),
        ("quorum none\nquorum none\n", 2),
        ("quorum\n", 1),
        ("quorum a b\n", 1),
        ("quorum a\n", 1),
        (f"quorum a\n{A}", 1),
        ("Quorum none\n", 1),
        ("unknown line\n", 1),
        ("quorum none # comment\n", 1),
        ("log\n", 1),
        (f"log {LOG} https://a b\n", 1),
        (f"log {LOG[:-1]}\n", 1),
        (f"log {W1}\n", 1),
        (f"log {LOG}\nlog {LOG}\n", 2),
        ("witness a\n", 1),
        (f"witness {W1}\n", 1),
        (f"witness a {W1} https://a b\n", 1),
        (f"witness a {LOG}\n", 1),
        (f"witness a {W1[:-4]}AAAA\n", 1),
        (f"witness none {W1}\n", 1),
        (f"{A}witness a {W2}\n", 2),
        (f"{A}witness b {W1}\n", 2),
        (f"{A}{B}group a any b\n", 3),
        (f"{A}group none any a\n", 2),
        (f"{A}group g any\n", 2),
        (f"{A}group g all\n", 2),
        (f"{A}group g\n", 2),
        ("group\n", 1),
        (f"{A}group g 0 a\n", 2),
        (f"{A}group g 2 a\n", 2),
        (f"{A}group g 01 a\n", 2),
        (f"{A}group g -1 a\n", 2),
        (f"{A}group g +1 a\n", 2),
        (f"{A}group g most a\n", 2),
        (f"{A}group g ١ a\n", 2),
        (f"{A}group g any b\n", 2),
        (f"{A}group g any g\n", 2),
        (f"{A}group g any none\n", 2),
        (f"{A}group g any a a\n", 2),
        (f"{A}{B}{G}group h any b a\n", 4),
        (f"{A}{G}quorum h\n", 3),
        ("quorum none\r\n", 1),
        ("quorum\x0bnone\n", 1),
        ("# \x00\nquorum none\n", 1),
        ("# \x7f\nquorum none\n", 1),
    ],
)
def test_every_malformed_line_is_refused_with_its_number(text: str, line: int | None) -> None:
    with pytest.raises(Malformed) as refusal:
        parse_policy(text.encode())
    expected = "The policy has no quorum line" if line is None else f"Line {line} of the policy"
    assert expected in refusal.value.what


def test_one_key_under_two_names_is_one_witness() -> None:
    other_name = SignerKey(name="elsewhere.example.net", seed=key(1).seed, kind=KeyKind.COSIGNATURE)
    with pytest.raises(Malformed, match=r"Line 2 .*public key"):
        parse_policy(f"{A}witness b {format_vkey(other_name.vkey)}\n".encode())


def test_names_are_octets() -> None:
    kelvin, latin = "\u212a", "K"
    data = f"witness {latin} {W1}\nwitness {kelvin} {W2}\n".encode() + b"witness \xff\xfe " + W3.encode()
    data += b" https://\xff/\n# \x80\nquorum \xff\xfe\n"
    policy = parse_policy(data)
    assert len({each.name for each in policy.witnesses}) == 3
    assert not policy.is_satisfied({latin, kelvin})
    assert policy.is_satisfied({policy.witnesses[2].name})
    assert parse_policy(format_policy(policy)) == policy


def test_a_policy_made_in_code_keeps_the_same_rules() -> None:
    witness = PolicyWitness(name="a", vkey=key(1).vkey)
    assert Policy(witnesses=(witness,), quorum="a").is_satisfied({"a"})
    for wrong in (
        {"witnesses": (witness, witness)},
        {"quorum": "a"},
        {"witnesses": (PolicyWitness(name="a b", vkey=key(1).vkey),)},
        {"witnesses": (PolicyWitness(name="", vkey=key(1).vkey),)},
        {"witnesses": (PolicyWitness(name="\ud800", vkey=key(1).vkey),)},
        {"witnesses": (PolicyWitness(name="a", vkey=key(1).vkey, url="https://a\n"),)},
        {"logs": (PolicyLog(vkey=key(1).vkey),)},
        {"witnesses": (witness,), "groups": (Group(name="g", threshold=2, members=("a",)),)},
    ):
        with pytest.raises(Malformed):
            Policy(**wrong)


def test_a_policy_is_as_deep_and_as_long_as_it_likes() -> None:
    lines = [f"witness w0 {W1}"]
    lines += [f"group w{number} any w{number - 1}" for number in range(1, 5000)]
    policy = parse_policy("\n".join([*lines, "quorum w4999", ""]).encode())
    assert policy.is_satisfied({"w0"})
    assert not policy.is_satisfied(())


@given(st.binary(max_size=200))
def test_no_octets_do_anything_but_parse_or_be_refused(data: bytes) -> None:
    for text in (data, data + b"\nquorum none\n", EXAMPLE + data, EXAMPLE.replace(b"province", data)):
        try:
            policy = parse_policy(text)
        except Malformed:
            continue
        assert parse_policy(format_policy(policy)) == policy


# Checking a note ------------------------------------------------------------------------------------------------

POLICY = parse_policy(EXAMPLE)
NOTE = SmallLog().note(7)


def cosigned(note: str, *keys: SignerKey, time: int = 1000) -> str:
    parsed = parse_note(note)
    lines = tuple(
        NoteSignature(name=k.name, key_id=k.vkey.key_id, signature=k.cosign(parsed.text, time=time))
        for k in keys
    )
    return format_note(Note(text=parsed.text, signatures=(*parsed.signatures, *lines)))


FIVE = key(5, KeyKind.ML_DSA_44)


def code_of(note: str, policy: Policy = POLICY) -> str:
    with pytest.raises(VerificationError) as refusal:
        check_cosigned_checkpoint(note, policy)
    return refusal.value.code


def test_a_checkpoint_with_its_quorum_is_accepted_with_who_and_when() -> None:
    note = cosigned(cosigned(NOTE, key(1), key(2)), FIVE, time=2000)
    found = check_cosigned_checkpoint(note, POLICY)
    assert found.checkpoint == SmallLog().checkpoint(7)
    assert found.cosigned_at == {"archives": 1000, "audit": 1000, "neighbour": 2000}


def test_of_several_lines_of_a_witness_the_latest_counts() -> None:
    policy = parse_policy(f"log {LOG}\nwitness a {W1}\nquorum a\n".encode())
    note = cosigned(cosigned(NOTE, key(1), time=9), key(1), time=5)
    assert check_cosigned_checkpoint(note, policy).cosigned_at == {"a": 9}


def test_too_few_cosignatures_are_not_enough() -> None:
    assert code_of(NOTE) == "QUORUM_NOT_MET"
    assert code_of(cosigned(NOTE, key(1), key(2), key(3))) == "QUORUM_NOT_MET"
    assert code_of(cosigned(NOTE, key(1), FIVE)) == "QUORUM_NOT_MET"
    assert code_of(cosigned(NOTE, key(1), key(1), FIVE)) == "QUORUM_NOT_MET"
    assert code_of(cosigned(NOTE, key(1), key(4), FIVE)) == "QUORUM_NOT_MET", "four is a stranger"


def test_a_bad_line_of_a_known_witness_spoils_the_note_although_the_quorum_is_met() -> None:
    other = SmallLog().note(8)
    line = parse_note(cosigned(other, key(3))).signatures[-1]
    good = parse_note(cosigned(NOTE, key(1), key(2), FIVE))
    spoiled = format_note(Note(text=good.text, signatures=(*good.signatures, line)))
    assert code_of(spoiled) == "NOTE_SIGNATURE_BAD"


def test_witnesses_cannot_replace_the_logs_own_signature() -> None:
    parsed = parse_note(cosigned(NOTE, key(1), key(2), FIVE))
    assert code_of(format_note(Note(text=parsed.text, signatures=parsed.signatures[1:]))) == "NOTE_UNSIGNED"


def test_a_checkpoint_of_another_log_is_refused_whoever_signed_it() -> None:
    other = SignerKey(name="example.org/other", seed=b"\x44" * 32)
    note = cosigned(SmallLog(keys=[other]).note(7), key(1), key(2), FIVE)
    assert code_of(note) == "LOG_ORIGIN_MISMATCH"
    assert check_cosigned_checkpoint(note, POLICY, log_vkeys=[other.vkey]).checkpoint.size == 7
    # The key of one known log does not sign for another.
    text = format_checkpoint(SmallLog(keys=[other]).checkpoint(7))
    line = NoteSignature(name=LOG_KEY.name, key_id=LOG_KEY.vkey.key_id, signature=LOG_KEY.sign(text.encode()))
    crossed = cosigned(format_note(Note(text=text, signatures=(line,))), key(1), key(2), FIVE)
    with pytest.raises(VerificationError) as refusal:
        check_cosigned_checkpoint(crossed, POLICY, log_vkeys=[other.vkey])
    assert refusal.value.code == "NOTE_UNSIGNED"


def test_a_public_cosignature_counts() -> None:
    text = "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n"
    line = (
        "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlw"
        "LKasxEGTLIqAVusneCBmBw==\n"
    )
    witness = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
    log = SignerKey(name="rome2026h1.example.org", seed=b"\x51" * 32)
    note = f"{text}\n{line}"
    check_note(note, vkeys=[parse_vkey(witness)])
    signed = parse_note(note)
    own = NoteSignature(name=log.name, key_id=log.vkey.key_id, signature=log.sign(text.encode()))
    policy = parse_policy(f"log {format_vkey(log.vkey)}\nwitness rome {witness}\nquorum rome\n".encode())
    found = check_cosigned_checkpoint(
        format_note(Note(text=text, signatures=(own, *signed.signatures))), policy
    )
    assert found.cosigned_at == {"rome": 1767139200}
