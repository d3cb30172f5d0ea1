"""A process that issues the same licences as others at the same moment. Run by test_two_hands.py and by hand.

    python -m support.equal_requests FOLDER DATABASE_URL LOCK_URL THREADS      with tests/ and the project in the path

Reads a number a line, issues the application of this number from every thread at once, with the keeper's round beside
them, and answers with one line: what came of each request, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.world import World, make_world


def issue_at_once(world: World, number: int, threads: int) -> list[str]:
    """The identifier that each request was answered with, or the code of its error."""
    started = threading.Barrier(threads + 1)

    def ask() -> str:
        started.wait()
        try:
            (outcome,) = world.try_issue(world.application(number))
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        return outcome.issued.identifier if outcome.issued is not None else f"refused: {outcome.error}"

    def go_round() -> str:
        started.wait()
        for _ in range(3):
            for outcome in world.site.issuer.issuing.resume_unfinished():
                if outcome.error is not None:
                    return f"the round: {outcome.error}"
        return ""

    with ThreadPoolExecutor(threads + 1) as pool:
        rounds = pool.submit(go_round)
        answers = list(pool.map(lambda _: ask(), range(threads)))
        return [*answers, *filter(None, [rounds.result()])]


def main() -> None:
    folder, database, lock, threads = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    world = make_world(folder, database_url=database, lock_url=lock)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(issue_at_once(world, int(line), threads)), flush=True)
    world.close()


if __name__ == "__main__":
    main()
