"""Bringing incidents from files into the store: what cannot be taken is told with its place, the rest goes in."""

import asyncio
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from vigie.application.transfer.envelopes import is_graph_form
from vigie.application.transfer.history_lines import is_history_line
from vigie.application.transfer.incident_reader import (
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
"""Incidents in one transaction: others who write wait for it, and a crash takes no more than these away."""

AHEAD_TICKS = 86_400 * TICKS_PER_SECOND
"""By so much may an incident's last update be ahead of the clock without a word: clocks and zones differ."""

STRICT_REFUSALS_MAX = 100
"""After so many refusals an import of all or nothing reads no further: nothing will come of it."""

_GRAPH_FORM = (
    "this is Microsoft Graph's form, which import does not take yet; fetch it from the Defender XDR API, GET "
    "https://api.security.microsoft.com/api/incidents, and import that"
)
_BATCH_BYTES = 8 * 1024 * 1024
_POLL_SECONDS = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many incidents were found so far, and what became of them. Those under way are only in `read`."""

    read: int
    added: int
    replaced: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """What was not imported, and why: one incident or, without a line, the file, or what was left of it."""

    source: str
    line: int | None = None
    path: str | None = None
    reason: str

    def __str__(self) -> str:
        source = _name_of(self.source)
        if self.line is None:
            return f"{source}: {self.reason}"
        return f"{source}:{self.line}: {self.path}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInside:
    """Where the incidents of a file are, inside an object that is none."""

    source: str
    line: int
    path: str

    def __str__(self) -> str:
        return f"{_name_of(self.source)}:{self.line}: the incidents are at {self.path}"


def _name_of(source: str) -> str:
    return "standard input" if source == "-" else source


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureTimestamps:
    """So many incidents say that they were last updated at a time to come; this is the one furthest ahead."""

    count: int
    incident_id: int
    last_update_at: Instant


def _untold(_: object, /) -> None:
    """The listener where nobody watches."""


class Import:
    """One run over some files. `tally` is true at every moment, also of a run that was broken off.

    `audit_context` is what the incidents' history says of it. `on_not_taken` hears of each incident and each
    file that is not taken, `on_found_inside` of what wraps incidents, once for each place of a file, `on_read`
    of the bytes of each file as they are read, `on_tally` of the tally after a batch.
    """

    def __init__(
        self,
        names: Sequence[str],
        audit_context: AuditContext,
        *,
        on_not_taken: Callable[[NotTaken], object],
        on_found_inside: Callable[[FoundInside], object] = _untold,
        on_read: Callable[[int], object] = _untold,
        on_tally: Callable[[Tally], object] = _untold,
        incident_bytes_max: int = INCIDENT_BYTES_MAX,
    ) -> None:
        self.unread_files_count = 0
        self.history_count = 0
        self.ahead: FutureTimestamps | None = None
        self._deed = audit_context
        self._on_not_taken = on_not_taken
        self._on_found_inside = on_found_inside
        self._on_read = on_read
        self._on_tally = on_tally
        self._incident_bytes_max = incident_bytes_max
        self._read_count = self._refused_count = 0
        self._refusals_max: int | None = None
        self._put_count = PutCount()
        self._kept = self._keep_all(names)

    @property
    def tally(self) -> Tally:
        """What became of the incidents so far; nothing is counted as added before it is durable."""
        return Tally(
            read=self._read_count,
            added=self._put_count.added,
            replaced=self._put_count.replaced,
            refused=self._refused_count,
        )

    @property
    def is_flawless(self) -> bool:
        """Whether nothing had to be left out so far."""
        return not (self._refused_count or self.unread_files_count)

    async def put_the_good(self, incidents: IncidentStore, tenant_id: int) -> None:
        """Put every incident that can be taken, some at a time: those of a run that is broken off stay."""
        batch = self._next_batch()
        while batch:
            putting = asyncio.create_task(incidents.put_incidents(tenant_id, batch, self._deed))
            # Once it is on its way to the writer's thread, the next ones are read while it is written.
            await asyncio.sleep(0)
            try:
                batch = self._next_batch()
            finally:
                self._count(await putting)

    async def put_all_or_nothing(self, incidents: IncidentStore, tenant_id: int) -> None:
        """Put the incidents of all files in one transaction; nothing, if anything has to be left out.

        Then it goes on reading, to tell what else that is.
        """
        self._refusals_max = STRICT_REFUSALS_MAX
        feed = _Feed()
        putting = asyncio.create_task(incidents.put_incidents(tenant_id, feed, self._deed))
        try:
            await self._fill(feed, putting)
        finally:
            feed.undo()
            with suppress(_Undone):
                self._count(await putting)
        while not self.is_flawless and self._next_batch():
            self._on_tally(self.tally)

    async def _fill(self, feed: "_Feed", putting: "asyncio.Task[PutCount]") -> None:
        is_over = False
        while not is_over and not putting.done():
            batch = self._next_batch()
            if not self.is_flawless:
                return
            await feed.give(batch, putting)
            self._on_tally(self.tally)
            is_over = not batch

    def _count(self, put: PutCount) -> None:
        self._put_count += put
        self._on_tally(self.tally)

    def _next_batch(self) -> list[StoredIncident]:
        """Incidents that can be taken; none at the end."""
        batch: list[StoredIncident] = []
        size_bytes = 0
        for incident in self._kept:
            batch.append(incident)
            size_bytes += len(incident.document)
            if len(batch) == BATCH_COUNT or size_bytes > _BATCH_BYTES:
                break
        return batch

    def _keep_all(self, names: Sequence[str]) -> Iterator[StoredIncident]:
        for name in names:
            met = _Numbers()
            told_paths: set[str] = set()
            for finding in self._findings(name):
                if isinstance(finding, Unwrapped):
                    if finding.path not in told_paths:
                        told_paths.add(finding.path)
                        self._on_found_inside(FoundInside(source=name, line=finding.line, path=finding.path))
                    continue
                if isinstance(finding, RawIncident) and is_history_line(finding.text):
                    self.history_count += 1
                    continue
                self._read_count += 1
                try:
                    incident = _keep(finding, met)
                except NotAnIncident as error:
                    self._refuse(name, finding, error)
                    if self._refused_count == self._refusals_max:
                        return
                else:
                    self._note_time_of(incident)
                    yield incident

    def _findings(self, name: str) -> Iterator[Finding]:
        try:
            with open_source(name, on_read=self._on_read) as stream:
                yield from read_incidents(stream, incident_bytes_max=self._incident_bytes_max)
        except OSError as error:
            self.unread_files_count += 1
            reason = f"this cannot be read: {error.strerror or error}"
            self._on_not_taken(NotTaken(source=name, reason=reason))

    def _note_time_of(self, incident: StoredIncident) -> None:
        if incident.last_update_at <= self._deed.at + AHEAD_TICKS:
            return
        furthest = FutureTimestamps(
            count=1, incident_id=incident.incident_id, last_update_at=incident.last_update_at
        )
        if self.ahead is not None:
            further = max(self.ahead, furthest, key=lambda each: each.last_update_at)
            furthest = replace(further, count=self.ahead.count + 1)
        self.ahead = furthest

    def _refuse(self, name: str, finding: RawIncident | Unreadable, error: NotAnIncident) -> None:
        self._refused_count += 1
        path = finding.path + error.path.removeprefix("$")
        self._on_not_taken(NotTaken(source=name, line=finding.line, path=path, reason=error.reason))


def _keep(finding: RawIncident | Unreadable, met: "_Numbers") -> StoredIncident:
    if isinstance(finding, Unreadable):
        raise NotAnIncident(finding.reason)
    try:
        incident = keep_incident(finding.text)
    except NotAnIncident as error:
        if is_graph_form(finding.text):
            raise NotAnIncident(_GRAPH_FORM) from error
        raise
    if not met.add(incident.incident_id):
        reason = f"incident {incident.incident_id} has been in this file already; keep one of the two"
        raise NotAnIncident(reason, "$.incidentId")
    return incident


class _Numbers:
    """The numbers met so far, at next to nothing for each where they lie close together, as incidents' do."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Remember a number; False when it has been met before."""
        block, bit = number >> 8, 1 << (number & 255)
        met = self._blocks.get(block, 0)
        self._blocks[block] = met | bit
        return not met & bit


class _Undone(Exception):
    """A change that shall not be."""


class _Feed:
    """Incidents on their way to the thread that writes: batches go in here, incidents come out there.

    The reading stays on the main thread, where Ctrl-C reaches it. An empty batch ends the change.
    """

    def __init__(self) -> None:
        self._batches: queue.SimpleQueue[list[StoredIncident] | None] = queue.SimpleQueue()

    async def give(self, batch: list[StoredIncident], putting: "asyncio.Task[PutCount]") -> None:
        """Hand a batch over once there is room, or nobody is left to take it."""
        while not self._batches.empty() and not putting.done():
            await asyncio.wait({putting}, timeout=_POLL_SECONDS)
        self._batches.put(batch)

    def undo(self) -> None:
        """Undo the change, unless it has ended."""
        self._batches.put(None)

    def __iter__(self) -> Iterator[StoredIncident]:
        while batch := self._batches.get():
            yield from batch
        if batch is None:
            raise _Undone
