"""Background tasks go on whatever happens."""

import asyncio
import io
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.house import settings_in
from vigie.core.errors import IssuerUnavailable
from vigie.identity.federation.tokens import FederatedTokens
from vigie.observability.access_log import AccessLog
from vigie.observability.event_log import logging_to
from vigie.observability.log_writer import LogWriter, written_log
from vigie.runtime.background_tasks import background_tasks
from vigie.runtime.clock import now
from vigie.runtime.container import build_components
from vigie.runtime.installation import opened


class Overrun(FederatedTokens):
    """Issuers whose keys so many wait for that there is no place left."""

    def __init__(self) -> None:
        self.asked = 0
        self.asked_twice = asyncio.Event()

    async def refresh(self) -> None:
        """Refuse, as the keys of an issuer do then."""
        self.asked += 1
        if self.asked > 1:
            self.asked_twice.set()
        raise IssuerUnavailable("100 requests wait for its keys", retry_after_seconds=5)


def test_issuers_are_asked_again_after_one_could_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigie.identity.federation.jwks_cache.FETCH_EVERY_SECONDS", 0.01)

    written = io.BytesIO()

    async def until_asked_twice() -> None:
        overrun = Overrun()
        async with opened(settings_in(tmp_path), create=True) as installation:
            parts = await build_components(
                installation, "http://localhost", AccessLog(LogWriter(io.BytesIO()), enabled=False)
            )
            async with background_tasks(installation, replace(parts, federated=overrun), None, now):
                await asyncio.wait_for(overrun.asked_twice.wait(), timeout=10)

    with written_log(written) as writer, logging_to(writer, "warning"):
        asyncio.run(until_asked_twice())

    assert b"issuer_unreachable" in written.getvalue()
