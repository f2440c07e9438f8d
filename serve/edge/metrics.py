"""Figures for operators, of all processes of the service together, in the words of Prometheus.

Each process counts for itself and writes what it counted into a file of its own, a second after something changed. Who
is asked for the figures reads the files and adds them up. The files of processes that have ended stay until the service
does, so that no counter goes back.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import orjson
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

FOLDER = "metrics"
"""The name of the folder in the data folder."""
METRICS_VARIABLE = "RAPPORT_PROXY_METRICS"
"""Where the HTTP proxy finds that folder."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WRITE_SECONDS = 1.0
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)

REGISTRY = CollectorRegistry()
"""What this process has counted."""
REQUESTS = Counter(
    "rapport_requests", "Requests answered by the API.", ("method", "route", "status"), registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "rapport_request_seconds", "From a request to its answer.", ("route",), buckets=_SECONDS, registry=REGISTRY
)
REFUSALS = Counter(
    "rapport_refusals", "Requests refused, by kind and by the limit that was exceeded.", ("kind", "limit"),
    registry=REGISTRY,
)  # fmt: skip
MESSAGES = Counter("rapport_messages", "Messages labelled.", ("model", "through"), registry=REGISTRY)
QUESTIONS = Counter("rapport_questions", "Questions about pictures answered.", registry=REGISTRY)
BATCH_MESSAGES = Histogram(
    "rapport_batch_messages", "Messages that one call labels together.", buckets=_SIZES, registry=REGISTRY
)
QUEUE_SECONDS = Histogram(
    "rapport_queue_seconds", "How long a request waited for its call.", buckets=_SECONDS, registry=REGISTRY
)
RECORDED_SECONDS = Counter(
    "rapport_recorded_seconds", "Sound that was listened to.", ("recogniser",), registry=REGISTRY
)
CALLBACKS = Counter(
    "rapport_callbacks", "Calls to say that a batch has ended, by what came of them.", ("state",), registry=REGISTRY
)
MODEL_SECONDS = Histogram("rapport_model_seconds", "One call of a model.", buckets=_SECONDS, registry=REGISTRY)


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """One request that was answered. A method or a route that nobody knows has no row of its own: anybody could make
    as many as he likes."""
    known = method if method in _METHODS else "other"
    REQUESTS.labels(known, route or "", status).inc()
    REQUEST_SECONDS.labels(route or "").observe(seconds)


class Caches(Collector):
    """What the caches of this process found and did not, as they say it when they are asked: (hits, misses) by name."""

    def __init__(self, cached: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        self._cached = cached

    def collect(self) -> Iterable[Metric]:
        """For a registry."""
        hits = CounterMetricFamily("rapport_cache_hits", "What was asked of a cache and there.", labels=("cache",))
        misses = CounterMetricFamily("rapport_cache_misses", "The same that was not there.", labels=("cache",))
        for name, (found, missing) in self._cached().items():
            hits.add_metric((name,), found)
            misses.add_metric((name,), missing)
        return [hits, misses]


class Written:
    """The figures of this process in a file, written anew while it lives. One a process is enough."""

    _begun = threading.Lock()

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{os.getpid()}.json"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._last = b""
        self._writing = threading.Lock()
        threading.Thread(target=self._go_on, name="metrics", daemon=True).start()

    @classmethod
    def begin(cls, folder: Path) -> None:
        """To be called by every process that counts; a second call in one process does nothing."""
        if cls._begun.acquire(blocking=False):
            cls(folder)

    def _go_on(self) -> None:
        pause = threading.Event()
        while True:
            with contextlib.suppress(OSError):  # a full disk must not end the counting
                self.write()
            pause.wait(_WRITE_SECONDS)

    def write(self) -> None:
        """What has been counted so far, if it has changed."""
        with self._writing:
            data = orjson.dumps(list(_plain(REGISTRY.collect())))
            if data != self._last:
                fresh = self._file.with_suffix(".new")
                fresh.write_bytes(data)
                fresh.replace(self._file)
                self._last = data


def told(folder: Path | None, gauges: Mapping[str, tuple[str, str, Mapping[str, float]]]) -> bytes:
    """The page of figures: of this process as it is now, and of the others as they wrote them.

    gauges are further ones by name: (what it is, the label's name, value by label); one without a label has no name.
    """
    parts = [_plain(REGISTRY.collect())]
    for file in sorted(folder.glob("*.json")) if folder is not None else ():
        if file.stem != str(os.getpid()):
            with contextlib.suppress(OSError, orjson.JSONDecodeError):
                parts.append(iter(orjson.loads(file.read_bytes())))
    registry = CollectorRegistry()
    registry.register(_Sums(parts, gauges))
    return generate_latest(registry)


def forget(folder: Path) -> None:
    """Removes the files of a service that has ended."""
    for file in folder.glob("*.json"):
        file.unlink(missing_ok=True)


Plain = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]
"""name, kind, what it is, samples: (name, labels, value)."""


def _plain(metrics: Iterable[Metric]) -> Iterator[Plain]:
    for metric in metrics:
        samples = [(s.name, dict(s.labels), s.value) for s in metric.samples if not s.name.endswith("_created")]
        yield metric.name, metric.type, metric.documentation, samples


class _Sums(Collector):
    """The figures of several processes added up."""

    def __init__(
        self, parts: Iterable[Iterator[Plain]], gauges: Mapping[str, tuple[str, str, Mapping[str, float]]]
    ) -> None:
        self._found: dict[str, Metric] = {}
        sums: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
        for part in parts:
            for name, kind, what, samples in part:
                self._found.setdefault(name, Metric(name, what, kind))
                for sample, labels, value in samples:
                    key = name, sample, tuple(labels.items())
                    sums[key] = sums.get(key, 0.0) + value
        for (name, sample, labels_of), value in sums.items():
            self._found[name].add_sample(sample, dict(labels_of), value)
        for name, (what, label, values) in gauges.items():
            self._found[name] = Metric(name, what, "gauge")
            for value_of, value in values.items():
                self._found[name].add_sample(name, {label: value_of} if label else {}, value)

    def collect(self) -> Iterable[Metric]:
        return self._found.values()
