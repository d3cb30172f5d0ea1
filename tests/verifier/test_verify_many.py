"""Many at once: a folder, a list of digests; carried on after a stop; a table and a page at the end."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.cli import Cli
from support.world import World

from trust.app.site import create_app
from trust.encoding.digests import sha256
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.model.status import StatusAct
from trust.people.access import open_access


@pytest.fixture
def folder(cli: Cli) -> Path:
    out = cli.folder / "pdf"
    assert (
        cli.run("issue", "FOOD", "--from", cli.csv(1, 2, 3), "--seal", "chuncheng-market-sm2", "--out", out)
        == 0
    )
    one, two, _ = sorted(out.glob("*.pdf"))
    (out / "sub").mkdir()
    one.rename(out / "sub" / "=one.pdf")
    (out / "altered.pdf").write_bytes(two.read_bytes() + b"\n%")
    (out / "note.bin").write_bytes(bytes(9))
    return out


def results(out: Path) -> dict[str, dict[str, str]]:
    with (out / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("offline", [False, True])
def test_a_folder_is_verified_and_carried_on(cli: Cli, folder: Path, offline: bool) -> None:
    out, bundle = cli.folder / "out", cli.folder / "bundle"
    assert cli.run("bundle", bundle) == 0
    options = ("--offline", bundle) if offline else ()
    # There are forgeries in it, which nothing that could not be read may hide.
    assert cli.run("verify-many", folder, "--out", out, *options) == 1
    found = results(out)
    codes = sorted(row["code"] for row in found.values())
    assert codes == ["BROKEN_PDF", "NOT_A_PDF", "OK", "OK", "OK"]
    assert any(name.endswith("=one.pdf") for name in found)
    page = (out / "summary.html").read_text("utf-8")
    assert "sub/=one.pdf" in page
    assert page.index("✖") < page.index("✔")
    before = (out / "results.jsonl").read_text("utf-8")
    lines = before.splitlines()
    assert [list(json.loads(line)) for line in (lines[0], lines[-1])] == [
        ["begun", "judged_by"],
        ["finished"],
    ]
    # Stopped in the middle of a line, and one file exchanged meanwhile.
    (out / "results.jsonl").write_text("\n".join(lines[:4]) + '\n{"name": "alt', encoding="utf-8")
    (folder / "note.bin").write_bytes(b"%PDF-1.7\n")
    # A header and nothing else is no licence that was changed; the one that was decides the exit code.
    assert cli.run("verify-many", folder, "--out", out, *options) == 1
    assert (results(out)["note.bin"]["verdict"], results(out)["altered.pdf"]["verdict"]) == (
        "INDETERMINATE",
        "FAILED",
    )
    assert results(out)["note.bin"]["code"] != "NOT_A_PDF"
    assert sorted(row["code"] for row in results(out).values())[-3:] == ["OK", "OK", "OK"]
    kept = {json.loads(line)["name"]: json.loads(line)["verified_at"] for line in lines[1:4]}
    times = {name: row["verified_at"] for name, row in results(out).items()}
    unchanged = set(kept) - {"note.bin"}
    assert unchanged
    assert all(times[f"'{name}" if name[0] in "=+-@" else name] == kept[name] for name in unchanged)


def test_a_run_that_ended_is_not_carried_on_nor_is_one_by_other_evidence(cli: Cli, folder: Path) -> None:
    out, bundle = cli.folder / "out", cli.folder / "bundle"
    assert cli.run("bundle", bundle) == 0
    assert cli.run("verify-many", folder, "--out", out) == 1
    good = next(name for name, row in results(out).items() if row["code"] == "OK" and "/" not in name)
    assert cli.run("revoke", Path(good).stem, "--reason", "penalty") == 0
    assert cli.run("verify-many", folder, "--out", out) == 1
    assert results(out)[good]["code"] == "REVOKED"
    # As if that run had been stopped before its end: it was online, and the bundle is from before.
    lines = (out / "results.jsonl").read_text("utf-8").splitlines()
    (out / "results.jsonl").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    assert cli.run("verify-many", folder, "--out", out, "--offline", bundle) == 1
    assert results(out)[good]["code"] == "OK"
    # And as if it had been stopped the day before yesterday.
    old = [line.replace('"verified_at": "20', '"verified_at": "19') for line in lines[:-1]]
    (out / "results.jsonl").write_text("\n".join(old) + "\n", encoding="utf-8")
    assert cli.run("verify-many", folder, "--out", out) == 1
    assert not results(out)[good]["verified_at"].startswith("19")


def test_names_that_are_no_text_and_files_that_cannot_be_read_keep_nobody_waiting(
    cli: Cli, folder: Path
) -> None:
    odd = os.fsencode(folder) + b"/\xff\x1b[2J\n.pdf"
    with open(odd, "wb") as file:
        file.write(b"%PDF-1.7")
    (folder / "gone.pdf").symlink_to("nowhere.pdf")
    (folder / "none.pdf").touch()
    locked = folder / "none.pdf"
    out = cli.folder / "out"

    def refuse(self: Path, *given: Any, **named: Any) -> Any:
        if self == locked:
            raise PermissionError
        return real(self, *given, **named)

    real = Path.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert cli.run("verify-many", folder, "--out", out) == 1
    found = results(out)
    assert found["\\xff\x1b[2J\n.pdf"]["verdict"] != "PASSED"
    assert found["none.pdf"]["code"] == "UNREADABLE"
    assert "gone.pdf" not in found
    assert "\x1b" not in (out / "summary.html").read_text("utf-8")


def test_a_list_of_digests_is_looked_up(cli: Cli, folder: Path) -> None:
    names = {sha256(path.read_bytes()).hex(): path.name for path in folder.rglob("*.pdf")}
    listed = cli.folder / "digests.txt"
    listed.write_text("".join(f"{digest}  {name}\n" for digest, name in names.items()) + "0" * 64 + "\n")
    assert cli.run("verify-many", listed, "--out", cli.folder / "out", "--json") == 2
    found = {str(line["name"]): line["code"] for line in cli.lines()}
    assert found.pop("altered.pdf") == found.pop("0" * 64) == "NOT_IN_REGISTER"
    assert set(found.values()) == {"OK"}
    listed.write_text("hello\n")
    assert cli.run("verify-many", listed, "--out", cli.folder / "out") == 3
    assert "Line 1" in cli.err


def test_ten_thousand_digests_over_http(world: World) -> None:
    good, pdf = world.issue(1)
    bad, revoked = world.issue(2)
    world.site.issuer.statuses.change(OPERATOR, bad.pid, StatusAct.REVOKE, reason="cancelled")
    kept, _ = world.issue(3)
    assert world.site.issuer.archiving.renew(OPERATOR, [kept.pid])[0].error is None
    archived = world.site.issuer.archiving.file(kept.pid)
    access = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )
    key = access.clients.create_api_key(OPERATOR, "bank", authority_id=None, scopes=["verify"], days=30)
    headers = {"authorization": f"Bearer {key}"}
    known = [sha256(each).hex() for each in (pdf, revoked, archived)]
    asked = [*known, *(f"{n:064x}" for n in range(9_997))]
    with TestClient(create_app(world.site)) as client:
        answer = client.post("/api/v1/verifications/digests", json={"digests": asked}, headers=headers)
        items = answer.json()["items"]
        assert [each["sha256"] for each in items] == asked
        assert [each["code"] for each in items[:4]] == ["OK", "REVOKED", "OK", "NOT_IN_REGISTER"]
        assert items[0]["pid"] == good.pid.hex()
        for wrong in ([], ["xyz"], ["0" * 64] * 10_001):
            refused = client.post("/api/v1/verifications/digests", json={"digests": wrong}, headers=headers)
            assert refused.status_code == 422
        assert client.post("/api/v1/verifications/digests", json={"digests": known}).status_code == 401
        world.clock.advance(days=365 * 6)
        later = client.post("/api/v1/verifications/digests", json={"digests": known}, headers=headers)
        assert later.status_code == 401, "the key has expired meanwhile"
    assert json.dumps(items[:1])
