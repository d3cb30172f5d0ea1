"""The command line, run in this process: its exit code, and what it printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from support.world import FOOD
from trust.app.main import main

FIELDS = [name for name in FOOD if name != "licence_number"]


class Cli:
    def __init__(
        self, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.data, self.folder = data, data.parent
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.out = self.err = ""

    def run(self, *arguments: str | Path) -> int:
        self._monkeypatch.setattr(sys, "argv", ["yinzheng", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return code

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def csv(self, *numbers: int, spoil: int | None = None) -> Path:
        rows = [",".join(["licence_number", *FIELDS])]
        for number in numbers:
            values = [FOOD[name] for name in FIELDS]
            if number == spoil:
                values[FIELDS.index("holder_code")] = "91990101MA6K1001X0"
            rows.append(",".join([f"JY2990101{number:07d}", *values]))
        path = self.folder / "records.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
        return path
