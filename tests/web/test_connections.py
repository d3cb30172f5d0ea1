"""What comes before a request is whole: heads in one form only, and clients that keep the service waiting."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import h11
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from support.limits import HANG_SECONDS
from support.served import Served
from support.world import World, make_world

from trust.web import connections, serving
from trust.web.connections import GuardedProtocol, StrictConnection, check_head

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2", "127.0.0.3"])
GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_LARGE = 64 * 1024 * 1024
Connect = Callable[..., socket.socket]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before it reads; /large with much, /whole after it has read everything."""
    if scope["path"] == "/whole":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    size = _LARGE if scope["path"] == "/large" else 2
    await send({"type": "http.response.body", "body": bytes(size)})


@pytest.fixture
def connect() -> Iterator[Connect]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=GuardedProtocol, lifespan="off", log_config=None, access_log=False, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    with ExitStack() as opened:

        def connect(source: str = "127.0.0.1", receives: int | None = None) -> socket.socket:
            made = opened.enter_context(socket.socket())
            if receives is not None:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
            made.bind((source, 0))
            made.settimeout(HANG_SECONDS)
            made.connect(listening.getsockname())
            return made

        yield connect
    server.should_exit = True
    thread.join(HANG_SECONDS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(connections, name, 0.4)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)


def answer(to: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = bytearray()
    with suppress(ConnectionResetError):
        while part := to.recv(1 << 16):
            found += part
    return bytes(found)


REFUSED = {
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF after a field": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    "only bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "a field folded with a tab": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tTransfer-Encoding: chunked\r\n\r\n",
    "20,000 fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    "101 fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    "a long field": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 33_000 + b"\r\n\r\n",
    "a long path": b"GET /" + b"b" * 33_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head without an end": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000,
    "two kinds of length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "another encoding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_another_server_may_read_otherwise_is_refused(connect: Connect, name: str) -> None:
    to = connect()
    with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was whole
        to.sendall(REFUSED[name] + GOOD)
    found = answer(to)
    assert re.match(rb"HTTP/1\.1 (400|431|501) ", found) or not found, found[:80]
    assert found.count(b"HTTP/1.1 ") <= 1, "what follows is no request"
    assert b"200" not in found


def test_a_head_may_come_in_bytes_and_one_behind_the_other(connect: Connect) -> None:
    one, two = connect(), connect()
    for byte in GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"):
        one.sendall(bytes([byte]))
    assert answer(one).startswith(b"HTTP/1.1 200 ")
    two.sendall(GOOD + GOOD + b"GET / HTTP/1.1\nHost: x\n\n" + GOOD)
    found = answer(two)
    assert (found.count(b"HTTP/1.1 200 "), found.count(b"HTTP/1.1 400 ")) == (2, 1)


@given(st.lists(st.integers(1, 400), max_size=12), st.integers(0, 99))
def test_how_a_head_is_cut_up_makes_no_difference(cuts: list[int], fields: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * fields + b"\r\n"
    strict = StrictConnection(h11.SERVER, connections.MAX_HEAD_BYTES)
    at, event = 0, h11.NEED_DATA
    for cut in [*cuts, len(head)]:
        part, at = head[at : at + cut], at + cut
        if not part:
            break
        strict.receive_data(part)
        event = strict.next_event()
    assert isinstance(event, h11.Request)


@given(st.binary(max_size=300))
def test_a_head_is_refused_or_read_and_nothing_else(head: bytes) -> None:
    strict = StrictConnection(h11.SERVER, connections.MAX_HEAD_BYTES)
    strict.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    try:
        event = strict.next_event()
    except h11.RemoteProtocolError:
        return
    assert isinstance(event, h11.Request | type(h11.NEED_DATA))
    check_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + head[: head.find(b"\r\n\r\n")])


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHo",
        GOOD + b"G",
        b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
    ],
)
def test_a_client_that_goes_on_slowly_is_hung_up_on(impatient: None, connect: Connect, sent: bytes) -> None:
    to = connect()
    to.sendall(sent)
    started = time.monotonic()
    assert _is_closed(to, sent[-1:])
    assert time.monotonic() - started >= 0.35


def _is_closed(to: socket.socket, dripping: bytes) -> bool:
    """Whether the other side hangs up, though something comes now and then."""
    to.settimeout(0.05)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            to.sendall(dripping)
            if not to.recv(1 << 16):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_body_that_goes_on_after_the_answer_is_hung_up_on(impatient: None, connect: Connect) -> None:
    to = connect()
    to.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
    assert to.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert _is_closed(to, b"x")


def test_an_answer_that_nobody_takes_is_given_up(impatient: None, connect: Connect) -> None:
    to = connect(receives=4096)
    to.sendall(GOOD.replace(b"/ ", b"/large ", 1))
    for is_open in (True, False):
        deadline = time.monotonic() + 30
        while bool(connections._open_connections._open) is not is_open:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert len(answer(to)) < _LARGE


def test_an_answer_that_is_taken_steadily_arrives_whole(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowly enough that all of it takes longer than what is waited for without any."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    to = connect(receives=1 << 20)
    to.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    taken, started = 0, time.monotonic()
    while part := to.recv(1 << 20):
        taken += len(part)
        time.sleep(0.03)  # at most 1 MiB each time, so 64 times at least
    assert taken > _LARGE
    assert time.monotonic() - started > 1.5


def test_who_holds_most_connections_gives_one_back(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 6)
    held = [connect("127.0.0.2") for _ in range(9)]
    for each in held:
        each.sendall(b"GET / HTTP/1.1\r\nHo")
    other = connect("127.0.0.3")
    other.sendall(b"GET / HTTP/1.1\r\nHo")
    for _ in range(8):
        visitor = connect("127.0.0.1")
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer(visitor).startswith(b"HTTP/1.1 200 ")
    other.sendall(b"st: x\r\nConnection: close\r\n\r\n")
    assert answer(other).startswith(b"HTTP/1.1 200 "), "who holds one was not asked to give"


def test_who_is_being_answered_is_never_cut_off(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 3)
    busy = [connect("127.0.0.2") for _ in range(3)]
    for each in busy:
        each.sendall(b"POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n")
    deadline = time.monotonic() + HANG_SECONDS
    while len(connections._open_connections._open) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setattr(GuardedProtocol, "waits_for_client", False)
    late = connect("127.0.0.3")
    assert answer(late).startswith(b"HTTP/1.1 503 ")
    for each in busy:
        each.sendall(b"x")
        assert answer(each).startswith(b"HTTP/1.1 200 ")


@pytest.fixture(scope="module")
def served_world(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(template_folder, folder)
    world: World = make_world(folder)
    try:
        return folder, world.issue(1)[1]
    finally:
        world.close()


_WITH_FEW_DESCRIPTORS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from trust.app.entry import main
main()
"""


def test_with_256_descriptors_three_hundred_idle_ones_keep_nobody_out(
    served_world: tuple[Path, bytes], tmp_path: Path
) -> None:
    folder, pdf = served_world
    served = Served(folder, tmp_path / "log", YINZHENG_SCRUB_EVERY="3600")
    served._command[2] = _WITH_FEW_DESCRIPTORS
    served.start()
    try:
        with ExitStack() as opened:
            for _ in range(300):
                idle = opened.enter_context(socket.socket())
                idle.bind(("127.0.0.2", 0))
                idle.connect(("127.0.0.1", served.port))
                idle.setblocking(False)
                idle.send(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
            started = time.monotonic()
            for _ in range(3):
                found = served.post("/api/v1/verifications", files={"file": ("x.pdf", pdf)})
                assert found.json()["code"] in ("OK", "NOT_YET_VALID", "EXPIRED", "STATUS_STALE"), found.text
            assert time.monotonic() - started < HANG_SECONDS / 10
            assert served.process is not None
            assert len(list(Path(f"/proc/{served.process.pid}/fd").iterdir())) < 256
    finally:
        served.close()
    assert "Too many open files" not in served.log()


def test_small_parts_of_an_answer_are_sent_at_once() -> None:
    """Otherwise the kernel keeps a body back until the head was acknowledged: 40 ms a request."""
    chosen: list[int] = []

    class Asked(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made = transport.get_extra_info("socket")
            chosen.append(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def connect(listening: socket.socket) -> None:
        server = await asyncio.get_running_loop().create_server(Asked, sock=listening)
        _, writer = await asyncio.open_connection(*listening.getsockname())
        while not chosen:
            await asyncio.sleep(0.01)
        writer.close()
        server.close()

    with serving.listen("127.0.0.1", 0) as listening:
        asyncio.run(connect(listening))
    assert chosen == [1]


def test_a_process_takes_the_descriptors_that_it_may_have() -> None:
    code = (
        "import resource, json; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 3000));"
        "from trust.web.connections import *; before = most_connections(); raise_descriptor_limit();"
        "print(json.dumps([before, most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))"
    )
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3000:
        pytest.skip("this machine allows fewer descriptors")
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(run.stdout) == [48, 1420, 3000]
