"""The queues in front of the sandbox: none starves another, and what does not fit is told when to come back."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from fastapi.testclient import TestClient
from support.limits import HANG_SECONDS
from support.world import FOR_OPERATORS, World

from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.model.errors import Busy, Malformed
from trust.people.access import open_access
from trust.sandbox.lanes import SIZES, Lane, LaneSize
from trust.sandbox.workers import Sandbox
from trust.web import middleware
from trust.web.lanes import Lanes, TooManyAtOnce

SMALL = {
    **SIZES,
    Lane.PUBLIC: LaneSize(readers=1, waiting=1, uploads=4, codes=1, per_client=3, crowded=2),
}


def test_a_lane_takes_what_it_has_room_for_and_says_when_to_come_back() -> None:
    release = threading.Event()

    async def fill() -> None:
        lanes = Lanes(SMALL)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(lanes.read, Lane.PUBLIC, release.wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Busy) as busy:
                await lanes.read(Lane.PUBLIC, release.wait)
            assert 1 <= busy.value.retry_after <= 30
            with pytest.raises(Busy), lanes.admitted(Lane.PUBLIC, None):
                pass  # before its body is read
            assert await lanes.read(Lane.COUNTER, lambda: "at once") == "at once"
            assert await lanes.decode(Lane.PUBLIC, lambda: "needs no reader") == "needs no reader"
            release.set()
        assert await lanes.read(Lane.PUBLIC, lambda: "room again") == "room again"
        assert not any(lanes.inside().values())

    anyio.run(fill)


def test_one_client_leaves_room_for_the_next() -> None:
    lanes = Lanes(SMALL)
    with ExitStack() as inside:
        for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
            inside.enter_context(lanes.admitted(Lane.PUBLIC, address))
        with pytest.raises(TooManyAtOnce), lanes.admitted(Lane.PUBLIC, "2001:db8:1:2::77"):
            pass  # half full: two are many
        for address in ("2001:db8:1:3::1", "192.0.2.7"):
            inside.enter_context(lanes.admitted(Lane.PUBLIC, address))
        with pytest.raises(Busy), lanes.admitted(Lane.PUBLIC, None):
            pass  # four uploads, and no more of whomever
        with lanes.admitted(Lane.COUNTER, "2001:db8:1:2::1"):
            pass
    with ExitStack() as inside:
        for _ in range(4):  # a proxy on this machine that does not say for whom it asks
            inside.enter_context(lanes.admitted(Lane.PUBLIC, "127.0.0.1"))
    assert not any(lanes.inside().values())


def test_what_is_announced_counts_before_it_has_come() -> None:
    lanes = Lanes({**SIZES, Lane.PUBLIC: replace(SIZES[Lane.PUBLIC], held_bytes=100)})
    with lanes.admitted(Lane.PUBLIC, "192.0.2.1", 60):
        with pytest.raises(Busy), lanes.admitted(Lane.PUBLIC, "192.0.2.2", 41):
            pass
        with lanes.admitted(Lane.PUBLIC, "192.0.2.2", 40):
            pass
    assert not any(lanes.inside().values())


def _turns(sizes: LaneSize, asked: list[str], *, at_once: int) -> list[str]:
    """Who is read in which order, where everybody has asked before the first is done."""
    began: list[str] = []
    release = threading.Semaphore(0)

    def work(client: str) -> None:
        began.append(client)
        assert release.acquire(timeout=HANG_SECONDS)

    async def ask(lanes: Lanes, client: str) -> None:
        with lanes.admitted(Lane.PUBLIC, client):
            await lanes.read(Lane.PUBLIC, lambda: work(client))

    async def everybody() -> None:
        lanes = Lanes({**SIZES, Lane.PUBLIC: sizes})
        async with anyio.create_task_group() as group:
            for client in asked:
                group.start_soon(ask, lanes, client)
                await anyio.sleep(0)
            for done in range(len(asked)):
                with anyio.fail_after(HANG_SECONDS):
                    while len(began) < min(done + at_once, len(asked)):
                        await anyio.sleep(0.001)
                release.release()
        assert not any(lanes.inside().values())

    anyio.run(everybody)
    return began


def test_addresses_take_turns() -> None:
    one = LaneSize(readers=1, waiting=50, uploads=60, codes=1, per_client=50)
    asked = ["192.0.2.1"] * 4 + ["192.0.2.2"] * 2 + ["192.0.2.3"]
    assert _turns(one, asked, at_once=1) == [
        *("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"),
    ]


def test_three_addresses_leave_a_reader_for_the_next_visitor() -> None:
    asked = [f"192.0.2.{number}" for number in (1, 2, 3) for _ in range(6)]
    size = SIZES[Lane.PUBLIC]
    began: list[str] = []
    release = threading.Event()

    async def flood_and_visit() -> None:
        lanes = Lanes()

        async def ask(client: str) -> None:
            def answer() -> None:
                began.append(client)
                release.wait(HANG_SECONDS)

            with lanes.admitted(Lane.PUBLIC, client):
                await lanes.read(Lane.PUBLIC, answer)

        async with anyio.create_task_group() as group:
            for client in asked:
                group.start_soon(ask, client)
                await anyio.sleep(0)
            await anyio.sleep(0.05)
            assert len(began) < size.readers
            with lanes.admitted(Lane.PUBLIC, "198.51.100.1"), anyio.fail_after(HANG_SECONDS):
                assert await lanes.read(Lane.PUBLIC, lambda: "a verdict") == "a verdict"
            assert len(began) < len(asked), "the others are still there"
            release.set()
        assert sorted(began) == sorted(asked), "and all of them were served"
        assert not any(lanes.inside().values())

    anyio.run(flood_and_visit)


def test_who_hangs_up_while_he_waits_gives_his_turn_away() -> None:
    release = threading.Event()

    async def wait_and_leave() -> None:
        lanes = Lanes(
            {**SIZES, Lane.PUBLIC: LaneSize(readers=1, waiting=9, uploads=9, codes=1, per_client=9)}
        )

        async def ask(client: str) -> None:
            with lanes.admitted(Lane.PUBLIC, client):
                await lanes.read(Lane.PUBLIC, lambda: release.wait(HANG_SECONDS))

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "192.0.2.1")
            await anyio.sleep(0.01)
            async with anyio.create_task_group() as leaving:
                for client in ("192.0.2.1", "192.0.2.2", "192.0.2.2"):
                    leaving.start_soon(ask, client)
                await anyio.sleep(0.01)
                leaving.cancel_scope.cancel()
            release.set()
        with lanes.admitted(Lane.PUBLIC, "192.0.2.2"):
            assert await lanes.read(Lane.PUBLIC, lambda: "his turn") == "his turn"
        assert not any(lanes.inside().values())

    anyio.run(wait_and_leave)


def test_fifty_behind_one_address_queue_and_are_not_refused() -> None:
    assert len(_turns(SIZES[Lane.PUBLIC], ["192.0.2.1"] * 50, at_once=2)) == 50


@pytest.fixture
def held(world: World) -> Iterator[threading.Event]:
    """The public's readers sit in front of files that they do not finish."""
    release = threading.Event()
    site = world.site

    class Sitting:
        def verify_bytes(self, *given: Any, **more: Any) -> object:
            release.wait(HANG_SECONDS)
            return before[Lane.MACHINE].verify_bytes(*given, **more)

    before = site.verifier.checking.verifiers
    sitting = {**before, Lane.PUBLIC: Sitting()}
    object.__setattr__(site.verifier.checking, "verifiers", sitting)
    yield release
    release.set()
    object.__setattr__(site.verifier.checking, "verifiers", before)


def test_a_full_public_queue_turns_away_the_public_only(world: World, held: threading.Event) -> None:
    _, pdf = world.issue(1)
    access = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )
    key = access.clients.create_api_key(OPERATOR, "counter 3", authority_id=None, scopes=["verify"], days=30)
    file = {"file": ("x.pdf", pdf)}
    with (
        TestClient(create_app(world.site, sizes=SMALL), client=("127.0.0.1", 1)) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        slow = [pool.submit(client.post, "/api/v1/verifications", files=file) for _ in range(2)]
        deadline = time.monotonic() + HANG_SECONDS
        while 'queue="files"} 2.0' not in client.get("/metrics", headers=FOR_OPERATORS).text:
            assert time.monotonic() < deadline, "the two uploads did not get inside"
            time.sleep(0.02)
        refused = client.post("/api/v1/verifications", files=file)
        assert (refused.status_code, refused.json()["code"]) == (503, "BUSY")
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        page = client.post("/verify", files=file, headers={"accept-language": "en"})
        assert (page.status_code, "Too busy" in page.text) == (503, True)
        assert int(page.headers["retry-after"]) >= 1
        allowed = client.post("/api/v1/verifications", files=file, headers={"authorization": f"Bearer {key}"})
        assert allowed.json()["code"] == "OK"
        held.set()
        assert [each.result().json()["code"] for each in slow] == ["OK", "OK"]
        assert client.post("/api/v1/verifications", files=file).json()["code"] == "OK"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_body_that_does_not_come_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.5)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(world.site), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        with socket.create_connection(listening.getsockname(), timeout=HANG_SECONDS) as slow:
            slow.sendall(
                b"POST /api/v1/verifications HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(listening.getsockname(), timeout=HANG_SECONDS) as cut_off:
            cut_off.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
        with socket.create_connection(listening.getsockname(), timeout=HANG_SECONDS) as other:
            other.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        server.should_exit = True
        thread.join(HANG_SECONDS)
        listening.close()


def test_a_reader_of_the_public_comes_after_everybody() -> None:
    with Sandbox(
        {"read-picture": "verifier.checks.pictures:read_picture_job"}, workers=1, niceness=15
    ) as sandbox:
        with pytest.raises(Malformed):
            sandbox.run("read-picture", {}, [b"nothing"], dict)
        (worker,) = sandbox.workers()
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, worker) == min(19, own + 15)
        group = Path(f"/proc/{worker}/autogroup")
        if group.exists() and "nice" in group.read_text():
            assert group.read_text().split()[-1] == "15"
