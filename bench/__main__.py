"""`python -m bench`: a table, bench/out/results.json and bench/out/results.png; less than two minutes."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench import appends, documents, sm2_engine
from bench.measuring import Measured
from bench.service import opened

OUT = Path(__file__).parent / "out"
TITLES = {
    "sm2": "SM2 engine",
    "seal": "Sealing one page",
    "issue": "Issuing, record to issued file",
    "verify": "Verifying",
    "append": "Durable ledger appends (SQLite)",
}


def main() -> int:
    started = time.perf_counter()
    measured: list[Measured] = []
    for each in _all():
        measured.append(each)
        print(_row(each, measured), flush=True)
    OUT.mkdir(exist_ok=True)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "seconds": round(time.perf_counter() - started, 1),
        "results": [{**asdict(each), "ratio": _ratio(each, measured)} for each in measured],
    }
    (OUT / "results.json").write_text(
        json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    _draw(measured).save(OUT / "results.png")
    print(f"\n{result['seconds']} s; written to {OUT}/results.json and results.png")
    return 0


def _all() -> Iterator[Measured]:
    with tempfile.TemporaryDirectory(prefix="yz-bench-") as name:
        folder = Path(name)
        yield from sm2_engine.run()
        with opened(folder / "data") as made:
            yield from documents.run(made, folder)
        (folder / "log").mkdir()
        yield from appends.run(folder / "log")


def _ratio(each: Measured, measured: Sequence[Measured]) -> float | None:
    other = next((m for m in measured if m.group == each.group and m.name == each.of), None)
    return round(each.per_second / other.per_second, 3) if other else None


def _row(each: Measured, measured: Sequence[Measured]) -> str:
    ratio = _ratio(each, measured)
    compared = f"  × {ratio:.2f} of {each.of}" if ratio is not None else ""
    return f"{each.group:7} {each.name:48} {each.per_second:10,.1f} {each.unit:9} ({each.count}){compared}"


def _machine() -> dict[str, object]:
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.strip()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": [round(n, 2) for n in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "openssl": openssl,
    }


def _draw(measured: Sequence[Measured]) -> Image.Image:
    """Bars, a block for each group with a scale of its own."""
    font = ImageFont.load_default(14)
    groups = [group for group in TITLES if any(m.group == group for m in measured)]
    height = 24 + sum(44 + 24 * sum(m.group == group for m in measured) for group in groups)
    image = Image.new("RGB", (1040, height), "white")
    draw = ImageDraw.Draw(image)
    y = 16
    for group in groups:
        inside = [m for m in measured if m.group == group]
        most = max(m.per_second for m in inside)
        draw.text((16, y), f"{TITLES[group]} ({inside[0].unit})", font=font, fill="black")
        y += 26
        for each in inside:
            ours = each.name.startswith("ours") or group in ("issue", "append")
            draw.text((24, y), each.name, font=font, fill="#333333")
            width = max(2, round(480 * each.per_second / most))
            draw.rectangle((430, y + 1, 430 + width, y + 17), fill="#b3261e" if ours else "#9aa0a6")
            draw.text((438 + width, y), f"{each.per_second:,.1f}", font=font, fill="black")
            y += 24
        y += 18
    return image


if __name__ == "__main__":
    sys.exit(main())
