"""A log changes its keys and stays one log: who must have signed a checkpoint is decided by its size."""

from __future__ import annotations

from typing import Any

import pytest
from support.ledger_world import ORIGIN, World
from support.log_keys import only_key

from keys import sm2
from keys.sm2.encoding import parse_spki
from ledger.log import CheckpointSigner, Log
from ledger.logkeys import LogKeys, check_log_checkpoint, keys_from_statements
from ledger.note import KeyKind, SignerKey, parse_note
from ledger.proof import check_embedded_receipt, format_receipt
from ledger.publisher import vkey_of
from trust.encoding.cose import raw_signature
from trust.model.errors import KeyUnavailable, Malformed, VerificationError
from trust.storage.sql import Database


class Sm2Signer:
    """An SM2 key as the log uses it."""

    kind = KeyKind.SM2

    def __init__(self) -> None:
        self._key = sm2.generate_private_key()

    @property
    def public_key_raw(self) -> bytes:
        return parse_spki(self._key.public_key)

    def sign(self, message: bytes) -> bytes:
        return raw_signature("SM2-SM3", self._key.sign(message))


NEW = SignerKey(name=ORIGIN, seed=b"\x55" * 32)


def test_a_new_key_signs_beside_the_old_one_and_then_alone(world: World) -> None:
    log = world.open()
    old, second = world.signer, Sm2Signer()
    receipts = []

    def receipt() -> None:
        [appended] = world.append(log, 1)
        receipts.append((appended.entry_bytes, format_receipt(log.receipt([appended.seq])[0])))

    receipt()
    steps: tuple[list[CheckpointSigner], ...] = (
        [old, second],
        [old, second, NEW],
        [second, NEW],
        [NEW],
    )
    for signers in steps:
        keys = log.change_keys(signers)
        assert set(keys.present) == {vkey_of(ORIGIN, each) for each in signers}
        receipt()
    assert [len(parse_note(text.split("\n\n", 1)[1]).signatures) for _, text in receipts] == [1, 2, 3, 2, 1]
    for entry, text in receipts:
        check_embedded_receipt(entry, text, log_keys=log.keys)
    assert world.recheck().findings == ()
    log.close()
    world.signer = NEW
    world._logs.clear()
    again = world.open()
    assert again.keys == log.keys
    assert world.recheck().findings == ()


def test_a_line_of_a_key_that_must_sign_cannot_be_taken_away(world: World) -> None:
    log = world.open()
    log.change_keys([world.signer, Sm2Signer()])
    [appended] = world.append(log, 1)
    text = format_receipt(log.receipt([appended.seq])[0])
    lines = text.splitlines(keepends=True)
    for spoiled in (
        "".join(lines[:-1]),
        "".join([*lines[:-2], lines[-1]]),
        "".join([*lines[:-2], lines[-1], lines[-2]]),
    ):
        with pytest.raises(VerificationError):
            check_embedded_receipt(appended.entry_bytes, spoiled, log_keys=log.keys)
    for spoiled in ("".join(lines[:-1]), "".join([*lines[:-2], lines[-1]])):
        with pytest.raises(VerificationError):
            check_log_checkpoint(spoiled.split("\n\n", 1)[1], log.keys)
    # Who knows the Ed25519 key only, checks that one.
    assert check_log_checkpoint(text.split("\n\n", 1)[1], only_key(log.vkey)).size == log.checkpoint().size


def test_a_key_that_is_retired_cannot_sign_for_later_sizes(world: World) -> None:
    log = world.open()
    log.change_keys([world.signer, NEW])
    log.change_keys([NEW])
    size = log.checkpoint().size
    assert log.keys.of_size(size) == (vkey_of(ORIGIN, NEW),)
    assert vkey_of(ORIGIN, world.signer) in log.keys.of_size(2)
    with pytest.raises(VerificationError):
        check_log_checkpoint(log.checkpoint_note(), only_key(vkey_of(ORIGIN, world.signer)))


def test_a_log_without_one_of_its_keys_does_not_start(world: World) -> None:
    log = world.open()
    log.change_keys([world.signer, NEW])
    log.close()
    with pytest.raises(KeyUnavailable, match="does not have it"):
        world.open()


@pytest.mark.parametrize("signers", [[], [Sm2Signer], [NEW, NEW]], ids=["none", "no Ed25519", "twice"])
def test_keys_that_cannot_be_those_of_a_log_change_nothing(world: World, signers: list[Any]) -> None:
    log = world.open()
    before, size = log.keys, log.size
    made = [each() if isinstance(each, type) else each for each in signers]
    if made == [NEW, NEW]:
        log.change_keys(made)
        assert len(log.keys.present) == 1, "the same key twice is one key"
        return
    with pytest.raises(Malformed):
        log.change_keys(made)
    assert (log.keys, log.size) == (before, size)


def test_a_forged_statement_of_keys_is_refused(world: World) -> None:
    log = world.open()
    log.change_keys([world.signer, NEW])
    statements = [(seq, (world.folder / f"keys/{seq}").read_text()) for seq in (1, 2)]
    assert keys_from_statements(ORIGIN, statements) == log.keys
    for seq, note in statements:
        data = note.encode()
        for at in range(0, len(data), 3):
            spoiled = (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]).decode("utf-8", "replace")
            changed = [(s, spoiled if s == seq else n) for s, n in statements]
            try:
                found = keys_from_statements(ORIGIN, changed)
            except (Malformed, VerificationError, ValueError):
                continue
            raise AssertionError(f"byte {at} of statement {seq}: {found}")
    with pytest.raises((Malformed, VerificationError)):
        keys_from_statements("example.org/other", statements)
    with pytest.raises((Malformed, VerificationError)):
        keys_from_statements(ORIGIN, statements[1:])
    assert isinstance(log.keys, LogKeys)


def test_a_process_takes_up_a_key_that_another_has_added(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("SQLite has one writing process")
    one = world.open()
    with Database(world.where) as database:
        two = Log(
            database=database,
            lock_store=world.lock_store,
            folder=world.folder,
            origin=ORIGIN,
            signers=[world.signer],
            clock=world.clock,
            find_signer=lambda vkey: NEW if vkey == vkey_of(ORIGIN, NEW) else None,
        )
        with two:
            one.change_keys([world.signer, NEW])
            assert two.stored_keys() == one.keys
            [appended] = world.append(two, 1)
            [receipt] = two.receipt([appended.seq])
            check_embedded_receipt(appended.entry_bytes, format_receipt(receipt), log_keys=one.keys)
