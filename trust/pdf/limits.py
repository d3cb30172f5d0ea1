"""How large a file may be, apart from what reads it, so that those who only ask start fast."""

from __future__ import annotations

from typing import Final

MAX_FILE_BYTES: Final = 20 * 1024 * 1024
