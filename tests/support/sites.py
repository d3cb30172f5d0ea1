"""A service whose data folder is copied while it is closed, and restored later, whole or in parts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.world import START, StoppedClock, World
from trust.app.compose import open_site
from trust.app.settings import Settings
from trust.sandbox.workers import Sandbox


@dataclass
class CopiedSite:
    """A service that is opened, closed, copied and restored."""

    folder: Path
    settings: Settings
    sandbox: Sandbox
    clock: StoppedClock = field(default_factory=lambda: StoppedClock(START))
    world: World | None = None

    def open(self) -> World:
        site = open_site(self.settings, clock=self.clock, sandbox=self.sandbox)
        self.world = World(site, self.clock, self.folder)
        return self.world

    def close(self) -> None:
        if self.world is not None:
            self.world.close()
            self.world = None

    def copy(self, name: str) -> Path:
        """Of the closed folder."""
        self.close()
        return Path(shutil.copytree(self.settings.data, self.folder / name))

    def restore(self, *copies: tuple[Path, str]) -> None:
        """Whole, or parts of it by their names."""
        self.close()
        data = self.settings.data
        for copy, part in copies:
            for there in data.glob(part) if part != "*" else [data]:
                shutil.rmtree(there) if there.is_dir() else there.unlink()
            if part == "*":
                shutil.copytree(copy, data)
            for found in copy.glob(part) if part != "*" else []:
                shutil.copytree(found, data / found.name) if found.is_dir() else shutil.copy2(
                    found, data / found.name
                )

    def with_mark(self, path: Path) -> None:
        self.settings = replace(self.settings, ledger_mark=path)
