"""The state of this service for operators: readiness of its parts, notes, gauges."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from issuer.ecertificates.sql import backlog
from trust.app.compose import Site
from trust.model.seal import SealState
from trust.storage.tables import to_micros
from trust.web.health import Health
from trust.web.lanes import Lanes
from trust.web.metrics import MEDIA_TYPE, Metrics

_LEAST_FREE = 64 * 1024 * 1024
"""The service is not ready with fewer free bytes on the disk of the data folder or of the files."""


def health_of(site: Site, metrics: Metrics, lanes: Lanes) -> Health:
    return Health(
        parts={
            "database": lambda: site.issuer.authorities.list() is not None,
            "register": lambda: not _edited_rows(site) and site.register.guard.lost_entry is None,
            "disk": lambda: _free(site) >= _LEAST_FREE,
            "documents": site.issuer.issuing.documents.objects.is_there,
            "seals": lambda: _has_seals_in_term(site),
            "keys": lambda: site.issuer.pki.service_keys.active("present"),
            "ledger": lambda: site.ledger.log.halted is None and site.ledger.log.checkpoint().size >= 2,
            "trust_list": lambda: site.issuer.publishing.trust_list(site.clock.now()),
        },
        notes=lambda: [] if site.is_copy_noticed else ["COPY_NOT_NOTICED"],
        metrics=lambda: (metrics.text(lambda: _gauges(site, lanes)), MEDIA_TYPE),
        token=site.settings.metrics_token,
    )


def _free(site: Site) -> int:
    """Free bytes where there are fewest: on the disk of the data folder or on that of the files."""
    folders = (site.settings.data, site.settings.documents_folder)
    return min(shutil.disk_usage(folder).free for folder in folders if folder.is_dir())


def _edited_rows(site: Site) -> int:
    checking = site.keeper.checking
    return len(checking.findings) if checking is not None else 0


def _gauges(site: Site, lanes: Lanes) -> dict[str, float | Mapping[tuple[tuple[str, str], ...], float]]:
    gauges: dict[str, float | Mapping[tuple[tuple[str, str], ...], float]] = {
        "ecert_ledger_size": float(site.ledger.log.checkpoint().size),
        "ecert_ledger_halted": float(site.ledger.log.halted is not None),
        "ecert_ledger_scrubbed_entries": float(site.keeper.scrubbing.entries),
        "ecert_register_edited_rows": float(_edited_rows(site)),
        "ecert_disk_free_bytes": float(_free(site)),
        **_backlog(site),
        "ecert_lane_inside": lanes.inside(),
    }
    if (witnessing := site.keeper.witnessing) is not None:
        quorum_at = witnessing.quorum_at
        gauges["ecert_ledger_quorum_time_seconds"] = quorum_at.timestamp() if quorum_at else 0.0
    return gauges


def _backlog(site: Site) -> dict[str, float]:
    at = to_micros(site.clock.now())
    with site.stores.register.read() as connection:
        unfinished, due = backlog(connection, at)
    return {"ecert_unfinished_drafts": float(unfinished), "ecert_archive_due": float(due)}


def _has_seals_in_term(site: Site) -> bool:
    """True if every authority with active seals has one inside its term."""
    at = site.clock.now()
    active: dict[str, bool] = {}
    for seal in site.issuer.seals.registry.list():
        if seal.state is SealState.ACTIVE:
            in_term = seal.not_before <= at <= seal.not_after
            active[seal.authority_id] = active.get(seal.authority_id, False) or in_term
    return all(active.values())
