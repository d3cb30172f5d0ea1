"""The frame around every request: what is counted, and how large a body may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trust.web.metrics import Metrics
from trust.web.middleware import MAX_BODY, RequestFrame


def status_of(path: str, length: int, metrics: Metrics) -> int:
    """What a request with this declared length is answered; no body is sent."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(RequestFrame(app, metrics)(scope, receive, send))
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize(
    ("length", "status"), [(0, 204), (21 * 1024 * 1024, 204), (21 * 1024 * 1024 + 1, 413)]
)
def test_a_declared_body_is_taken_up_to_twenty_one_mebibytes(length: int, status: int) -> None:
    assert MAX_BODY == 21 * 1024 * 1024
    assert status_of("/api/v1/x", length, Metrics()) == status


def test_each_request_and_each_verdict_is_counted_once() -> None:
    metrics = Metrics()
    for length in (0, 0, MAX_BODY + 1):
        status_of("/api/v1/x", length, metrics)
    metrics.verdict("file", "PASSED", "OK")
    lines = metrics.text(lambda: {"a": 1.0, "b": {(("lane", "public"),): 2.0}}).splitlines()
    assert 'ecert_http_requests_total{method="POST",route="(none)",status="204"} 2.0' in lines
    assert 'ecert_http_requests_total{method="POST",route="(none)",status="413"} 1.0' in lines
    assert 'ecert_verifications_total{code="OK",method="file",outcome="PASSED"} 1.0' in lines
    assert "a 1.0" in lines
    assert 'b{lane="public"} 2.0' in lines
    assert not [line for line in lines if "_created" in line]
