"""The facade that the faces of custody are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trust.terminal.opening import Facade

if TYPE_CHECKING:
    from keys.composite import CompositeKeyProvider
    from trust.model.clock import Clock


class KeysService(Protocol):
    """The keys in custody."""

    @property
    def clock(self) -> Clock: ...
    @property
    def keys(self) -> CompositeKeyProvider: ...


KEYS: Facade[KeysService] = Facade("keys")
