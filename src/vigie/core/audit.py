"""An entry of an incident's history: who did what, when, and what changed from what to what."""

from collections.abc import Mapping
from typing import Any

import msgspec

from vigie.core.access import Caller, CallerKind
from vigie.core.instants import Instant


class AuditContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something, when, and in which request or which run of a command."""

    actor: str
    request_id: str
    at: Instant


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `at` is what the clock showed, which may step back; an incident's entries are numbered.

    `changes` has, for each key of the incident, what it was (`from`) and what it became (`to`); a key that was
    not there, or is not any more, has only the other.
    """

    incident_id: int
    entry: int
    at: Instant
    action: str
    actor: str
    request_id: str
    changes: Mapping[str, Any]


def actor_of(caller: Caller) -> str:
    """How the history names a caller: an application and a user of one name are told apart.

    So are those of two issuers: the names in their tokens are theirs to give.
    """
    if caller.issuer:
        return f"{caller.kind.value} {caller.name} ({caller.subject or caller.application_id} of {caller.issuer})"
    if caller.kind is CallerKind.USER:
        return f"user {caller.name}"
    return f"application {caller.name} ({caller.application_id})"
