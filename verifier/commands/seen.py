"""Marks of signed lists that this machine has seen, to refuse older lists later (`verifier.evidence.seen`).

    /var/lib/yinzheng/seen/seen-lists.json       for the machine, if an operator has made the folder
    $XDG_STATE_HOME/yinzheng/seen-lists.json     for the user; without the variable in ~/.local/state

    {"version": 1,
     "roots": {"<fingerprint>": {"trust-list": [7, 1795399200, ""], "status-list.1 <origin>": […], …}},
     "forgotten": [{"at": …, "by": …, "reason": …, "roots": {…}}]}

Both are read and the newest mark counts. New marks are written to the machine's file if this user may write there, and
to the user's otherwise. Neither needs to exist: without them the first list is accepted.

A file that another user may write is ignored, because a planted number would block every correct list: file and folder
must belong to this user or root, must not be links, and must not be writable by others.
"""

from __future__ import annotations

import json
import os
import pwd
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trust.encoding.digests import sha256
from trust.model.errors import Malformed, OperationalError
from trust.storage.folder import folder_turn, write_durably
from trust.terminal import console
from trust.terminal.console import t
from verifier.evidence.seen import Mark, Marks, newest
from verifier.evidence.trust_list import root_fingerprint

_FILE, _BEFORE = "seen-lists.json", "trust-lists.json"
_MACHINE, _MACHINE_VARIABLE = "/var/lib/yinzheng/seen", "YINZHENG_SEEN"
_MAX_BYTES, _MOST_ROOTS = 4 * 1024 * 1024, 1000
_ROOT_USER = 0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that may hold marks, as the user `uid` sees it."""

    folder: Path
    is_machine: bool
    uid: int = field(default_factory=os.geteuid)

    @property
    def path(self) -> Path:
        return self.folder / _FILE

    def read(self, say: Say) -> dict[str, Any]:
        """The stored content; empty if there is none or it cannot be trusted, which is then reported through `say`."""
        try:
            data = _read_ours(self.path, self.uid)
        except FileNotFoundError:
            return {}
        except PermissionError as exc:
            if not self.is_machine:  # a machine's folder that this user may not read does not apply
                say(_not_believed(self.path, str(exc.strerror or exc)))
            return {}
        except (OSError, _NotOurs) as exc:
            say(_not_believed(self.path, str(exc)))
            return {}
        try:
            value = json.loads(data)
            for marks in value["roots"].values():
                _decode(marks)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            say(_not_believed(self.path, t("内容不合格式", "it is not in its form")))
            return {}
        return value if isinstance(value, dict) else {}

    def change(self, change: Callable[[dict[str, Any]], None], say: Say) -> None:
        """Reads, changes and writes under a lock; no concurrent change is lost. Raises `OperationalError`, OSError."""
        if not self.is_machine:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _take_from_others(self.folder, self.uid)
        _check_ours(os.lstat(self.folder), self.uid, stat.S_ISDIR)
        with folder_turn(self.folder, name=".seen.lock"):
            value = self.read(say) or {"version": 1, "roots": {}, "forgotten": []}
            before = json.dumps(value, sort_keys=True)
            change(value)
            encoded = json.dumps(value, sort_keys=True, ensure_ascii=False)
            if json.dumps(value, sort_keys=True) != before:
                write_durably(self.path, encoded.encode(), mode=0o644 if self.is_machine else 0o600)


class _NotOurs(Exception):
    """Another user could have written the file. The text tells people why."""


def places() -> list[Place]:
    """The machine's folder, if there is one, and the user's."""
    machine = Place(Path(os.environ.get(_MACHINE_VARIABLE) or _MACHINE), is_machine=True)
    state = os.environ.get("XDG_STATE_HOME")
    user = Place((Path(state) if state else Path.home() / ".local" / "state") / "yinzheng", is_machine=False)
    with suppress(OSError):
        if machine.folder.is_dir():
            return [machine, user]
    return [user]


class SeenHere:
    """The `SeenLists` of this machine and this user. Safe for any number of threads and processes."""

    def __init__(self, say: Say | None = None) -> None:
        self._say = say or (lambda text: console.err.print(text, soft_wrap=True, markup=False))
        self._said: set[str] = set()
        self._known: dict[bytes, Marks] = {}
        self._turn = threading.Lock()

    def marks(self, roots: Sequence[bytes]) -> Marks:
        kept = [place.read(self._say_once).get("roots", {}) for place in places()]
        found = [_decode(each.get(root_fingerprint(root), {})) for each in kept for root in roots]
        return newest(*found, _before(roots))

    def note(self, root: bytes, marks: Marks) -> None:
        """Stores newer marks. A folder that cannot be written changes no verdict, but a warning is printed."""
        with self._turn:
            if self._known.get(root) == marks:
                return
            self._known[root] = marks
            fingerprint = root_fingerprint(root)
            known = newest(
                *(_decode(p.read(self._say_once).get("roots", {}).get(fingerprint, {})) for p in places())
            )
            if newest(known, marks) == known:
                return
            self._keep(fingerprint, marks)

    def _keep(self, fingerprint: str, marks: Marks) -> None:
        def change(value: dict[str, Any]) -> None:
            roots = value["roots"]
            if fingerprint not in roots and len(roots) >= _MOST_ROOTS:
                raise OperationalError(t("已记住的部署太多", "too many deployments are remembered"))
            kept = newest(_decode(roots.get(fingerprint, {})), marks)
            roots[fingerprint] = {name: list(mark) for name, mark in sorted(kept.items())}

        failed = []
        for place in places():
            try:
                place.change(change, self._say_once)
            except (OSError, OperationalError, _NotOurs) as exc:
                failed.append(f"{place.path}: {_why(exc)}")
                continue
            self._say_once(
                t(
                    f"已记住见过的列表，{'本机各用户共用' if place.is_machine else '仅限当前用户'}：{place.path}",
                    f"Lists seen are remembered for this {'machine' if place.is_machine else 'user'}: {place.path}",
                )
            )
            return
        self._say_once(
            t(
                f"本次见过的列表没有记住（{'；'.join(failed)}）：以后无法识别更旧的离线包。",
                f"What was seen of lists is not remembered ({'; '.join(failed)}): "
                "an older bundle will not be noticed.",
            )
        )

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def forget(reason: str, fingerprints: Sequence[str]) -> int:
    """Forgets the marks under these roots (all if none is named), and records why. Returns the number of roots.

    Raises `Malformed` without a reason, and `OperationalError` if it cannot be recorded.
    """
    if not reason.strip():
        raise Malformed(
            "Forgetting lists needs a reason.",
            "Say with --reason why older lists are to be believed again.",
            code="USAGE",
        )
    wanted = {each.lower() for each in fingerprints}
    forgotten = 0

    def change(value: dict[str, Any]) -> None:
        nonlocal forgotten
        roots: dict[str, Any] = value["roots"]
        gone = {each: roots.pop(each) for each in list(roots) if not wanted or each in wanted}
        if before := _read_before() if not place.is_machine else {}:
            gone[_BEFORE] = before  # stored under a digest of several roots, so they cannot be told apart
        forgotten += len(gone)
        value.setdefault("forgotten", []).append(
            {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "by": _user(),
                "reason": reason.strip(),
                "roots": gone,
            }
        )

    for place in places():
        if place.is_machine and not place.path.exists():
            continue
        try:
            place.change(change, lambda text: console.err.print(text, soft_wrap=True, markup=False))
            if not place.is_machine:
                (place.folder / _BEFORE).unlink(missing_ok=True)
        except (OSError, OperationalError, _NotOurs) as exc:
            raise OperationalError(
                f"{place.path} cannot be changed: {_why(exc)}.",
                "Ask whoever may write there (for the machine's folder, its operator).",
                code="SEEN_NOT_WRITTEN",
            ) from exc
    return forgotten


def _why(exc: Exception) -> str:
    return exc.what if isinstance(exc, OperationalError) else getattr(exc, "strerror", None) or str(exc)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _decode(marks: Mapping[str, Any]) -> dict[str, Mark]:
    """Decodes marks. Raises ValueError or TypeError if they are malformed."""
    found = {}
    for name, (number, made_at, digest) in marks.items():
        if type(number) is not int or type(made_at) is not int or type(digest) is not str:
            raise ValueError(name)
        found[name] = Mark(number, made_at, digest)
    return found


def _before(roots: Sequence[bytes]) -> Marks:
    """The mark in an earlier version's file: the trust list's number, stored under all roots together."""
    number = _read_before().get(sha256(b"".join(sorted(sha256(root) for root in roots))).hex())
    return {"trust-list": Mark(number, 0)} if type(number) is int else {}


def _read_before() -> dict[str, Any]:
    place = places()[-1]
    try:
        value = json.loads(_read_ours(place.folder / _BEFORE, place.uid))
    except (OSError, _NotOurs, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_ours(path: Path, uid: int) -> bytes:
    """The file, checked and read through one descriptor, so that it cannot be exchanged. Raises OSError, `_NotOurs`."""
    os.lstat(path)  # if there is no file, the folder need not be checked
    _check_ours(os.lstat(path.parent), uid, stat.S_ISDIR)
    # Non-blocking: a pipe in the file's place would make every check wait for a writer.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        _check_ours(os.fstat(fd), uid, stat.S_ISREG)
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise _NotOurs(t("文件过大", "it is too large"))
    return data


def _check_ours(found: os.stat_result, uid: int, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(found.st_mode):
        raise _NotOurs(t("是链接或其他类型的文件", "it is a link, or of another kind"))
    if found.st_uid not in (_ROOT_USER, uid):
        raise _NotOurs(t("属于其他用户", "it belongs to another user"))
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _NotOurs(t("其他用户可以写入", "others may write to it"))


def _take_from_others(folder: Path, uid: int) -> None:
    """Takes away others' write permission on a folder of this user that a careless umask left open."""
    found = os.lstat(folder)
    if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(0o700)


def _not_believed(path: Path, why: str) -> str:
    return t(
        f"不采信已记住的列表（{path}：{why}）：如同第一天一样核验。请检查文件的属主和权限。",
        f"What was remembered of lists is not believed ({path}: {why}): checking as on the first day. "
        "Look at its owner and permissions.",
    )
