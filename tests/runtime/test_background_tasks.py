"""Background tasks go on whatever happens."""

import asyncio
import io
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.builders import an_alert, an_audit_context, an_incident, to_json
from tests.support.database_access import below
from tests.support.house import settings_in
from vigie.application.alerts import AlertService
from vigie.core.errors import IssuerUnavailable
from vigie.documents.defender.reading import keep_incident, keep_single_alert
from vigie.identity.federation.tokens import FederatedTokens
from vigie.observability.access_log import AccessLog
from vigie.observability.event_log import logging_to
from vigie.observability.log_writer import LogWriter, written_log
from vigie.runtime.answers import put_answers_back
from vigie.runtime.background_tasks import background_tasks
from vigie.runtime.clock import now
from vigie.runtime.container import build_components
from vigie.runtime.installation import opened

LARGE = "x" * 70_000
"""A text with which an answer is not written again with each alert."""


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


def test_answers_are_put_back_but_for_a_damaged_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    documents = [an_incident(an_alert(description=LARGE), incidentId=number) for number in (1, 2)]

    async def absent_in_the_end() -> list[int]:
        async with opened(settings, create=True) as installation:
            tenant = await installation.directory.add_tenant("Contoso", guid=None, domain=None)
            incidents, tenant_id = installation.incidents, tenant.tenant_id
            kept = [keep_incident(to_json(each)) for each in documents]
            await incidents.put_incidents(tenant_id, kept, an_audit_context())
            service = AlertService(incidents, installation.incident_service())
            for number in (1, 2):
                alert = keep_single_alert(to_json(an_alert(incidentId=number)))
                await service.add_alert(tenant_id, number, alert, an_audit_context())
            damage = f"CAST('damaged' AS {below(settings.database).bytes_type})"
            below(settings.database).run(f"UPDATE alert SET native = {damage} WHERE incident_id = 1")
            # Twice as long as it takes on a slow machine: it goes on for ever.
            with suppress(TimeoutError):
                await asyncio.wait_for(put_answers_back(installation), timeout=5)
            return [await incidents.next_without_answer(tenant_id, after) or 0 for after in (0, 1)]

    assert asyncio.run(absent_in_the_end()) == [1, 0]
