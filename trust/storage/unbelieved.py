"""Hiding from outsiders which row was edited: they get a general error, and the details are logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trust.model.errors import StorageError, TrustError

_log = logging.getLogger("yinzheng.register")


@contextmanager
def instead_of_edited(error: Callable[[], TrustError]) -> Iterator[None]:
    """Raises `error()` in place of the error for an edited row (ROW_EDITED), which is logged."""
    try:
        yield
    except StorageError as exc:
        if exc.code != "ROW_EDITED":
            raise
        _log.critical("a row of the register was asked for and not believed", extra={"what": exc.what})
        raise error() from exc
