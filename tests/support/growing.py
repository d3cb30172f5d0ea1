"""A log made as large as a test wants it."""

from __future__ import annotations

from ledger.log import Appended, AppendRequest, Log
from trust.encoding.digests import sha256
from trust.encoding.entry import EntryKind

# Above every id that the service has given out itself.
_FIRST_ID = 1 << 40
_AT_ONCE = 1024


def new_subject(number: int, *, actor: str = "chuncheng-market") -> AppendRequest:
    """The first entry about an e-certificate that nobody has heard of. The same number is the same request."""
    return AppendRequest(
        operation_id=_FIRST_ID + number,
        kind=EntryKind.ISSUED,
        actor=actor,
        subject_id=_FIRST_ID + number,
        ref=sha256(b"ref %d" % number),
        commit=sha256(b"commit %d" % number),
        suite="SM2-SM3",
    )


def grow_to(log: Log, size: int) -> list[Appended]:
    """Appends until the log has `size` entries, or one more where it adds an entry of its own at the end."""
    appended: list[Appended] = []
    while (missing := size - (now := log.size)) > 0:
        # Room for the log's own entries, of which there is about one in 256.
        count = max(1, min(_AT_ONCE, missing - missing // 100 - 2))
        appended += log.append([new_subject(number) for number in range(now, now + count)])
    return appended
