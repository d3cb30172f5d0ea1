"""How a command gets at a service: the roof hands down what opens it, and no command knows the roof.

    with opened(ctx, ISSUER, data) as service:
        service.statuses.change(…)

A `Facade` names what a command wants, and its type; the actors' modules `service` define theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

import typer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facade(Generic[T]):
    """What a command may ask for."""

    name: str


Opener = Callable[[Path | None], AbstractContextManager[object]]
"""Opens what a facade names, in this data folder; without one, in that of the settings. Raises `TrustError`."""


@dataclass(frozen=True, slots=True)
class Openers:
    """The roof's: `typer.Context.obj` of every command."""

    of: Mapping[str, Opener]


def opened(ctx: typer.Context, facade: Facade[T], data: Path | None) -> AbstractContextManager[T]:
    """The service behind the facade, open until the end of the block."""
    openers = ctx.find_object(Openers)
    assert openers is not None, "the roof hands its openers down"
    return cast("AbstractContextManager[T]", openers.of[facade.name](data))
