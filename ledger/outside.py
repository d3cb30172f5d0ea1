"""Memories outside the data folder of how far the log has signed, so that a restored old copy of it is detected.

Database, lock store and tiles in one folder are restored together, and then agree with each other about an old state.
What is stored elsewhere is not restored with them:

    the mark       a file on another disk with the newest signed checkpoint; written before anything of that size is
                   published, and read before anything is signed
    witnesses      they store the newest checkpoint that they have cosigned, and show it on request

(A lock store in a database of its own is the third; `ledger.lockstore`.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.logkeys import LogKeys, check_log_checkpoint
from ledger.note import parse_note
from ledger.text import decode_utf8
from ledger.witness.client import HistoryContradicted, ProveConsistency, Witnesses
from trust.model.errors import (
    LedgerHalted,
    Malformed,
    OperationalError,
    StorageError,
    VerificationError,
)
from trust.storage.folder import write_durably

WAY_ON: Final = (
    "Issue nothing from this copy. `yinzheng ledger recover` brings the later entries back, from a mirror with --from; "
    'docs/OPERATIONS.md, "A copy was restored", says what to do where there is none.'
)


@dataclass(frozen=True, slots=True)
class OwnHead:
    """What the log itself knows when it starts: its newest locked head, and the roots to compare others with.

    `root_of` returns the root of a smaller size. `note` is empty for a log that has signed nothing.
    """

    keys: LogKeys
    size: int
    note: str
    root_of: Callable[[int], bytes]
    consistency: ProveConsistency


class Outside(Protocol):
    """One memory outside the folder."""

    def check(self, known: OwnHead) -> None:
        """Raises `LedgerHalted` if more, or something else, was signed than the log knows; `OperationalError` if the
        memory is gone."""

    def keep(self, known: OwnHead) -> None:
        """Stores what was just signed, before it is published; durable on return. Raises as `check`."""


class LedgerMark:
    """The newest signed checkpoint in a file outside the data folder. `remembered` is a file inside the folder that
    records that a mark exists, so that a missing mark (a disk that is not mounted) is not silently created again."""

    def __init__(self, path: Path, remembered: Path) -> None:
        self._path = path
        self._remembered = remembered
        self._kept: bytes | None = None

    def newest(self, origin: str) -> Checkpoint | None:
        """The checkpoint in the mark, its signature unchecked; None if there is no mark. Raises `LedgerHalted`."""
        note = self._read()
        if note is None:
            return None
        try:
            checkpoint = parse_checkpoint(parse_note(decode_utf8(note)).text)
        except Malformed as exc:
            raise LedgerHalted(
                f"The mark {self._path} is damaged: {exc.what}",
                "Restore it. Only if it is lost for good, remove it together with "
                f"{self._remembered}; a new one is begun.",
            ) from exc
        if checkpoint.origin != origin:
            raise LedgerHalted(
                f"The mark {self._path} is of the ledger {checkpoint.origin}, not of {origin}.",
                "Give each ledger a mark of its own (YINZHENG_LEDGER_MARK).",
            )
        return checkpoint

    def note(self) -> str | None:
        """The mark's signed note, or None."""
        note = self._read()
        return decode_utf8(note) if note is not None else None

    def check(self, known: OwnHead) -> None:
        marked = self.newest(known.keys.origin)
        if marked is None:
            if self._remembered.exists():
                raise OperationalError(
                    f"The mark of the ledger {self._path} is gone.",
                    "Mount the disk that holds it. Only if it is lost for good, remove "
                    f"{self._remembered}; a new one is begun.",
                    code="LEDGER_MARK_GONE",
                )
            return
        if marked.size > known.size:
            raise LedgerHalted(
                f"This data folder is a copy from before: its ledger has signed size {known.size}, "
                f"and size {marked.size} is signed (mark {self._path}).",
                WAY_ON,
            )
        if known.root_of(marked.size) != marked.root:
            raise LedgerHalted(
                f"The ledger has signed two histories: another root of size {marked.size} stands in the mark "
                f"{self._path}.",
                WAY_ON,
            )
        try:
            check_log_checkpoint(self.note() or "", known.keys)
        except (Malformed, VerificationError) as exc:
            raise LedgerHalted(f"The mark {self._path} was not signed by this ledger.", WAY_ON) from exc

    def keep(self, known: OwnHead) -> None:
        note = known.note.encode()
        if note == self._kept:
            return
        there = self._read()
        if there != self._kept:
            self.check(known)  # written by another process, or by a copy running beside this one
        if there != note:
            if not self._path.parent.is_dir():
                raise StorageError(
                    f"The folder of the mark {self._path} is not there.", "Mount the disk that holds it."
                )
            write_durably(self._path, note)
        if not self._remembered.exists():
            write_durably(self._remembered, f"{self._path}\n".encode())
        self._kept = note

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StorageError(
                f"The mark {self._path} cannot be read: {exc.strerror}.", "Look at its permissions."
            ) from exc


class WitnessMemory:
    """The witnesses, asked when the log starts. `answered` tells afterwards whether any of them replied."""

    def __init__(self, witnesses: Witnesses) -> None:
        self._witnesses = witnesses
        self.answered = False

    def check(self, known: OwnHead) -> None:
        if not known.note:
            return
        try:
            outcomes = self._witnesses.cosign(known.note, known.consistency).outcomes
        except HistoryContradicted as exc:
            raise LedgerHalted(f"{exc.what} ({exc.url})", WAY_ON) from exc
        except (Malformed, VerificationError):
            return  # a bad note of our own is detected elsewhere
        self.answered = any(each.cosigned_at is not None for each in outcomes)

    def keep(self, known: OwnHead) -> None:
        """Does nothing: witnesses are sent checkpoints by `ledger.keeping`."""


def check_outside(memories: Sequence[Outside], known: OwnHead) -> None:
    """Checks against each memory. Raises as `Outside.check`."""
    for each in memories:
        each.check(known)


MARKED_FILE = "ledger-mark"
