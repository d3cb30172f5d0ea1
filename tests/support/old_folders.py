"""Data folders as earlier versions left them: made by today's code without what came later, and turned back in schema.

0008    the last before rows were guarded: no MACs, no REGISTER_EVENT entries, no MAC of the ledger's head
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger.statekey import StateKey
from support.world import World, make_world
from trust.app import compose
from trust.sandbox import Sandbox

_SINCE_0008 = ("operation", "ecertificate", "document", "holder", "presentation", "claim_link", "web_session")


class _NoGuard:
    def __init__(self, *arguments: Any) -> None:
        """As if there were none."""

    def attach(self, log: Any) -> None:
        """Nothing to hold rows against."""

    def resume(self) -> int:
        return 0


def make_folder_of_0008(folder: Path, sandbox: Sandbox, fill: Any) -> None:
    """`fill` is given the world, and puts into it what shall be in the old folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "RegisterGuard", _NoGuard)
        patch.setattr(compose, "StateKey", lambda key: StateKey(None))
        patch.setattr(
            compose.Database, "guard", property(lambda self: None, lambda self, guard: None), raising=False
        )
        world: World = make_world(folder, sandbox=sandbox)
        try:
            fill(world)
        finally:
            world.close()
    (folder / compose.STANDING_FILE).unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / "register.sqlite")) as register:
        for table in _SINCE_0008:
            register.execute(f"ALTER TABLE {table} DROP COLUMN mac")
        register.execute("ALTER TABLE ecertificate DROP COLUMN claimed_until")
        register.execute("DROP TABLE register_event")
        register.execute("UPDATE register_version SET version_num = '0008'")
        register.commit()
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        ledger.execute("ALTER TABLE ledger_state DROP COLUMN mac")
        ledger.execute("UPDATE ledger_version SET version_num = '0001'")
        ledger.commit()
