"""A process that writes into the audit trail and seals it, beside others:

python -m support.writing_trail FOLDER DATABASE_URL LOCK_URL COUNT
"""

from __future__ import annotations

import sys
from pathlib import Path

from support.world import make_world
from trust.audit.trail import Act
from trust.model.actor import SYSTEM


def main(folder: str, database: str, lock: str, count: str) -> None:
    world = make_world(Path(folder), database_url=database, lock_url=lock)
    for number in range(int(count)):
        world.site.admin.access.trail.note(SYSTEM.ref, Act("probe", str(number)))
        if number % 20 == 0:
            world.site.admin.sealer.seal()
    world.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
