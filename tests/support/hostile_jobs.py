"""What a job may do in the sandbox that it should not. Imported by workers, so it imports nothing of ours."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

Arguments = dict[str, Any]


def who(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    return {"pid": os.getpid(), "sizes": [len(blob) for blob in blobs], "secret": os.environ.get("SECRET")}


def hang(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    time.sleep(60)
    return {}


def spin(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    while True:
        pass


def grow(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    return {"held": len(bytearray(2 << 30))}


def talk(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    return {"said": "x" * (8 << 20)}


def leave(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    os._exit(0)


def stumble(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    raise LookupError("as a library may")


def call(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    """Whether it comes through to a machine, or to a name server."""
    with socket.create_connection((arguments["host"], arguments["port"]), timeout=2):
        return {"through": True}


def write(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    with open(arguments["path"], "wb") as file:
        file.write(b"left behind")
    return {}


def read(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    with open(arguments["path"], "rb") as file:
        return {"first": file.read(1).hex()}


def look_around(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    return {"found": os.listdir(arguments["path"])}


def kill(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    os.kill(arguments["pid"], 0)
    return {}


def execute(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    os.execv("/bin/true", ["true"])


def multiply(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    if os.fork() == 0:
        os._exit(0)
    return {}


def nest(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    def deeper(depth: int) -> int:
        return deeper(depth + 1)

    return {"depth": deeper(0)}
