"""For operators: is it alive, is it ready, how much does it do, which version is it."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from trust.app.compose import Service
from trust.app.metrics import answer_on_the_public_address, edited_rows
from trust.model.seal import SealState
from trust.web.lanes import Lanes
from trust.web.middleware import Metrics

_LEAST_FREE = 64 * 1024 * 1024
"""Bytes on the disk of the data folder below which nothing should be sent here."""


def health_router(service: Service, metrics: Metrics, lanes: Lanes) -> APIRouter:
    router = APIRouter()

    @router.get("/livez", tags=["operator"], operation_id="livez")
    def livez() -> Any:
        return {"status": "ok"}

    @router.get("/readyz", tags=["operator"], operation_id="readyz")
    def readyz() -> Response:
        parts = _readiness(service)
        ready = all(parts.values())
        status = 200 if ready else 503
        return Response(
            json.dumps({"status": "ok" if ready else "not ready", "parts": parts, "notes": _notes(service)}),
            status,
            media_type="application/json",
        )

    @router.get("/metrics", tags=["operator"], operation_id="metrics")
    def read_metrics(request: Request) -> Response:
        """Counts and gauges in the form that Prometheus reads, to the operators' bearer token."""
        return answer_on_the_public_address(service, metrics, lanes, request)

    @router.get("/version", tags=["operator"], operation_id="version")
    def read_version() -> Any:
        try:
            return {"name": "yinzheng", "version": version("yinzheng")}
        except PackageNotFoundError:
            return {"name": "yinzheng", "version": "0"}

    return router


def _has_seals_in_term(service: Service) -> bool:
    """Every authority that has active seals has one whose certificate is in its term."""
    at = service.clock.now()
    active: dict[str, bool] = {}
    for seal in service.seals.list():
        if seal.state is SealState.ACTIVE:
            in_term = seal.not_before <= at <= seal.not_after
            active[seal.authority_id] = active.get(seal.authority_id, False) or in_term
    return all(active.values())


def _notes(service: Service) -> list[str]:
    """What an operator should know, and what does not keep the service from its work."""
    return [] if service.is_copy_noticed else ["COPY_NOT_NOTICED"]


def _readiness(service: Service) -> dict[str, bool]:
    def works(question: Any) -> bool:
        try:
            return bool(question())
        except Exception:  # whatever it is, the answer is "not ready"; details are in the log
            return False

    return {
        "database": works(lambda: service.authorities.list() is not None),
        "register": works(lambda: not edited_rows(service) and service.guard.lost_entry is None),
        "disk": works(lambda: shutil.disk_usage(service.settings.data).free >= _LEAST_FREE),
        "seals": works(lambda: _has_seals_in_term(service)),
        "keys": works(lambda: service.pki.service_keys.active("present")),
        "ledger": works(lambda: service.log.halted is None and service.log.checkpoint().size >= 2),
        "trust_list": works(lambda: service.publishing.trust_list(service.clock.now())),
    }
