"""The serving process: its components built, started and stopped."""

import asyncio
import errno
import gc
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn

from vigie.api.defender.error_responses import ERROR_RESPONSES
from vigie.api.operations.handlers import MetricsApp
from vigie.config.settings import Settings
from vigie.core.errors import BadRequest
from vigie.http.exchange import UNMATCHED_ROUTE
from vigie.http.protocol import Limits, Reason, limited_protocol
from vigie.observability.access_log import AccessLog
from vigie.observability.cached_result import AGE_SECONDS_MAX
from vigie.observability.log_writer import LogWriter
from vigie.observability.metrics_cache import MetricsCache
from vigie.runtime.apis import APIS, ProfileBuilder
from vigie.runtime.background_tasks import background_tasks
from vigie.runtime.clock import now
from vigie.runtime.container import Components, build_components
from vigie.runtime.installation import Installation, public_url_of

if TYPE_CHECKING:
    from vigie.http.tls_listener import Spoken, TlsListener
    from vigie.runtime.tls_setup import Secured

_SWITCH_INTERVAL_SECONDS = 0.0005
# 32 updates at once are 1,750 objects: by Python's 700 all of them would be looked through 30 times in a thousand
# updates, and no garbage found.
_COLLECTED_FROM_OBJECTS = 5_000
_KEEP_ALIVE_SECONDS = 60
_BACKLOG = 2048
_FILES_BESIDE_CONNECTIONS = 100


class AddressUnavailable(Exception):
    """The server cannot listen at the address; the message is one line that says what to do."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A running server: its URL, how to stop it, and the task that ends when it has stopped.

    `secured` is None where it uses plain HTTP, `issuer` is empty where no tokens are issued.
    """

    url: str
    issuer: str
    secured: "Secured | None"
    stop: Callable[[], None]
    ended: asyncio.Task[None]


class Listeners(msgspec.Struct, frozen=True, kw_only=True):
    """The sockets of a server. `metrics` is None where /metrics has no address of its own."""

    main: socket.socket
    metrics: socket.socket | None


@contextmanager
def bound(settings: Settings) -> Iterator[Listeners]:
    """Listen at the addresses of the settings for as long as the block lasts. Raises AddressUnavailable.

    A command does this before it creates a database, so that a failed start leaves none behind. Raises
    SettingsError for settings that cannot be combined.
    """
    settings.check()
    with ExitStack() as stack:
        main = stack.enter_context(_bound(settings.server.host, settings.server.port, "--host", "--port"))
        metrics = None
        if address := settings.metrics.address:
            metrics = stack.enter_context(_bound(*address, "[metrics] listen", "[metrics] listen"))
        yield Listeners(main=main, metrics=metrics)


async def serve(
    installation: Installation, listeners: Listeners, writer: LogWriter, on_ready: Callable[[Serving], None]
) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are finished within `[server] drain_seconds`."""
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(_COLLECTED_FROM_OBJECTS)
    async with serving(installation, listeners, writer) as running:
        # Before it is said to be ready: a supervisor that hears that may stop it at once.
        stop_on_signals(running)
        on_ready(running)
        await running.ended


def stop_on_signals(running: Serving) -> None:
    """Let SIGTERM and SIGINT stop a server from now on."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.stop)


@asynccontextmanager
async def serving(
    installation: Installation,
    listeners: Listeners,
    writer: LogWriter,
    *,
    answer_age_seconds_max: float = AGE_SECONDS_MAX,
    apis: Iterable[ProfileBuilder] = APIS,
) -> AsyncIterator[Serving]:
    """Serve an installation for as long as the block lasts; `writer` takes the log."""
    settings = installation.settings
    _allow_open_files(settings.server.connections_max + _FILES_BESIDE_CONNECTIONS + _handshakes_max(settings))
    access_log = AccessLog(writer, enabled=settings.logging.level in ("debug", "info"))
    url = public_url_of(settings, listeners.main.getsockname()[1])
    secured = _secured(installation, url)
    components = await build_components(
        installation, url, access_log, answer_age_seconds_max=answer_age_seconds_max, apis=apis
    )
    async with (
        components.quota_store,
        background_tasks(installation, components, secured, now),
        _metrics_served(listeners.metrics, components.metrics_cache),
        _listening(_main_server(installation, components, secured, access_log), listeners.main) as (
            ended,
            stop,
        ),
    ):

        def stop_in_time() -> None:
            writer.end_within(settings.server.drain_seconds)
            stop()

        async with _file_checked(installation, stop_in_time):
            yield Serving(url=url, issuer=components.issuer, secured=secured, stop=stop_in_time, ended=ended)


@asynccontextmanager
async def _file_checked(installation: Installation, stop: Callable[[], None]) -> AsyncIterator[None]:
    """Look through the database file beside the first answers, and stop if it is damaged. Raises StoreError."""

    def stop_if_damaged(check: asyncio.Task[None]) -> None:
        if not check.cancelled() and check.exception() is not None:
            stop()

    check = asyncio.create_task(asyncio.to_thread(installation.check_whole))
    check.add_done_callback(stop_if_damaged)
    try:
        yield
    finally:
        await check


def _handshakes_max(settings: Settings) -> int:
    if not settings.tls.is_on:
        return 0
    # Here, because a server of plain HTTP does without all of this.
    from vigie.http.tls_listener import HANDSHAKES_MAX

    return HANDSHAKES_MAX


def _secured(installation: Installation, url: str) -> "Secured | None":
    if not installation.settings.tls.is_on:
        return None
    from vigie.runtime.tls_setup import secure

    return secure(installation.settings, url, now())


# Servers


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: it would end the process by the signal it was stopped with.

    Where a `tls_listener` is given, connections come through that, over TLS. `on_shutdown` is called when it begins
    to wait for requests in progress.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        tls_listener: "TlsListener | None" = None,
        on_shutdown: Iterable[Callable[[], None]] = (),
    ) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()
        self._tls_listener = tls_listener
        self._on_shutdown = tuple(on_shutdown)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn knows the TLS listener only as something to be closed at the end.
        await super().startup([] if self._tls_listener else sockets)
        if self._tls_listener and sockets:
            self._tls_listener.open(sockets[0], self._new_protocol, self.config.backlog)
            self.servers.append(self._tls_listener)  # type: ignore[arg-type]  # it has what is asked of it
        self.has_started.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for end_answers in self._on_shutdown:
            end_answers()
        await super().shutdown(sockets)

    def _new_protocol(self) -> "Spoken":
        return self.config.http_protocol_class(  # type: ignore[call-arg,return-value]  # as uvicorn calls ours
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _main_server(
    installation: Installation, components: Components, secured: "Secured | None", access_log: AccessLog
) -> _Server:
    server = installation.settings.server
    limits = Limits(
        head_seconds=server.head_seconds,
        body_seconds=server.body_seconds,
        write_seconds=server.write_seconds,
        connections_max=server.connections_max,
    )
    on_refused = components.metrics.connection_refusals.count
    protocol = components.connection_protocol(limits, on_refused)
    protocol.connections_open.on_answered = partial(_record_answer, access_log)
    config = _config(components.app, http=protocol, timeout_graceful_shutdown=server.drain_seconds)
    tls_listener = _build_tls_listener(secured, server.write_seconds, on_refused) if secured else None
    return _Server(config, tls_listener, components.on_shutdown)


def _record_answer(
    access_log: AccessLog, target: str, status: int, reason: Reason, address: str | None
) -> None:
    """Log the answer to a connection-level error, which the client may quote by its `target`."""
    access_log.record_connection(
        at=now(),
        request_id=target,
        route=UNMATCHED_ROUTE,
        status=status,
        remote=address,
        refusal=ERROR_RESPONSES[BadRequest].code,
        detail=reason.value,
    )


def _build_tls_listener(
    secured: "Secured", write_seconds: float, on_refused: Callable[[str], None]
) -> "TlsListener":
    from vigie.http.tls_listener import TlsListener, TlsListenerLimits

    return TlsListener(
        lambda: secured.live.context, TlsListenerLimits(close_seconds=write_seconds), on_refused
    )


def _config(app: Any, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        lifespan="off",
        ws="none",
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        **options,
    )


@asynccontextmanager
async def _listening(
    server: _Server, listener: socket.socket
) -> AsyncIterator[tuple[asyncio.Task[None], Callable[[], None]]]:
    def stop() -> None:
        server.should_exit = True

    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.has_started.wait()
    try:
        yield task, stop
    finally:
        stop()
        await task


@asynccontextmanager
async def _metrics_served(listener: socket.socket | None, metrics_cache: MetricsCache) -> AsyncIterator[None]:
    """A second server for /metrics alone, if it has an address of its own."""
    if listener is None:
        yield
        return
    config = _config(MetricsApp(metrics_cache), http=limited_protocol(Limits(connections_max=64)))
    async with _listening(_Server(config), listener):
        yield


def _bound(host: str, port: int, host_setting: str, port_setting: str) -> socket.socket:
    """A socket that listens at an address, closed by `with`. An error names one of the settings."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # Two that only bind may both have it. A client that calls from now on waits until the server is ready.
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        is_of_the_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        setting = host_setting if is_of_the_host else port_setting
        raise AddressUnavailable(
            f"cannot listen at {host} port {port}: {error.strerror}; choose another with {setting}"
        ) from error
    return listener


def _allow_open_files(count: int) -> None:
    """Raise the limit of open files to the number of connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
