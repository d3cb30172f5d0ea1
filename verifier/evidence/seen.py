"""Marks of signed lists seen before, so that an older list is not accepted again (roll-back guard).

Every list has a name under the root that signed its trust list, and a mark that only grows:

    | name                       | number                        | made at    | digest of       |
    |----------------------------|-------------------------------|------------|-----------------|
    | trust-list                 | its number                    | issued_at  |                 |
    | status-list.<n> <origin>   | entries of the ledger it knows | issued_at |                 |
    | crl.<SHA-256 of the CA's key> | 0                          | thisUpdate |                 |
    | checkpoint <origin>        | size                          | 0          | the root        |

Only a list that was checked makes a mark, and only if it is not dated more than five minutes ahead: otherwise one list
signed under a wrong clock would block every correct list. The caller decides where marks are kept (`SeenLists`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

_AHEAD = timedelta(minutes=5)


class Mark(NamedTuple):
    """How new a list is, ordered by number, then by the time it was made (seconds since 1970)."""

    number: int
    made_at: int
    digest: str = ""

    def is_older_than(self, other: Mark) -> bool:
        return self[:2] < other[:2]

    def contradicts(self, other: Mark) -> bool:
        """True if both marks have the same number but different digests."""
        return self[:2] == other[:2] and self.digest != other.digest


Marks = Mapping[str, Mark]


class SeenLists(Protocol):
    """A store of marks. If it cannot be read it returns none; if it cannot be written it keeps none."""

    def marks(self, roots: Sequence[bytes]) -> Marks:
        """The newest mark of each list seen under any of these roots (SubjectPublicKeyInfo, DER)."""

    def note(self, root: bytes, marks: Marks) -> None:
        """Stores each mark that is newer than the stored one under this root."""


class NothingSeen:
    def marks(self, roots: Sequence[bytes]) -> Marks:
        return {}

    def note(self, root: bytes, marks: Marks) -> None:
        pass


NOTHING_SEEN: SeenLists = NothingSeen()


def newest(*several: Marks) -> dict[str, Mark]:
    """The newest mark of each name."""
    found: dict[str, Mark] = {}
    for marks in several:
        for name, mark in marks.items():
            if name not in found or found[name].is_older_than(mark):
                found[name] = mark
    return found


def worth_keeping(marks: Marks, at: datetime) -> dict[str, Mark]:
    """The marks not dated ahead of `at`. Marks without a date are dropped if any dated one is ahead."""
    latest = int((at + _AHEAD).timestamp())
    is_ahead = any(mark.made_at > latest for mark in marks.values())
    return {
        name: mark
        for name, mark in marks.items()
        if mark.made_at <= latest and (mark.made_at or not is_ahead)
    }
