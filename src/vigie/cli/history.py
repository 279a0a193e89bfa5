"""The command `vigie history`."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from vigie.cli.common import PLAIN, Common, IncidentOption, TenantOption, emit_rows, opened_tenant
from vigie.cli.output import CommandFailed
from vigie.documents import lossless


async def history(
    *,
    tenant: TenantOption,
    incident: IncidentOption,
    common: Common = PLAIN,
) -> None:
    """Show the changes of an incident, oldest first; also of a removed one."""
    from vigie.application.transfer.history_lines import history_value

    async with opened_tenant(common, tenant) as (installation, found):
        entries = await installation.incidents.history(found.tenant_id, incident)
    if not entries:
        raise CommandFailed(f"no history for incident {incident} in {found.name}")
    values = [history_value(entry) for entry in entries]
    rows = [{**value, "changes": "; ".join(_change_texts(value["changes"]))} for value in values]
    columns = ("at", "actor", "action", "changes", "request_id")
    emit_rows(common, columns, rows, value=msgspec.Raw(lossless.encode(values)), fold="changes")


def _change_texts(changes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Each change as text: `status: "Active" -> "Resolved"`, added elements after a plus."""
    for key, change in changes.items():
        if "added" in change:
            yield f"{key}: + {', '.join(map(_json, change['added']))}"
        else:
            yield f"{key}: {_side(change, 'from')} -> {_side(change, 'to')}"


def _side(change: Mapping[str, Any], name: str) -> str:
    """A value as JSON; a word that is not JSON for a missing one."""
    return _json(change[name]) if name in change else "nothing"


def _json(value: object) -> str:
    return lossless.encode(value).decode()
