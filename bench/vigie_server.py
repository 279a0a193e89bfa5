"""Vigie as it is served: the real program, quotas high but enforced, its log in a file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.processes import Server, free_port, running
from bench.stores import Store

QUOTA_CALLS = 50_000_000
"""So high that no run reaches it; each call is counted against both windows all the same."""


@contextmanager
def serving_store(
    store: Store, *, logs: bool = False, name: str = "vigie", environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """`vigie serve` on the servers' core, with request log or without."""
    port = free_port()
    calls = str(QUOTA_CALLS)
    settings = {
        f"VIGIE_QUOTAS_{kind}_PER_{window}": calls
        for kind in ("GET", "LIST", "UPDATE")
        for window in ("MINUTE", "HOUR")
    }
    settings |= store.environ
    settings["VIGIE_LOGGING_LEVEL"] = "info" if logs else "warning"
    command = [str(store.program.path), "serve", "--port", str(port), "--database", store.url]
    log = store.folder / f"{name}.log"
    try:
        with running(
            name,
            command,
            port,
            ready_path="/healthz",
            environ=settings | dict(environ or {}),
            log=log,
        ) as server:
            yield server
    finally:
        log.unlink(missing_ok=True)
