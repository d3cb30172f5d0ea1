"""Fetching what certificates name: bounded, from public machines only, and nothing is followed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.plain_http import Answer, PlainServer, plain_server

from trust.fetching import FetchFailed, _is_public, fetch_named, post

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
HERE = ("127.0.0.1",)


@pytest.fixture
def server() -> Iterator[PlainServer]:
    with plain_server() as made:
        yield made


def refusal(address: str, **changes: Any) -> str:
    wanted: dict[str, Any] = {"timeout_seconds": 5, "max_bytes": 1000, "private_hosts": HERE} | changes
    with pytest.raises(FetchFailed) as caught:
        fetch_named(address, **wanted)
    return caught.value.code


def test_what_is_at_an_address_comes_as_it_is(server: PlainServer) -> None:
    server.answers["/x.crl"] = Answer(b"list", headers={"Content-Encoding": "gzip"})
    address = f"{server.url}/x.crl"
    assert fetch_named(address, timeout_seconds=5, max_bytes=4, private_hosts=HERE) == b"list"
    assert server.asked == [("/x.crl", server.url.removeprefix("http://"))]

    async def inside() -> bytes:
        return fetch_named(address, timeout_seconds=5, max_bytes=4, private_hosts=HERE)

    assert asyncio.run(inside()) == b"list"


def test_what_is_too_large_too_slow_missing_or_elsewhere_is_refused(server: PlainServer) -> None:
    server.answers["/large"] = Answer(b"x" * 1001)
    server.answers["/moved"] = Answer(status=302, headers={"Location": f"{server.url}/x.crl"})

    def slow(body: bytes) -> Answer:
        time.sleep(1)
        return Answer(b"late")

    server.answers["/slow"] = slow
    assert refusal(f"{server.url}/large") == "FETCH_TOO_LARGE"
    assert refusal(f"{server.url}/moved") == "FETCH_STATUS"
    assert refusal(f"{server.url}/none") == "FETCH_STATUS"
    assert refusal(f"{server.url}/slow", timeout_seconds=0.2) == "FETCH_TOO_SLOW"
    assert ("/x.crl", server.url.removeprefix("http://")) not in server.asked


def test_a_machine_that_drips_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        began = time.monotonic()
        assert refusal(f"http://127.0.0.1:{port}/", timeout_seconds=0.3) == "FETCH_TOO_SLOW"
        assert time.monotonic() - began < 20
    assert refusal(f"http://127.0.0.1:{port}/") == "FETCH_UNREACHABLE"


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://a:b@127.0.0.1/",
        "http://",
        "x",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
    ],
)
def test_an_address_of_another_kind_is_not_asked(address: str) -> None:
    assert refusal(address) == "FETCH_ADDRESS"


def test_a_machine_inside_is_asked_only_if_it_was_named(
    server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/x.crl"] = Answer(b"list")
    assert refusal(f"{server.url}/x.crl", private_hosts=()) == "FETCH_ADDRESS"
    # A name whose second answer would be another: the address that was looked at is the one that is asked.
    answers = [[(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]]

    async def resolve(self: object, *asked: object, **how: object) -> list[Any]:
        return answers[0]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    assert refusal("http://crl.example/x.crl", private_hosts=()) == "FETCH_ADDRESS", "one of two is inside"
    port = int(server.url.rpartition(":")[2])
    answers[0] = [(2, 1, 6, "", ("127.0.0.1", port))]
    named = fetch_named(
        f"http://crl.example:{port}/x.crl", timeout_seconds=5, max_bytes=9, private_hosts=("crl.example",)
    )
    assert named == b"list"
    assert server.asked == [("/x.crl", f"crl.example:{port}")]


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True), ("64:ff9b::a00:1", False), ("64:ff9b:1::a00:1", False),
        ("::10.1.2.3", False), ("::ffff:0:10.1.2.3", False), ("fec0::1", False), ("5f00::1", False),
        ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_addresses_that_lead_inside_are_known(address: str, is_public: bool) -> None:
    assert _is_public(address) is is_public


def test_an_answer_of_another_kind_is_refused(server: PlainServer) -> None:
    server.answers["/"] = lambda body: Answer(body[::-1], headers={"Content-Type": "application/b; x=1"})
    ask: dict[str, Any] = {"content_type": "application/a", "timeout_seconds": 5, "max_bytes": 9}
    assert post(server.url, b"abc", answer_type="application/b", **ask) == b"cba"
    with pytest.raises(FetchFailed) as caught:
        post(server.url, b"abc", answer_type="application/c", **ask)
    assert caught.value.code == "FETCH_KIND"
