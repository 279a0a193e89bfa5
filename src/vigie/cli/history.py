"""The command that tells what has happened to an incident."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, TenantOption, WholeNumber, emit_rows, opened
from vigie.cli.output import CommandFailed
from vigie.documents import lossless


async def history(
    *,
    tenant: TenantOption,
    incident: Annotated[WholeNumber, Parameter(help="The number of the incident.")],
    common: Common = PLAIN,
) -> None:
    """Say who changed an incident, when, from what to what, and in which request; oldest first.

    Also of an incident that is gone.
    """
    from vigie.application.transfer.history_lines import history_value

    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        entries = await installation.incidents.history(found.tenant_id, incident)
    if not entries:
        raise CommandFailed(f"nothing has ever happened to an incident {incident} in {found.name}")
    values = [history_value(entry) for entry in entries]
    rows = [{**value, "changes": "; ".join(_told(value["changes"]))} for value in values]
    columns = ("at", "actor", "action", "changes", "request_id")
    emit_rows(common, columns, rows, value=msgspec.Raw(lossless.encode(values)), fold="changes")


def _told(changes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Each change in words: `status: "Active" -> "Resolved"`, what was added behind a plus."""
    for key, change in changes.items():
        if "added" in change:
            yield f"{key}: + {', '.join(map(_json, change['added']))}"
        else:
            yield f"{key}: {_side(change, 'from')} -> {_side(change, 'to')}"


def _side(change: Mapping[str, Any], name: str) -> str:
    """A value as JSON; a word that is no JSON where there was none."""
    return _json(change[name]) if name in change else "nothing"


def _json(value: object) -> str:
    return lossless.encode(value).decode()
