"""The commands `vigie export` and `vigie generate`, which write incidents to a file or to stdout."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, Integer, OutOption, TenantOption, opened_tenant
from vigie.cli.incident_lines import written
from vigie.cli.output import WrongUsage
from vigie.core.directory import DirectoryError

_ALERTS_MAX = 100_000


async def export(
    *,
    tenant: TenantOption,
    out: OutOption = None,
    history: Annotated[
        bool, Parameter(help="Write the history after the incidents; an import skips it.")
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Export every incident of a tenant, one per line, in the form that an import reads.

    With --json, stdout is one array, or with --out the number of incidents.
    """
    from vigie.application.transfer.history_lines import history_line

    async with opened_tenant(common, tenant) as (installation, found):
        with written(common, out, "exported") as lines:
            async for document in installation.incidents.all_documents(found.tenant_id):
                lines.write(document)
            if history:
                async for entry in installation.incidents.all_history(found.tenant_id):
                    lines.write_uncounted(history_line(entry))


def generate(
    *,
    incidents: Annotated[Integer, Parameter(metavar="COUNT", help="Number of incidents.")],
    seed: Annotated[Integer, Parameter(metavar="NUMBER", help="Random seed, for repeatable output.")],
    alerts: Annotated[
        Integer | None,
        Parameter(metavar="COUNT", help="Alerts of every incident; default: a realistic mix."),
    ] = None,
    tenant_id: Annotated[
        str | None,
        Parameter(metavar="GUID", help="Tenant id in the incidents; default: a synthetic one."),
    ] = None,
    out: OutOption = None,
    common: Common = PLAIN,
) -> None:
    """Generate synthetic incidents, one per line, without a database.

    With --json, stdout is one array, or with --out the number of incidents.
    """
    from vigie.synthetic.generator import generate_lines

    if incidents < 0:
        raise WrongUsage(f"--incidents must be 0 or more; it was {incidents}")
    if alerts is not None and not 0 <= alerts <= _ALERTS_MAX:
        raise WrongUsage(f"--alerts must be 0 to {_ALERTS_MAX}; it was {alerts}")
    guid = None if tenant_id is None else _guid(tenant_id)
    with written(common, out, "generated") as lines:
        for document in generate_lines(incidents, seed, alerts, tenant_id=guid):
            lines.write(document)


def _guid(text: str) -> str:
    from vigie.storage.directory.names import checked_guid

    try:
        return checked_guid(text)
    except DirectoryError as error:
        raise WrongUsage(f"--tenant-id: {error}") from error
