"""The rights that a process gives up before it opens untrusted files: files, network, signals, root's powers (Linux).

Landlock (landlock(7)) permanently takes rights away from a process, without root. After `confine` it can read only the
folders of its own program: no key, no passphrase, no register, even if a hostile file takes it over. Kernels before
5.13 do not have Landlock; limits on memory and time still apply there (`trust.sandbox.workers`).
`trust.sandbox.syscalls` restricts the system calls. The capabilities of root (capabilities(7)) are dropped too, also
inside a name space.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from pathlib import Path

_IS_LINUX = sys.platform == "linux"
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_ONLY, _PATH_BENEATH = 1, 1
_SET_NO_NEW_PRIVS = 38
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_DROP_FROM_BOUNDING_SET, _AMBIENT, _CLEAR_ALL, _LAST_CAPABILITY = 24, 47, 4, 63
_CAPABILITIES_V3 = 0x20080522
_SHARED = (
    "/usr/share/zoneinfo",
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/etc/fonts",
    "/usr/lib",
    "/lib",
)


def landlock_version() -> int:
    """The version of the kernel's Landlock interface; below 1 if there is none."""
    return _landlock_version(ctypes.CDLL(None, use_errno=True)) if _IS_LINUX else 0


def confine() -> bool:
    """Gives up the network and all files but the program's. Returns True if the kernel restricted the files."""
    if not _IS_LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(AttributeError):
        # A new network namespace has no routes; without root it needs a user namespace too.
        if libc.unshare(_NEW_NETWORK) != 0:
            libc.unshare(_NEW_USER | _NEW_NETWORK)
    is_restricted = _restrict(libc, _places_of_the_program())
    _drop_capabilities(libc)
    return is_restricted


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    nothing = ctypes.c_ulong(0)
    libc.prctl(_AMBIENT, ctypes.c_ulong(_CLEAR_ALL), nothing, nothing, nothing)
    for number in range(_LAST_CAPABILITY + 1):  # the kernel refuses numbers that it does not know
        libc.prctl(_DROP_FROM_BOUNDING_SET, ctypes.c_ulong(number), nothing, nothing, nothing)
    with contextlib.suppress(AttributeError):
        libc.capset(struct.pack("=Ii", _CAPABILITIES_V3, 0), struct.pack("=6I", *(0,) * 6))


def _places_of_the_program() -> set[str]:
    """The folders of loaded modules, and of libraries that may still be loaded."""
    libraries = {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    packages = {os.path.dirname(os.path.abspath(file)) for file in files if file}
    return packages | libraries | set(_SHARED)


def _landlock_version(libc: ctypes.CDLL) -> int:
    return int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_ONLY))


def _restrict(libc: ctypes.CDLL, readable: set[str]) -> bool:
    version = _landlock_version(libc)
    if version < 1:
        return False
    files = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    files |= 1 << 15 if version >= 5 else 0
    network, others = 3 if version >= 4 else 0, 3 if version >= 6 else 0  # TCP; abstract sockets and signals
    known = [files, *([network] if version >= 4 else ()), *([others] if version >= 6 else ())]
    asked = struct.pack(f"{len(known)}Q", *known)
    ruleset = libc.syscall(_CREATE_RULESET, asked, ctypes.c_size_t(len(asked)), 0)
    if ruleset < 0:
        return False
    try:
        for place in readable:
            with contextlib.suppress(OSError):
                folder = os.open(place, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
                try:
                    rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, folder)
                    libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
                finally:
                    os.close(folder)
        libc.prctl(_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0)))
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)
