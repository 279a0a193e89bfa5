"""The commands `vigie backup` and `vigie copy`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit_fields, settings_of
from vigie.cli.output import CommandFailed, WrongUsage, print_status

if TYPE_CHECKING:
    from vigie.config.settings import DatabaseSettings
    from vigie.storage.transfer import RawTables


async def backup(
    file: Annotated[Path, Parameter(help="Backup file; it must not exist yet.")],
    /,
    *,
    common: Common = PLAIN,
) -> None:
    """Back up an SQLite database to a file, while servers keep running."""
    from vigie.runtime.installation import opened
    from vigie.storage.sqlite.raw_tables import back_up

    settings = settings_of(common)
    if settings.database.is_shared:
        raise CommandFailed("this backs up SQLite databases; use `pg_dump` for PostgreSQL")
    async with opened(settings, create=False) as installation:
        size_bytes = back_up(settings.database.path, file)
        if not settings.keys.secret_file:
            print_status(f"the backup does not contain the signing keys: back up {installation.key_file} too")
            if installation.webhook_key_file.exists():
                print_status(
                    f"nor the key to the secrets of webhooks: back up {installation.webhook_key_file} too"
                )
    emit_fields(common, {"file": str(file), "bytes": size_bytes})


async def copy(
    *,
    target: Annotated[
        str, Parameter(name="--to", metavar="URL", help="Target database; an interrupted copy resumes.")
    ],
    source: Annotated[
        str | None,
        Parameter(name="--from", metavar="URL", help="Source database; default: the one of the settings."),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Copy a database between SQLite and PostgreSQL, then compare both. No server may use either."""
    from vigie.cli.progress import copy_progress
    from vigie.storage import transfer

    source_option = "--from" if source else "--database"
    source = source or common.database
    if source == target:
        raise WrongUsage("--from and --to name the same database")
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(_raw_tables(common, source, source_option, create=False))
        # Before the target is created: a copy that is refused leaves none behind.
        await origin.check_alone()
        destination = await stack.enter_async_context(_raw_tables(common, target, "--to", create=True))
        on_rows = stack.enter_context(copy_progress(await transfer.rows_to_move(origin)))
        copied = await transfer.copy(origin, destination, on_rows)
        counts = await transfer.compare(origin, destination, on_rows)
    if not settings_of(common).keys.secret_file:
        _say_what_was_not_copied(has_webhooks=counts["webhook"] > 0)
    print_status("to use the copy, set [database] url to it")
    emit_fields(common, {"copied": copied, **counts})


def _say_what_was_not_copied(*, has_webhooks: bool) -> None:
    from vigie.runtime.installation import WEBHOOK_KEY_FILE_NAME

    print_status(
        "the signing keys are in a file and were not copied: tokens issued so far are not accepted by the copy"
    )
    if has_webhooks:
        print_status(
            "the signing secrets of webhooks are encrypted with a file beside the database, "
            f"{WEBHOOK_KEY_FILE_NAME}: put it beside the copy, or add the webhooks again"
        )


@asynccontextmanager
async def _raw_tables(
    common: Common, url: str | None, option: str, *, create: bool
) -> AsyncIterator["RawTables"]:
    from vigie.runtime.installation import opened

    settings = settings_of(Common(config=common.config, database=url), database_option=option)
    # Both are upgraded to this schema before anything is copied.
    async with opened(settings, create=create, may_be_unfinished=True):
        pass
    async with _raw_tables_of(settings.database) as raw_tables:
        yield raw_tables


@asynccontextmanager
async def _raw_tables_of(database: "DatabaseSettings") -> AsyncIterator["RawTables"]:
    if database.is_shared:
        from vigie.storage.postgres.raw_tables import postgres_raw_tables

        async with postgres_raw_tables(database.url) as in_postgres:
            yield in_postgres
    else:
        from vigie.storage.sqlite.raw_tables import sqlite_raw_tables

        with sqlite_raw_tables(database.path) as in_a_file:
            yield in_a_file
