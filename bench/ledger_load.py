"""`python -m bench.ledger_load`: how fast the ledger is, and whether it stays so as it grows.

    durable appends        through `ledger.log.Log`, at 1, 16 and 256 a call, against the same rows put into the
                           same tables by the bare database driver, alternating in the same run
    appends over HTTP      a small server of its own, many clients, each waiting for its entry to be durable
    proofs                 cold (a new reader each time) and warm, and consistency proofs
    growth                 appends, proofs, memory and bytes at 10³, 10⁵ and 10⁶ entries (10⁷ with --long)
    recheck                entries a second, from rows and from files

Writes bench/out/ledger.json and ledger.png. A few minutes; with --long half an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ledger import sql
from ledger.checkpoint import parse_checkpoint
from ledger.lockstore import LockStore
from ledger.log import AppendRequest, Log
from ledger.note import SignerKey, parse_note
from ledger.proof import format_receipt
from ledger.recheck import Look, recheck
from ledger.tilefolder import TileFolder
from ledger.tiles import TileReader
from trust.encoding.entry import EntryKind
from trust.model.clock import SystemClock
from trust.storage.sql import Database

OUT = Path(__file__).parent / "out"
ORIGIN = "bench.example/log"
BATCHES = (1, 16, 256)


class OpenLog:
    """A log in a folder, with real files and a real lock store; Ed25519 and SM2, as the service has it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database = Database(folder / "ledger.db")
        self.lock_database = Database(folder / "lock.db")
        sql.create_all(self.database)
        self.lock_store = LockStore(self.lock_database)
        self.log = Log(
            database=self.database,
            lock_store=self.lock_store,
            folder=folder / "files",
            origin=ORIGIN,
            signers=[SignerKey(name=ORIGIN, seed=bytes(32))],
            clock=SystemClock(),
        )
        self.next_id = self.log.size + 1

    def requests(self, count: int) -> list[AppendRequest]:
        start, self.next_id = self.next_id, self.next_id + count
        return [
            AppendRequest(
                operation_id=number,
                kind=EntryKind.ISSUED,
                actor="chuncheng-market",
                subject_id=number,
                ref=number.to_bytes(32, "big"),
                commit=number.to_bytes(32, "little"),
                suite="SM2-SM3",
            )
            for number in range(start, start + count)
        ]

    def append(self, batch: int) -> None:
        self.log.append(self.requests(batch))

    def grow_to(self, size: int) -> None:
        while (missing := size - self.log.size) > 0:
            self.append(min(1024, missing))

    def close(self) -> None:
        self.log.close()
        self.database.close()
        self.lock_database.close()


class RawDatabase:
    """The same tables and rows, by the driver alone: no hashing, no encoding, no checks, one process.

    The entries are those of a real log of ours, with their own bytes and hashes, prepared beforehand.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with Database(folder / "raw.db") as database:
            sql.create_all(database)
        self.connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "secure_delete=ON"):
            self.connection.execute(f"PRAGMA {pragma}").close()
        self.connection.execute(
            "INSERT INTO ledger_state VALUES (1, ?, 0, ?, ?, ?, 0, 1, ?, 0, 0)",
            (ORIGIN, bytes(32), bytes(640), bytes(32), bytes(640)),
        )
        self.seq = 0

    def append(self, batch: int) -> None:
        start, self.seq = self.seq, self.seq + batch
        seqs = range(start, self.seq)
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        execute("SELECT * FROM ledger_state").fetchone()
        self.connection.executemany(
            "INSERT INTO ledger_entry VALUES (?, ?, ?, ?, ?, ?)",
            [(seq, seq, seq, 1_700_000_000_000, _HASH, _ENTRY) for seq in seqs],
        )
        self.connection.executemany(
            "INSERT INTO ledger_subject VALUES (?, ?, ?, ?, 1)", [(seq, seq, _HASH, _HASH) for seq in seqs]
        )
        execute(
            'INSERT INTO ledger_actor VALUES (?, 1) ON CONFLICT (actor) DO UPDATE SET "count" = "count" + 1',
            ("a",),
        )
        execute("UPDATE ledger_state SET size = ?, root = ?, edge = ?", (self.seq, _HASH, bytes(640)))
        execute("COMMIT")

    def close(self) -> None:
        self.connection.close()


_HASH = b"\x07" * 32
_ENTRY = b"\x05" * 190  # as long as an entry of ours


@dataclass
class Results:
    machine: dict[str, object]
    appends: dict[str, dict[str, float]] = field(default_factory=dict)
    http: dict[str, float] = field(default_factory=dict)
    growth: list[dict[str, float]] = field(default_factory=list)


def per_second(work: Callable[[], object], each: int, seconds: float) -> float:
    """Runs `work` for about so long; how many of `each` it does a second."""
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        work()
        count += each
    return count / passed


def measure_appends(folder: Path) -> dict[str, dict[str, float]]:
    """Ours and the bare driver's by turns, so that a noisy neighbour disturbs both; the medians."""
    ours, raw = OpenLog(folder / "ours"), RawDatabase(folder / "raw")
    found: dict[str, dict[str, float]] = {}
    for batch in BATCHES:
        rates: dict[str, list[float]] = {"ours": [], "raw": []}
        for _ in range(5):
            rates["raw"].append(per_second(partial(raw.append, batch), batch, 0.7))
            rates["ours"].append(per_second(partial(ours.append, batch), batch, 0.7))
        ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["raw"], strict=True))
        found[str(batch)] = {name: statistics.median(each) for name, each in rates.items()} | {"ratio": ratio}
        print(
            f"append {batch:4} a call   ours {found[str(batch)]['ours']:9,.0f}/s   "
            f"raw {found[str(batch)]['raw']:9,.0f}/s   {ratio:.2f}",
            flush=True,
        )
    with ThreadPoolExecutor(32) as pool:

        def single(_: int) -> None:
            ours.append(1)

        started = time.perf_counter()
        list(pool.map(single, range(6000)))
        together = 6000 / (time.perf_counter() - started)
    found["32 threads, 1 each"] = {"ours": together}
    print(f"append 1 a call, 32 threads   ours {together:9,.0f}/s", flush=True)
    ours.close()
    raw.close()
    return found


SERVER = """
import sys, asyncio, itertools
from pathlib import Path
import uvicorn
from fastapi import FastAPI, Response
from bench.ledger_load import OpenLog
from trust.encoding.entry import EntryKind
from ledger.log import AppendRequest

opened = OpenLog(Path(sys.argv[1]))
app = FastAPI()
numbers = itertools.count(opened.next_id)

@app.post("/append")
def append() -> Response:
    number = next(numbers)
    (done,) = opened.log.append([AppendRequest(operation_id=number, kind=EntryKind.ISSUED, actor="a",
        subject_id=number, ref=number.to_bytes(32, "big"), commit=bytes(32), suite="SM2-SM3")])
    return Response(str(done.seq))

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
"""


def measure_http(folder: Path) -> dict[str, float]:
    """One request an entry, durable before it is answered. Clients and server share the machine's cores."""
    import socket

    import httpx2 as httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(folder), str(port)], env=environment)
    try:
        url = f"http://127.0.0.1:{port}/append"
        until = time.monotonic() + 30
        while True:
            try:
                httpx.post(url)
                break
            except httpx.HTTPError:
                assert time.monotonic() < until
                time.sleep(0.1)
        clients, each, took = 16, 120, []

        def client() -> None:
            with httpx.Client() as session:
                for _ in range(each):
                    started = time.perf_counter()
                    session.post(url).raise_for_status()
                    took.append(time.perf_counter() - started)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = {
            "appends_per_second": clients * each / (time.perf_counter() - started),
            "median_ms": statistics.median(took) * 1000,
            "p95_ms": sorted(took)[int(len(took) * 0.95)] * 1000,
            "clients": clients,
        }
    finally:
        server.terminate()
        server.wait()
    print(
        f"append over HTTP, {clients} clients   {found['appends_per_second']:,.0f}/s, "
        f"median {found['median_ms']:.1f} ms, 95% under {found['p95_ms']:.1f} ms",
        flush=True,
    )
    return found


def measure_size(opened: OpenLog, size: int) -> dict[str, float]:
    """Everything that must not depend on the size, at this size."""
    chance = random.Random(size)
    grown = time.perf_counter()
    before = opened.log.size
    opened.grow_to(size)
    growing = (opened.log.size - before) / max(1e-9, time.perf_counter() - grown)
    # Few enough not to leave the size that is measured.
    calls = max(1, min(40, opened.log.size // 10_000))
    appends = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            opened.append(256)
        appends.append(calls * 256 / (time.perf_counter() - started))
    published = time.perf_counter()
    opened.log.publish()
    publishing = time.perf_counter() - published
    singles = []
    for _ in range(20):
        opened.append(1)
        started = time.perf_counter()
        opened.log.publish()
        singles.append(time.perf_counter() - started)
    now = opened.log.checkpoint().size
    hot = [chance.randrange(max(0, now - 200 * 256), now) for _ in range(64)]
    for seq in hot:
        opened.log.prove(seq)
    warm = max(per_second(lambda: [opened.log.prove(seq) for seq in hot], len(hot), 0.5) for _ in range(3))
    text = per_second(lambda: [format_receipt(opened.log.prove(seq)) for seq in hot], len(hot), 0.5)
    files = TileFolder(opened.folder / "files")

    def cold() -> None:
        TileReader(files.read_hashes).prove_inclusion(chance.randrange(now), size=now)

    found = {
        "size": now,
        "growing_per_second": growing,
        "append_us": 1e6 / statistics.median(appends),
        "publish_backlog_ms": publishing * 1000,
        "publish_one_ms": statistics.median(singles) * 1000,
        "proofs_warm_per_second": warm,
        "receipts_text_warm_per_second": text,
        "proofs_cold_per_second": per_second(cold, 1, 1.0),
        "consistency_per_second": per_second(
            lambda: opened.log.consistency(chance.randrange(1, now)), 1, 0.5
        ),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "database_bytes_per_entry": _size(opened.folder, "*.db*") / now,
        "file_bytes_per_entry": _size(opened.folder / "files", "**/*") / now,
    }
    print(
        f"{now:10,} entries   append {found['append_us']:5.1f} us   proof warm {1e6 / warm:5.1f} us   "
        f"cold {1e6 / found['proofs_cold_per_second']:6.0f} us   publish {found['publish_one_ms']:5.1f} ms   "
        f"{found['resident_mib']:4.0f} MiB   {found['database_bytes_per_entry']:.0f} + "
        f"{found['file_bytes_per_entry']:.0f} bytes an entry",
        flush=True,
    )
    return found


def measure_recheck(opened: OpenLog) -> dict[str, float]:
    found = {}
    for look in (Look.DATABASE, Look.FILES):
        started = time.perf_counter()
        report = recheck(
            opened.database,
            opened.folder / "files",
            opened.lock_store,
            log_vkey=opened.log.vkey,
            looks=[look],
        )
        assert report.is_clean, report.findings
        found[f"recheck_{look}_per_second"] = report.locked_size / (time.perf_counter() - started)
    print(
        f"             recheck {', '.join(f'{name} {each:,.0f}/s' for name, each in found.items())}",
        flush=True,
    )
    return found


def measure_growth(folder: Path, sizes: tuple[int, ...]) -> Iterator[dict[str, float]]:
    opened = OpenLog(folder)
    try:
        for size in sizes:
            found = measure_size(opened, size)
            if size <= 1_000_000:
                found |= measure_recheck(opened)
            assert parse_checkpoint(parse_note(opened.log.published_note()).text).size == found["size"]
            yield found
    finally:
        opened.close()


def draw(results: Results, to: Path) -> None:
    """Cost by size, in four small plots: a flat line is what they should show."""
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    image = Image.new("RGB", (1100, 760), "white")
    pen = ImageDraw.Draw(image)
    pen.text((20, 12), "Ledger: cost by number of entries (each should stay flat)", font=font, fill="black")
    plots: list[tuple[str, Callable[[dict[str, float]], float]]] = [
        ("append, batch of 256 (microseconds an entry)", lambda g: g["append_us"]),
        ("inclusion proof, warm (microseconds)", lambda g: 1e6 / g["proofs_warm_per_second"]),
        ("inclusion proof, cold (microseconds)", lambda g: 1e6 / g["proofs_cold_per_second"]),
        ("memory (MiB resident, peak)", lambda g: g["resident_mib"]),
    ]
    for number, (title, value) in enumerate(plots):
        x, y = 40 + 540 * (number % 2), 60 + 345 * (number // 2)
        values = [value(each) for each in results.growth]
        top = max(values) * 1.25
        pen.text((x, y), title, font=font, fill="black")
        pen.rectangle((x, y + 28, x + 480, y + 300), outline="#bbbbbb")
        points = []
        for at, each in enumerate(values):
            px = x + 40 + at * 400 / max(1, len(values) - 1)
            py = y + 300 - 272 * each / top
            points.append((px, py))
            pen.ellipse((px - 4, py - 4, px + 4, py + 4), fill="#b3261e")
            pen.text((px - 18, py - 22), f"{each:,.1f}", font=small, fill="#333333")
            pen.text((px - 28, y + 304), f"{results.growth[at]['size']:,.0f}", font=small, fill="#333333")
        if len(points) > 1:
            pen.line(points, fill="#b3261e", width=2)
    image.save(to)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--long", action="store_true", help="up to 10^7 entries")
    options.add_argument("--folder", type=Path, default=None, help="where the logs are put (a real disk)")
    chosen = options.parse_args()
    sizes = (1_000, 100_000, 1_000_000) + ((10_000_000,) if chosen.long else ())
    from bench.__main__ import _machine

    with tempfile.TemporaryDirectory(prefix="yz-bench-", dir=chosen.folder) as name:
        folder = Path(name)
        results = Results(machine=_machine())
        results.appends = measure_appends(folder)
        results.http = measure_http(folder / "http")
        results.growth = list(measure_growth(folder / "growth", sizes))
    OUT.mkdir(exist_ok=True)
    written: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **results.__dict__}
    (OUT / "ledger.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    draw(results, OUT / "ledger.png")
    print(f"written to {OUT}/ledger.json and ledger.png")
    return 0


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
