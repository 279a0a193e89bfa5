"""The commands that take a store elsewhere: a backup of a file, and a copy to another database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit_fields, settings_of
from vigie.cli.output import CommandFailed, WrongUsage, print_status

if TYPE_CHECKING:
    from vigie.config.settings import DatabaseSettings
    from vigie.storage.transfer import RawTables


async def backup(
    file: Annotated[Path, Parameter(help="The file to write; it must not be there yet.")],
    /,
    *,
    common: Common = PLAIN,
) -> None:
    """Write a store file, as of now, to another file. Servers go on meanwhile."""
    from vigie.runtime.installation import opened
    from vigie.storage.sqlite.raw_tables import back_up

    settings = settings_of(common)
    if settings.database.is_shared:
        raise CommandFailed("this is for a store in a file; `pg_dump` backs PostgreSQL up")
    async with opened(settings, create=False) as installation:
        size_bytes = back_up(settings.database.path, file)
        if not settings.keys.secret_file:
            print_status(f"the signing keys are not in it: keep a copy of {installation.key_file} as well")
    emit_fields(common, {"file": str(file), "bytes": size_bytes})


async def copy(
    *,
    target: Annotated[
        str, Parameter(name="--to", help="The new store to write; one begun before is gone on with.")
    ],
    source: Annotated[
        str | None, Parameter(name="--from", help="The store to read; without it, the one of the settings.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Move a store between SQLite and PostgreSQL, then compare the two. No server may run on either."""
    from vigie.storage import transfer as copying

    source_option = "--from" if source else "--database"
    source = source or common.database
    if source == target:
        raise WrongUsage("--from and --to name the same store")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(_shelf(common, source, source_option, create=False))
        # Before there is a target: a copy that is refused leaves none behind.
        await one.check_alone()
        other = await stack.enter_async_context(_shelf(common, target, "--to", create=True))
        watch = stack.enter_context(_watched(await copying.rows_to_move(one)))
        copied = await copying.copy(one, other, watch)
        counts = await copying.compare(one, other, watch)
    if not settings_of(common).keys.secret_file:
        print_status(
            "the signing keys are not in the store and were not copied: tokens issued so far end with it"
        )
    print_status("to serve the copy, set [database] url to it")
    emit_fields(common, {"copied": copied, **counts})


@asynccontextmanager
async def _shelf(common: Common, url: str | None, option: str, *, create: bool) -> AsyncIterator["RawTables"]:
    from vigie.runtime.installation import opened

    settings = settings_of(Common(config=common.config, database=url), database_option=option)
    # Both are brought up to this version before anything is moved.
    async with opened(settings, create=create, may_be_unfinished=True):
        pass
    async with _shelf_of(settings.database) as raw_tables:
        yield raw_tables


@asynccontextmanager
async def _shelf_of(database: "DatabaseSettings") -> AsyncIterator["RawTables"]:
    if database.is_shared:
        from vigie.storage.postgres.raw_tables import postgres_raw_tables

        async with postgres_raw_tables(database.url) as in_postgres:
            yield in_postgres
    else:
        from vigie.storage.sqlite.raw_tables import sqlite_raw_tables

        with sqlite_raw_tables(database.path) as in_a_file:
            yield in_a_file


@contextmanager
def _watched(total: int) -> Iterator[Callable[[int], object]]:
    """Show the progress on stderr, if that is a terminal, while the block lasts."""
    import sys

    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("copy", total=total)
        yield lambda count: progress.advance(task, count)
