"""What strangers are told where a row was edited: never which, and the log has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trust.model.errors import StorageError, TrustError

_log = logging.getLogger("yinzheng.register")


@contextmanager
def instead_of_edited(error: Callable[[], TrustError]) -> Iterator[None]:
    """Raises `error()` for a row that its guard does not believe (ROW_EDITED)."""
    try:
        yield
    except StorageError as exc:
        if exc.code != "ROW_EDITED":
            raise
        _log.critical("a row of the register was asked for and not believed", extra={"what": exc.what})
        raise error() from exc
