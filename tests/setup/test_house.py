"""docs/ARCHITECTURE.md shows the house as the code is."""

from __future__ import annotations

import subprocess
import sys

from support.product import ROOT, packages


def test_the_picture_of_the_house_is_drawn_from_the_code() -> None:
    drawing = [sys.executable, str(ROOT / ".ci" / "house.py"), "--check"]
    assert subprocess.run(drawing, check=False).returncode == 0, "run `make house`"


def test_every_room_says_what_lives_in_it() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    for package in packages():
        for path in (ROOT / package).iterdir():
            if not path.name.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").is_file()):
                line = next(
                    line for line in text.splitlines() if line.startswith(f"| `{package}.{path.stem}` |")
                )
                assert len(line.split("|")[2].strip()) > 10, line
