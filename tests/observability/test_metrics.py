"""The metrics: counts are right, labels come from closed sets, and both text formats can be read."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import pytest
from prometheus_client import CollectorRegistry, generate_latest, parser
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from tests.support.house import Clock, RunningHouse
from tests.support.valkey import free_port
from vigie.config.settings import MetricsSettings
from vigie.observability.metrics import (
    ISSUER_FETCHES,
    OTHER,
    REQUEST_SECONDS,
    SIGN_IN_STEPS,
    STORE_READS,
    STORE_SECONDS,
    WEBHOOK_DELIVERIES,
    Form,
    Metrics,
    form_for,
)
from vigie.observability.metrics_cache import MetricsCache

ROUTES = ("/api/incidents", "/api/incidents/{incident_id}")
QUOTAS = ("get_incident", "list_incidents")
OPERATIONS = ("find_incident", "list_incidents")
REASONS = ("head-too-long", "full")
OUTCOMES = ("issued", "refused")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class CountingMetrics(Metrics):
    """Knows how often it was rendered, and how often at once at most."""

    renderings = at_once = at_once_max = 0

    def render(self, form: Form = Form.PLAIN) -> bytes:
        self.renderings += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        body = super().render(form)
        self.at_once -= 1
        return body


@pytest.fixture
def metrics() -> CountingMetrics:
    metrics = CountingMetrics(
        version="1.2.3",
        routes=ROUTES[:1],
        store_operations=OPERATIONS,
        connection_refusals=REASONS,
    )
    metrics.quota_refusals.declare(QUOTAS)
    metrics.token_requests.declare(OUTCOMES)
    metrics.declare_routes("incidents", ROUTES[1:])
    return metrics


def api_of(route: str) -> str | None:
    return "incidents" if route in ROUTES[1:] else None


def families_in(text: bytes) -> Iterable[Metric]:
    return parser.text_string_to_metric_families(text.decode())


def samples_in(text: bytes) -> Samples:
    return {
        # An empty label is none.
        (sample.name, frozenset((label, name) for label, name in sample.labels.items() if name)): sample.value
        for family in families_in(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    body = metrics.render()
    return samples_in(body)[name, frozenset(labels.items())]


def everything_counted(metrics: Metrics) -> None:
    """Count something of each kind, known and unknown."""
    for route in (*ROUTES, "/api/incidents/924565"):
        metrics.observe_request(api_of(route), route, 200, 0.0001)
        metrics.observe_request(api_of(route), route, 404, 0.2)
    for operation in (*OPERATIONS, "select 1"):
        metrics.observe_store(operation, 0.000007)
    for name in (*QUOTAS, "3fa85f64-5717-4562-b3fc-2c963f66afa6"):
        metrics.quota_refusals.count(name)
    for name in (*REASONS, "192.0.2.7"):
        metrics.connection_refusals.count(name)
    for name in (*OUTCOMES, "jane@contoso.com"):
        metrics.token_requests.count(name)
    for outcome in ISSUER_FETCHES:
        metrics.issuer_fetches.count(outcome)
    for outcome in WEBHOOK_DELIVERIES:
        metrics.webhook_deliveries.count(outcome)
    for result in ["hit"] * 5 + ["miss"] * 2:
        metrics.token_cache.count(result)
    for step in (*SIGN_IN_STEPS, "jane@contoso.com"):
        metrics.sign_ins.count(step)


# Counting


def test_answers_are_counted_by_route_and_status(metrics: Metrics) -> None:
    for status in (200, 200, 200, 404, 429):
        metrics.observe_request(None, "/api/incidents", status, 0.001)

    counted = [
        value(metrics, "vigie_http_requests_total", route="/api/incidents", status=status)
        for status in ("200", "404", "429")
    ]
    assert counted == [3, 1, 1]


def test_a_route_of_two_apis_is_counted_for_each(metrics: Metrics) -> None:
    metrics.declare_routes("incidents", ["unmatched"])
    metrics.declare_routes("alerts", ["unmatched"])

    for api in ("incidents", "incidents", "alerts"):
        metrics.observe_request(api, "unmatched", 404, 0.001)

    for api, count in (("incidents", 2), ("alerts", 1)):
        labels = {"api": api, "route": "unmatched"}
        assert value(metrics, "vigie_http_requests_total", **labels, status="404") == count
        assert value(metrics, "vigie_http_request_duration_seconds_count", **labels) == count


def test_the_other_counters_count(metrics: Metrics) -> None:
    everything_counted(metrics)
    metrics.quota_refusals.count("get_incident")

    assert value(metrics, "vigie_quota_refusals_total", quota="get_incident") == 2
    assert value(metrics, "vigie_token_cache_total", result="hit") == 5
    assert value(metrics, "vigie_token_cache_total", result="miss") == 2
    assert value(metrics, "vigie_connections_refused_total", reason="full") == 1
    assert value(metrics, "vigie_token_requests_total", outcome="issued") == 1


@pytest.mark.parametrize("bounds", [REQUEST_SECONDS, STORE_SECONDS])
def test_a_histogram_is_the_one_the_library_would_have_made(
    metrics: Metrics, bounds: tuple[float, ...]
) -> None:
    random = Random(1)
    durations = [*bounds, 0.0, 11.0, *(random.lognormvariate(-7, 2) for _ in range(1000))]
    registry = CollectorRegistry()
    name, label = "vigie_http_request_duration_seconds", "route"
    if bounds is STORE_SECONDS:
        name, label = "vigie_store_seconds", "operation"
    theirs = TheirHistogram(name, "…", [label], buckets=bounds, registry=registry)

    for seconds in durations:
        theirs.labels("list_incidents").observe(seconds)
        metrics.observe_request(None, ROUTES[0], 200, seconds)
        metrics.observe_store("list_incidents", seconds)

    ours = metrics.render().replace(ROUTES[0].encode(), b"list_incidents")
    found = samples_in(ours)
    expected = samples_in(generate_latest(registry))
    # When a series began is something only the library keeps.
    expected = {key: count for key, count in expected.items() if not key[0].endswith("_created")}
    assert {key: found[key] for key in expected} == expected


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_no_count_is_lost_between_threads(metrics: Metrics, impatient_threads: None) -> None:
    def count() -> None:
        for _ in range(20_000):
            metrics.observe_store("find_incident", 1.0)
            metrics.observe_request(None, "/api/incidents", 200, 1.0)
            metrics.quota_refusals.count("get_incident")

    _in_threads(count)

    assert value(metrics, "vigie_store_seconds_count", operation="find_incident") == 80_000
    assert value(metrics, "vigie_store_seconds_sum", operation="find_incident") == 80_000
    assert value(metrics, "vigie_http_requests_total", route="/api/incidents", status="200") == 80_000
    assert value(metrics, "vigie_quota_refusals_total", quota="get_incident") == 80_000


def test_metrics_can_be_read_while_they_are_counted(metrics: Metrics, impatient_threads: None) -> None:
    metrics.render()
    counted = threading.Event()

    def count() -> None:
        for status in range(3000):
            metrics.observe_request(None, "/api/incidents", status, 0.1)
        counted.set()

    thread = threading.Thread(target=count)
    thread.start()
    while not counted.is_set():
        list(metrics.collect())
    thread.join()

    assert value(metrics, "vigie_http_request_duration_seconds_count", route="/api/incidents") == 3000


# Labels


def test_every_label_comes_from_a_closed_set(metrics: Metrics) -> None:
    everything_counted(metrics)
    allowed = {
        "api": {"incidents"},
        "route": {*ROUTES, OTHER},
        "status": {"200", "404"},
        "quota": {*QUOTAS, OTHER},
        "operation": {*OPERATIONS, OTHER},
        "reason": {*REASONS, OTHER},
        "outcome": {*OUTCOMES, *ISSUER_FETCHES, *WEBHOOK_DELIVERIES, OTHER},
        "result": {"hit", "miss", "other"},
        "step": {*SIGN_IN_STEPS, OTHER},
        "place": {*STORE_READS, OTHER},
        "version": {"1.2.3"},
        "le": {*map(str, (*REQUEST_SECONDS, *STORE_SECONDS)), "+Inf"},
    }

    used: dict[str, set[str]] = {}
    for _, labels in samples_in(metrics.render()):
        for label, name in labels:
            used.setdefault(label, set()).add(name)

    assert used == allowed


def test_what_may_be_counted_is_there_from_the_start_as_zero(metrics: Metrics) -> None:
    assert value(metrics, "vigie_quota_refusals_total", quota="list_incidents") == 0
    assert value(metrics, "vigie_token_requests_total", outcome="refused") == 0
    assert value(metrics, "vigie_http_request_duration_seconds_count", route="/api/incidents") == 0


def test_an_unknown_name_is_counted_as_other(metrics: Metrics) -> None:
    everything_counted(metrics)

    assert value(metrics, "vigie_http_requests_total", route=OTHER, status="200") == 1
    assert value(metrics, "vigie_http_request_duration_seconds_count", route=OTHER) == 2
    assert value(metrics, "vigie_store_seconds_count", operation=OTHER) == 1
    assert value(metrics, "vigie_quota_refusals_total", quota=OTHER) == 1
    assert value(metrics, "vigie_connections_refused_total", reason=OTHER) == 1
    assert value(metrics, "vigie_token_requests_total", outcome=OTHER) == 1


# Values that others hand in


def test_gauges_and_counters_are_read_when_asked_for(metrics: Metrics) -> None:
    waiting = [3]
    metrics.gauge("vigie_log_lines_waiting", "Lines not yet written.", lambda: len(waiting))
    metrics.counter("vigie_log_lines_dropped_total", "Lines lost.", lambda: waiting[-1])
    waiting.append(4)

    assert value(metrics, "vigie_log_lines_waiting") == 2
    assert value(metrics, "vigie_log_lines_dropped_total") == 4


@pytest.mark.parametrize("name", ["log_lines", "vigie_Lines", "vigie_lines_", "vigie lines", "vigie_taken"])
def test_a_wrong_or_taken_name_is_refused(metrics: Metrics, name: str) -> None:
    metrics.gauge("vigie_taken", "…", float)

    with pytest.raises(ValueError, match=name):
        metrics.gauge(name, "…", float)


def test_a_counter_must_be_called_one(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="_total"):
        metrics.counter("vigie_log_lines_dropped", "…", float)


# Text


FAMILIES = {
    "vigie_build_info": "gauge",
    "vigie_http_requests": "counter",
    "vigie_http_request_duration_seconds": "histogram",
    "vigie_store_seconds": "histogram",
    "vigie_quota_refusals": "counter",
    "vigie_token_cache": "counter",
    "vigie_sign_ins": "counter",
    "vigie_token_requests": "counter",
    "vigie_issuer_fetches": "counter",
    "vigie_webhook_deliveries": "counter",
    "vigie_store_reads": "counter",
    "vigie_connections_refused": "counter",
    "process_virtual_memory_bytes": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_cpu_seconds": "counter",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
}


def test_the_prometheus_text_has_these_families_and_no_others(metrics: Metrics) -> None:
    everything_counted(metrics)

    body = metrics.render()

    assert {family.name: family.type for family in families_in(body)} == FAMILIES
    assert value(metrics, "vigie_build_info", version="1.2.3") == 1
    assert value(metrics, "process_resident_memory_bytes") > 1_000_000


def test_openmetrics_is_given_to_who_asks_for_it(metrics: Metrics) -> None:
    everything_counted(metrics)
    metrics.counter("vigie_log_lines_dropped_total", "Lines lost.", lambda: 1)

    body = metrics.render(Form.OPENMETRICS)

    assert body.endswith(b"# EOF\n")
    assert _openmetrics_names(body) == {*FAMILIES, "vigie_build", "vigie_log_lines_dropped"} - {
        "vigie_build_info"
    }


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=nonsense", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=0.0.1, */*", "text/plain; version=0.0.4; charset=utf-8"),
        # What Prometheus 3 sends.
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
def test_the_form_follows_the_accept_header(accept: str, answered: str) -> None:
    assert form_for(accept).value == answered


def test_the_library_is_not_imported_before_somebody_asks() -> None:
    script = "import sys, vigie.observability.metrics; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


# Sharing


def test_all_who_ask_within_a_second_are_answered_by_one_rendering(metrics: CountingMetrics) -> None:
    clock = Clock()
    metrics_cache = MetricsCache(metrics, steady_clock=clock.now)

    async def ask() -> set[bytes]:
        asked = await asyncio.gather(*(metrics_cache.body(Form.PLAIN) for _ in range(50)))
        clock.forward(seconds=0.9)
        return {*asked, await metrics_cache.body(Form.PLAIN)}

    assert len(asyncio.run(ask())) == metrics.renderings == 1


def test_what_is_older_than_a_second_is_rendered_anew(metrics: CountingMetrics) -> None:
    clock = Clock()
    metrics_cache = MetricsCache(metrics, steady_clock=clock.now)

    async def ask() -> bytes:
        await metrics_cache.body(Form.PLAIN)
        metrics.quota_refusals.count(QUOTAS[0])
        clock.forward(seconds=1)
        return await metrics_cache.body(Form.PLAIN)

    again = asyncio.run(ask())

    assert samples_in(again)["vigie_quota_refusals_total", frozenset({("quota", QUOTAS[0])})] == 1
    assert metrics.renderings == 2


@pytest.mark.parametrize("age_seconds_max", [0, 1])
def test_one_is_rendered_at_a_time_whatever_its_form(
    metrics: CountingMetrics, age_seconds_max: float
) -> None:
    metrics_cache = MetricsCache(metrics, steady_clock=Clock().now, age_seconds_max=age_seconds_max)

    async def ask() -> list[bytes]:
        return await asyncio.gather(*(metrics_cache.body(form) for form in (*Form, *Form)))

    plain, openmetrics, *_ = asyncio.run(ask())

    assert (plain == openmetrics, openmetrics.endswith(b"# EOF\n")) == (False, True)
    assert metrics.at_once_max == 1
    assert metrics.renderings == (2 if age_seconds_max else 4)


def test_a_server_shares_them_on_each_of_its_ports(tmp_path: Path) -> None:
    port = free_port()
    own_port = MetricsSettings(listen=f"127.0.0.1:{port}")
    with RunningHouse(tmp_path, answer_age_seconds_max=60) as main:
        on_main = {main.request("GET", "/metrics").body for _ in range(3)}
    with RunningHouse(tmp_path, answer_age_seconds_max=60, metrics=own_port) as apart:
        apart.url = f"http://127.0.0.1:{port}"
        on_its_own = {apart.request("GET", "/metrics").body for _ in range(3)}

    assert len(on_main) == len(on_its_own) == 1


def _openmetrics_names(body: bytes) -> set[str]:
    families: Iterator[Metric] = openmetrics_parser.text_string_to_metric_families(  # type: ignore[no-untyped-call]
        body.decode()
    )
    return {family.name for family in families}


def _in_threads(work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
