"""The queues in front of the sandbox: none starves another, and what does not fit is told when to come back."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
import uvicorn
from fastapi.testclient import TestClient
from support.limits import HANG_SECONDS
from support.world import FOR_OPERATORS, World

from trust.app.access import Access
from trust.app.http import middleware
from trust.app.http.app import create_app
from trust.app.lanes import SIZES, Lane, Lanes, LaneSize, TooManyAtOnce
from trust.model.clock import SystemEntropy
from trust.model.errors import Busy, Malformed
from trust.sandbox import Sandbox

SMALL = {
    **SIZES,
    Lane.PUBLIC: LaneSize(readers=1, waiting=1, uploads=3, codes=1, per_client=2),
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
        assert not any(lanes.gauges().values())

    anyio.run(fill)


def test_one_client_leaves_room_for_the_next() -> None:
    lanes = Lanes(SMALL)
    with ExitStack() as inside:
        for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
            inside.enter_context(lanes.admitted(Lane.PUBLIC, address))
        with pytest.raises(TooManyAtOnce), lanes.admitted(Lane.PUBLIC, "2001:db8:1:2::77"):
            pass
        with lanes.admitted(Lane.PUBLIC, "2001:db8:1:3::1"):
            pass
        with lanes.admitted(Lane.PUBLIC, "192.0.2.7"), pytest.raises(Busy), lanes.admitted(Lane.PUBLIC, None):
            pass  # three uploads, and no more of whomever
        with lanes.admitted(Lane.COUNTER, "2001:db8:1:2::1"):
            pass
    with ExitStack() as inside:
        for _ in range(3):  # a proxy on this machine that does not say for whom it asks
            inside.enter_context(lanes.admitted(Lane.PUBLIC, "127.0.0.1"))
    assert not any(lanes.gauges().values())


@pytest.fixture
def held(world: World) -> Iterator[threading.Event]:
    """The public's readers sit in front of files that they do not finish."""
    release = threading.Event()
    service = world.service

    class Sitting:
        def verify_bytes(self, *given: object, **more: object) -> object:
            release.wait(HANG_SECONDS)
            return service.verifiers[Lane.MACHINE].verify_bytes(*given, **more)  # type: ignore[arg-type]

    before = service.verifiers
    object.__setattr__(service, "verifiers", {**before, Lane.PUBLIC: Sitting()})
    yield release
    release.set()
    object.__setattr__(service, "verifiers", before)


def test_a_full_public_queue_turns_away_the_public_only(world: World, held: threading.Event) -> None:
    _, pdf = world.issue(1)
    access = Access(world.service.database, world.clock, SystemEntropy())
    key = access.create_api_key("counter 3", authority_id=None, scopes=["verify"], days=30)
    file = {"file": ("x.pdf", pdf)}
    with (
        TestClient(create_app(world.service, sizes=SMALL), client=("127.0.0.1", 1)) as client,
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
    server = uvicorn.Server(uvicorn.Config(create_app(world.service), log_config=None, access_log=False))
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
    with Sandbox({"read-picture": "verifier.pictures:read_picture_job"}, workers=1, niceness=15) as sandbox:
        with pytest.raises(Malformed):
            sandbox.run("read-picture", {}, [b"nothing"], dict)
        (worker,) = sandbox.workers()
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, worker) == min(19, own + 15)
        group = Path(f"/proc/{worker}/autogroup")
        if group.exists() and "nice" in group.read_text():
            assert group.read_text().split()[-1] == "15"
