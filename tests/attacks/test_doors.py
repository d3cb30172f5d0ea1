"""Every parser takes what is genuine, and refuses what fuzzing found (`guided.py`) with an error of this tree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attacks.doors import DOORS
from attacks.genuine import make_genuine
from attacks.genuine_parts import genuine_parts
from support.world import make_world

from trust.encoding import der

FOUND: list[tuple[str, bytes]] = [
    ("sign1", b"\xd2\x84" + b"\xa1" * 28 + bytes(60)),
    ("status-list", b"\xa6\x02" + b"\xa1" * 80 + bytes(80)),
    ("printed-claims", b"\xab\x01" + b"\xa1" * 24 + b"\x82\x80" + bytes(40)),
    ("jws", b"A.AA.A"),
    ("vkey", b"v.\xe3huncheng.example/ledger+afa7a4a4+Abd6quiBOejWME4/t7uGcJn4aeIt6Ja/Mxm0x9Iw4cLg"),
    ("roots", b"[" * 100_000),
    ("kept-evidence", b'{"format":' + b"[" * 100_000),
    ("kept-evidence", b"[]"),
    ("manifest", b'{"format":"yinzheng-archive-package-1","identifier":"","made_at":"2026-11-23T00:00:00Z",'
     b'"files":[{"path":"","size":1e999,"sha256":"","sm3":""}]}'),
]  # fmt: skip
"""What once broke a door, or would have."""


def nested_der(depth: int) -> bytes:
    """SEQUENCE { SEQUENCE { SEQUENCE …"""
    found = b""
    for _ in range(depth):
        found = der.sequence(found)
    return found


DEEP = {
    "sequences": nested_der(5000),
    "sequences without an end": b"\x30\x80" * 5000,
    "strings without an end": b"\x24\x80" * 5000,
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "dictionaries": b"%PDF-1.7\n1 0 obj\n" + b"<</A" * 50_000,
    "arrays": b"%PDF-1.7\n1 0 obj\n" + b"[" * 50_000,
    "maps": b"\xa1\x00" * 5000,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("deep", DEEP)
def test_nothing_is_too_deep_to_be_refused(deep: str) -> None:
    for door in DOORS.values():
        door.enter(DEEP[deep])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("door", "data"), FOUND, ids=[door for door, _ in FOUND])
def test_what_was_found_is_refused(door: str, data: bytes) -> None:
    assert not DOORS[door].enter(data)


def test_what_is_genuine_enters(template_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(template_folder, tmp_path / "data")
    world = make_world(tmp_path / "data")
    try:
        parts = genuine_parts(make_genuine(world), tmp_path / "seals")
    finally:
        world.close()
    assert set(parts) == set(DOORS)
    for door, genuine in parts.items():
        for data in genuine:
            assert DOORS[door].enter(data), door
