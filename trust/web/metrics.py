"""Counts of requests and verdicts, and gauges that are read when somebody asks, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Gauges = Callable[[], Mapping[str, float | Mapping[tuple[tuple[str, str], ...], float]]]
"""Values by name; for a gauge with labels, values by labels and theirs: {(("lane", "public"), …): 3.0}."""


class Metrics:
    """One for each application; several in one process count apart."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "ecert_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Counter(
            "ecert_http_seconds", "Time in which they were answered.", ("route",), registry=self._registry
        )
        self._verdicts = Counter(
            "ecert_verifications",
            "Objects that were verified, by kind, verdict and code.",
            ("method", "outcome", "code"),
            registry=self._registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request. `route` is the template, never the path: that may hold a secret."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).inc(seconds)

    def verdict(self, kind: str, outcome: str, code: str) -> None:
        self._verdicts.labels(kind, outcome, code).inc()

    def text(self, gauges: Gauges) -> str:
        """What is counted, and the gauges as they are now."""
        asked = CollectorRegistry()
        asked.register(_Asked(gauges))
        # `_created` tells when a counter was begun, which is when the process started, once for each pair of labels.
        counted = [
            line for line in generate_latest(self._registry).decode().splitlines() if "_created" not in line
        ]
        return "\n".join([*counted, generate_latest(asked).decode()])


class _Asked(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        for name, value in sorted(self._gauges().items()):
            if not isinstance(value, Mapping):
                yield GaugeMetricFamily(name, "", value=value)
                continue
            labels = [label for label, _ in next(iter(value), ())]
            family = GaugeMetricFamily(name, "", labels=labels)
            for pairs, number in value.items():
                family.add_metric([each for _, each in pairs], number)
            yield family
