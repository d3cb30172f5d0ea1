"""The service on 127.0.0.1, with a ledger that grows when it is told to. Run by test_ledger_clients.py.

    python ledger_server.py FOLDER

FOLDER is a data folder with departments in it. Says in one line of JSON where it listens, then reads `grow N`
from its standard input: it appends to its own log until that has N entries (or, where the log adds an entry
of its own, one more), publishes, and answers with the published size. Ends when its input ends.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import uvicorn  # noqa: E402
from support.growing import grow_to  # noqa: E402
from support.limits import HANG_SECONDS  # noqa: E402
from support.world import make_world  # noqa: E402

from ledger.note import format_vkey  # noqa: E402
from trust.app.compose import Site  # noqa: E402
from trust.app.site import create_app  # noqa: E402


def main() -> None:
    world = make_world(Path(sys.argv[1]))
    # Without the protocol's number asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an ACK.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        app = create_app(world.site)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        say({"address": address, "vkey": format_vkey(world.site.ledger.log.vkey)})
        serve(world.site)
        server.should_exit = True
        thread.join(timeout=HANG_SECONDS)
    world.close()


def serve(site: Site) -> None:
    for line in sys.stdin:
        _, size = line.split()
        grow_to(site.ledger.log, int(size))
        say({"size": site.ledger.log.publish().size})


def say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
