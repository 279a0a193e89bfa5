"""Fills the peers' databases: `python load.py FOLDER TENANT CALLERS < incidents`, one incident on each line.

What a relational schema cannot say without further ado is left out: an incident of which some device does not
tell its group's number, since a column cannot be absent from a row.
"""

import json
import sys
from pathlib import Path
from typing import Any

from models import Alert, Base, Caller, Comment, Device, Entity, Incident, IncidentDocument
from sqlalchemy import create_engine
from sqlalchemy.orm import Session


def main(folder: Path, tenant_id: str, callers: dict[str, list[int | str] | None]) -> None:
    """Make `json.sqlite3` and `relational.sqlite3` of the incidents on stdin."""
    incidents = [incident for incident in map(json.loads, sys.stdin) if _is_plain(incident)]
    _fill(folder / "json.sqlite3", callers, [_document(tenant_id, incident) for incident in incidents])
    _fill(folder / "relational.sqlite3", callers, [_rows(tenant_id, incident) for incident in incidents])


def _fill(path: Path, callers: dict[str, list[int | str] | None], rows: list[Any]) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(Caller(caller_id=name, device_groups=groups) for name, groups in callers.items())
        session.add_all(rows)


def _is_plain(incident: dict[str, Any]) -> bool:
    return all("rbacGroupId" in device for alert in incident["alerts"] for device in alert["devices"])


def _document(tenant_id: str, incident: dict[str, Any]) -> IncidentDocument:
    return IncidentDocument(tenantId=tenant_id, incidentId=incident["incidentId"], document=incident)


def _rows(tenant_id: str, incident: dict[str, Any]) -> Incident:
    fields = {**incident, "alerts": [_alert(alert) for alert in incident["alerts"]]}
    fields["comments"] = [Comment(**comment) for comment in incident["comments"]]
    return Incident(tenantId=tenant_id, **fields)


def _alert(alert: dict[str, Any]) -> Alert:
    fields = {**alert, "devices": [Device(**device) for device in alert["devices"]]}
    entities = fields.pop("entities")
    rows = [Entity(entityType=entity["entityType"], document=entity) for entity in entities]
    return Alert(**fields, entity_rows=rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
