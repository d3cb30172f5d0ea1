"""A log of its own for each test, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.ledger_world import World


@pytest.fixture
def world(tmp_path: Path, new_database: Callable[[], Path | str]) -> Iterator[World]:
    found = World(tmp_path, new_database(), new_database())
    yield found
    found.close()
