"""Nothing is fetched while verifying: every address in a file leads to somebody who listens, and nobody comes.

That it works where there is no network at all is shown with the command line (`tests/interop/test_programs.py`).
"""

from __future__ import annotations

import dataclasses
import io
import socket
import threading
import urllib.request
from collections.abc import Iterator
from datetime import timedelta

import pypdfium2
import pytest
import support.producers
import zxingcpp
from fastapi.testclient import TestClient
from support.producers import LEVELS, Producer, contract
from support.world import MARKET, START, StoppedClock, World, settings_at

from keys.suites import Suite
from trust.app.compose import open_site
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.report import Verdict
from trust.sandbox.workers import Sandbox
from verifier.checks.examine import examine_pdf
from verifier.checks.verifying import SANDBOX_JOBS, Verifier

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Listener:
    """Counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.visits = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    with pytest.raises(OSError):
        urllib.request.urlopen(made.address + "/ca.crl", timeout=5)
    assert made.visits == 1, "whoever comes is counted, and nobody else came"
    made.close()


@pytest.fixture(scope="module")
def world(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service whose certificates name the listener for everything."""
    folder = tmp_path_factory.mktemp("outgoing") / "data"
    clock = StoppedClock(START)
    settings = dataclasses.replace(settings_at(folder), base_url=listener.address)
    site = open_site(settings, create=True, clock=clock)
    site.issuer.authorities.add(OPERATOR, MARKET)
    for suite in (Suite.SM2_SM3, Suite.RSA3072_SHA256):
        site.issuer.seals.make(
            OPERATOR, f"chuncheng-market-{suite.value.split('-')[0].lower()}", MARKET.authority_id, suite
        )
    made = World(site, clock, folder)
    yield made
    made.close()


@pytest.mark.parametrize("suite", ["sm2", "rsa3072"])
def test_a_licence_is_verified_without_asking_anybody(world: World, listener: Listener, suite: str) -> None:
    _, pdf = world.issue({"sm2": 1, "rsa3072": 2}[suite], suite=suite)
    assert listener.address.encode() in bytes.fromhex(pdf.split(b"/Contents <")[1].split(b">")[0].decode())
    bundle = world.bundle()
    for report in (world.verify(pdf), world.verify_offline(pdf, bundle)):
        assert report.verdict is Verdict.PASSED, report.findings
    evidence = world.site.verifier.checking.online.gather(START)
    in_this_process = examine_pdf(
        pdf, trust_list=evidence.trust_list, anchors=(), crls=evidence.crls, verified_at=START
    )
    assert in_this_process.data is not None
    without_lists = examine_pdf(pdf, trust_list=evidence.trust_list, anchors=(), crls=(), verified_at=START)
    assert without_lists.data is None
    page = pypdfium2.PdfDocument(pdf)[0].render(scale=2.5).to_pil().convert("RGB")
    (code,) = (found.text for found in zxingcpp.read_barcodes(page) if "/Q/" in found.text)
    picture = io.BytesIO()
    page.save(picture, "PNG")
    with TestClient(create_app(world.site)) as client:
        assert client.post("/api/v1/verifications", json={"code": code}).json()["code"] == "OK"
        for given in (pdf, picture.getvalue(), pdf[:-9]):
            client.post("/api/v1/verifications", files={"file": ("x", given)})
            client.post("/verify", files={"file": ("x", given)})
    assert listener.visits == 0


@pytest.mark.parametrize("level", LEVELS)
def test_a_file_of_others_is_judged_without_asking_anybody(
    listener: Listener, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support.producers, "CRL_ADDRESS", f"{listener.address}/ca.crl")
    made = Producer("ecdsa")
    pdf = made.sign(contract(), level)
    at = made.at + timedelta(minutes=1)
    found = examine_pdf(pdf, trust_list=None, anchors=[made.root.der], crls=(), verified_at=at)
    assert any(each.check == "signature.1" for each in found.findings)
    with Sandbox(SANDBOX_JOBS, workers=1) as sandbox:
        from verifier.evidence.evidence import Evidence, ListedStatus

        evidence = Evidence(None, (), ListedStatus({}), None, online=False)
        Verifier(sandbox, live=None).verify_bytes(pdf, evidence, at, anchors=[made.root.der])
    assert listener.visits == 0
