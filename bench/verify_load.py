"""`python -m bench.verify_load`: how fast files are verified, and who waits for whom.

    one core    the same file by turns: plain pyHanko validation, ours in the process, ours through the sandbox, warm
    HTTP        a running service; 1, 8 and 32 clients with a key; time to a verdict, its report filed and signed
    digests     10,000 SHA-256 a request
    flood       a counter (the desk) alone, and while 24 public clients send hostile files as fast as they can
    growth      time to a verdict with 10³, 10⁵ and 10⁶ e-certificates in the register

Ratios are of medians inside one run. Writes bench/out/verify.json. About four minutes; `--short` for a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import io
import json
import multiprocessing
import os
import queue
import re
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asn1crypto import crl, x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from bench.service import SUITES, Made, opened, seal_id
from keys import asn1
from keys.pki.validator import Sm2AwareValidator
from keys.suites import Suite
from trust.encoding.digests import sha256
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.model.report import Result, Verdict
from trust.pdf import reading
from trust.people.access import open_access
from trust.sandbox.lanes import Lane
from verifier.checks.examine import examine_pdf
from verifier.checks.pdf import quiet_library

OUT = Path(__file__).with_name("out")
PLAIN, OURS, SANDBOX = "plain pyHanko", "ours in the process", "ours in the sandbox"
BOUNDARY = "yz-bench"


def contenders(made: Made, suite: Suite, pdf: bytes) -> dict[str, Callable[[], object]]:
    site, at = made.site, datetime.now(UTC)
    evidence = site.verifier.checking.online.gather(at)
    trust_list = evidence.trust_list
    assert trust_list is not None
    seal = next(s for s in trust_list.seals if s.seal_id == seal_id(suite))
    gm = suite is Suite.SM2_SM3
    tsa = next(t for t in trust_list.tsas if (t.suite == "SM2-SM3") is gm)

    def plain() -> None:
        generic.read_hex_string_from_stream = reading._library_read_hex  # as others have it
        (embedded,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
        contexts: list[Any] = [
            ValidationContext(
                trust_roots=[x509.Certificate.load(root)],
                crls=[crl.CertificateList.load(der) for der in evidence.crls],
                allow_fetching=False, revocation_mode="require", retroactive_revinfo=True, moment=at,
                signature_validator=Sm2AwareValidator(),
            )
            for root in (seal.root, tsa.root)
        ]  # fmt: skip
        assert asyncio.run(async_validate_pdf_signature(embedded, *contexts)).bottom_line

    def examine() -> None:
        found = examine_pdf(pdf, trust_list=trust_list, anchors=(), crls=evidence.crls, verified_at=at)
        assert all(f.result is Result.PASSED for f in found.findings)

    def whole() -> None:
        assert (
            site.verifier.checking.verifiers[Lane.MACHINE].verify_bytes(pdf, evidence, at).verdict
            is Verdict.PASSED
        )

    return {PLAIN: plain, OURS: examine, SANDBOX: whole}


def measure_core(
    made: Made, files: dict[Suite, bytes], rounds: int, each: int
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for suite in SUITES:
        ways = contenders(made, suite, files[suite])
        took: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            way()
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                for _ in range(each):
                    way()
                took[name].append(each / (time.perf_counter() - began))
        rates = {name: statistics.median(values) for name, values in took.items()}
        ratio = {f"{name} / {PLAIN}": statistics.median(
            a / b for a, b in zip(took[name], took[PLAIN], strict=True)) for name in (OURS, SANDBOX)}  # fmt: skip
        found[suite.value] = rates | ratio
        print(suite.value, {name: round(value, 2) for name, value in found[suite.value].items()}, flush=True)
    return found


@contextmanager
def served(data: Path, port: int) -> Iterator[None]:
    environment = {
        **os.environ, "YINZHENG_DATA": str(data), "YINZHENG_PASSPHRASE": "for the bench only",
        "YINZHENG_KDF_ROUNDS": "1000", "YINZHENG_HOST": "v.chuncheng.example",
        "YINZHENG_BASE_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("yinzheng")), "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if request(connect(port), "GET", "/livez", b"", {})[0] == 200:
                    break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None, "the service did not start"
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def request(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes, Any]:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def form(data: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    texts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head = f'{texts}--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1)
        for p in (50, 95, 99)
    }


def load(clients: int, seconds: float, once: Callable[[Any], bool], port: int) -> dict[str, float]:
    """`clients` in threads, each one request after another; how many were turned away is counted apart."""
    took: list[float] = []
    turned_away = [0]
    until = time.monotonic() + seconds

    def run() -> None:
        connection = connect(port)
        while time.monotonic() < until:
            began = time.perf_counter()
            if once(connection):
                took.append(time.perf_counter() - began)
            else:
                turned_away[0] += 1
                time.sleep(0.05)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(took) / (time.perf_counter() - began)
    return {"per_second": round(rate, 1), **percentiles(took), "turned_away": turned_away[0]}


def with_key(pdf: bytes, key: str) -> Callable[[Any], bool]:
    body, headers = form(pdf)
    headers = headers | {"Authorization": f"Bearer {key}"}

    def once(connection: http.client.HTTPConnection) -> bool:
        status, answer, _ = request(connection, "POST", "/api/v1/verifications", body, headers)
        assert status in (200, 503), answer
        if status == 200:
            assert json.loads(answer)["code"] == "OK", answer[:300]
        return status == 200

    return once


def at_the_desk(pdf: bytes, key: str, port: int) -> Callable[[Any], bool]:
    """A counter that is signed in, checking one file after another on its page."""
    connection = connect(port)
    _, page, _ = request(connection, "GET", "/desk", b"", {})
    body, headers = form(b"", key=key)
    body = body.replace(b'name="file"; filename="x"', b'name="nothing"')
    _, _, got = request(connection, "POST", "/desk/sign-in", body, headers)
    cookie = got["set-cookie"].split(";")[0]
    _, page, _ = request(connection, "GET", "/desk", b"", {"Cookie": cookie})
    token = re.search(rb'action="/desk/scan".*?name="token" value="([^"]+)"', page, re.DOTALL)
    assert token, page[:2000]
    sent, headers = form(pdf, token=token.group(1).decode())
    headers = headers | {"Cookie": cookie, "X-Fragment": "1"}

    def once(connection: http.client.HTTPConnection) -> bool:
        status, answer, _ = request(connection, "POST", "/desk/scan", sent, headers)
        assert status == 200, answer[:300]
        assert b'data-colour="green"' in answer, answer[:300]
        return True

    return once


def hostile() -> list[bytes]:
    """What keeps a reader busy for as long as it may."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    head = b"%PDF-1.7\n"
    table = (
        b"1 0 obj\n<</Type/XRef/Size 30000000/W[1 4 2]/Root 1 0 R/Filter/FlateDecode/Length %d>>\nstream\n"
    )
    bomb = head + table % len(packed) + packed + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)
    deep = b"%PDF-1.7\n1 0 obj\n" + b"[" * 100_000 + b"\nendobj\nstartxref\n9\n%%EOF\n"
    return [bomb, deep, b"%PDF-1.7\n" + secrets.token_bytes(4_000_000) + b"\nstartxref\n9\n%%EOF\n"]


def flood(port: int, stop: Any, answers: Any) -> None:
    """In a process of its own, as if it came from elsewhere: 24 clients, none of which waits when told to."""
    bodies = [form(each) for each in hostile()]

    def run(number: int) -> None:
        while not stop.is_set():
            body, headers = bodies[number % len(bodies)]
            number += 1
            try:
                status, _, _ = request(connect(port), "POST", "/api/v1/verifications", body, headers)
            except OSError:
                status = 0  # turned away while it was still sending
            answers.put(status)

    for number in range(24):
        threading.Thread(target=run, args=(number,), daemon=True).start()
    stop.wait()


def fill(register: Path, upto: int) -> None:
    """E-certificates that differ in what is looked up, until there are so many."""
    with sqlite3.connect(register) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(ecertificate)") if row[1] != "id"]
        (have,) = connection.execute("SELECT count(*) FROM ecertificate").fetchone()
        own = {
            "pid": "randomblob(16)", "identifier": "'fill-' || hex(randomblob(16))",
            "request_key": "hex(randomblob(32))", "issued_sha256": "randomblob(32)",
            "number": "'N' || hex(randomblob(8))", "archive_due_at": "NULL",
        }  # fmt: skip
        values = ", ".join(own.get(name, f"e.{name}") for name in columns)
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            f"INSERT INTO ecertificate ({', '.join(columns)}) SELECT {values} FROM n, "
            "(SELECT * FROM ecertificate WHERE step = 'ISSUED' ORDER BY id LIMIT 1) e",
            (upto - have,),
        )


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--short", action="store_true")
    short = options.parse_args().short
    quiet_library()
    asn1.register()
    from bench.__main__ import _machine

    results: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine()}
    seconds, port = (3.0 if short else 10.0), 18_400 + os.getpid() % 1000
    with tempfile.TemporaryDirectory(prefix="yz-bench-") as name:
        data = Path(name) / "data"
        with opened(data) as made:
            files = {suite: made.issue(suite)[0] for suite in SUITES}
            results["one core, files/s"] = measure_core(made, files, 3 if short else 7, 4 if short else 8)
            access = open_access(
                made.site.stores.register, made.site.clock, SystemEntropy(), made.site.admin.access.trail
            )
            key = access.clients.create_api_key(
                OPERATOR, "bench", authority_id=None, scopes=["verify"], days=1
            )
            desk = access.clients.create_api_key(
                OPERATOR, "counter 1", authority_id=None, scopes=["desk", "verify"], days=1
            )
        pdf = files[Suite.SM2_SM3]
        with served(data, port):
            load(2, 2, with_key(pdf, key), port)
            results["HTTP"] = {}
            for clients in (1, 8, 32):
                results["HTTP"][f"{clients} clients"] = load(clients, seconds, with_key(pdf, key), port)
                print(clients, "clients", results["HTTP"][f"{clients} clients"], flush=True)
            known = sha256(pdf).hex()
            body = json.dumps({"digests": [known, *(secrets.token_hex(32) for _ in range(9_999))]}).encode()
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

            def digests(connection: Any) -> bool:
                status, answer, _ = request(
                    connection, "POST", "/api/v1/verifications/digests", body, headers
                )
                assert status == 200, answer
                return True

            asked = load(1, seconds / 2, digests, port)
            results["digests per second"] = round(10_000 * asked["per_second"])
            print("digests/s", results["digests per second"], flush=True)
            counter = at_the_desk(pdf, desk, port)
            alone = load(1, seconds, counter, port)
            stop = multiprocessing.Event()
            answers: Any = multiprocessing.Queue()
            process = multiprocessing.Process(target=flood, args=(port, stop, answers), daemon=True)
            process.start()
            time.sleep(2)
            flooded = load(1, seconds, counter, port)
            stop.set()
            counts: Counter[int] = Counter()
            with contextlib.suppress(queue.Empty):
                while True:
                    counts[answers.get(timeout=0.5)] += 1
            process.kill()
            ratio = round(flooded["p95_ms"] / alone["p95_ms"], 2)
            results["flood"] = {
                "alone": alone, "flooded": flooded, "p95 ratio": ratio, "public answers": dict(counts),
            }  # fmt: skip
            print("flood", results["flood"], flush=True)
        results["growth"] = {}
        for size in (1_000, 100_000) if short else (1_000, 100_000, 1_000_000):
            fill(data / "register.sqlite", size)
            with served(data, port):
                load(1, 2, with_key(pdf, key), port)
                results["growth"][str(size)] = load(1, seconds, with_key(pdf, key), port)
            print(size, results["growth"][str(size)], flush=True)
    OUT.mkdir(exist_ok=True)
    (OUT / "verify.json").write_text(
        json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"written to {OUT}/verify.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
