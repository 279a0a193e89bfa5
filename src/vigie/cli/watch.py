"""The command `vigie watch`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, Integer, opened
from vigie.cli.output import CommandFailed, WrongUsage, one_line, print_status, write_json
from vigie.core.errors import ChangesGone, StoreUnavailable
from vigie.core.instants import format_instant

if TYPE_CHECKING:
    from vigie.core.changes import Change
    from vigie.core.directory import Tenant
    from vigie.runtime.installation import Installation
    from vigie.storage.change_feed import ChangeFeed

_LOOK_EVERY_SECONDS = 0.5
_READ_AT_ONCE = 250


async def watch(
    *,
    tenant: Annotated[
        str | None,
        Parameter(
            name="--tenant",
            metavar="TENANT",
            help="Tenant: its id, name or domain; default: the only tenant there is.",
        ),
    ] = None,
    first: Annotated[
        Integer | None,
        Parameter(
            name="--from",
            metavar="N",
            help="Begin with this change; 0: the oldest that is kept; default: the next one to come.",
        ),
    ] = None,
    no_follow: Annotated[bool, Parameter(help="End with the last change there is; needs --from.")] = False,
    common: Common = PLAIN,
) -> None:
    """Follow the changes of a tenant's incidents."""
    if no_follow and first is None:
        raise WrongUsage("--no-follow needs --from: without it the changes to come are shown")
    async with opened(common, create=False) as installation:
        found = await _tenant(installation, tenant)
        feed = installation.change_feed
        position = await _position(feed, found.tenant_id, first)
        end = await feed.latest(found.tenant_id) if no_follow else None
        if end is None and sys.stderr.isatty():
            print_status(f"changes of {found.name} behind number {position}, as they come; Ctrl-C ends this")
        try:
            async for change in _changes_after(feed, found.tenant_id, position, end, _stop_on_signals()):
                _emit(common, change)
        except ChangesGone as error:
            raise CommandFailed(_gone(error.oldest)) from error


async def _tenant(installation: "Installation", reference: str | None) -> "Tenant":
    if reference is not None:
        return await installation.directory.get_tenant(reference)
    tenants = await installation.directory.tenants()
    if len(tenants) != 1:
        raise WrongUsage(f"option --tenant is required: there are {len(tenants)} tenants")
    return tenants[0]


async def _position(feed: "ChangeFeed", tenant_id: int, first: int | None) -> int:
    """The number behind which to begin. Raises WrongUsage for one that the feed cannot have."""
    latest, oldest = await feed.latest(tenant_id), await feed.first(tenant_id)
    if first is None:
        return latest
    if first == 0:
        return oldest - 1
    if not 0 <= first <= latest + 1:
        raise WrongUsage(f"--from must be 0 to {latest + 1}, the next change; it was {first}")
    if first < oldest:
        raise CommandFailed(_gone(oldest))
    return first - 1


def _gone(oldest: int) -> str:
    return (
        f"changes before {oldest} are not kept any more; use --from {oldest} to begin with the oldest, or leave "
        "--from out to begin with the next one"
    )


def _stop_on_signals() -> asyncio.Event:
    """What is set when the command is to end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def _changes_after(
    feed: "ChangeFeed", tenant_id: int, position: int, end: int | None, stopped: asyncio.Event
) -> AsyncIterator["Change"]:
    """The changes behind a position as they come, up to a number or until it is stopped. Raises ChangesGone."""
    outage = _Outage()
    while not stopped.is_set() and (end is None or position < end):
        changes: list[Change] = []
        with outage.reported():
            changes = await feed.changes_after(tenant_id, position, _READ_AT_ONCE)
        for change in changes:
            yield change
            position = change.number
        if not changes:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), _LOOK_EVERY_SECONDS)


class _Outage:
    """Reports once that the database does not answer, and lets the next look try again."""

    def __init__(self) -> None:
        self._reason = ""

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Read in the block."""
        try:
            yield
        except StoreUnavailable as error:
            if error.detail != self._reason:
                print_status(f"vigie: the database does not answer, trying again ({error.detail})")
            self._reason = error.detail
        else:
            self._reason = ""


def _emit(common: Common, change: "Change") -> None:
    """Write a change as one line, at once."""
    fields = {
        "number": change.number,
        "at": format_instant(change.at),
        "kind": change.kind.value,
        "incident_id": change.incident_id,
        "alert_id": change.alert_id,
        "actor": change.actor,
        "request_id": change.request_id,
    }
    if common.json:
        write_json(fields)
        return
    cells = (one_line("" if value is None else str(value)) for value in fields.values())
    sys.stdout.write("\t".join(cells) + "\n")
    sys.stdout.flush()
