"""`serve` started by root becomes a user of its own, and believes an address only from a proxy that was named."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import Served
from support.world import make_world

from trust.app.settings import read_settings
from trust.model.errors import Malformed

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
_IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder(template_folder: Path, tmp_path: Path) -> Path:
    made = tmp_path / "data"
    shutil.copytree(template_folder, made)
    return made


def _leave_root(folder: Path, user: str) -> tuple[list[int], str, str]:
    """Who the process is after `leave_root`, what was logged, and the error, if any."""
    code = (
        "import sys, os, json, logging; logging.basicConfig(stream=sys.stderr);"
        "from trust.sandbox.run_as import leave_root; from trust.app.settings import read_settings;"
        "from trust.model.errors import Malformed\n"
        "s = read_settings()\n"
        "try: leave_root(s.user, (s.data, s.keys_folder, s.data / 'ledger'))\n"
        "except Malformed as exc: print(json.dumps([[], str(exc)])); raise SystemExit\n"
        "ids = [*os.getresuid(), *os.getresgid(), *os.getgroups()]\n"
        "print(json.dumps([ids, '']))"
    )
    environment = {**os.environ, "YINZHENG_DATA": str(folder), "YINZHENG_USER": user}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    ids, error = json.loads(run.stdout)
    return ids, run.stderr, error


def _give(folder: Path, user: str) -> None:
    uid = pwd.getpwnam(user).pw_uid
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, -1, follow_symlinks=False)


@_IS_ROOT
def test_root_is_given_up_for_good(folder: Path) -> None:
    _give(folder, "nobody")
    nobody = pwd.getpwnam("nobody")
    ids, log, error = _leave_root(folder, "nobody")
    assert (error, log) == ("", "")
    assert ids[:6] == [nobody.pw_uid] * 3 + [nobody.pw_gid] * 3
    assert 0 not in ids


@_IS_ROOT
def test_root_without_a_name_is_warned_of(folder: Path) -> None:
    ids, log, error = _leave_root(folder, "")
    assert (ids[0], error) == (0, "")
    assert "runs as root" in log


@_IS_ROOT
@pytest.mark.parametrize(
    ("user", "said"),
    [("no-such-user", "no user"), ("root", "is root"), ("nobody", "does not belong to nobody")],
)
def test_a_user_that_cannot_serve_is_refused_in_one_sentence(folder: Path, user: str, said: str) -> None:
    ids, _, error = _leave_root(folder, user)
    assert ids == []
    assert said in error


@_IS_ROOT
def test_one_file_of_root_s_is_named_before_it_gets_in_the_way(folder: Path) -> None:
    _give(folder, "nobody")
    os.chown(folder / "register.sqlite", 0, 0)
    _, _, error = _leave_root(folder, "nobody")
    assert "register.sqlite" in error
    assert "chown -R nobody" in error


def _inside(served: Served, forwarded: list[str]) -> str:
    """The answer to one upload more than one address may have under way, each from the address that is told."""
    with_body = (
        "POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nX-Forwarded-For: {}\r\n\r\n"
    )
    held = [socket.create_connection(("127.0.0.1", served.port)) for _ in forwarded]
    try:
        for connection, address in zip(held, forwarded, strict=True):
            connection.sendall(with_body.format(address).encode())
            served.get("/livez")  # by then it was seen
        held[-1].settimeout(1.5)
        try:
            return held[-1].recv(1 << 16).split(b"\r\n")[0].decode()
        except TimeoutError:
            return "is waited for"
    finally:
        for connection in held:
            connection.close()


@pytest.fixture
def serve(folder: Path, tmp_path: Path) -> Iterator[Served]:
    made = Served(
        folder, tmp_path / "log", YINZHENG_SCRUB_EVERY="3600", YINZHENG_PROXIES="127.0.0.1, 10.0.0.0/8"
    )
    make_world(folder).close()
    yield made.start()
    made.close()


def test_a_named_proxy_says_for_whom_it_asks(serve: Served) -> None:
    # Half of the public lane by others, then one address with more than the few that it may have then.
    others = [f"198.51.100.{number}" for number in range(1, 65)]
    assert _inside(serve, [*others, *[f"2001:db8:1:2::{number}" for number in range(1, 8)]]).startswith(
        "HTTP/1.1 429"
    )
    assert (
        _inside(serve, [*others, *[f"2001:db8:1:{number}::1" for number in range(1, 8)]]) == "is waited for"
    )
    assert "is not named" not in serve.log()


def test_a_proxy_that_is_not_named_is_not_believed(folder: Path, tmp_path: Path) -> None:
    served = Served(folder, tmp_path / "log", YINZHENG_SCRUB_EVERY="3600").start()
    try:
        assert _inside(served, ["192.0.2.1"] * 70) == "is waited for", (
            "all are this machine, which is not counted"
        )
        assert served.log().count("a proxy on this machine is not named") == 1
    finally:
        served.close()


@pytest.mark.parametrize("given", ["proxy.example", "10.0.0.0/40", "127.0.0.1;10.0.0.1", "*"])
def test_a_proxy_that_is_no_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setenv("YINZHENG_PROXIES", given)
    with pytest.raises(Malformed, match="YINZHENG_PROXIES"):
        read_settings(tmp_path)
