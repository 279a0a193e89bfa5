"""Fixtures of every test, and the profile of property tests."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from tests.support import needs, stores
from tests.support.chromium import Chromium
from tests.support.house import House, RunningHouse
from tests.support.postgres_server import PostgresServer
from tests.support.skips import (
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from tests.support.valkey import RunningValkey
from vigie.config.settings import ServerSettings

__all__ = ["pytest_runtest_logreport", "pytest_sessionfinish", "pytest_terminal_summary"]

# A shared machine stops now and then: how long an example takes, or takes to make, says nothing.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Whatever stands on a store is given one."""
    if isinstance(collector, pytest.Module) and stores.kinds_for(collector.obj):
        collector.add_marker(pytest.mark.usefixtures("store"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever stands on a store is run on every store that can tell something of its own."""
    if kinds := stores.kinds_for(metafunc.module):
        if metafunc.definition.get_closest_marker("sqlite_alone"):
            kinds = ("sqlite",)
        metafunc.parametrize("store", kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test says what it needs."""
    for item in items:
        needs.mark(item)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A program that is not there is no fault of the test."""
    needs.skip_without_programs(item)


def pytest_unconfigure() -> None:
    """Stop what was started for the tests."""
    stores.stop_servers()


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> Iterator[stores.Kind]:
    """The kind of store that houses stand on."""
    kind: stores.Kind = getattr(request, "param", "sqlite")
    with stores.store_of_tests(kind):
        yield kind


@pytest.fixture(scope="session")
def running_house(store: stores.Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """One server for all tests of this process; its clock is the wall's and its settings are the defaults."""
    with RunningHouse(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def house(running_house: RunningHouse) -> House:
    """A tenant of its own in the running house: tests do not meet."""
    return House(running_house)


@pytest.fixture(scope="session")
def house_behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """One that believes what a proxy on this machine says, so that it can be told that it is called by HTTPS."""
    server = ServerSettings(port=0, trusted_proxies=("127.0.0.0/8",))
    with RunningHouse(tmp_path_factory.mktemp("proxied"), server=server) as running:
        yield running


@pytest.fixture
def behind_proxy(house_behind_proxy: RunningHouse) -> House:
    """A tenant of its own there."""
    return House(house_behind_proxy)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests of this process; each test gets a page in a browser that knows nothing."""
    with Chromium() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """One server for all tests of this process."""
    return stores.the_postgres_server()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningValkey]:
    """One server for all tests of a module."""
    with RunningValkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture(scope="module")
def client(valkey: RunningValkey) -> Iterator[Redis]:
    """The library's own client of it."""
    with valkey.client() as client:
        yield client
