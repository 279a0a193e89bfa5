"""FastAPI, SQLAlchemy async and pydantic; incidents, alerts, devices and entities are rows."""

import shared
from fastapi import Request
from fastapi_common import Claims, Groups, Session, make_app
from models import Alert, Incident
from schemas import IncidentOut
from sqlalchemy import select
from sqlalchemy.orm import selectinload

app = make_app()


@app.get("/api/incidents/{incident_id}", response_model=IncidentOut)
async def get_incident(
    incident_id: int, request: Request, claims: Claims, groups: Groups, session: Session
) -> IncidentOut:
    """One incident, as far as the caller may know about it."""
    row = await session.scalar(
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
    incident = IncidentOut.model_validate(row)
    if groups is not None:
        incident = IncidentOut.model_validate(shared.visible(incident.model_dump(), groups))
    incident.context = shared.context(request.headers.get("host"))
    return incident
