"""The commands `vigie incident list`, `show` and `remove`."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from vigie.api.defender.query_options import parse_filter
from vigie.cli.as_user import AsUserOption, exposure_of_reader
from vigie.cli.audit_context import audit_context_of
from vigie.cli.common import (
    PLAIN,
    Common,
    IncidentId,
    Integer,
    TenantOption,
    YesOption,
    check_incident_id,
    confirm,
    emit,
    emit_done,
    emit_rows,
    opened_tenant,
)
from vigie.cli.evidence import emit_evidence
from vigie.cli.output import CommandFailed, WrongUsage, one_line
from vigie.core.access import WHOLE_TENANT
from vigie.core.queries import SKIP_MAX, PageRequest

if TYPE_CHECKING:
    from vigie.storage.listing.reading import Page

_TOP = 20
_ALERT_COLUMNS = ("alertId", "severity", "status", "title")


class _IncidentSummary(msgspec.Struct, rename="camel"):
    """The columns of a list. Values are as imported: an imported incident may lack any."""

    incident_id: int
    status: Any = None
    severity: Any = None
    classification: Any = None
    determination: Any = None
    assigned_to: Any = None
    created_time: Any = None
    last_update_time: Any = None
    incident_name: Any = None
    redirect_incident_id: Any = None
    tags: Any = None
    alerts: list[msgspec.Raw] = []

    @property
    def row(self) -> dict[str, object]:
        """The summary under the names of the CLI; `alerts` is their number."""
        return {
            "incident_id": self.incident_id,
            "status": self.status,
            "severity": self.severity,
            "classification": self.classification,
            "determination": self.determination,
            "assigned_to": self.assigned_to,
            "created_at": self.created_time,
            "last_update_at": self.last_update_time,
            "name": self.incident_name,
            "redirect_incident_id": self.redirect_incident_id,
            "tags": self.tags or [],
            "alerts": len(self.alerts),
        }


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """The incidents that a list is limited to."""

    status: Annotated[
        tuple[str, ...], Parameter(metavar="STATUS...", help="Only this status; may be repeated.")
    ] = ()
    severity: Annotated[
        tuple[str, ...],
        Parameter(metavar="SEVERITY...", help="Only this severity; may be repeated."),
    ] = ()
    assignee: Annotated[str | None, Parameter(metavar="NAME", help="Only assigned to this name.")] = None
    unassigned: Annotated[bool, Parameter(help="Only unassigned incidents.")] = False
    filter: Annotated[
        str | None, Parameter(metavar="FILTER", help="OData filter, as in $filter of the API.")
    ] = None

    def request(self, top: int) -> PageRequest:
        """The first `top` incidents; all with a severity, which the filter of the API does not have."""
        terms = " and ".join(self._terms())
        return PageRequest(
            filter=parse_filter(terms) if terms else None, top=SKIP_MAX if self.severity else top
        )

    def _terms(self) -> Iterator[str]:
        """The terms of the filter, each complete in itself."""
        if statuses := ", ".join(map(_quoted, self.status)):
            yield f"status in ({statuses})"
        if self.assignee is not None:
            yield f"assignedTo eq {_quoted(self.assignee)}"
        if self.unassigned:
            yield "assignedTo eq null"
        if self.filter is not None:
            # Parsed alone first: an expression with a surplus bracket must not reach into the other terms.
            parse_filter(self.filter)
            yield f"({self.filter})"


EVERY_INCIDENT = ListFilter()


async def list_incidents(
    *,
    tenant: TenantOption,
    only: ListFilter = EVERY_INCIDENT,
    top: Annotated[Integer, Parameter(metavar="COUNT", help="Maximum number of incidents.")] = _TOP,
    as_user: AsUserOption = None,
    common: Common = PLAIN,
) -> None:
    """List the incidents of a tenant, last updated first."""
    from vigie.runtime.clock import now

    if top < 1:
        raise WrongUsage(f"--top must be 1 or more; it was {top}")
    if only.assignee is not None and only.unassigned:
        raise WrongUsage("--assignee and --unassigned cannot be combined")
    request = only.request(top)
    async with opened_tenant(common, tenant) as (installation, found):
        exposure = await exposure_of_reader(installation, found, as_user)
        incident_service = installation.incident_service()
        async with (
            incident_service.list_incidents(found.tenant_id, exposure, request, now()) as page,
            aclosing(_summaries(page)) as summaries,
        ):
            severities = {each.lower() for each in only.severity}
            rows = [each.row async for each in _first(summaries, top, severities)]
    columns = ("incident_id", "status", "severity", "assigned_to", "last_update_at", "alerts", "name")
    emit_rows(common, columns, rows, fold="name")


async def show_incident(
    incident_id: IncidentId,
    /,
    *,
    tenant: TenantOption,
    evidence: Annotated[bool, Parameter(help="Show the evidence of its alerts instead.")] = False,
    as_user: AsUserOption = None,
    common: Common = PLAIN,
) -> None:
    """Show an incident; with --json, the whole document as the API returns it."""
    from vigie.runtime.clock import now

    check_incident_id(incident_id)
    async with opened_tenant(common, tenant) as (installation, found):
        exposure = await exposure_of_reader(installation, found, as_user)
        if evidence:
            service = installation.evidence_service()
            emit_evidence(common, await service.evidence_of(found.tenant_id, exposure, incident_id, now()))
            return
        incident_service = installation.incident_service()
        document = await incident_service.get_incident(found.tenant_id, exposure, incident_id, now())
    emit(common, msgspec.Raw(document), lines=_lines(document))


async def remove_incident(
    incident_id: IncidentId,
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove an incident; its history is kept."""
    check_incident_id(incident_id)
    async with opened_tenant(common, tenant) as (installation, found):
        missing = CommandFailed(f"no incident {incident_id} in {found.name}; nothing was removed")
        if await installation.incidents.find_incident(found.tenant_id, incident_id, WHOLE_TENANT) is None:
            raise missing
        confirm(f"Remove incident {incident_id} of {found.name}?", yes=yes)
        audit_context = audit_context_of("vigie incident remove")
        if not await installation.incidents.remove_incident(found.tenant_id, incident_id, audit_context):
            raise missing
    emit_done(common, f"removed incident {incident_id}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def _summaries(page: "Page") -> AsyncGenerator[_IncidentSummary]:
    async for batch in page.batches:
        for document in batch:
            yield msgspec.json.decode(document, type=_IncidentSummary)


async def _first(
    summaries: AsyncIterator[_IncidentSummary], count: int, severities: set[str]
) -> AsyncIterator[_IncidentSummary]:
    """The first `count` of these severities; of any severity where the set is empty."""
    left = count
    async for each in summaries:
        if severities and str(each.severity).lower() not in severities:
            continue
        yield each
        left -= 1
        if not left:
            return


def _lines(document: bytes) -> Iterator[str]:
    """The incident as text: its properties, then a line for each alert."""
    incident = msgspec.json.decode(document)
    alerts = incident.pop("alerts", [])
    width = max(map(len, incident), default=0)
    for name, value in incident.items():
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield f"{name:<{width}}  {one_line(shown)}"
    yield f"{'alerts':<{width}}  {len(alerts)}"
    for alert in alerts:
        yield "  " + "  ".join(one_line(str(alert.get(key))) for key in _ALERT_COLUMNS)
