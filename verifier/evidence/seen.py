"""What was seen of signed lists before, so that an older one is not believed again (roll-back guard).

Every list has a name under the root that its trust list was signed by, and a mark, which only ever grows:

    | name                       | number                        | made at    | digest of       |
    |----------------------------|-------------------------------|------------|-----------------|
    | trust-list                 | its number                    | issued_at  |                 |
    | status-list.<n> <origin>   | entries of the ledger it knows | issued_at |                 |
    | crl.<SHA-256 of the CA's key> | 0                          | thisUpdate |                 |
    | checkpoint <origin>        | size                          | 0          | the root        |

Only what was signed and checked becomes a mark, and only if it is not dated more than five minutes ahead: what a wrong
clock had signed would keep every right list away. Where marks are kept is the caller's business (`SeenLists`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

_AHEAD = timedelta(minutes=5)


class Mark(NamedTuple):
    """How new a list is: first by number, then by when it was made (seconds since 1970)."""

    number: int
    made_at: int
    digest: str = ""

    def is_older_than(self, other: Mark) -> bool:
        return self[:2] < other[:2]

    def contradicts(self, other: Mark) -> bool:
        """The same place, and something else in it."""
        return self[:2] == other[:2] and self.digest != other.digest


Marks = Mapping[str, Mark]


class SeenLists(Protocol):
    """Where marks are kept. A store that cannot be read knows none, and one that cannot be written keeps none."""

    def marks(self, roots: Sequence[bytes]) -> Marks:
        """The newest of each list that was seen under any of these roots (SubjectPublicKeyInfo, DER)."""

    def note(self, root: bytes, marks: Marks) -> None:
        """Keeps what is newer than what is kept for lists under this root."""


class NothingSeen:
    def marks(self, roots: Sequence[bytes]) -> Marks:
        return {}

    def note(self, root: bytes, marks: Marks) -> None:
        pass


NOTHING_SEEN: SeenLists = NothingSeen()


def newest(*several: Marks) -> dict[str, Mark]:
    """By name the newest of several marks."""
    found: dict[str, Mark] = {}
    for marks in several:
        for name, mark in marks.items():
            if name not in found or found[name].is_older_than(mark):
                found[name] = mark
    return found


def worth_keeping(marks: Marks, at: datetime) -> dict[str, Mark]:
    """Those that are not dated ahead of `at`. What has no date counts as made with the newest that has one."""
    latest = int((at + _AHEAD).timestamp())
    is_ahead = any(mark.made_at > latest for mark in marks.values())
    return {
        name: mark
        for name, mark in marks.items()
        if mark.made_at <= latest and (mark.made_at or not is_ahead)
    }
