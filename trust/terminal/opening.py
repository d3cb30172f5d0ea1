"""How a command gets a service: the roof passes down the openers, so that no command imports the roof.

    with opened(ctx, ISSUER, data) as service:
        service.statuses.change(…)

A `Facade` names a service and its type; each actor's module `service` defines its own.
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
    """The name of a service that a command can open, with its type."""

    name: str


Opener = Callable[[Path | None], AbstractContextManager[object]]
"""Opens the service of a facade, in this data folder or, for None, in that of the settings. Raises `TrustError`."""


@dataclass(frozen=True, slots=True)
class Openers:
    """The openers, made by the roof; `typer.Context.obj` of every command."""

    of: Mapping[str, Opener]


def opened(ctx: typer.Context, facade: Facade[T], data: Path | None) -> AbstractContextManager[T]:
    """Opens the service of a facade until the end of the block."""
    openers = ctx.find_object(Openers)
    assert openers is not None, "the roof hands its openers down"
    return cast("AbstractContextManager[T]", openers.of[facade.name](data))
