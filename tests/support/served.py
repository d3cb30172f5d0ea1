"""The service as operators run it: `yinzheng serve` as a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx

from support.limits import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Without it, every request would read the machine's CAs first, which takes longer than the request."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Served:
    """Its log goes to `log`, where a failed test can be understood from."""

    def __init__(self, data: Path, log: Path, *, workers: int = 1, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-c", "from trust.app.entry import main; main()", "serve"]
        self._command += ["--port", str(self.port), "--data", str(data), "--workers", str(workers)]
        usual = {
            "YINZHENG_PASSPHRASE": "for tests only",
            "YINZHENG_KDF_ROUNDS": "1000",
            "YINZHENG_LANG": "en",
        }
        self._environment = {**os.environ, **usual, "PYTHONPATH": str(ROOT), **environment}
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Served:
        """On return it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd=self._log.parent
            )
        until = time.monotonic() + HANG_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                if self.get("/livez").status_code == 200:
                    return self
            assert self.process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < until, "the service does not answer"
            time.sleep(0.05)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False, verify=_NO_TLS, timeout=HANG_SECONDS, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return httpx.post(self.url + path, trust_env=False, verify=_NO_TLS, timeout=HANG_SECONDS, **more)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code, once it has one."""
        assert self.process is not None
        return self.process.wait(timeout=HANG_SECONDS)

    def log(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.ended()
