"""What the command line remembers of lists: where, in whose files, and that nobody else plants or loses a number."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli import Cli

from trust.model.errors import Malformed
from verifier.commands.seen import Place, SeenHere, forget, places
from verifier.evidence.seen import Mark
from verifier.evidence.trust_list import root_fingerprint

ROOT, OTHER = b"a root", b"another root"
NEW, PLANTED = {"trust-list": Mark(7, 100)}, {"trust-list": [2**40, 100, ""]}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def user() -> Place:
    (place,) = places()
    return place


def plant(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(json.dumps({"version": 1, "roots": {root_fingerprint(ROOT): PLANTED}, "forgotten": []}))
    path.chmod(0o600)


def test_the_newest_is_kept_and_an_older_one_never_takes_its_place(said: list[str], user: Place) -> None:
    SeenHere(said.append).note(ROOT, {**NEW, "checkpoint x": Mark(5, 0, "aa")})
    SeenHere(said.append).note(ROOT, {"trust-list": Mark(6, 200), "checkpoint x": Mark(9, 0, "bb")})
    assert SeenHere(said.append).marks([ROOT, OTHER]) == {**NEW, "checkpoint x": Mark(9, 0, "bb")}
    assert SeenHere(said.append).marks([OTHER]) == {}
    assert len(said) == 2
    assert all("for this user" in each and str(user.path) in each for each in said)
    assert user.path.stat().st_mode & 0o777 == 0o600
    assert user.folder.stat().st_mode & 0o777 == 0o700


def world_writable(path: Path) -> None:
    path.chmod(0o666)


def group_writable(path: Path) -> None:
    path.chmod(0o660)


def folder_of_all(path: Path) -> None:
    path.parent.chmod(0o777)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def a_linked_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to(path.parent.with_name("elsewhere"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def too_large(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" " * (5 * 1024 * 1024))


def no_json(path: Path) -> None:
    path.write_text("{")


def other_types(path: Path) -> None:
    path.write_text(json.dumps({"roots": {root_fingerprint(ROOT): {"trust-list": [1e400, True, None]}}}))


@pytest.mark.parametrize(
    "spoil",
    [
        world_writable,
        group_writable,
        folder_of_all,
        a_link,
        a_linked_folder,
        a_pipe,
        too_large,
        no_json,
        other_types,
    ],
)
def test_a_file_that_others_may_have_written_is_not_believed(
    spoil: Callable[[Path], None], said: list[str], user: Place
) -> None:
    plant(user.path)
    assert SeenHere(said.append).marks([ROOT])["trust-list"].number == 2**40, "it would be, as it is"
    assert not said
    spoil(user.path)
    assert SeenHere(said.append).marks([ROOT]) == {}
    assert "not believed" in said[0]


def test_a_file_of_another_user_is_not_believed(said: list[str], user: Place) -> None:
    plant(user.path)
    if os.geteuid() == 0:
        os.chown(user.path, 12345, 12345)
        stranger = 54321
    else:
        stranger = os.geteuid() + 1
    for place in (user, Place(user.folder, is_machine=True)):
        assert Place(place.folder, place.is_machine, uid=stranger).read(said.append) == {}
    assert len(said) == 2
    assert all("another user" in each for each in said)


def test_a_careless_umask_hands_nothing_to_others(said: list[str], user: Place) -> None:
    before = os.umask(0)
    try:
        user.folder.mkdir(parents=True)
        SeenHere(said.append).note(ROOT, NEW)
    finally:
        os.umask(before)
    assert SeenHere(said.append).marks([ROOT]) == NEW
    assert not any("not believed" in each for each in said)


def test_a_home_that_cannot_be_written_changes_no_answer_and_is_spoken_of(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    seen = SeenHere(said.append)
    seen.note(ROOT, NEW)
    seen.note(ROOT, {"trust-list": Mark(8, 100)})
    assert seen.marks([ROOT]) == {}
    assert len([each for each in said if "not remembered" in each]) == 1


@pytest.mark.parametrize("is_prepared", [True, False])
def test_the_machine_remembers_where_an_operator_made_its_folder(
    is_prepared: bool, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that all may write to is none: then the user's own is taken."""
    machine = tmp_path / "machine"
    machine.mkdir()
    machine.chmod(0o755 if is_prepared else 0o777)
    monkeypatch.setenv("YINZHENG_SEEN", str(machine))
    SeenHere(said.append).note(ROOT, NEW)
    assert ("for this machine" in said[-1]) is is_prepared
    assert (machine / "seen-lists.json").exists() is is_prepared
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    assert SeenHere(said.append).marks([ROOT]) == (NEW if is_prepared else {})
    if is_prepared:
        assert (machine / "seen-lists.json").stat().st_mode & 0o777 == 0o644
        SeenHere(said.append).note(ROOT, {"trust-list": Mark(9, 100)})
        plant(places()[-1].path)
        assert SeenHere(said.append).marks([ROOT])["trust-list"].number == 2**40, "the newest of both"


_PROCESS = """
import sys
from verifier.commands.seen import SeenHere
from verifier.evidence.seen import Mark
seen, me = SeenHere(lambda text: None), int(sys.argv[1])
for number in range(1, 26):
    seen.note(b"shared", {"trust-list": Mark(number * 4 + me, 0), f"of {me}.{number}": Mark(1, 0)})
    seen.note(b"root %d" % me, {"trust-list": Mark(number, 0)})
"""


def test_processes_that_write_at_once_lose_nothing(said: list[str]) -> None:
    running = [subprocess.Popen([sys.executable, "-c", _PROCESS, str(me)]) for me in range(4)]
    assert [each.wait(120) for each in running] == [0] * 4
    marks = SeenHere(said.append).marks([b"shared"])
    assert marks["trust-list"].number == 103
    assert len(marks) == 101
    assert [SeenHere(said.append).marks([b"root %d" % me])["trust-list"].number for me in range(4)] == [
        25
    ] * 4


def test_what_an_earlier_version_remembered_still_counts(said: list[str], user: Place) -> None:
    from trust.encoding.digests import sha256

    user.folder.mkdir(parents=True, mode=0o700)
    name = sha256(b"".join(sorted(sha256(root) for root in (ROOT, OTHER)))).hex()
    (user.folder / "trust-lists.json").write_text(json.dumps({name: 12}))
    (user.folder / "trust-lists.json").chmod(0o644)
    assert SeenHere(said.append).marks([ROOT, OTHER])["trust-list"].number == 12
    assert forget("the service was set up anew", []) == 1
    assert SeenHere(said.append).marks([ROOT, OTHER]) == {}


def test_forgetting_asks_for_a_reason_and_keeps_it(said: list[str], user: Place) -> None:
    SeenHere(said.append).note(ROOT, NEW)
    SeenHere(said.append).note(OTHER, NEW)
    with pytest.raises(Malformed, match="reason"):
        forget("  ", [])
    assert SeenHere(said.append).marks([ROOT]) == NEW
    assert forget("moved to another city", [root_fingerprint(ROOT)]) == 1
    assert SeenHere(said.append).marks([ROOT]) == {}
    assert SeenHere(said.append).marks([OTHER]) == NEW
    (kept,) = json.loads(user.path.read_text())["forgotten"]
    assert kept["reason"] == "moved to another city"
    assert kept["by"]
    assert datetime.fromisoformat(kept["at"]) <= datetime.now(UTC)
    assert kept["roots"] == {root_fingerprint(ROOT): {"trust-list": [7, 100, ""]}}


def test_a_revoked_licence_does_not_pass_with_yesterdays_bundle(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--out", cli.folder / "pdf") == 0
    (pdf,) = (cli.folder / "pdf").glob("*.pdf")
    old, new = cli.folder / "old.zip", cli.folder / "new.zip"
    assert cli.run("bundle", old) == 0
    assert cli.run("verify", "--offline", old, pdf) == 0
    many = ("verify-many", cli.folder / "pdf", "--offline", old, "--out", cli.folder / "many")
    assert cli.run(*many) == 0
    results = cli.folder / "many" / "results.jsonl"
    lines = results.read_text().splitlines()
    results.write_text("".join(f"{line}\n" for line in lines[:-1]))  # stopped before its end
    assert cli.run("revoke", pdf.stem, "--reason", "penalty") == 0, cli.err
    assert cli.run("bundle", new) == 0
    assert cli.run("verify", "--offline", new, pdf) == 1
    assert cli.run("verify", "--offline", old, pdf) == 2, "yesterday's"
    assert "older than one seen here before" in re.sub(r"\s+", " ", cli.out)
    assert "LIST_ROLLED_BACK" in cli.out
    assert cli.run(*many) == 2, "a run that was stopped takes nothing over from yesterday"
    assert cli.run("verify", "--forget-lists") == 3
    assert cli.run("verify", "--reason", "no", pdf) == 3
    assert cli.run("verify") == 3
    assert cli.run("verify", "--offline", old, pdf) == 2, "nothing was forgotten"
    assert cli.run("verify", "--forget-lists", "--reason", "a drill", "--offline", old, pdf) == 0, cli.err
