"""A log in memory that can sign any size, honestly or not, and a witness that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.note import KeyKind, SignerKey, signed_note
from ledger.text import encode_base64
from ledger.witness.witness import Witness, create_store
from support.ledger_world import SteppingClock
from trust.encoding import merkle
from trust.storage.sql import Database

ORIGIN = "example.org/log"
LOG_KEY = SignerKey(name=ORIGIN, seed=b"\x31" * 32)
WITNESS_KEY = SignerKey(name="w.example.org", seed=b"\x32" * 32, kind=KeyKind.COSIGNATURE)
POST_QUANTUM_KEY = SignerKey(name="w.example.org", seed=b"\x33" * 32, kind=KeyKind.ML_DSA_44)


class SmallLog:
    """Leaves in a list. Two logs with another `history` from some leaf on are a fork."""

    def __init__(
        self, history: str = "", *, fork_at: int = 0, keys: Sequence[SignerKey] = (LOG_KEY,)
    ) -> None:
        self._leaves = [
            merkle.leaf_hash(f"{i}{history if i >= fork_at else ''}".encode()) for i in range(300)
        ]
        self._keys = keys

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(origin=self._keys[0].name, size=size, root=merkle.root(self._leaves[:size]))

    def note(self, size: int, *extensions: str) -> str:
        text = format_checkpoint(self.checkpoint(size)) + "".join(f"{each}\n" for each in extensions)
        return signed_note(text, [(key.vkey, key.sign(text.encode())) for key in self._keys])

    def prove(self, old_size: int, size: int) -> list[bytes]:
        return merkle.prove_consistency(old_size, self._leaves[:size])

    def body(self, old_size: int, size: int, *extensions: str) -> bytes:
        proof = self.prove(old_size, size) if 0 < old_size <= size else []
        return request(old_size, proof, self.note(size, *extensions))


def request(old_size: int | str, proof: Sequence[bytes], note: str) -> bytes:
    lines = [f"old {old_size}", *map(encode_base64, proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


class WitnessWorld:
    """A witness on its database, which can be crashed and started again."""

    def __init__(
        self, where: Path | str, *, keys: Sequence[SignerKey] = (WITNESS_KEY, POST_QUANTUM_KEY)
    ) -> None:
        self.where = where
        self.clock = SteppingClock()
        self.keys = keys
        self.database = Database(where)
        create_store(self.database)
        self.witness = Witness(self.database, keys=keys, clock=self.clock)
        self.witness.add_log([LOG_KEY.vkey])

    def restart(self) -> None:
        self.database.close()
        self.database = Database(self.where)
        self.witness = Witness(self.database, keys=self.keys, clock=self.clock)

    def close(self) -> None:
        self.database.close()
