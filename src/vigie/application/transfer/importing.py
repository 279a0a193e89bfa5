"""The import of incidents from files: invalid ones are reported with their place, the others are stored."""

import asyncio
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from msgspec.structs import replace

from vigie.application.transfer.envelopes import is_graph_form
from vigie.application.transfer.history_lines import is_history_line
from vigie.application.transfer.import_file_reader import (
    INCIDENT_BYTES_MAX,
    Finding,
    RawIncident,
    Unreadable,
    Unwrapped,
    open_source,
    read_incidents,
)
from vigie.core.audit import AuditContext
from vigie.core.incident import StoredIncident
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.documents.defender.reading import NotAnIncident, keep_incident
from vigie.storage.incidents import IncidentStore, PutCount

BATCH_COUNT = 200
"""Incidents in one transaction, which other writers wait for and a crash loses."""

FUTURE_TOLERANCE_TICKS = 86_400 * TICKS_PER_SECOND
"""The last update of an incident may be this far in the future without a warning: clocks and zones differ."""

STRICT_REFUSALS_MAX = 100
"""The rejected incidents after which an all-or-nothing import stops reading, as it will fail anyway."""

_GRAPH_FORM = (
    "Microsoft Graph incidents are not supported yet; fetch them from the Defender XDR API, GET "
    "https://api.security.microsoft.com/api/incidents, and import those"
)
_BATCH_BYTES = 8 * 1024 * 1024
_POLL_SECONDS = 0.001


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of an import so far. Incidents not yet written are in `read` alone."""

    read: int
    added: int
    replaced: int
    refused: int


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that was not imported, and why; without a line, a file or the rest of one."""

    source: str
    line: int | None = None
    path: str | None = None
    reason: str

    def __str__(self) -> str:
        source = _name_of(self.source)
        if self.line is None:
            return f"{source}: {self.reason}"
        return f"{source}:{self.line}: {self.path}: {self.reason}"


class Unwrapping(msgspec.Struct, frozen=True, kw_only=True):
    """The place of the incidents of a file inside another object."""

    source: str
    line: int
    path: str

    def __str__(self) -> str:
        return f"{_name_of(self.source)}:{self.line}: found the incidents at {self.path}"


def _name_of(source: str) -> str:
    return "standard input" if source == "-" else source


class FutureTimestamps(msgspec.Struct, frozen=True, kw_only=True):
    """The number of incidents whose last update is in the future, and the latest of them."""

    count: int
    incident_id: int
    last_update_at: Instant


def _ignore(_: object, /) -> None:
    """The default listener."""


class Import:
    """One import of some files. `tally` is right at every moment, also after an interruption.

    `audit_context` goes into the history of the incidents. `on_rejected` is called for each incident and file
    that is rejected, `on_unwrapped` once for each place in a file that holds incidents inside another object,
    `on_read` with the number of bytes read, `on_tally` with the tally after each batch.
    """

    def __init__(
        self,
        names: Sequence[str],
        audit_context: AuditContext,
        *,
        on_rejected: Callable[[Rejected], object],
        on_unwrapped: Callable[[Unwrapping], object] = _ignore,
        on_read: Callable[[int], object] = _ignore,
        on_tally: Callable[[Tally], object] = _ignore,
        incident_bytes_max: int = INCIDENT_BYTES_MAX,
    ) -> None:
        self.unread_files_count = 0
        self.history_count = 0
        self.future_timestamps: FutureTimestamps | None = None
        self._audit_context = audit_context
        self._on_rejected = on_rejected
        self._on_unwrapped = on_unwrapped
        self._on_read = on_read
        self._on_tally = on_tally
        self._incident_bytes_max = incident_bytes_max
        self._read_count = self._refused_count = 0
        self._refusals_max: int | None = None
        self._put_count = PutCount()
        self._incidents = self._read_valid(names)

    @property
    def tally(self) -> Tally:
        """The numbers so far; an incident counts as added once it is durable."""
        return Tally(
            read=self._read_count,
            added=self._put_count.added,
            replaced=self._put_count.replaced,
            refused=self._refused_count,
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing was rejected so far."""
        return not (self._refused_count or self.unread_files_count)

    async def put_valid(self, incidents: IncidentStore, tenant_id: int) -> None:
        """Store every valid incident, in batches; those stored before an interruption stay.

        While a batch is committed the next one is read.
        """
        batch = self._next_batch()
        while batch:
            writing, is_written = self._begin_writing(incidents, tenant_id, batch)
            try:
                # Only then: two threads that both decode and bind keep each other waiting.
                await is_written.wait()
                batch = self._next_batch()
            finally:
                self._count(await writing)

    async def put_all_or_nothing(self, incidents: IncidentStore, tenant_id: int) -> None:
        """Store the incidents of all files in one transaction; none, if any is rejected.

        Then the reading goes on, to report what else is rejected.
        """
        self._refusals_max = STRICT_REFUSALS_MAX
        feed = _Feed()
        writing = asyncio.create_task(incidents.put_incidents(tenant_id, feed, self._audit_context))
        try:
            await self._fill(feed, writing)
        finally:
            feed.cancel()
            with suppress(_Cancelled):
                self._count(await writing)
        while not self.is_complete and self._next_batch():
            self._on_tally(self.tally)

    async def _fill(self, feed: "_Feed", writing: "asyncio.Task[PutCount]") -> None:
        is_last = False
        while not is_last and not writing.done():
            batch = self._next_batch()
            if not self.is_complete:
                return
            await feed.give(batch, writing)
            self._on_tally(self.tally)
            is_last = not batch

    def _begin_writing(
        self, incidents: IncidentStore, tenant_id: int, batch: Sequence[StoredIncident]
    ) -> "tuple[asyncio.Task[PutCount], asyncio.Event]":
        """Begin to store a batch: the task, and what tells that only the disk is waited for, or that it failed."""
        is_written = asyncio.Event()
        tell = partial(asyncio.get_running_loop().call_soon_threadsafe, is_written.set)
        writing = asyncio.create_task(
            incidents.put_incidents(tenant_id, batch, self._audit_context, on_written=tell)
        )
        writing.add_done_callback(lambda _: is_written.set())
        return writing, is_written

    def _count(self, put: PutCount) -> None:
        self._put_count += put
        self._on_tally(self.tally)

    def _next_batch(self) -> list[StoredIncident]:
        """The next valid incidents; an empty list at the end."""
        batch: list[StoredIncident] = []
        size_bytes = 0
        for incident in self._incidents:
            batch.append(incident)
            size_bytes += len(incident.document)
            if len(batch) == BATCH_COUNT or size_bytes > _BATCH_BYTES:
                break
        return batch

    def _read_valid(self, names: Sequence[str]) -> Iterator[StoredIncident]:
        for name in names:
            seen = _IdSet()
            reported_paths: set[str] = set()
            for finding in self._findings(name):
                if isinstance(finding, Unwrapped):
                    if finding.path not in reported_paths:
                        reported_paths.add(finding.path)
                        self._on_unwrapped(Unwrapping(source=name, line=finding.line, path=finding.path))
                    continue
                if isinstance(finding, RawIncident) and is_history_line(finding.text):
                    self.history_count += 1
                    continue
                self._read_count += 1
                try:
                    incident = _parse(finding, seen)
                except NotAnIncident as error:
                    self._reject(name, finding, error)
                    if self._refused_count == self._refusals_max:
                        return
                else:
                    self._note_timestamp(incident)
                    yield incident

    def _findings(self, name: str) -> Iterator[Finding]:
        try:
            with open_source(name, on_read=self._on_read) as stream:
                yield from read_incidents(stream, incident_bytes_max=self._incident_bytes_max)
        except OSError as error:
            self.unread_files_count += 1
            reason = f"cannot read the file: {error.strerror or error}"
            self._on_rejected(Rejected(source=name, reason=reason))

    def _note_timestamp(self, incident: StoredIncident) -> None:
        if incident.last_update_at <= self._audit_context.at + FUTURE_TOLERANCE_TICKS:
            return
        latest = FutureTimestamps(
            count=1, incident_id=incident.incident_id, last_update_at=incident.last_update_at
        )
        if self.future_timestamps is not None:
            later = max(self.future_timestamps, latest, key=lambda each: each.last_update_at)
            latest = replace(later, count=self.future_timestamps.count + 1)
        self.future_timestamps = latest

    def _reject(self, name: str, finding: RawIncident | Unreadable, error: NotAnIncident) -> None:
        self._refused_count += 1
        path = finding.path + error.path.removeprefix("$")
        self._on_rejected(Rejected(source=name, line=finding.line, path=path, reason=error.reason))


def _parse(finding: RawIncident | Unreadable, seen: "_IdSet") -> StoredIncident:
    if isinstance(finding, Unreadable):
        raise NotAnIncident(finding.reason)
    try:
        incident = keep_incident(finding.text)
    except NotAnIncident as error:
        if is_graph_form(finding.text):
            raise NotAnIncident(_GRAPH_FORM) from error
        raise
    if not seen.add(incident.incident_id):
        reason = f"duplicate incident {incident.incident_id} in this file; remove one of the two"
        raise NotAnIncident(reason, "$.incidentId")
    return incident


class _IdSet:
    """A set of ids as bit maps, which are small for ids close together, as those of incidents are."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Add an id; False when it is in the set already."""
        block, bit = number >> 8, 1 << (number & 255)
        bits = self._blocks.get(block, 0)
        self._blocks[block] = bits | bit
        return not bits & bit


class _Cancelled(Exception):
    """Raised into the writer to roll its transaction back."""


class _Feed:
    """A queue of batches from the main thread, which reads and handles Ctrl-C, to the thread that writes.

    An empty batch ends the transaction.
    """

    def __init__(self) -> None:
        self._batches: queue.SimpleQueue[list[StoredIncident] | None] = queue.SimpleQueue()

    async def give(self, batch: list[StoredIncident], writing: "asyncio.Task[PutCount]") -> None:
        """Add a batch once the queue is empty, or the writer has ended."""
        while not self._batches.empty() and not writing.done():
            await asyncio.wait({writing}, timeout=_POLL_SECONDS)
        self._batches.put(batch)

    def cancel(self) -> None:
        """Roll the transaction back, unless it has ended."""
        self._batches.put(None)

    def __iter__(self) -> Iterator[StoredIncident]:
        while batch := self._batches.get():
            yield from batch
        if batch is None:
            raise _Cancelled
