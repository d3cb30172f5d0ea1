"""Processes that issue records, or do another act, and kill themselves at one named moment. Started through
`support.forked`.

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
from support.pairs import ACTS, Subject  # noqa: E402
from support.world import make_world  # noqa: E402

from issuer.ecertificates import laying_out, recording, reserving, sql, stamping  # noqa: E402
from issuer.operations import sql as operations_sql  # noqa: E402
from issuer.operations.operations import Operations  # noqa: E402
from issuer.sealing import pdf  # noqa: E402
from ledger.log import Log  # noqa: E402
from trust.encoding.entry import EntryKind  # noqa: E402


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


def of_the_act(log: Log, requests: Any) -> bool:
    return all(each.kind is not EntryKind.REGISTER_EVENT for each in requests)


MOMENTS: dict[str, Callable[[int], None]] = {
    "reserving": lambda n: kill_around(sql, "take_status_indexes", "after", n),
    "reserved": lambda n: kill_around(reserving.Reserving, "reserve_many", "after", n),
    "laid-out": lambda n: kill_around(laying_out, "render", "after", n),
    "sealed": lambda n: kill_around(pdf, "seal_prepared", "after", n),
    "storing-sealed": lambda n: kill_around(sql, "set_sealed", "after", n),
    "stored-sealed": lambda n: kill_around(stamping.Stamping, "seal_many", "after", n),
    "appending": lambda n: kill_around(Log, "append", "before", n),
    "appended": lambda n: kill_around(Log, "append", "after", n),
    "receipts": lambda n: kill_around(Log, "receipt", "after", n),
    "spliced": lambda n: kill_around(recording, "splice_receipt", "after", n),
    "storing-issued": lambda n: kill_around(sql, "set_issued", "before", n),
    "stored-issued": lambda n: kill_around(recording.Recording, "record", "after", n),
}
STEPS: dict[str, Callable[[], None]] = {
    "announcing": lambda: kill_around(operations_sql, "announce", "after", 1),
    "announced": lambda: kill_around(Log, "append", "before", 1, of_the_act),
    "appended": lambda: kill_around(Log, "append", "after", 1, of_the_act),
    "completing": lambda: kill_around(operations_sql, "set_done", "before", 1),
    "completed": lambda: kill_around(operations_sql, "set_done", "after", 1),
    "done": lambda: kill_around(Operations, "_complete", "after", 1),
}
"""Moments of any operation. All but the last lie before its end or between it and its commit."""


def issue_until_killed(folder: str, moment: str, occurrence: int) -> None:
    world = make_world(Path(folder))
    MOMENTS[moment](occurrence)
    world.try_issue(*(world.application(number) for number in range(1, 4)))
    world.close()


def act_until_killed(folder: str, act: str, pid: str, number: int, moment: str) -> None:
    world = make_world(Path(folder))
    world.clock.advance(hours=30)
    STEPS[moment]()
    ACTS[act](world, Subject(bytes.fromhex(pid), number))
    world.close()


if __name__ == "__main__":
    serve({"issue-until-killed": issue_until_killed, "act-until-killed": act_until_killed})
