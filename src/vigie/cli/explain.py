"""The command `vigie explain`."""

from typing import TYPE_CHECKING

from vigie.cli.as_user import application_as_caller, user_as_caller
from vigie.cli.common import (
    PLAIN,
    ApplicationOption,
    Common,
    IncidentOption,
    TenantOption,
    UserOption,
    check_incident_id,
    emit,
    opened_tenant,
)
from vigie.cli.output import WrongUsage, one_line
from vigie.core.access import WHOLE_TENANT, Caller
from vigie.documents import lossless

if TYPE_CHECKING:
    from vigie.application.explain import Explanation


async def explain(
    *,
    tenant: TenantOption,
    incident: IncidentOption,
    user: UserOption = None,
    app: ApplicationOption = None,
    common: Common = PLAIN,
) -> None:
    """Explain why a caller can or cannot see an incident, and which parts are hidden.

    A user's token is assumed to carry a read permission.
    """
    from vigie.application.explain import explain as explain_access
    from vigie.runtime.clock import now

    if (user is None) == (app is None):
        raise WrongUsage("exactly one of --user and --app is required")
    check_incident_id(incident)
    async with opened_tenant(common, tenant) as (installation, found):
        caller, assignments = (
            await application_as_caller(installation, found, app)
            if app
            else await user_as_caller(installation, found, user or "")
        )
        document = await installation.incidents.find_incident(found.tenant_id, incident, WHOLE_TENANT)
        explanation = explain_access(
            caller,
            assignments,
            None if document is None else lossless.decode(document),
            retained_since=installation.incident_service().retained_since(now()),
            inherited=await installation.incidents.visibility(found.tenant_id, incident),
        )
    _emit_explanation(common, caller, incident, explanation)


def _emit_explanation(common: Common, caller: Caller, incident_id: int, explanation: "Explanation") -> None:
    value = {
        "incident_id": incident_id,
        "caller": caller.name,
        "sees": explanation.sees,
        "reasons": explanation.reasons,
        "alerts": {"visible": explanation.visible_alert_count, "hidden": len(explanation.hidden_alerts)},
        "hidden_alerts": explanation.hidden_alerts,
        "devices_left_out": explanation.devices_left_out_count,
        "entities_left_out": explanation.entities_left_out_count,
    }
    verdict = f"{caller.name} {'sees' if explanation.sees else 'does not see'} incident {incident_id}."
    emit(common, value, lines=map(one_line, (verdict, *explanation.reasons)))
