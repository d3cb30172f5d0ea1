"""The newcomer's first command, as a newcomer starts it: in a process of its own, in Chinese."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.limits import HANG_SECONDS

from trust.app.demo import clear
from trust.model.errors import Conflict, StorageError
from trust.storage.folder import DataFolderLock


def test_the_whole_main_job_comes_out_as_expected(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("yinzheng"), "demo", "--out", tmp_path / "out"],
        env={**os.environ, "YINZHENG_LANG": "zh-CN", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert sum(line.startswith("   ✔ ") for line in lines) > 30
    assert not [line for line in lines if "✖" in line or "[/" in line or "[bold" in line]
    assert [line[0] for line in lines if re.match(r"\d\. ", line)] == list("12345678")
    assert len(list((tmp_path / "out" / "licences").glob("*.pdf"))) > 20


@pytest.mark.parametrize("part", ["data", "licences", "archive"])
def test_what_the_demo_did_not_make_it_does_not_delete(tmp_path: Path, part: str) -> None:
    kept = tmp_path / part / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("x")
    with pytest.raises(Conflict) as caught:
        clear(tmp_path)
    assert (caught.value.code, kept.read_text()) == ("NOT_A_DEMO", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [part]


def test_a_demo_under_a_running_service_is_not_deleted(tmp_path: Path) -> None:
    clear(tmp_path)
    with DataFolderLock(tmp_path / "data"):
        (tmp_path / "data" / "ledger.db").write_text("x")
        with pytest.raises(Conflict) as caught:
            clear(tmp_path)
        assert caught.value.code == "DATA_FOLDER_IN_USE"
        assert (tmp_path / "data" / "ledger.db").exists()
    (tmp_path / "mine.txt").write_text("y")
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".yinzheng-demo", "mine.txt"]


def test_a_folder_that_cannot_be_cleared_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError):
        clear(tmp_path / "out")
