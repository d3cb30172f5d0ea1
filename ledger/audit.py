"""Auditing a ledger from outside, with only its published files and one of its keys.

Everything is read, from the first entry to the published checkpoint: every entry is checked against all before it
(`ledger.following`), every tile of both trees against the entries, every statement of keys, and the signatures. The
report needs no trust in the operator: how many e-certificates each authority has issued, how many entries it has,
which keys signed when, and, with a policy, which witnesses have cosigned.

With a checkpoint kept from an earlier audit or taken from a receipt, it also shows that the earlier ledger is a prefix
of the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ledger import sql
from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.following import Disagreement, Follower
from ledger.logkeys import LogKey, check_log_checkpoint
from ledger.note import VerifierKey, parse_note
from ledger.publisher import check_sm3_checkpoint
from ledger.recheck import Levels
from ledger.text import decode_utf8, encode_base64
from ledger.tiles import TILE_WIDTH, Tile, tile_path
from ledger.witness.policy import Policy, check_cosigned_checkpoint
from trust.model.errors import StorageError, TrustError


class LogFiles(Protocol):
    """A log's published files, in a folder or at an address. Raises `StorageError` or `Malformed`."""

    def read_checkpoint(self) -> bytes | None: ...

    def read_hashes(self, tile: Tile) -> tuple[bytes, ...]: ...

    def read_bundle(self, tile: Tile) -> tuple[bytes, ...]: ...

    def read_statement(self, seq: int) -> str: ...


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of an audit. `findings` (entry number or None, and what is wrong) is empty for a ledger in order."""

    size: int = 0
    issued: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    keys: tuple[LogKey, ...] = ()
    cosigned_at: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[tuple[int | None, str], ...] = ()


def audit(
    files: LogFiles,
    sm3_files: LogFiles,
    *,
    log_vkey: VerifierKey,
    policy: Policy | None = None,
    kept: Checkpoint | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> AuditReport:
    """Reads and checks everything. Errors in what it reads become findings; nothing is raised for them."""
    findings: list[tuple[int | None, str]] = []
    with sql.last_entries() as last_entries:
        follower = Follower(log_vkey.name, last_entries, files.read_statement)
        keys: tuple[LogKey, ...] = ()
        cosigned: Mapping[str, int] = {}
        try:
            note, sm3_note = _notes(files, sm3_files)
            checkpoint = parse_checkpoint(parse_note(note).text)
            # With witnesses, the SM3 checkpoint is ahead, because it is not cosigned. Both must match the same entries.
            sm3_size = parse_checkpoint(parse_note(sm3_note).text).size
            sizes = {checkpoint.size, sm3_size}
            roots = _read(files, sm3_files, follower, sizes, kept, findings, on_progress)
            known = follower.keys()
            keys = known.keys
            if log_vkey not in [key.vkey for key in keys]:
                raise Disagreement("The key that the log is known by is not among its keys.")
            check_log_checkpoint(note, known)
            if checkpoint.root != roots[checkpoint.size][0]:
                raise Disagreement(
                    f"The entries do not give the root of the checkpoint of {checkpoint.size}."
                )
            sm3 = check_sm3_checkpoint(sm3_note, known)
            named = (f"sha256 {encode_base64(roots[sm3.size][0])}",)
            if sm3.root != roots[sm3.size][1] or sm3.extensions != named:
                raise Disagreement(f"The entries do not give the SM3 checkpoint of {sm3.size}.")
            if policy is not None:
                vkeys = [key.vkey for key in keys]
                cosigned = check_cosigned_checkpoint(note, policy, log_vkeys=vkeys).cosigned_at
        except Disagreement as exc:
            findings.append((exc.seq, exc.what))
        except TrustError as exc:
            findings.append((None, f"{exc.what} {exc.todo}".strip()))
        return AuditReport(
            size=follower.size,
            issued=dict(follower.issued),
            counts=dict(follower.counts),
            keys=keys,
            cosigned_at=dict(cosigned),
            findings=tuple(findings),
        )


def _notes(files: LogFiles, sm3_files: LogFiles) -> tuple[str, str]:
    notes = [
        each.read_checkpoint() for each in (sm3_files, files)
    ]  # the SHA-256 one last, because it is published last
    if notes[0] is None or notes[1] is None:
        raise StorageError("There is no published checkpoint.")
    return decode_utf8(notes[1]), decode_utf8(notes[0])


def _read(
    files: LogFiles,
    sm3_files: LogFiles,
    follower: Follower,
    sizes: Collection[int],
    kept: Checkpoint | None,
    findings: list[tuple[int | None, str]],
    on_progress: Callable[[int, int], None],
) -> dict[int, tuple[bytes, bytes]]:
    """Reads up to the largest of `sizes` and returns the roots of both trees at each size."""
    size = max(sizes)
    roots = {0: (follower.tree.root(), follower.sm3_tree.root())}
    sources = {"sha256": files, "sm3": sm3_files}

    def compare(algorithm: str, tile: Tile, hashes: list[bytes]) -> None:
        found = sources[algorithm].read_hashes(tile)
        for number, (one, other) in enumerate(zip(found, hashes, strict=True), tile.start):
            if one != other:
                what = f"{tile_path(tile)} ({algorithm}) does not hold the hash that its entries give."
                findings.append((number << (8 * tile.level), what))
                return

    levels = Levels(compare)
    for start in range(0, size, TILE_WIDTH):
        for entry_bytes in files.read_bundle(Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, size - start))):
            follower.follow(entry_bytes)
            levels.add(follower.leaf, follower.sm3_leaf)
            if follower.size in sizes:
                roots[follower.size] = (follower.tree.root(), follower.sm3_tree.root())
            if kept is not None and follower.size == kept.size and follower.tree.root() != kept.root:
                raise Disagreement(
                    f"The ledger is not a continuation of the checkpoint of {kept.size} that was kept."
                )
        on_progress(min(size, start + TILE_WIDTH), size)
    levels.finish(size)
    if kept is not None and (kept.size > size or kept.origin != follower.origin):
        raise Disagreement(
            f"The ledger is smaller than the checkpoint of {kept.size} that was kept, or another."
        )
    return roots
