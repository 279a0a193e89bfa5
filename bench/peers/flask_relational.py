"""Flask and SQLAlchemy under gunicorn; incidents, alerts, devices and entities are rows."""

from typing import Any

import shared
from flask import Flask, Response, jsonify, request
from models import Alert, Base, Caller, Comment, Device, Incident
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, selectinload

engine = create_engine(f"sqlite:///{shared.DATABASE}")
app = Flask(__name__)
app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
app.json.ensure_ascii = False  # type: ignore[attr-defined]


@app.get("/api/incidents/<int:incident_id>")
def get_incident(incident_id: int) -> Response:
    """One incident, as far as the caller may know about it."""
    claims = shared.check_token(request.headers.get("authorization"))
    shared.spend(claims)
    with Session(engine) as session:
        caller = session.get(Caller, claims.object_id)
        if caller is None:
            raise shared.Refused(401, "The caller is not known.")
        row = session.scalar(
            select(Incident)
            .where(Incident.tenantId == claims.tenant_id, Incident.incidentId == incident_id)
            .options(
                selectinload(Incident.comments),
                selectinload(Incident.alerts).options(
                    selectinload(Alert.devices), selectinload(Alert.entity_rows)
                ),
            )
        )
        if row is None:
            raise shared.Refused(404, "There is no such incident.")
        incident = shared.visible(_incident(row), shared.groups_of(caller.device_groups))
    return jsonify({"@odata.context": shared.context(request.headers.get("host")), **incident})


@app.errorhandler(shared.Refused)
def refuse(refused: shared.Refused) -> tuple[Response, int]:
    """A refusal as JSON."""
    return jsonify({"error": {"message": refused.message}}), refused.status


def _columns(model: type[Base]) -> tuple[str, ...]:
    left_out = {"key", "tenantId", "incidentKey", "alertKey"}
    return tuple(column.key for column in model.__table__.columns if column.key not in left_out)


_INCIDENT, _COMMENT, _DEVICE, _ALERT = map(_columns, (Incident, Comment, Device, Alert))


def _incident(row: Incident) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _INCIDENT},
        "comments": [{name: getattr(comment, name) for name in _COMMENT} for comment in row.comments],
        "alerts": [_alert(alert) for alert in row.alerts],
    }


def _alert(row: Alert) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _ALERT},
        "devices": [{name: getattr(device, name) for name in _DEVICE} for device in row.devices],
        "entities": row.entities,
    }
