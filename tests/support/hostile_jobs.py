"""What a job may do in the sandbox that it should not. Imported by workers, so it imports nothing of ours."""

from __future__ import annotations

import ctypes
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


def tell_errors(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    """The error number of each system call in `calls`: name, number, arguments (whole numbers or text)."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = {}
    for name, number, given in arguments["calls"]:
        ctypes.set_errno(0)
        values = [each.encode() if isinstance(each, str) else ctypes.c_long(each) for each in given]
        result = libc.syscall(ctypes.c_long(number), *values)
        if name in ("fork", "vfork") and result == 0:
            os._exit(0)
        found[name] = ctypes.get_errno() if result == -1 else 0
    return {"errors": found}


def keep(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    """Holds what it was given for as long as its process lives, as a careless library may."""
    _kept.append(blobs[0][:])
    return {"pid": os.getpid()}


_kept: list[bytes] = []


def forge(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    """Says, past the frame of its answer, what the service itself might say."""
    said = arguments["said"].encode()
    os.write(1, len(said).to_bytes(4, "big") + bytes(4) + said)
    os._exit(0)


def forge_next(arguments: Arguments, blobs: Sequence[bytes]) -> Arguments:
    """Answers, and answers the next job before it was asked."""
    said = b'{"result": {"pid": 1, "sizes": [], "secret": null}}'
    for _ in range(2):
        os.write(1, len(said).to_bytes(4, "big") + bytes(4) + said)
    time.sleep(60)
    return {}
