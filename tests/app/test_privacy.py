"""What the public ledger and the logs may never hold: a scan of everything they wrote.

Not only the values themselves: a digest of a licence number or of a document is as good as the value to
whoever can guess it, so plain digests are looked for too, raw, in hex and in base64.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.world import FOOD, World

from trust.encoding.digests import sm3
from trust.model.actor import OPERATOR
from trust.model.status import StatusAct
from trust.web.logs import set_up_logging

NAMES = {
    "name": "春城无人知晓餐饮有限公司",
    "representative": FOOD["legal_representative"],
    "address": FOOD["premises"],
    "code": FOOD["holder_code"],
    "number": "JY29901010000042",
}


def written_in_every_way(value: bytes) -> Iterator[tuple[str, bytes]]:
    """The value and its plain digests, each in the ways somebody might write them down."""
    digests = {
        name: hashlib.new(name, value).digest() for name in ("md5", "sha1", "sha256", "sha512", "sha3_256")
    }
    for kind, data in {"itself": value, "sm3": sm3(value), **digests}.items():
        yield kind, data
        yield f"{kind} in hex", data.hex().encode()
        yield f"{kind} in HEX", data.hex().upper().encode()
        yield f"{kind} in base64", base64.b64encode(data).rstrip(b"=")
        yield f"{kind} in base64url", base64.urlsafe_b64encode(data).rstrip(b"=")


def published(world: World) -> dict[str, bytes]:
    folder = world.site.ledger.ledger_folder
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ledger_files_and_logs_hold_nothing_that_names_a_person_or_a_licence(
    stored_world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    set_up_logging()
    try:
        issued, pdf = stored_world.issue(42, holder_name=NAMES["name"], licence_number=NAMES["number"])
        site = stored_world.site
        site.issuer.statuses.change(
            OPERATOR, issued.pid, StatusAct.SUSPEND, reason="因无证经营被调查", note="举报人甲"
        )
        stored_world.verify(pdf)
        stored_world.verify(b"%PDF-1.7 not a licence " + NAMES["name"].encode())
        bundle = stored_world.bundle()
        site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
        site.issuer.erasing.erase(
            OPERATOR, issued.pid, basis="court-order", requested_by="甲", approved_by="乙"
        )
        site.ledger.log.publish()
    finally:
        root.handlers[:], root.level = before
    captured = capsys.readouterr()
    looked_at = published(stored_world) | {
        "log": (captured.out + captured.err).encode(),
        **{path.name: path.read_bytes() for path in (bundle / "status").iterdir()},
    }
    assert any(path.startswith("tile/entries") for path in looked_at)
    assert any(path.startswith("sm3/tile") for path in looked_at)
    secrets = {name: value.encode() for name, value in NAMES.items()} | {
        "identifier": issued.identifier.encode(),
        "reason": "因无证经营被调查".encode(),
        "note": "举报人甲".encode(),
        "public id": issued.pid,
        "document": pdf,
    }
    for what, value in secrets.items():
        for way, data in written_in_every_way(value):
            if what == "document" and way.startswith("itself"):
                continue
            for path, content in looked_at.items():
                assert data not in content, f"{what} ({way}) stands in {path}"


def test_the_scan_finds_what_is_there() -> None:
    """A scan that finds nothing must be one that would have found it."""
    ways = dict(written_in_every_way(b"JY29901010000042"))
    assert hashlib.sha256(b"JY29901010000042").hexdigest().encode() == ways["sha256 in hex"]
    assert len(ways) == 35
