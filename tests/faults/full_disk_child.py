"""A process that issues records until the disk is full. Run by test_full_disk.py.

    python full_disk_child.py FOLDER BYTES

A limit on the size of files stands for the disk: the write that crosses it fails, as on a full one.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from support.world import make_world  # noqa: E402

from trust.model.errors import OperationalError  # noqa: E402


def main() -> None:
    folder, room = Path(sys.argv[1]), int(sys.argv[2])
    world = make_world(folder)
    largest = max(path.stat().st_size for path in folder.rglob("*.sqlite*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room, resource.RLIM_INFINITY))
    for number in range(1, 40):
        try:
            (outcome,) = world.try_issue(world.application(number))
        except OperationalError as exc:
            print("refused", exc.code, flush=True)
            break
        assert outcome.issued is not None
        print("issued", outcome.issued.identifier, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
