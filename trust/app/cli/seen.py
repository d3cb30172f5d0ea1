"""What this user's machine has seen of trust lists, so that an older one is not believed again (roll-back guard).

    $XDG_STATE_HOME/yinzheng/trust-lists.json      {"<SHA-256 of the roots>": highest number seen}

Nothing depends on the file being there: without it the first list is believed, as on the first day.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trust.encoding.digests import sha256


class SeenHere:
    """`verifier.bundle.SeenLists`, for the user whose home this is."""

    def least_seq(self, roots: Sequence[bytes]) -> int:
        found = _read().get(_name(roots), 0)
        return found if isinstance(found, int) else 0

    def note(self, roots: Sequence[bytes], seq: int) -> None:
        """Keeps the number if it is the highest. A home that cannot be written to changes no verdict."""
        if seq <= self.least_seq(roots):
            return
        known = _read()
        known[_name(roots)] = seq
        with contextlib.suppress(OSError):
            path = _path()
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(known, file)
            os.replace(name, path)


def _read() -> dict[str, object]:
    try:
        value = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _name(roots: Sequence[bytes]) -> str:
    return sha256(b"".join(sorted(sha256(root) for root in roots))).hex()


def _path() -> Path:
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "yinzheng" / "trust-lists.json"
