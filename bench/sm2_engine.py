"""(a) The SM2 engine against `openssl speed sm2`, which calls the same libcrypto without Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from bench.measuring import Measured, rate
from keys import sm2
from keys.sm2 import libcrypto, pure


def run() -> Iterator[Measured]:
    # Both take turns in one run, so that a busy machine slows both; the median of three is reported.
    speeds: list[tuple[float, float]] = []
    key = sm2.generate_private_key()
    public = libcrypto.PublicKey(key.public_key)
    message = bytes(200)
    signature = key.sign(message)
    ours: list[tuple[float, float]] = []
    for _ in range(3):
        if shutil.which("openssl"):
            said = subprocess.run(
                ["openssl", "speed", "-seconds", "2", "sm2"], capture_output=True, text=True, check=True
            ).stdout
            found = re.search(r"CurveSM2\)\s+\S+s\s+\S+s\s+([\d.]+)\s+([\d.]+)", said)
            if found:
                speeds.append((float(found[1]), float(found[2])))
        sign, _ = rate(lambda: key.sign(message), seconds=2)
        verify, _ = rate(lambda: public.check(message, signature), seconds=2)
        ours.append((sign, verify))
    for position, name in enumerate(("sign", "verify")):
        if speeds:
            yield Measured(
                "sm2", f"openssl speed: {name}", sorted(s[position] for s in speeds)[1], 3, "ops/s"
            )
        yield Measured(
            "sm2", f"ours: {name}", sorted(o[position] for o in ours)[1], 3, "ops/s",
            f"openssl speed: {name}" if speeds else None,
        )  # fmt: skip
    slow = pure.PublicKey(key.public_key)
    per_second, count = rate(lambda: slow.check(message, signature), seconds=1)
    yield Measured("sm2", "gmssl fallback: verify", per_second, count, "ops/s", "ours: verify")
