"""Processes that issue records and kill themselves at one named moment. Started through `support.forked`.

Each moment is a call of the real service, wrapped here: the process gets SIGKILL just before or just after it.
Nothing in the product knows of this.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from support.forks import serve  # noqa: E402
from support.world import make_world  # noqa: E402

from issuer.ecertificates import laying_out, recording, reserving, sql, stamping  # noqa: E402
from issuer.sealing import pdf  # noqa: E402
from ledger.log import Log  # noqa: E402


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_around(
    owner: Any, name: str, when: str, occurrence: int, fits: Callable[..., bool] = lambda *a, **k: True
) -> None:
    original = getattr(owner, name)
    seen = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        if not fits(*args, **kwargs):
            return original(*args, **kwargs)
        seen += 1
        if when == "before" and seen == occurrence:
            die()
        result = original(*args, **kwargs)
        if when == "after" and seen == occurrence:
            die()
        return result

    setattr(owner, name, wrapped)


def stores(kind: str) -> Callable[..., bool]:
    return lambda connection, ecertificate_id, stored, content: stored == kind


MOMENTS: dict[str, Callable[[int], None]] = {
    "reserving": lambda n: kill_around(sql, "take_status_indexes", "after", n),
    "reserved": lambda n: kill_around(reserving.Reserving, "reserve", "after", n),
    "laid-out": lambda n: kill_around(laying_out, "render", "after", n),
    "sealed": lambda n: kill_around(pdf, "seal_prepared", "after", n),
    "storing-sealed": lambda n: kill_around(sql, "put_document", "after", n, stores("sealed")),
    "stored-sealed": lambda n: kill_around(stamping.Stamping, "seal", "after", n),
    "appending": lambda n: kill_around(Log, "append", "before", n),
    "appended": lambda n: kill_around(Log, "append", "after", n),
    "receipts": lambda n: kill_around(Log, "receipt", "after", n),
    "spliced": lambda n: kill_around(recording, "splice_receipt", "after", n),
    "storing-issued": lambda n: kill_around(sql, "put_document", "before", n, stores("issued")),
    "stored-issued": lambda n: kill_around(recording.Recording, "_append_and_splice", "after", n),
}


def issue_until_killed(folder: str, moment: str, occurrence: int) -> None:
    world = make_world(Path(folder))
    MOMENTS[moment](occurrence)
    world.try_issue(*(world.application(number) for number in range(1, 4)))
    world.close()


if __name__ == "__main__":
    serve({"issue-until-killed": issue_until_killed})
