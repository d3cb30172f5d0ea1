"""The witness's core: every answer, in the order of the specification; races, crashes, forks, any bytes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import GOLDEN_CHECKPOINTS, GOLDEN_KEY, GOLDEN_VKEY, GOLDEN_WORDS
from support.ledger_world import SteppingClock
from support.witness_world import (
    LOG_KEY,
    POST_QUANTUM_KEY,
    WITNESS_KEY,
    SmallLog,
    WitnessWorld,
    request,
)

from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.note import (
    KeyKind,
    Note,
    SignerKey,
    check_note,
    cosignature_time,
    format_note,
    parse_note,
    parse_signature_lines,
    parse_vkey,
    signed_note,
)
from ledger.text import encode_base64
from ledger.witness.keyfile import new_keys, read_key_file, write_key_file
from ledger.witness.sql import origin_hash
from ledger.witness.witness import (
    MAX_REQUEST_SIZE,
    Answer,
    MemoryMissing,
    Witness,
    create_store,
    replace_log_keys,
)
from trust.encoding import merkle
from trust.encoding.digests import sha256
from trust.model.errors import Conflict, KeyUnavailable, LedgerHalted, Malformed, StorageError
from trust.storage.errors import DurabilityUnknown
from trust.storage.sql import Database

LOG = SmallLog()


@pytest.fixture
def world(new_database: Callable[[], Path | str]) -> Iterator[WitnessWorld]:
    found = WitnessWorld(new_database())
    yield found
    found.close()


def accepted(world: WitnessWorld, old_size: int, size: int, log: SmallLog = LOG) -> dict[KeyKind, int]:
    """The times stated by the cosignatures, by the kind of their key; each has been verified."""
    answer = world.witness.add_checkpoint(log.body(old_size, size))
    assert answer.status == 200, answer
    text = parse_note(log.note(size)).text
    note = Note(text=text, signatures=parse_signature_lines(answer.body.decode()))
    check_note(format_note(note), vkeys=world.witness.vkeys)
    kinds = {vkey.key_id: vkey.kind for vkey in world.witness.vkeys}
    return {kinds[each.key_id]: cosignature_time(each.signature) for each in note.signatures}


def refused(world: WitnessWorld, body: bytes) -> int:
    """The status of a refusal, which left the witness as it was."""
    before = world.witness.latest(origin_hash(LOG_KEY.name))
    answer = world.witness.add_checkpoint(body)
    assert answer.status != 200
    assert b"\xe2\x80\x94" not in answer.body, "a refusal holds no signature line"
    assert world.witness.latest(origin_hash(LOG_KEY.name)) == before
    return answer.status


# 200 ------------------------------------------------------------------------------------------------------------


def test_a_log_that_grows_is_cosigned_with_every_key(world: WitnessWorld) -> None:
    sizes = [0, 1, 2, 7, 7, 8, 200, 256, 300]
    for old_size, size in zip([0, *sizes], sizes, strict=False):
        times = accepted(world, old_size, size)
        assert set(times) == {KeyKind.COSIGNATURE, KeyKind.ML_DSA_44}
        assert len(set(times.values())) == 1
    assert [each.size for each in world.witness.logs()] == [300]


def test_the_first_contact_may_be_at_any_size(world: WitnessWorld) -> None:
    accepted(world, 0, 20)


def test_the_latest_checkpoint_carries_the_logs_and_our_signatures_and_no_others(world: WitnessWorld) -> None:
    assert world.witness.latest(origin_hash(LOG_KEY.name)) is None
    stranger = SignerKey(name="stranger", seed=b"\x61" * 32)
    text = parse_note(LOG.note(5)).text
    keys = (stranger, LOG_KEY)
    note = signed_note(text, [(key.vkey, key.sign(text.encode())) for key in keys])
    assert world.witness.add_checkpoint(request(0, [], note)).status == 200
    latest = world.witness.latest(origin_hash(LOG_KEY.name))
    assert latest is not None
    found = check_note(latest, vkeys=[LOG_KEY.vkey, *world.witness.vkeys])
    assert found.text == text
    assert [each.key_id for each in found.signatures] == [
        LOG_KEY.vkey.key_id,
        WITNESS_KEY.vkey.key_id,
        POST_QUANTUM_KEY.vkey.key_id,
    ]


def test_the_hash_of_an_origin_is_that_of_the_specification(world: WitnessWorld) -> None:
    assert origin_hash("rome2026h1.example.org") == (
        "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706"
    )
    accepted(world, 0, 5)
    for wrong in ("", "x", "0" * 64, origin_hash(LOG_KEY.name).upper(), origin_hash(LOG_KEY.name) + "\n"):
        assert world.witness.latest(wrong) is None


def test_times_never_go_back_even_when_the_clock_does(world: WitnessWorld) -> None:
    first = accepted(world, 0, 5)[KeyKind.COSIGNATURE]
    world.clock.at = world.clock.at.replace(year=2020)
    assert accepted(world, 5, 6)[KeyKind.COSIGNATURE] == first
    world.restart()
    world.clock.at = world.clock.at.replace(year=1969)
    assert accepted(world, 6, 6)[KeyKind.COSIGNATURE] == first


def test_a_clock_before_1970_still_gives_a_time_that_is_not_zero(world: WitnessWorld) -> None:
    world.clock.at = world.clock.at.replace(year=1960)
    assert accepted(world, 0, 5) == {KeyKind.COSIGNATURE: 1, KeyKind.ML_DSA_44: 1}


def test_further_lines_are_cosigned_only_by_the_key_that_covers_them(world: WitnessWorld) -> None:
    answer = world.witness.add_checkpoint(LOG.body(0, 5, "further line"))
    assert answer.status == 200
    (line,) = parse_signature_lines(answer.body.decode())
    assert line.key_id == WITNESS_KEY.vkey.key_id
    only = Witness(world.database, keys=[POST_QUANTUM_KEY], clock=world.clock)
    assert only.add_checkpoint(LOG.body(5, 6, "further line")).status == 400
    assert only.add_checkpoint(LOG.body(5, 6)).status == 200


def test_the_golden_log_is_cosigned_from_its_first_to_its_last_checkpoint(world: WitnessWorld) -> None:
    leaves = [merkle.leaf_hash(word) for word in GOLDEN_WORDS]
    vkey = parse_vkey(GOLDEN_VKEY)
    texts = [
        format_checkpoint(Checkpoint(origin=vkey.name, size=size, root=merkle.root(leaves[:size])))
        for size in range(16)
    ]
    notes = [signed_note(text, [(vkey, GOLDEN_KEY.sign(text.encode()))]) for text in texts]
    assert (
        sha256("".join(notes).encode()).hex() == GOLDEN_CHECKPOINTS
    )  # byte for byte what stands in its files
    world.witness.add_log([vkey])
    for size, note in enumerate(notes):
        old_size = max(size - 1, 0)
        proof = merkle.prove_consistency(old_size, leaves[:size]) if old_size else []
        assert world.witness.add_checkpoint(request(old_size, proof, note)).status == 200


# 400, 413 -------------------------------------------------------------------------------------------------------

NOTE = LOG.note(5)
HASH = encode_base64(bytes(32))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"\n\n",
        b"old 0",
        b"old 0\n",
        b"old 0\n\n",
        b"old 0\n" + NOTE.encode(),
        b"\n" + NOTE.encode(),
        NOTE.encode(),
        f"\nold 0\n\n{NOTE}".encode(),
        f"old 00\n\n{NOTE}".encode(),
        f"old -1\n\n{NOTE}".encode(),
        f"old +0\n\n{NOTE}".encode(),
        f"old  0\n\n{NOTE}".encode(),
        f"old 0 \n\n{NOTE}".encode(),
        f"old\t0\n\n{NOTE}".encode(),
        f"Old 0\n\n{NOTE}".encode(),
        f"old ٠\n\n{NOTE}".encode(),
        f"old {1 << 63}\n\n{NOTE}".encode(),
        f"old {'9' * 5000}\n\n{NOTE}".encode(),
        f"old 0\r\n\r\n{NOTE}".encode(),
        f"old 0\n\n{NOTE[:-1]}".encode(),
        f"old 0\n\n{NOTE}\n".encode(),
        f"old 0\n\n\n{NOTE}".encode(),
        f"old 0\nnot base64\n\n{NOTE}".encode(),
        f"old 0\n{HASH[:-2]}\n\n{NOTE}".encode(),
        f"old 0\n{encode_base64(bytes(31))}\n\n{NOTE}".encode(),
        f"old 0\n{encode_base64(bytes(64))}\n\n{NOTE}".encode(),
        f"old 0\n{HASH} \n\n{NOTE}".encode(),
        request(0, [bytes(32)] * 64, NOTE),
        f"old 0\n\n{NOTE.replace('5', '05', 1)}".encode(),
        b"old 0\n\n\xff" + NOTE.encode(),
        b"old 0\n\n" + NOTE.encode().replace(b"example", b"exam\x00ple", 1),
    ],
)
def test_a_body_that_is_not_in_its_form_is_a_bad_request(tmp_path: Path, body: bytes) -> None:
    world = WitnessWorld(tmp_path / "w.db")
    assert refused(world, body) == 400
    world.close()


def test_an_old_size_above_the_checkpoints_is_a_bad_request_once_the_log_has_signed(
    world: WitnessWorld,
) -> None:
    accepted(world, 0, 5)
    assert refused(world, request(6, [], LOG.note(5))) == 400
    assert refused(world, request(6, [], LOG.note(5).replace("AAA", "BBB") + "x")) == 400
    forged = SmallLog(keys=[SignerKey(name=LOG_KEY.name, seed=b"\x71" * 32)])
    assert refused(world, request(6, [], forged.note(5))) == 403, "the signature comes first"


def test_a_body_above_the_limit_is_too_large(world: WitnessWorld) -> None:
    assert refused(world, b"x" * (MAX_REQUEST_SIZE + 1)) == 413


# 404, 403 -------------------------------------------------------------------------------------------------------


def test_a_log_that_is_not_known_is_not_found(world: WitnessWorld) -> None:
    for name in ("example.org/other", "x" * 300, "例" * 200):
        other = SmallLog(keys=[SignerKey(name=name, seed=b"\x72" * 32)])
        assert refused(world, other.body(0, 5)) == 404


def test_a_checkpoint_that_no_known_key_signed_is_forbidden(world: WitnessWorld) -> None:
    stranger = SignerKey(name="stranger", seed=b"\x73" * 32)
    forged = SmallLog(keys=[SignerKey(name=LOG_KEY.name, seed=b"\x73" * 32)])
    text = parse_note(NOTE).text
    by_stranger = signed_note(text, [(stranger.vkey, stranger.sign(text.encode()))])
    for note in (forged.note(5), by_stranger):
        assert refused(world, request(0, [], note)) == 403


def test_a_bad_signature_of_a_known_key_is_forbidden_also_beside_a_good_one(world: WitnessWorld) -> None:
    for other in (LOG.note(6), LOG.note(4)):
        text, lines = parse_note(NOTE).text, parse_note(other).signatures
        assert refused(world, request(0, [], format_note(Note(text=text, signatures=lines)))) == 403
        both = (*parse_note(NOTE).signatures, *lines)
        assert refused(world, request(0, [], format_note(Note(text=text, signatures=both)))) == 403


def test_no_byte_of_a_signed_checkpoint_may_change(tmp_path: Path) -> None:
    world = WitnessWorld(tmp_path / "w.db", keys=[WITNESS_KEY])
    data = NOTE.encode()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert refused(world, b"old 0\n\n" + changed) in (400, 403, 404)
    world.close()


def test_any_key_of_a_log_is_enough_and_replaced_keys_are_not(world: WitnessWorld) -> None:
    second = SignerKey(name=LOG_KEY.name, seed=b"\x74" * 32)
    with pytest.raises(Conflict):
        world.witness.add_log([LOG_KEY.vkey, second.vkey])
    replace_log_keys(world.database, [LOG_KEY.vkey, second.vkey])
    world.witness.add_log([second.vkey, LOG_KEY.vkey])
    accepted(world, 0, 5)
    accepted(world, 5, 6, SmallLog(keys=[second]))
    replace_log_keys(world.database, [second.vkey])
    assert refused(world, LOG.body(6, 7)) == 403
    accepted(world, 6, 7, SmallLog(keys=[second]))


def test_an_sm2_key_of_a_log_is_known(world: WitnessWorld) -> None:
    from keys import sm2
    from keys.sm2.encoding import parse_spki
    from ledger.note import VerifierKey
    from trust.encoding.cose import raw_signature

    private = sm2.generate_private_key()
    vkey = VerifierKey(name="sm2.example/log", public_key=parse_spki(private.public_key), kind=KeyKind.SM2)
    world.witness.add_log([vkey])
    text = parse_note(SmallLog(keys=[SignerKey(name=vkey.name, seed=bytes(32))]).note(5)).text
    note = signed_note(text, [(vkey, raw_signature("SM2-SM3", private.sign(text.encode())))])
    assert world.witness.add_checkpoint(request(0, [], note)).status == 200


# 409 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old_size", "size"), [(0, 5), (0, 9), (3, 5), (3, 9), (4, 4), (6, 9), (0, 0)])
def test_another_old_size_is_a_conflict_that_names_the_size(
    world: WitnessWorld, old_size: int, size: int
) -> None:
    accepted(world, 0, 5)
    body = LOG.body(old_size, size)
    assert refused(world, body) == 409
    assert world.witness.add_checkpoint(body) == Answer(
        status=409, body=b"5\n", content_type="text/x.tlog.size"
    )


def test_before_the_first_checkpoint_the_size_is_zero(world: WitnessWorld) -> None:
    assert refused(world, LOG.body(3, 5)) == 409
    assert world.witness.add_checkpoint(LOG.body(3, 5)).body == b"0\n"


# 422 ------------------------------------------------------------------------------------------------------------


def test_a_rewritten_history_is_unprocessable_at_every_size(world: WitnessWorld) -> None:
    accepted(world, 0, 7)
    fork = SmallLog("another", fork_at=3)
    for size in range(7, 40):
        assert refused(world, fork.body(7, size)) == 422
    accepted(world, 7, 8)


def test_the_same_size_with_another_root_is_unprocessable(world: WitnessWorld) -> None:
    accepted(world, 0, 7)
    assert refused(world, request(7, [], SmallLog("another").note(7))) == 422


def test_a_proof_is_checked_to_its_end(world: WitnessWorld) -> None:
    accepted(world, 0, 7)
    proof = LOG.prove(7, 20)
    note = LOG.note(20)
    wrong = [[], proof[:-1], proof[1:], [*proof, bytes(32)], proof[::-1]]
    wrong += [[*proof[:at], bytes(32), *proof[at + 1 :]] for at in range(len(proof))]
    for each in wrong:
        assert refused(world, request(7, each, note)) == 422
    assert refused(world, request(7, [bytes(32)], LOG.note(7))) == 422, "the same size needs no proof"
    assert world.witness.add_checkpoint(request(7, proof, note)).status == 200


def test_a_proof_from_size_zero_is_unprocessable(world: WitnessWorld) -> None:
    for size in (0, 1, 5):
        assert refused(world, request(0, [bytes(32)], LOG.note(size))) == 422
    accepted(world, 0, 0)
    assert refused(world, request(0, [bytes(32)], LOG.note(5))) == 422


def test_an_empty_tree_has_one_root(world: WitnessWorld) -> None:
    text = f"{LOG_KEY.name}\n0\n{HASH}\n"
    note = signed_note(text, [(LOG_KEY.vkey, LOG_KEY.sign(text.encode()))])
    assert refused(world, request(0, [], note)) == 422
    accepted(world, 0, 0)
    assert refused(world, request(0, [], note)) == 422


# Races and crashes ----------------------------------------------------------------------------------------------


def test_of_two_that_continue_the_same_size_exactly_one_is_cosigned(world: WitnessWorld) -> None:
    size = 1
    accepted(world, 0, size)
    for _ in range(10):
        bodies = [LOG.body(size, size + 1), LOG.body(size, size + 2)]
        answers: list[Answer] = []
        start = threading.Barrier(2)

        def ask(body: bytes, start: threading.Barrier = start, answers: list[Answer] = answers) -> None:
            start.wait()
            answers.append(world.witness.add_checkpoint(body))

        threads = [threading.Thread(target=ask, args=(body,)) for body in bodies]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(answer.status for answer in answers) == [200, 409]
        (known,) = world.witness.logs()
        assert known.size in (size + 1, size + 2)
        assert {each.body for each in answers if each.status == 409} == {b"%d\n" % known.size}
        size = known.size


def test_after_a_crash_between_store_and_answer_a_repeat_is_told_the_size(world: WitnessWorld) -> None:
    accepted(world, 0, 5)
    body = LOG.body(5, 9)
    assert world.witness.add_checkpoint(body).status == 200  # and the answer got lost
    world.restart()
    assert world.witness.add_checkpoint(body).body == b"9\n"
    accepted(world, 9, 9)


def test_a_request_repeated_at_its_own_size_is_cosigned_again(world: WitnessWorld) -> None:
    accepted(world, 0, 5)
    world.restart()
    accepted(world, 5, 5)


def test_what_is_not_stored_is_not_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = WitnessWorld(tmp_path / "w.db")
    accepted(world, 0, 5)

    def failing(*_: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr("ledger.witness.sql.update_head", failing)
        with pytest.raises(StorageError):
            world.witness.add_checkpoint(LOG.body(5, 9))
    accepted(world, 5, 8)
    world.close()


def test_a_commit_that_may_be_lost_stops_the_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = WitnessWorld(tmp_path / "w.db")

    def failing(*_: object) -> None:
        raise DurabilityUnknown("The fsync failed.")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "_commit", failing)
        with pytest.raises(DurabilityUnknown):
            world.witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(LedgerHalted):
        world.witness.add_checkpoint(LOG.body(0, 5))
    world.restart()
    assert world.witness.add_checkpoint(LOG.body(0, 5)).status in (200, 409)
    world.close()


# Any bytes ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WitnessWorld]:
    world = WitnessWorld(tmp_path_factory.mktemp("fuzz") / "w.db", keys=[WITNESS_KEY])
    accepted(world, 0, 5)
    yield world
    world.close()


GOOD = LOG.body(5, 9)
PIECES = st.sampled_from(
    [
        b"old 5",
        b"old ",
        b"\n",
        b"\n\n",
        HASH.encode(),
        b"example.org/log",
        b"9",
        NOTE.encode(),
        GOOD[:-20],
        b"\xe2\x80\x94 ",
    ]
)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=8).map(b"".join)))
def test_no_bytes_raise(fuzzed: WitnessWorld, body: bytes) -> None:
    assert fuzzed.witness.add_checkpoint(body).status in (200, 400, 403, 404, 409, 422)


@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=4))
def test_no_change_to_a_good_body_raises_or_moves_the_witness(
    fuzzed: WitnessWorld, start: int, end: int, put: bytes
) -> None:
    body = GOOD[:start] + put + GOOD[max(start, end) :]
    if body != GOOD:
        answer = fuzzed.witness.add_checkpoint(body)
        assert answer.status in (400, 403, 404, 409, 422)
        assert [each.size for each in fuzzed.witness.logs()] == [5]


# Keys, logs and memory --------------------------------------------------------------------------------------------


def test_a_witness_does_not_start_without_its_memory(new_database: Callable[[], Path | str]) -> None:
    with Database(new_database()) as database:
        with pytest.raises(MemoryMissing):
            Witness(database, keys=[WITNESS_KEY], clock=SteppingClock())
        create_store(database)
        create_store(database)  # a crash between memory and keys: nothing is in it yet
        Witness(database, keys=[WITNESS_KEY], clock=SteppingClock()).add_log([LOG_KEY.vkey])
        with pytest.raises(Conflict):
            create_store(database)


def test_a_witness_signs_with_cosigning_keys_only(world: WitnessWorld) -> None:
    same_key = SignerKey(name="another.example", seed=WITNESS_KEY.seed, kind=KeyKind.COSIGNATURE)
    long_name = SignerKey(name="x" * 256, seed=bytes(32), kind=KeyKind.COSIGNATURE)
    for keys in ([], [LOG_KEY], [WITNESS_KEY, LOG_KEY], [WITNESS_KEY, same_key], [long_name]):
        with pytest.raises(KeyUnavailable):
            Witness(world.database, keys=keys, clock=world.clock)


def test_the_keys_of_a_log_have_one_name_and_can_sign_checkpoints(world: WitnessWorld) -> None:
    other = SignerKey(name="example.org/other", seed=b"\x75" * 32)
    long_name = SignerKey(name="例" * 90, seed=b"\x75" * 32)
    for keys in ([], [LOG_KEY, other], [WITNESS_KEY], [long_name]):
        with pytest.raises(Malformed):
            world.witness.add_log([key.vkey for key in keys])
    assert [each.origin for each in world.witness.logs()] == [LOG_KEY.name]


def test_keys_are_kept_in_a_file_of_their_owners(tmp_path: Path) -> None:
    path = tmp_path / "witness.key"
    keys = new_keys("w.example.org", [KeyKind.COSIGNATURE, KeyKind.ML_DSA_44])
    write_key_file(path, keys)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key_file(path) == keys
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(Conflict):
        write_key_file(path, new_keys("w.example.org", [KeyKind.COSIGNATURE]))
    assert read_key_file(path) == keys
    path.chmod(0o640)
    with pytest.raises(KeyUnavailable, match="read by others"):
        read_key_file(path)


def test_a_damaged_key_file_is_refused_without_showing_the_key(tmp_path: Path) -> None:
    path = tmp_path / "witness.key"
    (key,) = new_keys("w.example.org", [KeyKind.COSIGNATURE])
    write_key_file(path, [key])
    text = path.read_text()
    path.write_text(text.replace("w.example", "x.example"))
    secret = re.escape(text.strip().split("+", 4)[4])  # base64, which may have a plus of its own
    with pytest.raises(KeyUnavailable) as refusal:
        read_key_file(path)
    assert not re.search(secret, str(refusal.value))
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(KeyUnavailable):
            read_key_file(missing)
    with pytest.raises(Malformed):
        new_keys("w.example.org", [KeyKind.ED25519])
