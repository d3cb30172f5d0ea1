"""Another implementation of witnesses, written by others: theirs witnesses our log, and judges our witness.

It is installed beside, from the package index, at a fixed version; asked for by name, because that takes a network.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2 as httpx
import pytest
from support.limits import HANG_SECONDS
from support.witness_world import LOG_KEY, WITNESS_KEY, SmallLog, WitnessWorld, request

from ledger.note import format_vkey, parse_vkey
from ledger.witness.client import HistoryContradicted, Witnesses
from ledger.witness.policy import Policy, PolicyWitness, check_cosigned_checkpoint
from ledger.witness.sql import origin_hash
from trust.model.clock import SystemClock

pytestmark = [pytest.mark.interop, pytest.mark.long, pytest.mark.allow_hosts(["127.0.0.1"])]
PACKAGES = ("aics-witness==0.1.0", "aics-tlog==0.2.1")
LOG = SmallLog()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of their programs, in an environment of its own. They need Python 3.12."""
    venv = tmp_path_factory.mktemp("judge") / "venv"
    for python in ("python3.14", "python3.13", "python3.12", sys.executable):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            for command in (
                [python, "-m", "venv", str(venv)],
                [str(venv / "bin/pip"), "install", "-q", *PACKAGES],
            ):
                subprocess.run(command, check=True, capture_output=True, timeout=HANG_SECONDS)
            return venv / "bin"
    pytest.skip("the other implementation could not be installed; it needs Python 3.12 and the package index")


class Theirs:
    def __init__(self, programs: Path, folder: Path) -> None:
        self.program, self.config = programs / "aics-witness", folder / "witness.json"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        said = self.run("init", "--name", "theirs.example/w1", "--listen", self.address)
        self.vkey = parse_vkey(next(word for word in said.split() if word.startswith("theirs.example/w1+")))
        self.run("add-log", "--origin", LOG_KEY.name, "--vkey", format_vkey(LOG_KEY.vkey))
        self.process = subprocess.Popen([str(self.program), "serve", "-c", str(self.config)], cwd=folder)
        until = time.monotonic() + HANG_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://{self.address}/healthz", trust_env=False)
                return
            assert time.monotonic() < until
            time.sleep(0.1)

    def run(self, command: str, *arguments: str) -> str:
        whole = [str(self.program), command, "-c", str(self.config), *arguments]
        return subprocess.run(
            whole, check=True, capture_output=True, text=True, timeout=HANG_SECONDS, cwd=self.config.parent
        ).stdout

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=HANG_SECONDS)


@pytest.fixture
def theirs(programs: Path, tmp_path: Path) -> Iterator[Theirs]:
    found = Theirs(programs, tmp_path)
    yield found
    found.close()


def test_their_witness_cosigns_our_log_and_refuses_its_fork(theirs: Theirs) -> None:
    witness = PolicyWitness(name="theirs", vkey=theirs.vkey, url=f"http://{theirs.address}")
    policy = Policy(witnesses=(witness,), quorum="theirs")

    def asking() -> Witnesses:
        return Witnesses(policy, log_vkeys=[LOG_KEY.vkey], clock=SystemClock(), timeout=20)

    with asking() as ours:
        for size in (0, 1, 7, 7, 20, 256, 300):
            cosigned = ours.cosign(LOG.note(size), LOG.prove)
            assert cosigned.is_satisfied, cosigned.outcomes
            check_cosigned_checkpoint(cosigned.note, policy, log_vkeys=[LOG_KEY.vkey])
    with asking() as ours:  # another process of ours: the witness says where it stands
        assert ours.cosign(LOG.note(300), LOG.prove).is_satisfied
    fork = SmallLog("another", fork_at=3)
    for log, size in ((LOG, 20), (fork, 300)):
        with asking() as ours, pytest.raises(HistoryContradicted):
            ours.cosign(log.note(size), log.prove)


def test_both_witnesses_answer_alike(theirs: Theirs, tmp_path: Path) -> None:
    ours = WitnessWorld(tmp_path / "w.db", keys=[WITNESS_KEY])
    fork = SmallLog("another", fork_at=3)
    bodies = [
        b"",
        b"old 0\n\n",
        LOG.body(3, 5),
        request(0, [bytes(32)], LOG.note(5)),
        LOG.body(0, 5),
        LOG.body(0, 5),
        LOG.body(5, 5),
        LOG.body(4, 9),
        request(9, [], LOG.note(7)),
        request("05", [], LOG.note(7)),
        request(5, [bytes(32)] * 64, LOG.note(9)),
        request(5, [], LOG.note(9)),
        fork.body(5, 5),
        fork.body(5, 9),
        LOG.body(5, 9),
        LOG.body(5, 9),
        LOG.body(9, 9)[:-2] + b"\n",
        SmallLog(keys=[WITNESS_KEY]).body(0, 5),
    ]
    with httpx.Client(base_url=f"http://{theirs.address}", trust_env=False) as client:
        for body in bodies:
            answer = client.post("/add-checkpoint", content=body)
            mine = ours.witness.add_checkpoint(body)
            assert mine.status == answer.status_code, body
            if mine.status == 409:
                assert (mine.body, mine.content_type) == (answer.content, answer.headers["content-type"])
    ours.close()


def test_their_verifier_accepts_what_our_witness_shows(programs: Path, tmp_path: Path) -> None:
    ours = WitnessWorld(tmp_path / "w.db", keys=[WITNESS_KEY])
    ours.clock.at = datetime.now(UTC)
    assert ours.witness.add_checkpoint(LOG.body(0, 20)).status == 200
    note = ours.witness.latest(origin_hash(LOG_KEY.name))
    ours.close()
    assert note is not None

    def judged(text: str) -> int:
        path = tmp_path / "note"
        path.write_text(text)
        keys = ["--log-key", format_vkey(LOG_KEY.vkey), "--witness-key", format_vkey(WITNESS_KEY.vkey)]
        command = [
            str(programs / "aics-tlog"),
            "verify-checkpoint",
            "--note",
            str(path),
            *keys,
            "--quorum",
            "1",
        ]
        return subprocess.run(command, capture_output=True, timeout=HANG_SECONDS).returncode

    assert judged(note) == 0
    assert judged(LOG.note(20)) != 0, "the quorum is missing"
    assert judged(note.replace("\n20\n", "\n21\n")) != 0
