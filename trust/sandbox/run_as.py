"""Giving up root: a service to which anybody can send files should not have its powers."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator, Sequence
from pathlib import Path

from trust.model.errors import Malformed

_log = logging.getLogger("yinzheng.serving")


def leave_root(name: str | None, folders: Sequence[Path]) -> None:
    """Becomes the user of this name if root started this process; warns if none is named.

    `folders`: those of the service. This cannot be undone. Raises `Malformed` for an unknown user, and if one of the
    folders, or what lies directly in it, belongs to another user.
    """
    if os.geteuid() != 0:
        return
    if name is None:
        _log.warning("the service runs as root: name a user of its own in YINZHENG_USER")
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError as exc:
        raise Malformed(
            f"There is no user {name!r} on this machine.",
            "Make one (useradd --system), or correct YINZHENG_USER.",
        ) from exc
    if user.pw_uid == 0:
        raise Malformed("YINZHENG_USER is root.", "Name a user that may do less.")
    for path in _files_in(folders):
        if path.lstat().st_uid != user.pw_uid:
            raise Malformed(
                f"{path} does not belong to {name}.",
                f"Give the folder to the user: chown -R {name} {' '.join(map(str, _apart(folders)))}",
            )
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"], os.environ["USER"] = user.pw_dir, user.pw_name


def _files_in(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders, and what lies directly in them."""
    for folder in dict.fromkeys(folders):
        if folder.is_dir():
            yield folder
            yield from sorted(folder.iterdir())


def _apart(folders: Sequence[Path]) -> list[Path]:
    """Those that do not lie in another one of them."""
    return [each for each in folders if not any(other in each.parents for other in folders)]
