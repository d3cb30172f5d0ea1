"""Empty wheels, newer than every release there will be, of all that is locked: `newer_releases.py FOLDER`.

Offered to pip (`PIP_FIND_LINKS=FOLDER`), they stand for what is published after a lock was made. Standard library
only, since `.ci/run` calls it before anything is installed.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_newer_releases(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (ROOT / "requirements-test.lock").read_text(encoding="utf-8")
    for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE):
        stem = f"{re.sub(r'[-_.]+', '_', name)}-999.0"
        parts = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 999.0\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            for part, text in parts.items():
                wheel.writestr(f"{stem}.dist-info/{part}", text)


if __name__ == "__main__":
    write_newer_releases(Path(sys.argv[1]))
