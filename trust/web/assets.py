"""Templates and static files of all faces; those of a page are in the folders `templates` and `static` beside it.

Shared ones are in this package; the roof names the other packages (`rooms`). A file name must be unique among all of
them, because the first package that has it would hide the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_SHARED = "trust.web"


def make_templates(rooms: Sequence[str]) -> Environment:
    """The templates, with escaping by default; using an undefined name is an error."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room, "templates") for room in (_SHARED, *rooms)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = _asset_addresses(rooms).__getitem__
    return environment


def static_files(rooms: Sequence[str]) -> StaticFiles:
    """Style sheets, scripts and pictures. Addresses contain a digest, so they may be cached for ever."""
    return _Static(packages=[(room, "static") for room in (_SHARED, *rooms) if _has_static(room)])


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


def _has_static(room: str) -> bool:
    return files(room).joinpath("static").is_dir()


def _asset_addresses(rooms: Sequence[str]) -> dict[str, str]:
    """The addresses of the static files by name, each with the beginning of the file's digest."""
    return {
        each.name: f"/static/{each.name}?v={sha256(each.read_bytes()).hexdigest()[:12]}"
        for room in (_SHARED, *rooms)
        if _has_static(room)
        for each in files(room).joinpath("static").iterdir()
        if each.is_file()
    }
