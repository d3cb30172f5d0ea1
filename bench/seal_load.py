"""`python -m bench.seal_load`: how fast pages are sealed, and whether memory stays flat.

    sealing        the same page, by turns in one run, for each suite, one process:
                   stock pyHanko (key and picture from their files for each document, as its manual shows),
                   tuned pyHanko (key and picture loaded once, room reserved), with and without a time-stamp,
                   our plain way (pyHanko with our frame), our prepared way with and without a time-stamp
    with receipt   sealed, time-stamped, entered in the ledger (256 at a time, durable), receipt spliced in
    openssl speed  signatures a second in the same run: what no seal of one signature can exceed
    where          the stages of the prepared way, each by itself
    processes      the prepared way, and bare signatures beside it, in one process and in two
    memory         resident size over 20,000 seals in one process

Medians of several rounds; ratios are medians of the ratios inside each round, because the machine may have
other work. "Without a time-stamp" ours puts in the same token every time: everything but making it.

Writes bench/out/seal.json and seal.png. About five minutes; `--short` for a quick look.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asn1crypto import algos, tsp, x509
from asn1crypto import pem as asn1_pem
from cryptography.hazmat.primitives import serialization
from PIL import Image
from pyhanko.pdf_utils.images import PdfImage
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from bench.documents import _picture
from bench.service import SUITES, Made, opened, seal_id
from issuer.sealing import prepared
from issuer.sealing.pdf import SealInUse, SealPlace, seal_plain
from issuer.sealing.prepared import seal_prepared
from issuer.sealing.splice import splice_receipt, take_apart
from keys import sm2
from keys.custody import FileKeyProvider, KeyPurpose
from keys.suites import Suite
from keys.tsa import TimeStampAuthority
from ledger.log import AppendRequest
from ledger.proof import format_receipt
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_seal_cms,
    encode_signed_attributes,
)
from trust.encoding.commitment import COMMITTED, SALT_BYTES, document_commit
from trust.encoding.digests import digest
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import EmbeddedReceipt, Openings, encode_receipt
from trust.model.clock import SystemClock
from verifier.checks.pdf import quiet_library

OUT = Path(__file__).parent / "out"
REASON = "电子印章"
PASSPHRASE = b"for the bench only"
_MECHANISM = {"SM2-SM3": "sm3_sm2", "RSA3072-SHA256": "sha256_rsa", "P256-SHA256": "sha256_ecdsa"}
_SPEED = {
    Suite.SM2_SM3: ("sm2", r"CurveSM2\)\s+\S+s\s+\S+s\s+([\d.]+)"),
    Suite.RSA3072_SHA256: ("rsa3072", r"rsa 3072 bits\s+\S+s\s+\S+s\s+([\d.]+)"),
    Suite.P256_SHA256: ("ecdsap256", r"nistp256\)\s+\S+s\s+\S+s\s+([\d.]+)"),
}
STOCK, TUNED, TUNED_STAMPED = "stock pyHanko", "tuned pyHanko", "tuned pyHanko, time-stamp"
PLAIN, BARE, PREPARED, RECEIPT = (
    "ours plain, time-stamp",
    "ours prepared",
    "ours prepared, time-stamp",
    "ours prepared, time-stamp, receipt",
)


@dataclass(frozen=True)
class Work:
    """All that sealing one page takes, in values that can be sent to another process."""

    suite: Suite
    keys: Path
    seal_key: str
    tsa_key: str
    certs: tuple[bytes, ...]
    tsa_certs: tuple[bytes, ...]
    picture_pdf: bytes
    seal_data: bytes
    page: bytes
    place: SealPlace

    def open(self) -> tuple[SealInUse, TimeStampAuthority]:
        provider = FileKeyProvider(self.keys, lambda: PASSPHRASE)
        key = provider.open(self.seal_key, KeyPurpose.SEAL)
        seal = SealInUse(key, self.certs, self.picture_pdf, self.seal_data)
        tsa_key = provider.open(self.tsa_key, KeyPurpose.TIME_STAMP)
        return seal, TimeStampAuthority(tsa_key, self.tsa_certs, SystemClock())


@dataclass
class Results:
    machine: dict[str, object]
    sealing: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    processes: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


def work_of(made: Made, suite: Suite, page: Any, keys: Path) -> Work:
    site = made.site
    seal = site.issuer.seals.registry.get(seal_id(suite))
    in_use, tsa = site.issuer.seals.using.open(seal), site.issuer.pki.time_stamp_authority(suite)
    assert isinstance(tsa, TimeStampAuthority)  # nobody else is set here
    return Work(
        suite=suite,
        keys=keys,
        seal_key=seal.key_id,
        tsa_key=tsa.key.record.key_id,
        certs=tuple(in_use.certs),
        tsa_certs=tuple(tsa.certs),
        picture_pdf=in_use.picture_pdf,
        seal_data=in_use.seal_data,
        page=page.pdf,
        place=SealPlace(page.seal.page, page.seal.x1, page.seal.y1, page.seal.x2, page.seal.y2),
    )


def per_second(work: Callable[[], object], seconds: float, each: int = 1) -> float:
    """Runs `work` for about so long, at least twice; how many of `each` it does a second."""
    count, started = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - started < seconds:
        work()
        count += 1
    return count * each / (time.perf_counter() - started)


# The others ------------------------------------------------------------------------------------------------


class Loaded(signers.Signer):
    """pyHanko's own CMS with a key that is loaded once."""

    def __init__(self, seal: SealInUse) -> None:
        self._key = seal.key
        store = SimpleCertificateStore()
        certs = [x509.Certificate.load(der) for der in seal.certs]
        store.register_multiple(certs[1:])
        mechanism = algos.SignedDigestAlgorithm({"algorithm": _MECHANISM[seal.suite]})
        super().__init__(signing_cert=certs[0], cert_registry=store, signature_mechanism=mechanism)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        return bytes(384) if dry_run else self._key.sign(data)


class OurTimeStamper(TimeStamper):
    """Our authority, asked the way pyHanko asks one, without a network."""

    def __init__(self, tsa: TimeStampAuthority) -> None:
        super().__init__(include_nonce=False)  # type: ignore[no-untyped-call]  # the library's own
        self._tsa = tsa

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return self._tsa.respond(req)


def pyhanko(work: Work, signer: Any, stamp: Any, stamper: Any = None, **settings: Any) -> bytes:
    meta = signers.PdfSignatureMetadata(
        field_name="Seal1", md_algorithm=work.suite.digest, subfilter=SigSeedSubFilter.PADES, certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES, reason=REASON,
    )  # fmt: skip
    spec = SigFieldSpec("Seal1", on_page=work.place.page, box=work.place.box)
    writer = IncrementalPdfFileWriter(io.BytesIO(work.page))
    signing = signers.PdfSigner(meta, signer, timestamper=stamper, stamp_style=stamp, new_field_spec=spec)
    return bytes(signing.sign_pdf(writer, **settings).getvalue())


def stock_way(work: Work, seal: SealInUse, folder: Path) -> Callable[[], bytes]:
    """As its manual shows. pyHanko cannot load SM2 keys, so there a signer of ours loads one, as often."""
    key, cert, chain, image = (folder / f"{work.suite}.{kind}" for kind in ("key", "cert", "chain", "png"))
    cert.write_bytes(asn1_pem.armor("CERTIFICATE", work.certs[0]))
    chain.write_bytes(asn1_pem.armor("CERTIFICATE", work.certs[1]))
    _picture().save(image, "PNG")

    def stamp() -> StaticStampStyle:
        return StaticStampStyle(background=PdfImage(Image.open(image)), border_width=0)

    if work.suite is Suite.SM2_SM3:
        armoured = (work.keys / f"{work.seal_key}.key.pem").read_bytes()
        key.write_bytes(asn1_pem.unarmor(armoured)[2])

        @dataclass(frozen=True)
        class Opened:
            inner: Any
            record: Any = seal.key.record

            def sign(self, message: bytes) -> bytes:
                return bytes(self.inner.sign(message))

        def stock() -> bytes:
            opened_key: Any = Opened(sm2.load_private_key(key.read_bytes(), PASSPHRASE))
            certs = [asn1_pem.unarmor(path.read_bytes())[2] for path in (cert, chain)]
            return pyhanko(work, Loaded(replace(seal, key=opened_key, certs=certs)), stamp())

        return stock
    assert seal.key.pyca is not None
    key.write_bytes(
        seal.key.pyca.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )

    def simple() -> bytes:
        signer = signers.SimpleSigner.load(str(key), str(cert), ca_chain_files=[str(chain)])
        return pyhanko(work, signer, stamp())

    return simple


@dataclass(frozen=True)
class SameToken:
    """A time-stamp from the drawer: what sealing costs without making one."""

    token: bytes

    def stamp(self, imprint: bytes, algorithm: str) -> bytes:
        return self.token


def contenders(work: Work, folder: Path) -> dict[str, Callable[[], bytes]]:
    seal, tsa = work.open()
    signer, stamper = Loaded(seal), OurTimeStamper(tsa)
    image = _picture()
    drawer: Any = SameToken(tsa.stamp(bytes(32), work.suite.digest))

    def tuned(stamper: Any = None) -> bytes:
        style = StaticStampStyle(background=PdfImage(image), border_width=0)
        return pyhanko(work, signer, style, stamper, bytes_reserved=16384)

    def ours(way: Any, tsa: Any) -> bytes:
        sealed = way(work.page, seal=seal, tsa=tsa, place=work.place, reason=REASON, at=datetime.now(UTC))
        assert sealed is not None
        return bytes(sealed)

    return {
        STOCK: stock_way(work, seal, folder),
        TUNED: tuned,
        TUNED_STAMPED: lambda: tuned(stamper),
        PLAIN: lambda: ours(seal_plain, tsa),
        BARE: lambda: ours(seal_prepared, drawer),
        PREPARED: lambda: ours(seal_prepared, tsa),
    }


def with_receipts(made: Made, work: Work, sealing: Callable[[], bytes], batch: int) -> None:
    """A batch, from pages to files with their receipts: what `issuer.ecertificates` does, without the
    register."""
    log = made.site.ledger.log
    openings = Openings(
        content=bytes(32), ref_salt=bytes(SALT_BYTES), salts=(bytes(SALT_BYTES),) * len(COMMITTED)
    )
    sealed = [sealing() for _ in range(batch)]
    parts = [take_apart(each) for each in sealed]
    requests = []
    for each in parts:
        made.number += 1
        requests.append(
            AppendRequest(
                operation_id=10_000_000 + made.number,
                kind=EntryKind.ISSUED,
                actor="bench",
                subject_id=10_000_000 + made.number,
                ref=made.number.to_bytes(32, "big"),
                commit=document_commit(openings.content, each.digests, openings.salts),
                suite=work.suite.value,
            )
        )
    appended = log.append(requests)
    receipts = log.receipt([entry.seq for entry in appended])
    for pdf, taken, entry, receipt in zip(sealed, parts, appended, receipts, strict=True):
        embedded = EmbeddedReceipt(entry.entry_bytes, format_receipt(receipt), openings)
        splice_receipt(
            pdf, taken, encode_receipt(embedded), suite=work.suite.value, sealing_cert=work.certs[0]
        )


def openssl_speed(suite: Suite, seconds: int) -> float:
    name, pattern = _SPEED[suite]
    said = subprocess.run(
        ["openssl", "speed", "-seconds", str(seconds), name], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(pattern, said)
    assert found is not None, said
    return float(found[1])


def measure_sealing(
    made: Made, works: Sequence[Work], folder: Path, rounds: int, seconds: float
) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for work in works:
        ways = contenders(work, folder)
        for way in ways.values():
            way()
        rates: dict[str, list[float]] = {name: [] for name in [*ways, RECEIPT, "openssl speed: sign"]}
        for _ in range(rounds):
            rates["openssl speed: sign"].append(openssl_speed(work.suite, 1))
            for name, way in ways.items():
                rates[name].append(per_second(way, seconds))
            receipt = lambda: with_receipts(made, work, ways[PREPARED], 256)  # noqa: B023, E731
            rates[RECEIPT].append(per_second(receipt, seconds, 256))
        found[work.suite] = {
            name: {
                "per_second": statistics.median(each),
                "least": min(each),
                "most": max(each),
                **{
                    f"of {other}": statistics.median(a / b for a, b in zip(each, rates[other], strict=True))
                    for other in (TUNED, TUNED_STAMPED, "openssl speed: sign")
                },
            }
            for name, each in rates.items()
        }
        for name, each in found[work.suite].items():
            print(
                f"{work.suite:15} {name:36} {each['per_second']:9,.1f}/s "
                f"({each['least']:,.0f}-{each['most']:,.0f})  x {each['of ' + TUNED]:6.2f} of tuned, "
                f"x {each['of openssl speed: sign']:.2f} of openssl",
                flush=True,
            )
    return found


# Where the time goes ---------------------------------------------------------------------------------------


def measure_stages(work: Work, rounds: int, seconds: float) -> dict[str, float]:
    """Microseconds of each stage of the prepared way, by itself, on the same page."""
    seal, tsa = work.open()
    algorithm, at = work.suite.digest, datetime.now(UTC)
    ready = prepared._prepare(seal.suite, seal.certs[0], seal.picture_pdf, seal.seal_data)
    page = prepared._read_page(work.page, work.place.page)
    assert ready is not None
    assert page is not None
    before, after = prepared._update(page, ready, work.place, REASON, at, ())
    content = digest(algorithm, work.page, before, after)
    signed = encode_signed_attributes(ready.attributes, content)
    signature = seal.key.sign(signed)
    token = tsa.stamp(bytes(32), algorithm)

    def frame() -> bytes:
        unsigned = [encode_attribute(SIGNATURE_TIME_STAMP_OID, token)]
        cms = encode_seal_cms(
            suite=seal.suite, x509_certs=seal.certs, sealing_cert=seal.certs[0], signed_attrs=signed,
            signature=signature, unsigned_attrs=unsigned,
        )  # fmt: skip
        digits = cms.hex().upper().encode("ascii")
        return b"".join((work.page, before, b"<", digits.ljust(65_536, b"0"), b">", after))

    stages: dict[str, Callable[[], object]] = {
        "find what was prepared": lambda: prepared._prepare(
            seal.suite, seal.certs[0], bytes(bytearray(seal.picture_pdf)), bytes(bytearray(seal.seal_data))
        ),
        "read the page": lambda: prepared._read_page(work.page, work.place.page),
        "write the update": lambda: prepared._update(page, ready, work.place, REASON, at, ()),
        "digest of the file": lambda: digest(algorithm, work.page, before, after),
        "signed attributes": lambda: encode_signed_attributes(ready.attributes, content),
        "signature of the seal": lambda: seal.key.sign(signed),
        "signature of the time-stamp": lambda: tsa.key.sign(signed),
        "frame, hex, file": frame,
        "whole": lambda: seal_prepared(
            work.page, seal=seal, tsa=tsa, place=work.place, reason=REASON, at=datetime.now(UTC)
        ),
        "time-stamp": lambda: tsa.stamp(bytes(32), algorithm),
    }
    took: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(rounds):
        for name, stage in stages.items():
            took[name].append(1e6 / per_second(stage, seconds))
    found = {name: statistics.median(each) for name, each in took.items()}
    found["rest of the time-stamp"] = max(0.0, found.pop("time-stamp") - found["signature of the time-stamp"])
    print(work.suite, ", ".join(f"{name} {each:.0f} us" for name, each in found.items()), flush=True)
    return found


# Processes and memory --------------------------------------------------------------------------------------


def _serve(work: Work, line: Any) -> None:
    """The other process: does what the line says until it says None."""
    seal, tsa = work.open()

    def one() -> object:
        return seal_prepared(
            work.page, seal=seal, tsa=tsa, place=work.place, reason=REASON, at=datetime.now(UTC)
        )

    assert one() is not None
    line.send(_resident_kib())
    while (asked := line.recv()) is not None:
        what, amount = asked
        if what == "memory":
            for _ in range(int(amount)):
                one()
            gc.collect()
            line.send(_resident_kib())
        else:
            line.send(per_second(one if what == "seal" else lambda: seal.key.sign(bytes(200)), amount))


@contextmanager
def _processes(work: Work, count: int) -> Iterator[list[Any]]:
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(count)]
    started = [context.Process(target=_serve, args=(work, theirs)) for _, theirs in pairs]
    for each in started:
        each.start()
    lines = [ours for ours, _ in pairs]
    try:
        for line in lines:
            line.recv()
        yield lines
    finally:
        for line in lines:
            line.send(None)
        for each in started:
            each.join(30)


def measure_processes(work: Work, rounds: int, seconds: float) -> dict[str, float]:
    """One process and two by turns; bare signatures beside it say what the machine gives at that moment."""
    rates: dict[tuple[str, int], list[float]] = {(what, n): [] for what in ("seal", "sign") for n in (1, 2)}
    with _processes(work, 2) as lines:
        for _ in range(rounds):
            for (what, count), each in rates.items():
                for line in lines[:count]:
                    line.send((what, seconds))
                each.append(sum(line.recv() for line in lines[:count]))
    found = {f"{what}, {count}": statistics.median(each) for (what, count), each in rates.items()}
    for what in ("seal", "sign"):
        gains = [b / a for a, b in zip(rates[what, 1], rates[what, 2], strict=True)]
        found[f"{what}, gain"], found[f"{what}, best gain"] = statistics.median(gains), max(gains)
    print(work.suite, ", ".join(f"{name} {each:,.2f}" for name, each in found.items()), flush=True)
    return found


def measure_memory(work: Work, seals: int) -> dict[str, float]:
    """KiB resident after 200 seals (everything loaded), half of them, and all."""
    with _processes(work, 1) as (line,):
        sizes = []
        for amount in (200, seals // 4, seals // 4, seals // 4, seals // 4):
            line.send(("memory", amount))
            sizes.append(line.recv())
    found: dict[str, Any] = {
        "seals": seals,
        "start_kib": sizes[0],
        "middle_kib": sizes[2],
        "end_kib": sizes[4],
    }
    found["quarters_kib"] = sizes
    print(f"memory over {seals:,} seals: {', '.join(f'{size:,} KiB' for size in sizes)}", flush=True)
    return found


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def draw(results: Results, to: Path) -> None:
    """Bars for each suite with a scale of its own, and under them where the time goes."""
    from PIL import ImageDraw, ImageFont

    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    height = 60 + sum(50 + 22 * len(each) for each in results.sealing.values()) + 90 * len(results.stages)
    image = Image.new("RGB", (1100, height), "white")
    pen = ImageDraw.Draw(image)
    y = 14
    for suite, rates in results.sealing.items():
        pen.text((16, y), f"Sealing one page, {suite} (a second, one process)", font=font, fill="black")
        y += 26
        most = max(each["per_second"] for name, each in rates.items() if not name.startswith("openssl"))
        for name, each in rates.items():
            width = min(1.0, each["per_second"] / most) * 520
            colour = "#b3261e" if name.startswith("ours") else "#9aa0a6"
            pen.text((24, y), name, font=small, fill="#333333")
            pen.rectangle((290, y, 290 + max(2, width), y + 14), fill=colour)
            beyond = " (beyond the scale)" if each["per_second"] > most else ""
            pen.text((298 + width, y), f"{each['per_second']:,.1f}{beyond}", font=small, fill="black")
            y += 22
        y += 24
    colours = [
        "#5f6368",
        "#9aa0a6",
        "#c58af9",
        "#1a73e8",
        "#12b5cb",
        "#b3261e",
        "#e8710a",
        "#fbbc04",
        "#34a853",
    ]
    for suite, stages in results.stages.items():
        parts = {name: each for name, each in stages.items() if name != "whole"}
        pen.text(
            (16, y),
            f"Where the time goes, {suite} ({stages['whole']:.0f} microseconds)",
            font=font,
            fill="black",
        )
        x, total = 24.0, sum(parts.values())
        for (name, took), colour in zip(parts.items(), colours, strict=False):
            width = 1040 * took / total
            pen.rectangle((x, y + 26, x + width, y + 46), fill=colour)
            if width > 8 * len(name):
                pen.text((x, y + 50), f"{name} {took:.0f}", font=small, fill="#333333")
            x += width
        y += 90
    image.save(to)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--short", action="store_true", help="one quick round")
    chosen = options.parse_args()
    rounds, seconds, seals = (1, 0.3, 2_000) if chosen.short else (5, 0.7, 20_000)
    from bench.__main__ import _machine

    quiet_library()
    results = Results(machine=_machine())
    with tempfile.TemporaryDirectory(prefix="yz-bench-") as name:
        folder = Path(name)
        with opened(folder / "data") as made:
            page = made.page()
            works = [work_of(made, suite, page, folder / "data" / "keys") for suite in SUITES]
            results.sealing = measure_sealing(made, works, folder, rounds, seconds)
            results.stages = {work.suite: measure_stages(work, rounds, seconds / 3) for work in works}
            results.processes = {work.suite: measure_processes(work, 2 * rounds, seconds) for work in works}
            results.memory = measure_memory(works[0], seals)
    OUT.mkdir(exist_ok=True)
    written: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **results.__dict__}
    (OUT / "seal.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(results, OUT / "seal.png")
    print(f"written to {OUT}/seal.json and seal.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
