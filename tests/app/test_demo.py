"""The newcomer's first command, as a newcomer starts it: in a process of its own, in Chinese."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.limits import HANG_SECONDS


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
    assert not [line for line in lines if "✘" in line or "[/" in line or "[bold" in line]
    assert [line[0] for line in lines if re.match(r"\d\. ", line)] == list("12345678")
    assert len(list((tmp_path / "out" / "licences").glob("*.pdf"))) > 20
