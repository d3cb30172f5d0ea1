"""Files that are made to keep a reader busy: their work is bounded, and a visitor beside them is served."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest
from attacks.starving import STARVING
from support.limits import HANG_SECONDS
from support.served import Served
from support.world import World, make_world

from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.model.report import Verdict
from trust.people.access import open_access
from trust.sandbox.lanes import SIZES, Lane
from trust.sandbox.workers import Sandbox
from verifier.checks.verifying import SANDBOX_JOBS, Verifier

_PUBLIC = SIZES[Lane.PUBLIC].limits
_VISITOR_SECONDS = 5.0


@pytest.fixture(scope="module")
def world(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("starved") / "data"
    shutil.copytree(template_folder, folder)
    with Sandbox(SANDBOX_JOBS, workers=1, limits=_PUBLIC) as sandbox:
        made = make_world(folder, sandbox=sandbox)
        yield made
        made.close()


@pytest.mark.parametrize("name", STARVING)
def test_the_work_is_bounded(world: World, name: str) -> None:
    data = STARVING[name]()
    assert len(data) <= 20 << 20, "or it would not be read at all"
    before = _ended_children()
    report = Verifier(world.site.sandboxes.of[Lane.MACHINE], live=None).verify_bytes(
        data, world.site.verifier.checking.online.gather(world.clock.now()), world.clock.now()
    )
    assert report.verdict is Verdict.INDETERMINATE
    # Two looks: at the file, and at its pages or its picture.
    assert _ended_children() - before <= 2 * (_PUBLIC.cpu_seconds + 2)


def _ended_children() -> float:
    """Processor seconds of all that were forked for reading here, by the processes that forked them."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                total += sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return total


@pytest.mark.long
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_visitor_gets_a_verdict_while_three_addresses_do_their_worst(
    template_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three addresses with six uploads each under way for a minute; every two seconds somebody new with a licence, and
    a counter with one."""
    folder = tmp_path / "data"
    shutil.copytree(template_folder, folder)
    made = make_world(folder)
    _, pdf = made.issue(1)
    access = open_access(made.site.stores.register, made.clock, SystemEntropy(), made.site.admin.access.trail)
    key = access.clients.create_api_key(OPERATOR, "a counter", authority_id=None, scopes=["verify"], days=30)
    made.close()
    files = [make() for make in STARVING.values()]
    served = Served(
        folder, tmp_path / "log", YINZHENG_SCRUB_EVERY="3600", YINZHENG_PROXIES="127.0.0.1"
    ).start()
    over = threading.Event()
    turns = itertools.count()
    refused: list[int] = []

    def starve(address: str) -> None:
        with httpx.Client(trust_env=False, timeout=HANG_SECONDS) as client:
            while not over.is_set():
                data = files[next(turns) % len(files)]
                with suppress(httpx.TransportError):
                    answer = client.post(
                        served.url + "/api/v1/verifications",
                        files={"file": ("x", data)},
                        headers={"X-Forwarded-For": address},
                    )
                    refused.append(answer.status_code)

    addresses = [f"192.0.2.{number}" for number in (1, 2, 3) for _ in range(6)]
    threads = [threading.Thread(target=starve, args=(address,), daemon=True) for address in addresses]
    waits: dict[str, list[float]] = {"visitor": [], "machine": []}
    memory = descriptors = 0
    try:
        served.post("/api/v1/verifications", files={"file": ("x.pdf", pdf)})  # everything has started
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        for number in itertools.count(1):
            if time.monotonic() > until:
                break
            for kind, headers in (
                ("visitor", {"X-Forwarded-For": f"198.51.100.{number}"}),
                ("machine", {"Authorization": f"Bearer {key}"}),
            ):
                started = time.monotonic()
                answer = served.post("/api/v1/verifications", files={"file": ("x.pdf", pdf)}, headers=headers)
                waits[kind].append(time.monotonic() - started)
                assert answer.status_code == 200, answer.text
                assert answer.json()["kind"] == "pdf"
            assert served.process is not None
            memory = max(memory, _resident(served.process.pid))
            descriptors = max(descriptors, len(os.listdir(f"/proc/{served.process.pid}/fd")))
            time.sleep(1)
    finally:
        over.set()
        served.close()
    with capsys.disabled():
        for kind, found in waits.items():
            print(
                f"\n{kind}: {len(found)}, worst {max(found):.2f} s, middle {sorted(found)[len(found) // 2]:.2f} s"
            )
        print(f"service: {memory >> 20} MiB, {descriptors} descriptors; flood: {len(refused)} answered")
    assert max(waits["visitor"]) < _VISITOR_SECONDS


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
