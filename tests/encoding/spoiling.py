"""Every way to change one byte a little."""

from __future__ import annotations

from collections.abc import Iterator


def flips(data: bytes, *, masks: tuple[int, ...] = (0x01, 0x80), step: int = 1) -> Iterator[bytes]:
    for at in range(0, len(data), step):
        for mask in masks:
            yield data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]
