"""The facade that the faces of custody are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trust.terminal.opening import Facade

if TYPE_CHECKING:
    from keys.composite import CompositeKeyProvider
    from trust.model.clock import Clock


@dataclass(frozen=True, slots=True)
class KeysService:
    """The keys in custody."""

    clock: Clock
    keys: CompositeKeyProvider


KEYS: Facade[KeysService] = Facade("keys")
