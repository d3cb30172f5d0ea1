"""The witness as people run it: its commands, its HTTP, and a server that is killed and comes back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from anyio.from_thread import BlockingPortal
from support.ledger_world import World as LedgerWorld
from support.limits import HANG_SECONDS
from support.witness_world import LOG_KEY, SmallLog, WitnessWorld

from ledger.http.witness import create_witness_app
from ledger.note import SignerKey, check_note, format_vkey, parse_vkey
from ledger.witness.client import Failure, HistoryContradicted, Witnesses
from ledger.witness.keyfile import read_key_file
from ledger.witness.policy import Policy, PolicyWitness, check_cosigned_checkpoint
from ledger.witness.sql import origin_hash
from ledger.witness.witness import MAX_REQUEST_SIZE
from trust.app.main import main
from trust.model.clock import SystemClock
from trust.model.errors import StorageError

LOG = SmallLog()
ROOT = Path(__file__).resolve().parents[2]


# In-process -----------------------------------------------------------------------------------------------------


class Asked:
    def __init__(self, folder: Path, portal: BlockingPortal) -> None:
        self.world = WitnessWorld(folder / "w.db")
        self._portal = portal
        app = create_witness_app(self.world.witness)
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://w.example"
        )

    def get(self, path: str) -> httpx.Response:
        return self._portal.call(lambda: self._client.get(path))

    def post(self, content: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.post("/add-checkpoint", content=content))

    def close(self) -> None:
        self._portal.call(self._client.aclose)
        self.world.close()


@pytest.fixture
def asked(tmp_path: Path, portal: BlockingPortal) -> Iterator[Asked]:
    found = Asked(tmp_path, portal)
    yield found
    found.close()


def test_a_checkpoint_is_cosigned_and_shown(asked: Asked) -> None:
    path = f"/{origin_hash(LOG_KEY.name)}/checkpoint"
    assert asked.get(path).status_code == 404
    answer = asked.post(LOG.body(0, 5))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    shown = asked.get(path)
    assert shown.status_code == 200
    note = check_note(shown.text, vkeys=[LOG_KEY.vkey, *asked.world.witness.vkeys])
    assert len(note.signatures) == 3
    assert shown.text == f"{LOG.note(5)}{answer.text}"


def test_refusals_come_with_their_status_and_type(asked: Asked) -> None:
    asked.post(LOG.body(0, 5))
    conflict = asked.post(LOG.body(0, 7))
    assert (conflict.status_code, conflict.text) == (409, "5\n")
    assert conflict.headers["content-type"] == "text/x.tlog.size"
    fork = SmallLog("another")
    assert asked.post(fork.body(5, 9)).status_code == 422
    assert asked.post(b"\xff").status_code == 400
    assert asked.post(b"").status_code == 400
    assert asked.post(SmallLog(keys=[SignerKey(name="x", seed=bytes(32))]).body(0, 5)).status_code == 404
    forged = SmallLog(keys=[SignerKey(name=LOG_KEY.name, seed=bytes(32))])
    assert asked.post(forged.body(5, 9)).status_code == 403
    assert asked.get("/add-checkpoint").status_code == 405
    assert asked.get("/x/checkpoint").status_code == 404


def test_a_body_is_not_read_beyond_its_limit(asked: Asked) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 65536
            yield bytes(65536)

    assert asked.post(endless()).status_code == 413
    assert sent <= MAX_REQUEST_SIZE + 2 * 65536


def test_the_front_page_names_the_keys_and_the_logs(asked: Asked) -> None:
    page = asked.get("/")
    assert page.headers["content-type"].startswith("text/plain")
    for vkey in asked.world.witness.vkeys:
        assert format_vkey(vkey) in page.text
    assert LOG_KEY.name in page.text
    assert asked.get("/livez").text == "ok\n"


def test_a_failing_store_is_not_available(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr("ledger.witness.sql.update_head", failing)
        assert asked.post(LOG.body(0, 5)).status_code == 503
    assert asked.post(LOG.body(0, 5)).status_code == 200


# Commands -------------------------------------------------------------------------------------------------------


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.out = self.err = ""

    def run(self, *arguments: str | Path) -> int:
        argv = ["yinzheng", "ledger", "witness", *map(str, arguments)]
        self._monkeypatch.setattr(sys, "argv", argv)
        self._monkeypatch.setenv("YINZHENG_LANG", "en")
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return int(exit_.value.code or 0)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(capsys, monkeypatch)


def test_a_new_witness_prints_its_keys_and_is_never_overwritten(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "w"
    assert cli.run("new", "--data", data, "--name", "w.example.org") == 0
    vkeys = [parse_vkey(line) for line in cli.out.splitlines()]
    assert vkeys == [key.vkey for key in read_key_file(data / "witness.key")]
    assert [vkey.kind.name for vkey in vkeys] == ["COSIGNATURE", "ML_DSA_44"]
    assert (data / "witness.key").stat().st_mode & 0o077 == 0
    before = (data / "witness.key").read_bytes()
    assert cli.run("new", "--data", data, "--name", "w.example.org") == 3
    assert "already" in cli.err
    assert (data / "witness.key").read_bytes() == before


def test_a_witness_without_a_post_quantum_key_has_one_key(cli: Cli, tmp_path: Path) -> None:
    assert cli.run("new", "--data", tmp_path / "w", "--name", "w.example", "--no-post-quantum", "--json") == 0
    (vkey,) = json.loads(cli.out)["vkeys"]
    assert parse_vkey(vkey).kind.name == "COSIGNATURE"
    assert cli.run("new", "--data", tmp_path / "x", "--name", "a space") == 3
    assert not (tmp_path / "x").exists()


def test_logs_are_added_listed_and_replaced_only_when_told_so(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "w"
    cli.run("new", "--data", data, "--name", "w.example")
    second = SignerKey(name=LOG_KEY.name, seed=b"\x09" * 32)
    one, both = [format_vkey(LOG_KEY.vkey)], [format_vkey(LOG_KEY.vkey), format_vkey(second.vkey)]
    assert cli.run("add-log", *one, "--data", data) == 0
    assert LOG_KEY.name in cli.out
    assert cli.run("add-log", *one, "--data", data) == 0
    assert cli.run("add-log", *both, "--data", data) == 3
    assert cli.run("add-log", "not a key", "--data", data) == 3
    assert cli.run("list", "--data", data, "--json") == 0
    listed = json.loads(cli.out)
    assert len(listed["vkeys"]) == 2
    assert listed["logs"] == [
        {"origin": LOG_KEY.name, "origin_hash": origin_hash(LOG_KEY.name), "size": None, "vkeys": one}
    ]
    assert cli.run("add-log", *both, "--data", data, "--replace") == 0
    cli.run("list", "--data", data, "--json")
    assert json.loads(cli.out)["logs"][0]["vkeys"] == both
    assert cli.run("list", "--data", data) == 0
    assert LOG_KEY.name in cli.out


def test_a_witness_that_lost_its_memory_does_not_serve(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "w"
    for command in (["list"], ["serve"], ["add-log", format_vkey(LOG_KEY.vkey)]):
        assert cli.run(*command, "--data", data) != 0
        assert not data.exists()
    cli.run("new", "--data", data, "--name", "w.example")
    for left in data.glob("witness.db*"):
        left.unlink()
    for command in (["list"], ["serve"], ["add-log", format_vkey(LOG_KEY.vkey)]):
        assert cli.run(*command, "--data", data) == 4
        assert "memory is missing" in " ".join(cli.err.split())
    assert not (data / "witness.db").exists()
    assert cli.run("new", "--data", data, "--name", "w.example") == 3


# A server of its own ----------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """`yinzheng ledger witness serve` as a process, which can be killed and started again."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str | Path) -> list[str]:
        program = "from trust.app.main import main; main()"
        return [
            sys.executable,
            "-c",
            program,
            "ledger",
            "witness",
            *map(str, arguments),
            "--data",
            str(self.data),
        ]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            env=environment(),
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command("serve", "--port", str(self.port)),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        until = time.monotonic() + HANG_SECONDS
        while True:
            with contextlib.suppress(ConnectionError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert self.process.poll() is None, "the witness did not start"
            assert time.monotonic() < until, "the witness is not there"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "YINZHENG_LANG": "en"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / "w")
    yield found
    found.kill()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_real_log_is_cosigned_by_a_real_witness_that_is_killed_and_comes_back(
    server: Server, tmp_path: Path
) -> None:
    ledger = LedgerWorld(tmp_path, tmp_path / "log.db", tmp_path / "lock.db")
    log = ledger.open()
    vkeys = [parse_vkey(each) for each in server.run("new", "--name", "w.example.org").stdout.splitlines()]
    assert server.run("add-log", format_vkey(log.vkey)).returncode == 0
    names = ("w", "w-pq")
    policy = Policy(
        witnesses=tuple(
            PolicyWitness(name=name, vkey=vkey, url=server.url)
            for name, vkey in zip(names, vkeys, strict=True)
        ),
        quorum="w",
    )

    def cosign() -> str:
        ledger.append(log, 20)
        log.publish()
        cosigned = asking.cosign(log.checkpoint_note(), lambda old_size, _: log.consistency(old_size))
        assert cosigned.is_satisfied, cosigned.outcomes
        found = check_cosigned_checkpoint(cosigned.note, policy, log_vkeys=[log.vkey])
        assert found.checkpoint == log.checkpoint()
        assert set(found.cosigned_at) == set(names)
        return cosigned.note

    server.start()
    with Witnesses(policy, log_vkeys=[log.vkey], clock=SystemClock(), timeout=20) as asking:
        for _ in range(2):
            note = cosign()
            server.kill()
            ledger.append(log, 1)
            log.publish()
            away = asking.cosign(log.checkpoint_note(), lambda old_size, _: log.consistency(old_size))
            assert {each.failure for each in away.outcomes} == {Failure.UNREACHABLE}
            server.start()
            shown = httpx.get(f"{server.url}/{origin_hash(log.vkey.name)}/checkpoint", trust_env=False).text
            assert shown == note, "what was answered was stored"
        second = server.run("serve", "--port", str(free_port()))
        assert second.returncode == 3
        assert "in use by another process" in " ".join(second.stderr.split())
        with pytest.raises(HistoryContradicted):  # as after an old backup of the log
            asking.cosign(SmallLog(keys=[ledger.signer]).note(5), SmallLog(keys=[ledger.signer]).prove)
    ledger.close()


@pytest.mark.faults
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_witness_killed_at_any_moment_never_goes_back(server: Server) -> None:
    server.run("new", "--name", "w.example.org", "--no-post-quantum")
    server.run("add-log", format_vkey(LOG_KEY.vkey))
    cosigned = 0
    for round_number in range(3):
        server.start()
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            for size in range(cosigned + 1, cosigned + 20):
                answer = client.post("/add-checkpoint", content=LOG.body(cosigned, size))
                assert answer.status_code == 200, answer.text
                cosigned = size
            # This one is killed on its way: it may have been stored, and may have been answered.
            sent = cosigned + 1
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                body = LOG.body(cosigned, sent)
                head = f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {len(body)}\r\n\r\n"
                raw.sendall(head.encode() + body)
                time.sleep(0.004 * round_number)
                server.kill()
        server.start()
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            answer = client.post("/add-checkpoint", content=LOG.body(cosigned, sent))
            assert answer.status_code == 200 or (answer.status_code, answer.text) == (409, f"{sent}\n")
            fork = SmallLog("another", fork_at=1)
            assert client.post("/add-checkpoint", content=fork.body(sent, sent + 3)).status_code == 422
        cosigned = sent
        server.kill()
