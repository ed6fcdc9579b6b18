"""What Prometheus is told: memory by device and role, loads, waits, how long answers took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ullage.runtime.reading import resident_bytes

if TYPE_CHECKING:
    from ullage.runtime.pool import Pool
    from ullage.serving.queue import Queue

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "ullage_requests", "Requests by path and status.", ("path", "status"), registry=self.registry
        )
        self._waits = Histogram(
            "ullage_wait_seconds",
            "From a request to its answer's begin.",
            ("role",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._firsts = Histogram(
            "ullage_first_token_seconds",
            "From a request to its first token, of streams.",
            ("role",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ullage_answer_seconds",
            "From a request to its answer's end.",
            ("role",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._tokens = Counter(
            "ullage_tokens", "Tokens read and written.", ("role", "direction"), registry=self.registry
        )

    def requested(self, path: str, status: int) -> None:
        """A request has been answered."""
        self._requests.labels(path, str(status)).inc()

    def waited(self, role: str, seconds: float) -> None:
        """A request has begun to be answered."""
        self._waits.labels(role).observe(seconds)

    def first(self, role: str, seconds: float) -> None:
        """A stream has its first token."""
        self._firsts.labels(role).observe(seconds)

    def answered(self, role: str, seconds: float, read: int, written: int) -> None:
        """An answer is whole."""
        self._seconds.labels(role).observe(seconds)
        self._tokens.labels(role, "read").inc(read)
        self._tokens.labels(role, "written").inc(written)

    def watch(self, pool: Pool, queue: Queue) -> None:
        """From now on what is told holds these as they are when it is asked for."""
        self.registry.register(_Seen(pool, queue))

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Seen(Collector):
    def __init__(self, pool: Pool, queue: Queue) -> None:
        self._pool, self._queue = pool, queue

    def collect(self) -> Iterator[Metric]:
        """The pool and the queue, now."""
        seen = self._pool.snapshot()
        used = GaugeMetricFamily("ullage_memory_used_bytes", "Taken or spoken for.", labels=["place"])
        budget = GaugeMetricFamily("ullage_memory_budget_bytes", "What may be taken.", labels=["place"])
        for place in seen.places:
            used.add_metric([place.place], place.used)
            budget.add_metric([place.place], place.budget)
        held = GaugeMetricFamily("ullage_role_bytes", "A role's weights.", labels=["role", "place"])
        where = GaugeMetricFamily("ullage_role_where", "1 where a role is.", labels=["role", "where"])
        leases = GaugeMetricFamily("ullage_role_leases", "Loans that run.", labels=["role"])
        loads = CounterMetricFamily("ullage_role_loads", "Times it was brought.", labels=["role"])
        for role in seen.roles:
            for name, size in role.bytes.items():
                held.add_metric([role.name, name], size)
            where.add_metric([role.name, role.where], 1)
            leases.add_metric([role.name], role.leases)
            loads.add_metric([role.name], role.loads)
        yield from (used, budget, held, where, leases, loads)
        yield CounterMetricFamily("ullage_load_failures", "Loads that failed.", value=seen.failures)
        yield GaugeMetricFamily("ullage_waiting", "Requests that wait.", value=self._queue.waiting)
        yield GaugeMetricFamily("ullage_answering", "Requests being answered.", value=self._queue.answering)
        yield GaugeMetricFamily("ullage_process_bytes", "Of this process.", value=resident_bytes())
