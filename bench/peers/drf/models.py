"""The tables, as the SQLAlchemy peers have them: the same file is read by both."""

from typing import ClassVar

from django.db import models


class Caller(models.Model):
    """Who may call, and the device groups they are limited to; null: the whole tenant."""

    caller_id = models.TextField(primary_key=True)
    device_groups = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "caller"


class Incident(models.Model):
    """An incident; its alerts and comments are rows of their own."""

    key = models.BigAutoField(primary_key=True)
    tenantId = models.TextField()
    incidentId = models.BigIntegerField()
    incidentUri = models.TextField()
    redirectIncidentId = models.BigIntegerField(null=True)
    incidentName = models.TextField()
    createdTime = models.TextField()
    lastUpdateTime = models.TextField()
    assignedTo = models.TextField(null=True)
    classification = models.TextField()
    determination = models.TextField()
    status = models.TextField()
    severity = models.TextField()
    tags = models.JSONField()

    class Meta:
        managed = False
        db_table = "incident"


class Comment(models.Model):
    """A comment on an incident."""

    key = models.BigAutoField(primary_key=True)
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="comments", db_column="incidentKey")
    comment = models.TextField()
    createdBy = models.TextField()
    createdTime = models.TextField()

    class Meta:
        managed = False
        db_table = "comment"
        ordering: ClassVar = ["key"]


class Alert(models.Model):
    """An alert of an incident."""

    key = models.BigAutoField(primary_key=True)
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="alerts", db_column="incidentKey")
    alertId = models.TextField()
    providerAlertId = models.TextField()
    incidentId = models.BigIntegerField()
    serviceSource = models.TextField()
    creationTime = models.TextField()
    lastUpdatedTime = models.TextField(null=True)
    resolvedTime = models.TextField(null=True)
    firstActivity = models.TextField(null=True)
    lastActivity = models.TextField(null=True)
    title = models.TextField()
    description = models.TextField()
    category = models.TextField()
    status = models.TextField()
    severity = models.TextField()
    investigationId = models.BigIntegerField(null=True)
    investigationState = models.TextField(null=True)
    classification = models.TextField(null=True)
    determination = models.TextField(null=True)
    detectionSource = models.TextField()
    detectorId = models.TextField(null=True)
    assignedTo = models.TextField(null=True)
    actorName = models.TextField(null=True)
    threatFamilyName = models.TextField(null=True)
    mitreTechniques = models.JSONField()

    class Meta:
        managed = False
        db_table = "alert"
        ordering: ClassVar = ["key"]


class Device(models.Model):
    """A device as an alert saw it."""

    key = models.BigAutoField(primary_key=True)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="devices", db_column="alertKey")
    mdatpDeviceId = models.TextField()
    aadDeviceId = models.TextField(null=True)
    deviceDnsName = models.TextField(null=True)
    osPlatform = models.TextField(null=True)
    version = models.TextField(null=True)
    osProcessor = models.TextField(null=True)
    osBuild = models.BigIntegerField(null=True)
    healthStatus = models.TextField(null=True)
    riskScore = models.TextField(null=True)
    rbacGroupName = models.TextField(null=True)
    rbacGroupId = models.BigIntegerField(null=True)
    firstSeen = models.TextField(null=True)
    tags = models.JSONField()
    defenderAvStatus = models.TextField(null=True)
    onboardingStatus = models.TextField(null=True)
    vmMetadata = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "device"
        ordering: ClassVar = ["key"]


class Entity(models.Model):
    """Something an alert names; each kind has keys of its own, so it is kept as JSON."""

    key = models.BigAutoField(primary_key=True)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="entity_rows", db_column="alertKey")
    entityType = models.TextField()
    document = models.JSONField()

    class Meta:
        managed = False
        db_table = "entity"
        ordering: ClassVar = ["key"]
