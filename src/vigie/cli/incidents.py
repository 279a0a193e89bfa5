"""The commands about incidents: bring them in, write them out, make some up, explain one, remove one."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.as_user import application_as_caller, user_as_caller
from vigie.cli.audit_context import audit_context_of
from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    WholeNumber,
    YesOption,
    confirm,
    counted,
    emit,
    emit_fields,
    interruptible,
    opened,
)
from vigie.cli.incident_lines import writing
from vigie.cli.output import CommandFailed, WrongUsage, one_line, print_status
from vigie.core.access import WHOLE_TENANT, Caller
from vigie.core.directory import DirectoryError
from vigie.core.incident import INCIDENT_ID_MAX
from vigie.core.instants import format_instant
from vigie.documents import lossless

if TYPE_CHECKING:
    from vigie.application.explain import Explanation
    from vigie.application.transfer.importing import FutureTimestamps, Import

_ALERTS_MAX = 100_000
_ERRORS_MAX = 1000
"""So many of what was rejected are in the JSON of an import; stderr has all."""

_OutOption = Annotated[
    Path | None,
    Parameter(name="--out", help="The file to write, compressed if it is called .gz; without it, stdout."),
]


# Bringing in


async def import_(
    files: Annotated[
        tuple[str, ...],
        Parameter(
            allow_leading_hyphen=True,
            help="Incidents as JSON: one, an array, a list answer, or one on each line; - is stdin.",
        ),
    ],
    /,
    *,
    tenant: TenantOption,
    strict: Annotated[
        bool, Parameter(help="Import all or nothing, in one change: others who write wait until it is over.")
    ] = False,
    allow_empty: Annotated[bool, Parameter(help="Succeed also where there is no incident at all.")] = False,
    common: Common = PLAIN,
) -> None:
    """Import incidents from files; what is rejected is reported on stderr, and the rest goes in.

    Importing an incident again replaces it. Files compressed with gzip are unpacked.
    """
    from vigie.application.transfer.importing import Import, NotTaken
    from vigie.cli.progress import watched

    for name in files:
        if name.startswith("-") and name != "-":
            raise WrongUsage(f"there is no option {name}; a file of that name is ./{name}")
    errors: list[NotTaken] = []

    def report(rejected: NotTaken) -> None:
        print_status(str(rejected))
        if len(errors) < _ERRORS_MAX:
            errors.append(rejected)

    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        with interruptible(), watched(files) as watch:
            run = Import(
                files,
                audit_context_of("vigie import"),
                on_not_taken=report,
                on_found_inside=lambda each: print_status(str(each)),
                on_read=watch.on_read,
                on_tally=watch.on_tally,
                incident_bytes_max=installation.settings.imports.incident_bytes_max,
            )
            put = run.put_all_or_nothing if strict else run.put_the_good
            try:
                await put(installation.incidents, found.tenant_id)
            except BaseException:
                print_status(f"broken off; {_put(run)} in the store, and importing again does the rest")
                raise
    if run.history_count:
        passed_over = counted(run.history_count, "line")
        print_status(f"passed over {passed_over} of history: it stays where it was made")
    if run.ahead is not None and run.tally.added + run.tally.replaced:
        _warn_of_times_to_come(run.ahead)
    tally = dataclasses.asdict(run.tally)
    emit_fields(common, {**tally, "errors": list(map(dataclasses.asdict, errors))} if common.json else tally)
    _require_flawless(run, strict=strict)
    if not run.tally.read:
        _require_empty_allowed(is_allowed=allow_empty)


def _require_empty_allowed(*, is_allowed: bool) -> None:
    nothing = "there was no incident to import"
    if not is_allowed:
        raise CommandFailed(f"{nothing}; --allow-empty makes that no error")
    print_status(nothing)


def _require_flawless(run: "Import", *, strict: bool) -> None:
    if run.is_flawless:
        return
    faults: list[str] = []
    if refused := run.tally.refused:
        faults.append(f"{refused} of {counted(run.tally.read, 'incident')} {_was(refused)} refused")
    if run.unread_files_count:
        faults.append(f"{counted(run.unread_files_count, 'file')} could not be read")
    raise CommandFailed(f"{' and '.join(faults)}; {_what_became_of_the_rest(run, strict=strict)}")


def _what_became_of_the_rest(run: "Import", *, strict: bool) -> str:
    if strict:
        return "nothing was imported; correct them, or leave out --strict"
    if run.tally.added + run.tally.replaced:
        return "the rest was imported"
    return "nothing was imported"


def _warn_of_times_to_come(ahead: "FutureTimestamps") -> None:
    print_status(
        f"{counted(ahead.count, 'incident')} with a lastUpdateTime more than a day ahead of the clock, "
        f"the furthest incident {ahead.incident_id} with {format_instant(ahead.last_update_at)}: every update in "
        'the tenant will be later than that; docs/operations.md, "Times to come", says how to undo it'
    )


def _put(run: "Import") -> str:
    count = run.tally.added + run.tally.replaced
    return f"{counted(count, 'incident')} {'is' if count == 1 else 'are'}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


# Writing out


async def export(
    *,
    tenant: TenantOption,
    out: _OutOption = None,
    history: Annotated[
        bool, Parameter(help="Write the history behind the incidents; an import passes over it.")
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Write every incident of a tenant, one on each line, as importing takes it.

    With --json, stdout gets one array of them, or with --out how many there were.
    """
    from vigie.application.transfer.history_lines import history_line

    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        with writing(common, out, "exported") as lines:
            async for document in installation.incidents.all_documents(found.tenant_id):
                lines.write(document)
            if history:
                async for entry in installation.incidents.all_history(found.tenant_id):
                    lines.write_beside(history_line(entry))


def generate(
    *,
    incidents: Annotated[WholeNumber, Parameter(help="How many.")],
    seed: Annotated[WholeNumber, Parameter(help="A number; the same one makes the same incidents.")],
    alerts: Annotated[
        WholeNumber | None,
        Parameter(help="Give every incident exactly so many alerts: then no stubs, and no large one."),
    ] = None,
    tenant_id: Annotated[
        str | None,
        Parameter(help="The id of the tenant that they say they are of; without it, a made-up one."),
    ] = None,
    out: _OutOption = None,
    common: Common = PLAIN,
) -> None:
    """Write realistic incidents of our own making, one on each line. It needs no store.

    With --json, stdout gets one array of them, or with --out how many there were.
    """
    from vigie.synthetic.generator import generate_lines

    if incidents < 0:
        raise WrongUsage(f"--incidents is 0 or more; it was {incidents}")
    if alerts is not None and not 0 <= alerts <= _ALERTS_MAX:
        raise WrongUsage(f"--alerts is 0 to {_ALERTS_MAX}; it was {alerts}")
    guid = None if tenant_id is None else _guid(tenant_id)
    with writing(common, out, "generated") as lines:
        for document in generate_lines(incidents, seed, alerts, tenant_id=guid):
            lines.write(document)


def _guid(text: str) -> str:
    from vigie.storage.directory_names import checked_guid

    try:
        return checked_guid(text)
    except DirectoryError as error:
        raise WrongUsage(f"--tenant-id: {error}") from error


# One incident


async def explain(
    *,
    tenant: TenantOption,
    incident: Annotated[WholeNumber, Parameter(help="The number of the incident.")],
    user: Annotated[
        str | None, Parameter(help="The user, by UPN; the token is taken to carry a read permission.")
    ] = None,
    app: Annotated[str | None, Parameter(help="The application: its client id or its name.")] = None,
    common: Common = PLAIN,
) -> None:
    """Say why a caller sees an incident, or does not, and what is left out of it."""
    from vigie.application import explain as explaining
    from vigie.application.incidents import IncidentService
    from vigie.runtime.clock import now

    if (user is None) == (app is None):
        raise WrongUsage("say who is to read the incident: either --user or --app")
    check_number(incident)
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        who = (
            await application_as_caller(installation, found, app)
            if app
            else await user_as_caller(installation, found, user or "")
        )
        document = await installation.incidents.find_incident(found.tenant_id, incident, WHOLE_TENANT)
        incident_service = IncidentService(
            installation.incidents, retention_days=installation.settings.retention.days
        )
        told = explaining.explain(
            *who,
            None if document is None else lossless.decode(document),
            retained_since=incident_service.retained_since(now()),
            inherited=await installation.incidents.visibility(found.tenant_id, incident),
        )
    _emit_explanation(common, who[0], incident, told)


def _emit_explanation(common: Common, caller: Caller, incident_id: int, told: "Explanation") -> None:
    value = {
        "incident_id": incident_id,
        "caller": caller.name,
        "sees": told.sees,
        "reasons": told.reasons,
        "alerts": {"visible": told.visible_alert_count, "hidden": len(told.hidden_alerts)},
        "hidden_alerts": told.hidden_alerts,
        "devices_left_out": told.devices_left_out_count,
        "entities_left_out": told.entities_left_out_count,
    }
    verdict = f"{caller.name} {'sees' if told.sees else 'does not see'} incident {incident_id}."
    emit(common, value, lines=map(one_line, (verdict, *told.reasons)))


async def remove_incident(
    incident_id: Annotated[WholeNumber, Parameter(name="ID", help="The number of the incident.")],
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove an incident; its history stays."""
    check_number(incident_id)
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        missing = CommandFailed(f"there is no incident {incident_id} in {found.name}; nothing was removed")
        if await installation.incidents.find_incident(found.tenant_id, incident_id, WHOLE_TENANT) is None:
            raise missing
        confirm(f"Remove incident {incident_id} of {found.name}?", yes=yes)
        audit_context = audit_context_of("vigie incident remove")
        if not await installation.incidents.remove_incident(found.tenant_id, incident_id, audit_context):
            raise missing
    print_status(f"removed incident {incident_id}")
    emit(common, {})


def check_number(incident_id: int) -> None:
    """Raise WrongUsage for what numbers no incident."""
    if incident_id < 1:
        raise WrongUsage(f"an incident's number is 1 to {INCIDENT_ID_MAX}; it was {incident_id}")
