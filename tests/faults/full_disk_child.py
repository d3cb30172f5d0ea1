"""Processes that issue records until the disk is full. Started through `support.forked`.

A limit on the size of files stands for the disk: the write that crosses it fails, as on a full one.
"""

from __future__ import annotations

import itertools
import resource
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from support.forks import say, serve  # noqa: E402
from support.pairs import act_on, contradictions, go_round, prepare  # noqa: E402
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


def act_as_the_disk_fills(folder: str, act: str, step: int) -> None:
    """Tries an act with room for so many bytes of each file, a little more each time, until it fits.

    After each refusal there is room again, and the rounds bring what was begun to its end.
    """
    world = make_world(Path(folder))
    for number in itertools.count(1):
        subject = prepare(world, number, (act,))
        room = step * number
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            answer = act_on(world, act, subject)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        say(
            "tried",
            str(room),
            answer.partition(":")[2].split()[1] if answer.startswith("wrong: 5") else answer,
        )
        if world.site.ledger.log.halted is not None:  # a commit failed half-way: an operator starts it again
            at = world.clock.at
            world.close()
            world = make_world(Path(folder))
            world.clock.at = at
        world.outlast_leases()
        say("round", go_round(world) or "-")
        again = act_on(world, act, subject)
        say("again", again or "-")
        for what in contradictions(world, subject):
            say("contradiction", what)
        if answer == "":
            break
    for finding in world.site.issuer.register.check():
        say("finding", finding.what)
    world.close()


if __name__ == "__main__":
    serve({"issue-until-full": issue_until_full, "act-as-the-disk-fills": act_as_the_disk_fills})
