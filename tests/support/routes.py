"""The routes that an app has, so that no test goes by a list of them that somebody keeps by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

_NO_PAGES = {
    "/wallet/{pid}/page.png",
    "/wallet/{pid}/file",
    "/wallet/{pid}/show/state",
    "/r/{code}/print.css",
}
"""What pages fetch."""


def api_routes(app: FastAPI) -> Iterator[APIRoute]:
    """All of them; the framework keeps those of each router in the router."""
    return _within(app.routes)


def _within(routes: Sequence[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from _within(route.original_router.routes)


def methods_of(route: APIRoute) -> set[str]:
    """The framework allows a route to have none; ours have."""
    assert route.methods, route.path
    return route.methods


def page_routes(app: FastAPI) -> list[APIRoute]:
    """Those that show somebody a page. The API's and the operators' stand in the OpenAPI description instead."""
    return [
        route
        for route in api_routes(app)
        if "GET" in methods_of(route) and not route.include_in_schema and route.path not in _NO_PAGES
    ]


def pages_not_among(app: FastAPI, paths: Sequence[str]) -> set[str]:
    """Templates of the pages that none of `paths` is a page of. /P/… and /p/… are one page."""
    routes = page_routes(app)
    seen = {route.endpoint for route in routes for path in paths if route.path_regex.fullmatch(path)}
    return {route.path for route in routes if route.endpoint not in seen}
