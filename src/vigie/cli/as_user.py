"""The caller for whom a command reads incidents: the administrator, a user or an application."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.core.access import (
    DELEGATED_PERMISSIONS,
    WHOLE_TENANT,
    Assignment,
    Caller,
    CallerKind,
    Exposure,
    exposure_of,
    require_read,
)

if TYPE_CHECKING:
    from vigie.core.directory import Tenant
    from vigie.runtime.installation import Installation

AsUserOption = Annotated[
    str | None,
    Parameter(
        name="--as-user", metavar="UPN", help="Show what this user can see; default: the whole tenant."
    ),
]


async def exposure_of_reader(installation: "Installation", tenant: "Tenant", as_user: str | None) -> Exposure:
    """The whole tenant, or the exposure of a user. Raises PermissionMissing without a read permission."""
    if as_user is None:
        return WHOLE_TENANT
    caller, _ = await user_as_caller(installation, tenant, as_user)
    return require_read(caller)


async def user_as_caller(
    installation: "Installation", tenant: "Tenant", reference: str
) -> tuple[Caller, Sequence[Assignment]]:
    """A user with a token that carries the read permissions, and the user's role assignments."""
    user = await installation.directory.get_user(tenant, reference)
    assignments = await installation.directory.assignments(tenant, user)
    caller = Caller(
        tenant_id=tenant.tenant_id,
        tenant_guid=tenant.guid,
        kind=CallerKind.USER,
        application_id="",
        name=user.upn,
        granted=DELEGATED_PERMISSIONS,
        exposure=exposure_of(assignments, every_stub=installation.settings.incidents.has_open_stubs),
    )
    return caller, assignments


async def application_as_caller(
    installation: "Installation", tenant: "Tenant", reference: str
) -> tuple[Caller, Sequence[Assignment]]:
    """An application with its application permissions."""
    application = await installation.directory.get_application(tenant, reference)
    caller = Caller(
        tenant_id=tenant.tenant_id,
        tenant_guid=tenant.guid,
        kind=CallerKind.APPLICATION,
        application_id=application.client_id,
        name=application.name,
        granted=application.permissions,
        exposure=WHOLE_TENANT,
    )
    return caller, ()
