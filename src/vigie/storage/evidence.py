"""The rows of evidence: which values are in which incidents, written in slices and found by a digest."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Set
from functools import lru_cache

import msgspec

from vigie.core.evidence import Evidence
from vigie.core.incident import INCIDENT_ID_MAX
from vigie.documents.defender.evidence import evidence_in
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Database, Session, Values

_FOUND_COUNT = 100

Places = tuple[int | None, ...]
"""The places of the alerts that name a value, in their order; None for the incident's own keys."""


@lru_cache(maxsize=2_048)
def evidence_id_of(evidence: Evidence) -> int:
    """The id of a value: 64 bits of a digest. The value is compared too, as two may have the same."""
    text = f"{evidence.kind}\0{evidence.value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


class EvidenceOfIncident(msgspec.Struct, frozen=True):
    """What an incident has: its values by their ids, and where each of them is."""

    values: Mapping[int, Evidence]
    places: Mapping[int, Places]


NO_EVIDENCE = EvidenceOfIncident({}, {})


def evidence_of_document(document: bytes) -> EvidenceOfIncident:
    """What a whole incident has, in the order of the ids."""
    places: dict[Evidence, list[int | None]] = {}
    for evidence, place, _ in evidence_in(document):
        places.setdefault(evidence, []).append(place)
    ids = sorted((evidence_id_of(evidence), evidence) for evidence in places)
    return EvidenceOfIncident(
        dict(ids), {evidence_id: tuple(places[evidence]) for evidence_id, evidence in ids}
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, Places]).decode


class _Rows(msgspec.Struct):
    """The rows that a transaction has to write."""

    values: dict[int, Values] = {}
    added: list[Values] = []
    removed: list[Values] = []
    put: list[Values] = []
    emptied: list[Values] = []

    @property
    def count(self) -> int:
        """How many values are added or removed."""
        return len(self.added) + len(self.removed)


async def replace_evidence(
    session: Session, tenant_id: int, incidents: Iterable[tuple[int, EvidenceOfIncident]], *, count_max: int
) -> bool:
    """Put what incidents have in the place of what they had; False when `count_max` values were not enough.

    Then it is to be called again, in a transaction of its own: what was written is no less right for that.
    """
    rows = _Rows()
    is_complete = True
    for incident_id, after in incidents:
        room = count_max - rows.count
        is_complete = await _collect(session, tenant_id, incident_id, after, rows, room)
        if not is_complete:
            break
    await session.run_many("remove_incident_with_evidence", rows.removed)
    await session.run_many("add_evidence", [rows.values[each] for each in sorted(rows.values)])
    await session.run_many("add_incident_with_evidence", rows.added)
    await session.run_many("remove_unseen_evidence", rows.removed)
    await session.run_many("put_evidence_of_incident", rows.put)
    await session.run_many("remove_evidence_of_incident", rows.emptied)
    return is_complete


async def _collect(
    session: Session, tenant_id: int, incident_id: int, after: EvidenceOfIncident, rows: _Rows, room: int
) -> bool:
    """Add the rows of one incident to the others, as many as there is room for; whether these are all."""
    key = {"tenant_id": tenant_id, "incident_id": incident_id}
    found = await session.row("evidence_of_incident", key)
    with unavailable_when_damaged():
        before = _decode(found[0]) if found else {}
    removed = [each for each in before if each not in after.places][:room]
    added = [each for each in after.places if each not in before][: room - len(removed)]
    kept = _kept(before, after.places, {*removed}, added)
    for each in added:
        kind, value = after.values[each]
        rows.values[each] = {"tenant_id": tenant_id, "evidence_id": each, "kind": kind, "value": value}
    rows.added += [{**key, "evidence_id": each} for each in added]
    rows.removed += [{**key, "evidence_id": each} for each in removed]
    if kept:
        rows.put += [{**key, "evidence": _encode(kept)}] if kept != before else []
    elif before:
        rows.emptied.append(key)
    return kept == after.places


def _kept(
    before: Mapping[int, Places], after: Mapping[int, Places], removed: Set[int], added: Iterable[int]
) -> dict[int, Places]:
    """What an incident has once some values were removed and some added, in the order of the ids."""
    ids = sorted((*(each for each in before if each not in removed), *added))
    return {each: after.get(each, before.get(each, ())) for each in ids}


async def incidents_with(database: Database, tenant_id: int, evidence: Evidence) -> AsyncIterator[int]:
    """The incidents that may have a value, the greatest numbers first. Their documents decide."""
    last = INCIDENT_ID_MAX
    key = {"tenant_id": tenant_id, "evidence_id": evidence_id_of(evidence), "count": _FOUND_COUNT}
    while rows := await database.rows("incidents_with_evidence", {**key, "last": last}):
        for (incident_id,) in rows:
            yield incident_id
        last = rows[-1][0] - 1
