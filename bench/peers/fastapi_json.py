"""FastAPI, SQLAlchemy async and pydantic; an incident is one JSON column."""

from typing import Any

import shared
from fastapi import Request
from fastapi_common import Claims, Groups, Session, make_app
from models import IncidentDocument
from schemas import IncidentOut
from sqlalchemy import select

app = make_app()


@app.get("/api/incidents/{incident_id}", response_model=IncidentOut)
async def get_incident(
    incident_id: int, request: Request, claims: Claims, groups: Groups, session: Session
) -> dict[str, Any]:
    """One incident, as far as the caller may know about it."""
    row = await session.scalar(
        select(IncidentDocument).where(
            IncidentDocument.tenantId == claims.tenant_id, IncidentDocument.incidentId == incident_id
        )
    )
    if row is None:
        raise shared.Refused(404, "There is no such incident.")
    context = shared.context(request.headers.get("host"))
    return {"@odata.context": context, **shared.visible(row.document, groups)}
