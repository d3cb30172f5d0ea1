"""Processes that issue records until the disk is full. Started through `support.forked`.

A limit on the size of files stands for the disk: the write that crosses it fails, as on a full one.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from support.forks import say, serve  # noqa: E402
from support.world import make_world  # noqa: E402

from trust.model.errors import OperationalError  # noqa: E402


def issue_until_full(folder: str, room: int) -> None:
    world = make_world(Path(folder))
    largest = max(path.stat().st_size for path in Path(folder).rglob("*.sqlite*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room, resource.RLIM_INFINITY))
    for number in range(1, 40):
        try:
            (outcome,) = world.try_issue(world.application(number))
        except OperationalError as exc:
            say("refused", exc.code)
            break
        assert outcome.issued is not None
        say("issued", outcome.issued.identifier)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    serve({"issue-until-full": issue_until_full})
