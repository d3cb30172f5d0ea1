"""The state of this service for operators: readiness of its parts, notes, gauges."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from issuer.ecertificates.sql import backlog
from trust.app.compose import Service
from trust.model.seal import SealState
from trust.storage.tables import to_micros
from trust.web.health import Health
from trust.web.lanes import Lanes
from trust.web.metrics import MEDIA_TYPE, Metrics

_LEAST_FREE = 64 * 1024 * 1024
"""The service is not ready with fewer free bytes on the disk of the data folder."""


def health_of(service: Service, metrics: Metrics, lanes: Lanes) -> Health:
    data = service.settings.data
    return Health(
        parts={
            "database": lambda: service.authorities.list() is not None,
            "register": lambda: not _edited_rows(service) and service.guard.lost_entry is None,
            "disk": lambda: shutil.disk_usage(data).free >= _LEAST_FREE,
            "seals": lambda: _has_seals_in_term(service),
            "keys": lambda: service.pki.service_keys.active("present"),
            "ledger": lambda: service.log.halted is None and service.log.checkpoint().size >= 2,
            "trust_list": lambda: service.publishing.trust_list(service.clock.now()),
        },
        notes=lambda: [] if service.is_copy_noticed else ["COPY_NOT_NOTICED"],
        metrics=lambda: (metrics.text(lambda: _gauges(service, lanes)), MEDIA_TYPE),
        token=service.settings.metrics_token,
    )


def _edited_rows(service: Service) -> int:
    checking = service.keeper.checking
    return len(checking.findings) if checking is not None else 0


def _gauges(service: Service, lanes: Lanes) -> dict[str, float | Mapping[tuple[tuple[str, str], ...], float]]:
    gauges: dict[str, float | Mapping[tuple[tuple[str, str], ...], float]] = {
        "ecert_ledger_size": float(service.log.checkpoint().size),
        "ecert_ledger_halted": float(service.log.halted is not None),
        "ecert_ledger_scrubbed_entries": float(service.keeper.scrubbing.entries),
        "ecert_register_edited_rows": float(_edited_rows(service)),
        "ecert_disk_free_bytes": float(shutil.disk_usage(service.settings.data).free),
        **_backlog(service),
        "ecert_lane_inside": lanes.inside(),
    }
    if (witnessing := service.keeper.witnessing) is not None:
        quorum_at = witnessing.quorum_at
        gauges["ecert_ledger_quorum_time_seconds"] = quorum_at.timestamp() if quorum_at else 0.0
    return gauges


def _backlog(service: Service) -> dict[str, float]:
    at = to_micros(service.clock.now())
    with service.database.read() as connection:
        unfinished, due = backlog(connection, at)
    return {"ecert_unfinished_drafts": float(unfinished), "ecert_archive_due": float(due)}


def _has_seals_in_term(service: Service) -> bool:
    """True if every authority with active seals has one inside its term."""
    at = service.clock.now()
    active: dict[str, bool] = {}
    for seal in service.seals.registry.list():
        if seal.state is SealState.ACTIVE:
            in_term = seal.not_before <= at <= seal.not_after
            active[seal.authority_id] = active.get(seal.authority_id, False) or in_term
    return all(active.values())
