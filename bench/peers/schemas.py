"""The answers of the FastAPI peers, as pydantic models."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class FromRow(BaseModel):
    """A model that is made from a dictionary or from a row."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)


class CommentOut(FromRow):
    """A comment on an incident."""

    comment: str
    createdBy: str
    createdTime: str


class DeviceOut(FromRow):
    """A device as an alert saw it."""

    mdatpDeviceId: str
    aadDeviceId: str | None
    deviceDnsName: str | None
    osPlatform: str | None
    version: str | None
    osProcessor: str | None
    osBuild: int | None
    healthStatus: str | None
    riskScore: str | None
    rbacGroupName: str | None
    rbacGroupId: int | None
    firstSeen: str | None
    tags: list[str]
    defenderAvStatus: str | None
    onboardingStatus: str | None
    vmMetadata: dict[str, Any] | None


class AlertOut(FromRow):
    """An alert of an incident."""

    alertId: str
    providerAlertId: str
    incidentId: int
    serviceSource: str
    creationTime: str
    lastUpdatedTime: str | None
    resolvedTime: str | None
    firstActivity: str | None
    lastActivity: str | None
    title: str
    description: str
    category: str
    status: str
    severity: str
    investigationId: int | None
    investigationState: str | None
    classification: str | None
    determination: str | None
    detectionSource: str
    detectorId: str | None
    assignedTo: str | None
    actorName: str | None
    threatFamilyName: str | None
    mitreTechniques: list[str]
    devices: list[DeviceOut]
    entities: list[dict[str, Any]]


class IncidentOut(FromRow):
    """An incident with all that is in it."""

    context: str = Field(default="", alias="@odata.context")
    incidentId: int
    incidentUri: str
    redirectIncidentId: int | None
    incidentName: str
    createdTime: str
    lastUpdateTime: str
    assignedTo: str | None
    classification: str
    determination: str
    status: str
    severity: str
    tags: list[str]
    comments: list[CommentOut]
    alerts: list[AlertOut]
