"""The two kinds of installation: the base one only verifies, the other includes the server."""

from __future__ import annotations

from importlib import import_module

from trust.model.errors import OperationalError

_OF_THE_SERVER = ("sqlmodel", "typst")


def need_server_install() -> None:
    """Raises `OperationalError` in the base install."""
    try:
        for name in _OF_THE_SERVER:
            import_module(name)
    except ImportError as exc:
        raise OperationalError(
            "This is the base install, which verifies and nothing else.", 'Install "yinzheng[server]".'
        ) from exc
