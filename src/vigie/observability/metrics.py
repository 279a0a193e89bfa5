"""The metrics of a server, in the form of Prometheus. Every label comes from a closed set."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from vigie.core.webhooks import Outcome

if TYPE_CHECKING:
    from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

OTHER = "other"
"""The label of whatever is not in the set that a family was built with."""

TOKEN_LOOKUPS = ("hit", "miss")
SIGN_IN_STEPS = ("signed_in", "refused", "busy", "allowed", "denied")
ISSUER_FETCHES = ("fetched", "failed")
STORE_READS = ("primary", "standby")
WEBHOOK_DELIVERIES = tuple(outcome.value for outcome in Outcome)

REQUEST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STORE_SECONDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, *REQUEST_SECONDS)

# Not of a version that the library does not write.
_OPENMETRICS = re.compile(r"application/openmetrics-text\b(?![^,]*version=(?!1\.))")
_NAME = re.compile(r"vigie_[a-z0-9_]*[a-z0-9]")


class Form(Enum):
    """How metrics are written, by content type. Two and no more, for each is rendered and kept."""

    PLAIN = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def form_for(accept: str | None) -> Form:
    """OpenMetrics where `accept` names it, or Prometheus text."""
    return Form.OPENMETRICS if _OPENMETRICS.search(accept or "") else Form.PLAIN


class Counts:
    """One counter for each name of a closed set, and one for all others."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._counts = dict.fromkeys((*names, OTHER), 0)

    def declare(self, names: Iterable[str]) -> None:
        """Count these by their names from now on: before the first request."""
        for name in names:
            self._counts.setdefault(name, 0)

    # No lock here nor in Histogram: CPython lets no other thread in between the reading and the writing of
    # `+=` on a dict or list it knows. The test with many threads would notice if that changed.
    def count(self, name: str) -> None:
        """Count one."""
        self._counts[name if name in self._counts else OTHER] += 1

    def items(self) -> list[tuple[str, int]]:
        """Every name with its count, also those still at zero."""
        return list(self._counts.items())


class Histogram:
    """How many durations fell under each of some bounds, and their sum."""

    __slots__ = ("_bounds", "_counts", "_total_seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; a bound counts as below itself."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total_seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound as Prometheus writes it, with the number of durations up to it."""
        bounds = (*map(str, self._bounds), "+Inf")
        return list(zip(bounds, accumulate(self._counts), strict=True))

    @property
    def total_seconds(self) -> float:
        """All durations together."""
        return self._total_seconds


class Metrics:
    """All counters of one process. Counting is cheap and safe from any thread; rendering takes milliseconds.

    The sets of names are the labels that may appear, and each API declares its own; what is not among them is
    counted as `other`, so that no request can make a new series.
    """

    def __init__(
        self,
        *,
        version: str,
        routes: Iterable[str],
        store_operations: Iterable[str],
        connection_refusals: Iterable[str],
    ) -> None:
        self._version = version
        self._request_seconds: dict[tuple[str, ...], Histogram] = {}
        self.declare_routes("", (*routes, OTHER))
        self._store_seconds = {name: Histogram(STORE_SECONDS) for name in (*store_operations, OTHER)}
        self._answers: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._counters: dict[str, tuple[str, Callable[[], float]]] = {}
        self.quota_refusals = Counts()
        self.connection_refusals = Counts(connection_refusals)
        self.token_requests = Counts()
        self.token_cache = Counts(TOKEN_LOOKUPS)
        self.sign_ins = Counts(SIGN_IN_STEPS)
        self.issuer_fetches = Counts(ISSUER_FETCHES)
        self.store_reads = Counts(STORE_READS)
        self.webhook_deliveries = Counts(WEBHOOK_DELIVERIES)

    def declare_routes(self, api: str, routes: Iterable[str]) -> None:
        """Measure these templates of an API by their names from now on: before the first request."""
        for route in routes:
            self._request_seconds.setdefault((api, route), Histogram(REQUEST_SECONDS))

    def observe_request(self, api: str | None, route: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is the template, never the path; `api` is None for a path of no API."""
        api = api or ""
        durations = self._request_seconds.get((api, route))
        if durations is None:
            api, route = "", OTHER
            durations = self._request_seconds["", OTHER]
        durations.observe(seconds)
        self._answers[api, route, status] += 1

    def observe_store(self, operation: str, seconds: float) -> None:
        """Count what the database did once, under the name of the operation."""
        (self._store_seconds.get(operation) or self._store_seconds[OTHER]).observe(seconds)

    def request_observer(self, api: str, route: str, status: int) -> Callable[[float], None]:
        """`observe_request` for answers that are alike; cheaper, as nothing is looked up."""
        self.declare_routes(api, [route])
        observe, answers, answer = (
            self._request_seconds[api, route].observe,
            self._answers,
            (api, route, status),
        )

        def observe_request(seconds: float) -> None:
            observe(seconds)
            answers[answer] += 1

        return observe_request

    def store_observer(self, operation: str) -> Callable[[float], None]:
        """`observe_store` for one operation."""
        return self._store_seconds[operation].observe

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a value that is read when somebody asks for the metrics, in the thread that renders them.

        `read` must not fail: if it does, there are no metrics at all.
        """
        self._gauges[self._new_name(name)] = documentation, read

    def counter(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a value like `gauge` does, for one that only grows; the name ends in `_total`."""
        if not name.endswith("_total"):
            raise ValueError(f"A counter's name ends in _total; it was {name!r}.")
        self._counters[self._new_name(name)] = documentation, read

    def render(self, form: Form = Form.PLAIN) -> bytes:
        """All metrics as text. For a worker thread, not the event loop."""
        # Imported here: it brings http.server, ssl and wsgiref with it, 45 ms of every start.
        from prometheus_client import CollectorRegistry, ProcessCollector, exposition
        from prometheus_client.openmetrics import exposition as openmetrics

        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        if form is Form.OPENMETRICS:
            return cast("bytes", openmetrics.generate_latest(registry))  # type: ignore[no-untyped-call]
        return exposition.generate_latest(registry)

    def collect(self) -> Iterator["Metric"]:
        """The families as prometheus_client wants them of a collector."""
        from prometheus_client import metrics_core as families

        yield families.InfoMetricFamily("vigie_build", "The release.", value={"version": self._version})
        answers = families.CounterMetricFamily(
            "vigie_http_requests_total", "Requests answered.", labels=("api", "route", "status")
        )
        # A copy in one step: the walk may be interrupted by a thread that counts a status for the first time.
        for (api, route, status), count in dict(self._answers).items():
            answers.add_metric((api, route, str(status)), count)
        yield answers
        yield _with_durations(
            families.HistogramMetricFamily(
                "vigie_http_request_duration_seconds", "How long answers took.", labels=("api", "route")
            ),
            self._request_seconds,
        )
        yield _with_durations(
            families.HistogramMetricFamily(
                "vigie_store_seconds", "How long the database took.", labels=("operation",)
            ),
            {(operation,): each for operation, each in self._store_seconds.items()},
        )
        for name, documentation, label, counts in self._counts():
            counter = families.CounterMetricFamily(name, documentation, labels=(label,))
            yield _with_counts(counter, counts)
        for name, (documentation, read) in self._gauges.items():
            yield families.GaugeMetricFamily(name, documentation, value=read())
        for name, (documentation, read) in self._counters.items():
            yield families.CounterMetricFamily(name, documentation, value=read())

    def _counts(self) -> Iterator[tuple[str, str, str, Iterable[tuple[str, int]]]]:
        yield "vigie_quota_refusals_total", "Calls over a quota.", "quota", self.quota_refusals.items()
        yield "vigie_token_cache_total", "Tokens looked up.", "result", self.token_cache.items()
        yield "vigie_sign_ins_total", "Steps of people who sign in.", "step", self.sign_ins.items()
        yield "vigie_token_requests_total", "Tokens asked for.", "outcome", self.token_requests.items()
        yield "vigie_issuer_fetches_total", "Keys of other issuers.", "outcome", self.issuer_fetches.items()
        yield "vigie_store_reads_total", "Reads of incidents.", "place", self.store_reads.items()
        yield (
            "vigie_webhook_deliveries_total",
            "Attempts at deliveries.",
            "outcome",
            self.webhook_deliveries.items(),
        )
        yield (
            "vigie_connections_refused_total",
            "Connections closed on a limit.",
            "reason",
            self.connection_refusals.items(),
        )

    def _new_name(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"A metric's name looks like vigie_log_lines_waiting; it was {name!r}.")
        if name in self._gauges or name in self._counters:
            raise ValueError(f"There is already a metric {name!r}.")
        return name


def _with_durations(
    family: "HistogramMetricFamily", histograms: Mapping[tuple[str, ...], Histogram]
) -> "HistogramMetricFamily":
    for labels, histogram in histograms.items():
        family.add_metric(labels, histogram.buckets(), histogram.total_seconds)
    return family


def _with_counts(family: "CounterMetricFamily", counts: Iterable[tuple[str, int]]) -> "CounterMetricFamily":
    for label, count in counts:
        family.add_metric((label,), count)
    return family
