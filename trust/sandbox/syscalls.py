"""The system calls that a reader of untrusted files may still make (Linux; seccomp(2), x86-64 and AArch64).

Landlock restricts files, but not changing modes and owners, making sockets and processes, inspecting other processes,
or attacking rarely used parts of the kernel. A reader needs memory, its two pipes, and its program's files for reading.
So the allowed calls are listed, and every other call returns EPERM.

Numbers are those of Linux's `asm/unistd_64.h` and `asm-generic/unistd.h`; the program is classic BPF as in
`linux/filter.h`, over `struct seccomp_data`.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from collections.abc import Iterator, Sequence

_ALLOWED: dict[str, tuple[int, int]] = {
    # memory
    "brk": (12, 214),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "madvise": (28, 233),
    # its pipes and other open files
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "close": (3, 57),
    "dup": (32, 23),
    "fstat": (5, 80),
    "getdents64": (217, 61),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "select": (23, -1),
    "pselect6": (270, 72),
    # the event loop that the library's checks run in
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, -1),
    "epoll_pwait": (281, 22),
    "getsockname": (51, 204),
    # file names, as far as Landlock allows
    "stat": (4, -1),
    "lstat": (6, -1),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, -1),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, -1),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    # the process itself
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getrusage": (98, 165),
    "times": (100, 153),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # time and randomness
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
}
_WITH_ARGUMENT: dict[str, tuple[tuple[int, int], int, tuple[int, ...]]] = {
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC: not those that make the kernel send signals
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 1030)),
    "ioctl": ((16, 29), 1, (0x5421,)),  # FIONBIO
    "socketpair": (
        (53, 199),
        0,
        (1,),
    ),  # AF_UNIX: both ends are in this process, and bind and connect are not allowed
    "prlimit64": ((302, 261), 0, (0,)),  # only its own limits
}
"""The call's numbers, the index of the checked argument, and its allowed values."""
_OPENAT = (257, 56)
_WRITING = (
    0o3 | 0o100 | 0o1000
)  # O_WRONLY and O_RDWR, O_CREAT, O_TRUNC; O_TMPFILE has to be one of the first two

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above; AUDIT_ARCH
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000 | 1, 0x7FFF0000  # kill the process; return EPERM; allow
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_SET_SECCOMP, _FILTER, _SET_NO_NEW_PRIVS = 22, 2, 38


def restrict_system_calls() -> bool:
    """Permanently restricts this process to the listed calls. Returns True if the kernel did so; False on other
    machines."""
    column = (
        _ARCHITECTURES.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 1 << 32 else None
    )
    if column is None:
        return False
    steps = list(_program(*column))
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(steps), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.c_ulong(0)
    libc.prctl(_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing)
    return bool(libc.prctl(_SET_SECCOMP, ctypes.c_ulong(_FILTER), program, nothing, nothing) == 0)


def _program(column: int, architecture: int) -> Iterator[tuple[int, int, int, int]]:
    """The BPF instructions: operation, steps to skip if true and if false, and the value."""
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _AT_LEAST, 0, 1, _X32
    yield _RETURN, 0, 0, _REFUSE
    # Opening for reading only.
    yield _EQUAL, 0, 4, _OPENAT[column]
    yield _LOAD, 0, 0, _ARGUMENTS + 2 * 8
    yield _ANY_BIT, 0, 1, _WRITING
    yield _RETURN, 0, 0, _REFUSE
    yield _RETURN, 0, 0, _ALLOW
    for call, position, values in _WITH_ARGUMENT.values():
        yield _EQUAL, 0, 3 + len(values), call[column]
        yield _LOAD, 0, 0, _ARGUMENTS + position * 8
        yield from _allow_listed(values)
    numbers = [each[column] for each in _ALLOWED.values() if each[column] >= 0]
    yield from _allow_listed(numbers)


def _allow_listed(values: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    for at, value in enumerate(values, 1):
        yield _EQUAL, len(values) - at + 1, 0, value
    yield _RETURN, 0, 0, _REFUSE
    yield _RETURN, 0, 0, _ALLOW
