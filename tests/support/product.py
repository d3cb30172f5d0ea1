"""What the product is made of, read from where it is declared."""

from __future__ import annotations

import importlib.metadata as metadata
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def packages() -> list[str]:
    """The top-level packages, as they are installed."""
    included = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    return [pattern.removesuffix("*") for pattern in included]


def requirements(extra: str | None = None) -> list[Requirement]:
    """What the project asks for: of the base install, or of one extra."""
    project = PROJECT["project"]
    asked = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    return [Requirement(each) for each in asked]


def modules_of_extra_only(extra: str) -> set[str]:
    """Top-level modules of every distribution that this extra brings and the base install does not."""
    only = _reached(requirements(extra)) - _reached(requirements())
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if {canonicalize_name(each) for each in distributions} <= only
    }


def _reached(asked: Iterable[Requirement]) -> set[str]:
    """Names of what these requirements install, and of what those ask for in their turn."""
    found: set[tuple[str, str]] = set()
    left = [(each.name, extra) for each in asked for extra in ("", *each.extras)]
    while left:
        name, extra = left.pop()
        if (canonicalize_name(name), extra) in found:
            continue
        found.add((canonicalize_name(name), extra))
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                left += [(needed.name, each) for each in ("", *needed.extras)]
    return {name for name, _ in found}
