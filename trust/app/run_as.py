"""Giving up root: a service to which anybody can send files should not have its powers."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from trust.app.settings import Settings
from trust.model.errors import Malformed

_log = logging.getLogger("yinzheng.serving")


def leave_root(settings: Settings) -> None:
    """Becomes the user named in `YINZHENG_USER` if root started this process; warns if none is named.

    This cannot be undone. Raises `Malformed` for an unknown user, and if files of the service belong to another user.
    """
    if os.geteuid() != 0:
        return
    if settings.user is None:
        _log.warning("the service runs as root: name a user of its own in YINZHENG_USER")
        return
    try:
        user = pwd.getpwnam(settings.user)
    except KeyError as exc:
        raise Malformed(
            f"There is no user {settings.user!r} on this machine.",
            "Make one (useradd --system), or correct YINZHENG_USER.",
        ) from exc
    if user.pw_uid == 0:
        raise Malformed("YINZHENG_USER is root.", "Name a user that may do less.")
    for path in _files_of_the_service(settings):
        if path.lstat().st_uid != user.pw_uid:
            raise Malformed(
                f"{path} does not belong to {settings.user}.",
                f"Give the folder to the user: chown -R {settings.user} {settings.data}"
                + (f" {settings.keys_folder}" if settings.keys else ""),
            )
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"], os.environ["USER"] = user.pw_dir, user.pw_name


def _files_of_the_service(settings: Settings) -> Iterator[Path]:
    """The folders, and what lies directly in them."""
    for folder in dict.fromkeys((settings.data, settings.keys_folder, settings.data / "ledger")):
        if folder.is_dir():
            yield folder
            yield from sorted(folder.iterdir())
