"""The command `vigie import`: it reads files, reports what is rejected and counts the rest."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from vigie.cli.audit_context import audit_context_of
from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    counted,
    emit_fields,
    interruptible,
    opened_tenant,
)
from vigie.cli.output import CommandFailed, WrongUsage, print_status
from vigie.core.instants import format_instant

if TYPE_CHECKING:
    from vigie.application.transfer.importing import FutureTimestamps, Import, Rejected
    from vigie.core.directory import Tenant
    from vigie.runtime.installation import Installation

_ERRORS_MAX = 1000
"""The most errors in the JSON of an import; stderr has all."""


Files = Annotated[
    tuple[str, ...],
    Parameter(
        allow_leading_hyphen=True,
        help="JSON files: an incident, an array, a list response, or one incident per line; - is stdin.",
    ),
]
StrictOption = Annotated[
    bool, Parameter(help="Import all incidents or none, in one transaction that blocks other writers.")
]
AllowEmptyOption = Annotated[bool, Parameter(help="Succeed also without any incident.")]


async def import_(
    files: Files,
    /,
    *,
    tenant: TenantOption,
    strict: StrictOption = False,
    allow_empty: AllowEmptyOption = False,
    common: Common = PLAIN,
) -> None:
    """Import incidents from files; rejected incidents are reported on stderr, the others are imported.

    Importing an incident again replaces it. Files compressed with gzip are decompressed.
    """
    _check_file_names(files)
    errors: list[Rejected] = []

    def report(rejected: "Rejected") -> None:
        print_status(str(rejected))
        if len(errors) < _ERRORS_MAX:
            errors.append(rejected)

    async with opened_tenant(common, tenant) as (installation, found):
        run = await _run(files, installation, found, report, strict=strict)
    _print_notes(run)
    tally = msgspec.structs.asdict(run.tally)
    emit_fields(
        common, {**tally, "errors": list(map(msgspec.structs.asdict, errors))} if common.json else tally
    )
    _require_complete(run, strict=strict)
    if not run.tally.read:
        _require_empty_allowed(is_allowed=allow_empty)


def _check_file_names(files: Sequence[str]) -> None:
    """Raise WrongUsage for a name with a leading hyphen, which is more likely a mistyped option."""
    for name in files:
        if name.startswith("-") and name != "-":
            raise WrongUsage(f"unknown option {name}; for a file of that name, use ./{name}")


async def _run(
    files: Sequence[str],
    installation: "Installation",
    tenant: "Tenant",
    on_rejected: Callable[["Rejected"], object],
    *,
    strict: bool,
) -> "Import":
    """Import the files with a progress bar. An interrupted import says how far it came."""
    from vigie.application.transfer.importing import Import
    from vigie.cli.progress import import_progress

    with interruptible(), import_progress(files) as progress:
        run = Import(
            files,
            audit_context_of("vigie import"),
            on_rejected=on_rejected,
            on_unwrapped=lambda each: print_status(str(each)),
            on_read=progress.on_read,
            on_tally=progress.on_tally,
            incident_bytes_max=installation.settings.imports.incident_bytes_max,
        )
        put = run.put_all_or_nothing if strict else run.put_valid
        try:
            await put(installation.incidents, tenant.tenant_id)
        except BaseException:
            print_status(f"interrupted; {_imported(run)} imported; run the same import again to resume")
            raise
    return run


def _print_notes(run: "Import") -> None:
    """Report skipped lines of history, and imported incidents with timestamps in the future."""
    if run.history_count:
        print_status(f"skipped {counted(run.history_count, 'line')} of history: history is not imported")
    if run.future_timestamps is not None and run.tally.added + run.tally.replaced:
        _warn_of_future_timestamps(run.future_timestamps)


def _require_empty_allowed(*, is_allowed: bool) -> None:
    message = "no incidents to import"
    if not is_allowed:
        raise CommandFailed(f"{message}; use --allow-empty if that is expected")
    print_status(message)


def _require_complete(run: "Import", *, strict: bool) -> None:
    if run.is_complete:
        return
    problems: list[str] = []
    if rejected := run.tally.refused:
        problems.append(f"{rejected} of {counted(run.tally.read, 'incident')} {_was(rejected)} rejected")
    if run.unread_files_count:
        problems.append(f"{counted(run.unread_files_count, 'file')} could not be read")
    raise CommandFailed(f"{' and '.join(problems)}; {_remainder(run, strict=strict)}")


def _remainder(run: "Import", *, strict: bool) -> str:
    if strict:
        return "nothing was imported; correct the files, or leave out --strict"
    if run.tally.added + run.tally.replaced:
        return "the rest was imported"
    return "nothing was imported"


def _warn_of_future_timestamps(future: "FutureTimestamps") -> None:
    print_status(
        f"warning: {counted(future.count, 'incident')} with a lastUpdateTime more than a day in the future, "
        f"the latest incident {future.incident_id} with {format_instant(future.last_update_at)}: every update in "
        'the tenant will be later than that; docs/operations.md, "Future timestamps", says how to undo it'
    )


def _imported(run: "Import") -> str:
    count = run.tally.added + run.tally.replaced
    return f"{counted(count, 'incident')} {_was(count)}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
