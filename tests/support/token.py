"""Tokens to test with: SoftHSM from Debian, directly or behind `p11-kit server`, which can be stopped.

A library of PKCS #11 reads its settings once, so every token of one test process lives in one folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.pkcs11 import Pkcs11KeyProvider

PIN = "a PIN for tests 7391"
_SOFTHSM = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib64/pkcs11/libsofthsm2.so"))
_CLIENT = sorted(Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so"))


@dataclass(frozen=True)
class SoftHsm:
    """`folder` holds all tokens of this test process; `module` is SoftHSM's library."""

    folder: Path
    module: Path

    def new_token(self, label: str, *, pin: str = PIN) -> None:
        arguments = ["--init-token", "--free", "--label", label, "--so-pin", "tests", "--pin", pin]
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)

    def folder_of(self, label: str) -> Path:
        """Where the token keeps its objects."""
        for folder in self.folder.iterdir():
            if label.encode() in (folder / "token.object").read_bytes():
                return folder
        raise LookupError(label)

    def provider(
        self, folder: Path, label: str, *, pin: str = PIN, module: Path | None = None
    ) -> Pkcs11KeyProvider:
        return Pkcs11KeyProvider(folder, module=module or self.module, token_label=label, pin=lambda: pin)


def start_softhsm(folder: Path) -> SoftHsm:
    """Skips the test where SoftHSM is not installed."""
    module = next((path for path in _SOFTHSM if path.exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed (Debian: softhsm2)")
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    return SoftHsm(tokens, module)


@dataclass
class RemoteToken:
    """SoftHSM in a process of its own, as a network device is: it can be stopped and started."""

    address: Path
    softhsm: SoftHsm
    module: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.address.unlink(missing_ok=True)
        arguments = [
            "server",
            "-f",
            "-n",
            str(self.address),
            "--provider",
            str(self.softhsm.module),
            "pkcs11:",
        ]
        self._process = subprocess.Popen(
            ["p11-kit", *arguments], stdout=subprocess.DEVNULL, start_new_session=True
        )
        # The file is there before the server listens: a client that came between would find no token.
        for _ in range(500):
            with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
                client.connect(str(self.address))
                return
            time.sleep(0.02)
        raise TimeoutError("p11-kit server did not start")

    def stop(self) -> None:
        if self._process is not None:
            # The server has a child for each client, which holds the token: both have to go.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def remote_token(softhsm: SoftHsm) -> Iterator[RemoteToken]:
    """Skips the test where p11-kit's server and client are not installed."""
    if shutil.which("p11-kit") is None or not _CLIENT:
        pytest.skip("p11-kit's server is not installed (Debian: p11-kit, p11-kit-modules)")
    # One address for the whole test process: the client's library reads it once.
    path = softhsm.folder.parent / "s"
    os.environ["P11_KIT_SERVER_ADDRESS"] = f"unix:path={path}"
    remote = RemoteToken(path, softhsm, _CLIENT[0])
    remote.start()
    try:
        yield remote
    finally:
        remote.stop()
