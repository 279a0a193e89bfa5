"""For whom a command reads incidents: the administrator, or a user or an application as the API would see them."""

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
        name="--as-user", help="Show what this user would see, by UPN; without it, the whole tenant is shown."
    ),
]


async def exposure_of_reader(installation: "Installation", tenant: "Tenant", as_user: str | None) -> Exposure:
    """The whole tenant, or what a user may read. Raises PermissionMissing for one who may read nothing."""
    if as_user is None:
        return WHOLE_TENANT
    caller, _ = await user_as_caller(installation, tenant, as_user)
    return require_read(caller)


async def user_as_caller(
    installation: "Installation", tenant: "Tenant", reference: str
) -> tuple[Caller, Sequence[Assignment]]:
    """A user with a token that carries the read permissions, and what the user is granted."""
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
    """An application with a token of its own."""
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
