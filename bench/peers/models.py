"""The tables of the peers that use SQLAlchemy. Columns are named as the answers name them: nothing to translate."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Everything that is kept."""


class Caller(Base):
    """Who may call, and the device groups they are limited to; null: the whole tenant."""

    __tablename__ = "caller"

    caller_id: Mapped[str] = mapped_column(primary_key=True)
    device_groups: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class IncidentDocument(Base):
    """An incident as one JSON value."""

    __tablename__ = "incident_document"

    key: Mapped[int] = mapped_column(primary_key=True)
    tenantId: Mapped[str]
    incidentId: Mapped[int]
    document: Mapped[Any] = mapped_column(JSON)

    __table_args__ = (UniqueConstraint("tenantId", "incidentId"),)


class Incident(Base):
    """An incident; its alerts and comments are rows of their own."""

    __tablename__ = "incident"

    key: Mapped[int] = mapped_column(primary_key=True)
    tenantId: Mapped[str]
    incidentId: Mapped[int]
    incidentUri: Mapped[str]
    redirectIncidentId: Mapped[int | None]
    incidentName: Mapped[str]
    createdTime: Mapped[str]
    lastUpdateTime: Mapped[str]
    assignedTo: Mapped[str | None]
    classification: Mapped[str]
    determination: Mapped[str]
    status: Mapped[str]
    severity: Mapped[str]
    tags: Mapped[Any] = mapped_column(JSON)
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.key")
    alerts: Mapped[list["Alert"]] = relationship(order_by="Alert.key")

    __table_args__ = (UniqueConstraint("tenantId", "incidentId"),)


class Comment(Base):
    """A comment on an incident."""

    __tablename__ = "comment"

    key: Mapped[int] = mapped_column(primary_key=True)
    incidentKey: Mapped[int] = mapped_column(ForeignKey("incident.key"), index=True)
    comment: Mapped[str]
    createdBy: Mapped[str]
    createdTime: Mapped[str]


class Alert(Base):
    """An alert of an incident."""

    __tablename__ = "alert"

    key: Mapped[int] = mapped_column(primary_key=True)
    incidentKey: Mapped[int] = mapped_column(ForeignKey("incident.key"), index=True)
    alertId: Mapped[str]
    providerAlertId: Mapped[str]
    incidentId: Mapped[int]
    serviceSource: Mapped[str]
    creationTime: Mapped[str]
    lastUpdatedTime: Mapped[str | None]
    resolvedTime: Mapped[str | None]
    firstActivity: Mapped[str | None]
    lastActivity: Mapped[str | None]
    title: Mapped[str]
    description: Mapped[str]
    category: Mapped[str]
    status: Mapped[str]
    severity: Mapped[str]
    investigationId: Mapped[int | None]
    investigationState: Mapped[str | None]
    classification: Mapped[str | None]
    determination: Mapped[str | None]
    detectionSource: Mapped[str]
    detectorId: Mapped[str | None]
    assignedTo: Mapped[str | None]
    actorName: Mapped[str | None]
    threatFamilyName: Mapped[str | None]
    mitreTechniques: Mapped[Any] = mapped_column(JSON)
    devices: Mapped[list["Device"]] = relationship(order_by="Device.key")
    entity_rows: Mapped[list["Entity"]] = relationship(order_by="Entity.key")

    @property
    def entities(self) -> list[Any]:
        """What the alert names: each kind has keys of its own, so it is kept as JSON."""
        return [row.document for row in self.entity_rows]


class Device(Base):
    """A device as an alert saw it."""

    __tablename__ = "device"

    key: Mapped[int] = mapped_column(primary_key=True)
    alertKey: Mapped[int] = mapped_column(ForeignKey("alert.key"), index=True)
    mdatpDeviceId: Mapped[str]
    aadDeviceId: Mapped[str | None]
    deviceDnsName: Mapped[str | None]
    osPlatform: Mapped[str | None]
    version: Mapped[str | None]
    osProcessor: Mapped[str | None]
    osBuild: Mapped[int | None]
    healthStatus: Mapped[str | None]
    riskScore: Mapped[str | None]
    rbacGroupName: Mapped[str | None]
    rbacGroupId: Mapped[int | None]
    firstSeen: Mapped[str | None]
    tags: Mapped[Any] = mapped_column(JSON)
    defenderAvStatus: Mapped[str | None]
    onboardingStatus: Mapped[str | None]
    vmMetadata: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class Entity(Base):
    """Something an alert names: a file, a process, a user."""

    __tablename__ = "entity"

    key: Mapped[int] = mapped_column(primary_key=True)
    alertKey: Mapped[int] = mapped_column(ForeignKey("alert.key"), index=True)
    entityType: Mapped[str]
    document: Mapped[Any] = mapped_column(JSON)
