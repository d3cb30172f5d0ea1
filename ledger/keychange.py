"""Changing the ledger's keys: adding a new key beside the old ones, and later removing an old one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ledger.log import Log
from ledger.logkeys import LogKeys
from ledger.publisher import vkey_of
from ledger.signers import CheckpointKey
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor, Permission
from trust.model.errors import Malformed, NotFound


@dataclass(frozen=True, slots=True)
class KeyChange:
    """The use case. `held` returns every key of the ledger in custody; `make` makes a new one for one of the `uses`."""

    log: Log
    uses: Sequence[str]
    held: Callable[[], Sequence[CheckpointKey]]
    make: Callable[[str], CheckpointKey]
    trail: Trail

    def rotate(self, actor: Actor, use: str) -> LogKeys:
        """Makes a key for the use (`checkpoint` or `checkpoint-sm2`), which signs beside the others from now on.

        Witnesses and verifiers must learn it (the trust list tells verifiers) before the old one is retired. Raises
        `Malformed`.
        """
        actor.check_may(Permission.SET_UP)
        if use not in self.uses:
            raise Malformed(f"{use} is not a key of the ledger.", f"Give one of {', '.join(self.uses)}.")
        new = self.make(use)
        keys = self.log.change_keys([*self._present(), new])
        self.trail.note(actor.ref, Act("ledger-key.rotate", "done", subject=use))
        return keys

    def retire(self, actor: Actor, key_id: str) -> LogKeys:
        """Stops signing with the key of this id (eight hex digits of its vkey). Raises `NotFound`, `Malformed`."""
        actor.check_may(Permission.SET_UP)
        present = self._present()
        origin = self.log.keys.origin
        left = [key for key in present if vkey_of(origin, key).key_id.hex() != key_id]
        if len(left) == len(present):
            raise NotFound(f"No present key of the ledger has the id {key_id}.", "See `yinzheng keys list`.")
        keys = self.log.change_keys(left)
        self.trail.note(actor.ref, Act("ledger-key.retire", "done", subject=key_id))
        return keys

    def _present(self) -> list[CheckpointKey]:
        """The keys that sign now, in the log's order."""
        held = {vkey_of(self.log.keys.origin, key): key for key in self.held()}
        return [held[vkey] for vkey in self.log.keys.present]
