"""The ledger's commands as an operator meets them on a bad day: a restored backup, a new key, an auditor."""

from __future__ import annotations

import shutil

import pytest
from support.cli import Cli


@pytest.fixture
def issued(cli: Cli) -> str:
    """The identifier of the first of two licences."""
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2), "--data", cli.data, "--json") == 0, cli.err
    return str(cli.lines()[0]["identifier"])


def test_a_restored_backup_is_refused_with_advice_and_recovered(cli: Cli, issued: str) -> None:
    backup = cli.folder / "backup.sqlite"
    shutil.copy2(cli.data / "ledger.sqlite", backup)
    assert cli.run("suspend", issued, "--reason", "inspection", "--data", cli.data) == 0, cli.err
    assert cli.run("ledger", "checkpoint", "--data", cli.data) == 0
    checkpoint = cli.out
    for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
        (cli.data / name).unlink(missing_ok=True)
    shutil.copy2(backup, cli.data / "ledger.sqlite")
    assert cli.run("ledger", "checkpoint", "--data", cli.data) == 4
    assert "yinzheng ledger recover" in " ".join(cli.err.split())
    assert cli.run("ledger", "recover", "--data", cli.data, "--json") == 0, cli.err
    assert cli.lines()[0]["unknown"] == 0
    assert cli.run("ledger", "recheck", "--data", cli.data) == 0, cli.err
    assert cli.run("ledger", "checkpoint", "--data", cli.data) == 0
    assert cli.out == checkpoint
    assert cli.run("reinstate", issued, "--reason", "done", "--data", cli.data) == 0, cli.err
    assert cli.run("ledger", "recover", "--data", cli.data) == 3
    assert "not behind" in cli.err


def test_a_key_is_rotated_and_the_old_one_retired(cli: Cli, issued: str) -> None:
    assert cli.run("keys", "rotate", "checkpoint", "--data", cli.data, "--json") == 0, cli.err
    old, _sm2, new = cli.lines()
    assert [old["until_size"], new["until_size"]] == [None, None]
    key_id = str(old["vkey"]).split("+")[1]
    assert cli.run("keys", "retire", key_id, "--data", cli.data, "--json") == 0, cli.err
    assert cli.lines()[0]["until_size"] is not None
    assert cli.run("keys", "retire", key_id, "--data", cli.data) == 3
    assert cli.run("keys", "rotate", "seal", "--data", cli.data) == 3
    assert cli.run("issue", "FOOD", "--from", cli.csv(3), "--data", cli.data, "--json") == 0, cli.err
    assert cli.run("ledger", "recheck", "--data", cli.data) == 0, cli.err
    bundle, out = cli.folder / "bundle", cli.folder / "pdfs"
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 4), "--data", cli.data, "--out", out) == 0, cli.err
    assert cli.run("bundle", bundle, "--data", cli.data) == 0
    # One was sealed under the old keys, one under the new: the trust list knows both.
    for pdf in sorted(out.glob("*.pdf")):
        assert cli.run("verify", "--offline", bundle, pdf) == 0, cli.out + cli.err


def test_an_auditor_checks_a_copy_and_an_outsider_kept_checkpoint(cli: Cli, issued: str) -> None:
    kept = cli.folder / "kept"
    assert cli.run("ledger", "checkpoint", "--data", cli.data) == 0
    kept.write_text(cli.out)
    assert cli.run("suspend", issued, "--reason", "inspection", "--data", cli.data) == 0
    mirror = cli.folder / "mirror"
    assert cli.run("ledger", "export", mirror, "--data", cli.data) == 0, cli.err
    assert cli.run("keys", "retire", "00000000", "--data", cli.data) == 3
    assert cli.run("keys", "rotate", "checkpoint-sm2", "--data", cli.data, "--json") == 0
    vkey = str(cli.lines()[0]["vkey"])
    arguments = ("ledger", "audit", mirror, "--vkey", vkey)
    assert cli.run(*arguments, "--checkpoint", kept, "--json") == 0, cli.out + cli.err
    assert cli.lines()[0]["issued"] == {"chuncheng-market": 2}
    assert cli.run(*arguments) == 0
    # The widest partial bundle: an auditor reads no other.
    files = [path for path in (mirror / "tile" / "entries").rglob("[0-9]*") if path.is_file()]
    file = max(files, key=lambda path: int(path.name))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert cli.run(*arguments) == 1
    assert cli.run("ledger", "audit", "nowhere", "--vkey", vkey) == 3


def test_status_lists_are_made_again_from_the_entries(cli: Cli, issued: str) -> None:
    assert cli.run("suspend", issued, "--reason", "inspection", "--data", cli.data) == 0
    assert cli.run("bundle", cli.folder / "bundle", "--data", cli.data) == 0, cli.err
    assert cli.run("ledger", "audit-status", "--data", cli.data, "--json") == 0, cli.err
    assert cli.lines() == [{"lists": 1, "clean": True, "findings": []}]


def test_an_erasure_needs_two_people_and_says_what_it_did(cli: Cli, issued: str) -> None:
    roles = ("--basis", "court-order", "--requested-by", "A", "--approved-by", "B", "--data", cli.data)
    assert cli.run("erase", issued, *roles) == 3
    assert cli.run("revoke", issued, "--reason", "cancelled", "--data", cli.data) == 0
    assert cli.run("erase", issued, *roles, "--json") == 0, cli.err
    assert cli.lines()[0]["ledger_index"]
    assert cli.run("erase", issued, *roles) == 3


@pytest.mark.parametrize("look", ["database", "files", "both"])
def test_recheck_can_look_at_one_place_only(cli: Cli, issued: str, look: str) -> None:
    assert cli.run("ledger", "recheck", "--only", look, "--data", cli.data, "--json") == 0, cli.err
    assert cli.lines()[0]["clean"] is True
    assert cli.run("ledger", "recheck", "--only", "sky", "--data", cli.data) == 3


def test_a_proof_can_carry_its_entry_and_the_sm3_tree_has_its_own_checkpoint(cli: Cli, issued: str) -> None:
    assert cli.run("ledger", "prove", "2", "--entry", "--data", cli.data) == 0, cli.err
    assert cli.out.splitlines()[1].startswith("extra ")
    assert cli.run("ledger", "checkpoint", "--sm3", "--data", cli.data) == 0
    origin, _, _, sha256 = cli.out.splitlines()[:4]
    assert origin.endswith("/ledger/sm3")
    assert sha256.startswith("sha256 ")
    assert cli.run("ledger", "cosign", "--data", cli.data) == 3


def test_a_ledger_is_closed_by_its_typed_name_alone_and_another_goes_on(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--out", cli.folder / "pdf") == 0
    (pdf,) = (cli.folder / "pdf").glob("*.pdf")
    assert cli.run("ledger", "checkpoint") == 0
    old = cli.out.splitlines()[0]
    recover = ("ledger", "recover")
    assert cli.run(*recover, "--close", old) == 3
    assert cli.run(*recover, "--close", "something else", "--begin", f"{old}/2") == 3
    assert "Type its name" in cli.err
    assert cli.run(*recover, "--close", old, "--begin", old) == 3
    assert cli.run(*recover, "--close", old, "--begin", f"{old}/2") == 0, cli.err
    assert "publish what happened" in cli.out
    assert cli.run(*recover, "--close", old, "--begin", f"{old}/3") == 3, "it is closed already"
    assert cli.run("ledger", "accept-register", "--yes") == 0, cli.err
    assert cli.run("ledger", "recheck") == 0, cli.err
    assert cli.run("ledger", "checkpoint") == 0
    assert cli.out.splitlines()[0] == f"{old}/2"
    assert cli.run("verify", pdf) == 0, cli.out
    assert cli.run("bundle", cli.folder / "bundle.zip") == 0
    assert cli.run("verify", "--offline", cli.folder / "bundle.zip", pdf) == 0, cli.out
