"""/metrics: for whoever runs the service, and for nobody else.

It is answered at an address of the operators' own (YINZHENG_METRICS_LISTEN), and on the public one to a token
(YINZHENG_METRICS_TOKEN or _FILE). Without either of them it is not there: how many licences a department issues
and how often checks fail is nobody's business, and by its peer's address alone a service cannot tell a proxy on
the same machine from its operator.
"""

from __future__ import annotations

import hmac
import shutil

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from issuer.ecertificates.sql import backlog
from trust.app.compose import Service
from trust.model.errors import NotFound, NotPermitted
from trust.storage.tables import to_micros
from trust.web.lanes import Lanes
from trust.web.middleware import Metrics

_MEDIA_TYPE = "text/plain; version=0.0.4"


def answer_on_the_public_address(
    service: Service, metrics: Metrics, lanes: Lanes, request: Request
) -> Response:
    token = service.settings.metrics_token
    if token is None:
        raise NotFound("There is no such page.", "Check the address.")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Compared in a time that does not tell how much of it is right.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise NotPermitted(
            "Metrics are given to a token.", "Send it as `Authorization: Bearer …`.", code="UNAUTHENTICATED"
        )
    return _answer(service, metrics, lanes)


def metrics_app(service: Service, metrics: Metrics, lanes: Lanes) -> FastAPI:
    """What is served at the operators' own address: /metrics and nothing else."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/metrics")
    def read_metrics() -> Response:
        return _answer(service, metrics, lanes)

    return app


def edited_rows(service: Service) -> int:
    checking = service.keeper.checking
    return len(checking.findings) if checking is not None else 0


def _answer(service: Service, metrics: Metrics, lanes: Lanes) -> Response:
    gauges = {
        "ecert_ledger_size": float(service.log.checkpoint().size),
        "ecert_ledger_halted": float(service.log.halted is not None),
        "ecert_ledger_scrubbed_entries": float(service.keeper.scrubbing.entries),
        "ecert_register_edited_rows": float(edited_rows(service)),
        "ecert_disk_free_bytes": float(shutil.disk_usage(service.settings.data).free),
        **_backlog(service),
        **lanes.gauges(),
    }
    if (witnessing := service.keeper.witnessing) is not None:
        quorum_at = witnessing.quorum_at
        gauges["ecert_ledger_quorum_time_seconds"] = quorum_at.timestamp() if quorum_at else 0.0
    return PlainTextResponse(metrics.text(gauges), media_type=_MEDIA_TYPE)


def _backlog(service: Service) -> dict[str, float]:
    at = to_micros(service.clock.now())
    with service.database.read() as connection:
        unfinished, due = backlog(connection, at)
    return {"ecert_unfinished_drafts": float(unfinished), "ecert_archive_due": float(due)}
