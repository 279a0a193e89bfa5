"""The commands that show incidents: a list by filters, and one as a whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from vigie.api.defender.query_options import parse_filter
from vigie.cli.as_user import AsUserOption, exposure_of_reader
from vigie.cli.common import PLAIN, Common, TenantOption, WholeNumber, emit, emit_rows, opened
from vigie.cli.incidents import check_number
from vigie.cli.output import WrongUsage, one_line
from vigie.core.queries import SKIP_MAX, PageRequest

if TYPE_CHECKING:
    from vigie.storage.incidents import Page

_TOP = 20
_SHOWN_OF_ALERTS = ("alertId", "severity", "status", "title")


class _Summary(msgspec.Struct, rename="camel"):
    """What a list says of an incident. Values are as they came: an incident from elsewhere may lack any."""

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
        """The summary under the names of commands; `alerts` is how many there are."""
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


async def list_incidents(
    *,
    tenant: TenantOption,
    status: Annotated[
        tuple[str, ...], Parameter(metavar="STATUS...", help="Only of this status; once for each status.")
    ] = (),
    severity: Annotated[
        tuple[str, ...],
        Parameter(metavar="SEVERITY...", help="Only of this severity; once for each severity."),
    ] = (),
    assignee: Annotated[str | None, Parameter(help="Only assigned to this name.")] = None,
    unassigned: Annotated[bool, Parameter(help="Only assigned to nobody.")] = False,
    filter: Annotated[  # noqa: A002
        str | None, Parameter(help="Only what this filter of the API matches, as in $filter.")
    ] = None,
    top: Annotated[WholeNumber, Parameter(help="How many at most.")] = _TOP,
    as_user: AsUserOption = None,
    common: Common = PLAIN,
) -> None:
    """List the incidents of a tenant, the last updated first."""
    if top < 1:
        raise WrongUsage(f"--top is 1 or more; it was {top}")
    if assignee is not None and unassigned:
        raise WrongUsage("--assignee and --unassigned contradict each other")
    terms = list(_terms(status, assignee, filter, unassigned=unassigned))
    # The filters of the API do not know severities: there as many are read as it takes.
    request = PageRequest(
        filter=parse_filter(" and ".join(terms)) if terms else None, top=SKIP_MAX if severity else top
    )
    wanted = {each.lower() for each in severity}
    from vigie.application.incidents import IncidentService
    from vigie.runtime.clock import now

    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        exposure = await exposure_of_reader(installation, found, as_user)
        incident_service = IncidentService(
            installation.incidents, retention_days=installation.settings.retention.days
        )
        async with (
            incident_service.list_incidents(found.tenant_id, exposure, request, now()) as page,
            aclosing(_summaries(page)) as summaries,
        ):
            rows = [each.row async for each in _first(summaries, top, wanted)]
    columns = ("incident_id", "status", "severity", "assigned_to", "last_update_at", "alerts", "name")
    emit_rows(common, columns, rows, fold="name")


async def show_incident(
    incident_id: Annotated[WholeNumber, Parameter(name="ID", help="The number of the incident.")],
    /,
    *,
    tenant: TenantOption,
    as_user: AsUserOption = None,
    common: Common = PLAIN,
) -> None:
    """Show one incident; with --json, the whole document as the API answers it."""
    from vigie.application.incidents import IncidentService
    from vigie.runtime.clock import now

    check_number(incident_id)
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        exposure = await exposure_of_reader(installation, found, as_user)
        incident_service = IncidentService(
            installation.incidents, retention_days=installation.settings.retention.days
        )
        document = await incident_service.get_incident(found.tenant_id, exposure, incident_id, now())
    emit(common, msgspec.Raw(document), lines=_lines(document))


def _terms(
    status: Iterable[str], assignee: str | None, expression: str | None, *, unassigned: bool
) -> Iterator[str]:
    """The parts of a filter, each whole in itself."""
    if statuses := ", ".join(map(_quoted, status)):
        yield f"status in ({statuses})"
    if assignee is not None:
        yield f"assignedTo eq {_quoted(assignee)}"
    if unassigned:
        yield "assignedTo eq null"
    if expression is not None:
        # By itself first: one that closes a bracket too many must not reach into the others.
        parse_filter(expression)
        yield f"({expression})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def _summaries(page: "Page") -> AsyncGenerator[_Summary]:
    async for batch in page.batches:
        for document in batch:
            yield msgspec.json.decode(document, type=_Summary)


async def _first(
    summaries: AsyncIterator[_Summary], count: int, severities: set[str]
) -> AsyncIterator[_Summary]:
    """The first so many of these severities; of whatever severity where none is named."""
    left = count
    async for each in summaries:
        if severities and str(each.severity).lower() not in severities:
            continue
        yield each
        left -= 1
        if not left:
            return


def _lines(document: bytes) -> Iterator[str]:
    """The incident for people: its properties, then a line for each alert."""
    incident = msgspec.json.decode(document)
    alerts = incident.pop("alerts", [])
    width = max(map(len, incident), default=0)
    for name, value in incident.items():
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield f"{name:<{width}}  {one_line(shown)}"
    yield f"{'alerts':<{width}}  {len(alerts)}"
    for alert in alerts:
        yield "  " + "  ".join(one_line(str(alert.get(key))) for key in _SHOWN_OF_ALERTS)
