"""The command `vigie evidence find`, and the rows in which evidence is shown."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.as_user import AsUserOption, exposure_of_reader
from vigie.cli.common import PLAIN, Common, TenantOption, counted, emit_rows, opened_tenant
from vigie.cli.output import WrongUsage, print_status
from vigie.core.errors import StoreUnavailable
from vigie.core.evidence import EvidenceKind
from vigie.core.letter_case import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vigie.application.evidence import SeenEvidence
    from vigie.runtime.installation import Installation
    from vigie.storage.evidence_projection import Backlog

_CATCH_UP_SECONDS_MAX = 10.0
_KINDS = {kind.value: kind for kind in EvidenceKind}


async def find_evidence(
    value: Annotated[str, Parameter(name="VALUE", help="What to look for, whole, in any spelling.")],
    /,
    *,
    tenant: TenantOption,
    kind: Annotated[
        str | None, Parameter(metavar="KIND", help=f"Only this kind: {', '.join(_KINDS)}.")
    ] = None,
    as_user: AsUserOption = None,
    common: Common = PLAIN,
) -> None:
    """Find the alerts in which a device, an account, an address or other evidence was seen."""
    from vigie.runtime.clock import now

    if not value.strip():
        raise WrongUsage("VALUE must not be empty")
    wanted = None if kind is None else _kind_of(kind)
    async with opened_tenant(common, tenant) as (installation, found):
        exposure = await exposure_of_reader(installation, found, as_user)
        backlog = await _caught_up(installation, found.tenant_id)
        matches = installation.evidence_service().find_evidence(
            found.tenant_id, exposure, wanted, value, now()
        )
        rows = [each async for each in matches]
    emit_evidence(common, rows)
    if backlog:
        # A scoped reader is not to learn how much there is.
        print_status(_still_missing(backlog, is_counted=as_user is None))


def emit_evidence(common: Common, seen: "Iterable[SeenEvidence]") -> None:
    """Write a row for each alert in which each value was seen."""
    rows = [
        {
            "kind": each.evidence.kind.value,
            "value": each.evidence.value,
            "incident_id": each.incident_id,
            "alert_id": each.alert_id,
        }
        for each in seen
    ]
    emit_rows(common, ("kind", "value", "incident_id", "alert_id"), rows, fold="value")


def _kind_of(text: str) -> EvidenceKind:
    if (found := canonical(text, _KINDS)) is None:
        raise WrongUsage(f"invalid kind {text[:60]!r}; allowed: {', '.join(_KINDS)}")
    return _KINDS[found]


async def _caught_up(installation: "Installation", tenant_id: int) -> "Backlog":
    """Bring the evidence up to date first, with or without a server; what is left where that takes too long."""
    projection = installation.evidence_projection
    # A database that can only be read is read as it is.
    with suppress(StoreUnavailable):
        return await projection.catch_up(tenant_id, seconds_max=_CATCH_UP_SECONDS_MAX)
    return await projection.backlog(tenant_id)


def _still_missing(backlog: "Backlog", *, is_counted: bool) -> str:
    if backlog.is_building:
        return "the evidence of this tenant is still being built; run the command again for the rest"
    if not is_counted:
        return "some changes are not in the evidence yet"
    verb = "is" if backlog.changes == 1 else "are"
    return f"{counted(backlog.changes, 'change')} {verb} not in the evidence yet"
