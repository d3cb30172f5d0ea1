"""Changing the ledger's keys: a new one beside the old ones, and later an old one out."""

from __future__ import annotations

from issuer.authorities import LEDGER_KEYS
from keys.custody import KeyPurpose
from ledger.logkeys import LogKeys
from ledger.publisher import vkey_of
from trust.app.compose import CheckpointKey, Service
from trust.model.errors import Malformed, NotFound


def rotate_ledger_key(service: Service, use: str) -> LogKeys:
    """Makes a key for the use (`checkpoint` or `checkpoint-sm2`); it signs beside the others from now on.

    Tell witnesses and verifiers of it (the trust list does), then retire the old one.
    """
    if use not in LEDGER_KEYS:
        raise Malformed(f"{use} is not a key of the ledger.", f"Give one of {', '.join(LEDGER_KEYS)}.")
    row = service.authorities.add_service_key(use, KeyPurpose.CHECKPOINT, LEDGER_KEYS[use])
    new = CheckpointKey(service.keys.open(row.key_id, KeyPurpose.CHECKPOINT))
    return service.log.change_keys([*_present(service), new])


def retire_ledger_key(service: Service, key_id: str) -> LogKeys:
    """The key with this id (eight hex digits of its vkey) signs no more. Raises `NotFound`, `Malformed`."""
    present = _present(service)
    origin = service.log.keys.origin
    left = [key for key in present if vkey_of(origin, key).key_id.hex() != key_id]
    if len(left) == len(present):
        raise NotFound(f"No present key of the ledger has the id {key_id}.", "See `yinzheng keys list`.")
    return service.log.change_keys(left)


def _present(service: Service) -> list[CheckpointKey]:
    """The keys that sign now, in the log's order."""
    held = {}
    for row in service.authorities.checkpoint_keys():
        key = CheckpointKey(service.keys.open(row.key_id, KeyPurpose.CHECKPOINT))
        held[vkey_of(service.log.keys.origin, key)] = key
    return [held[vkey] for vkey in service.log.keys.present]
