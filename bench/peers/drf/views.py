"""One incident with all that is in it."""

from typing import Any

import shared
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer, SerializerMethodField

from drf.models import Alert, Comment, Device, Incident


class CommentSerializer(ModelSerializer):
    """A comment on an incident."""

    class Meta:
        model = Comment
        exclude = ("key", "incident")


class DeviceSerializer(ModelSerializer):
    """A device as an alert saw it."""

    class Meta:
        model = Device
        exclude = ("key", "alert")


class AlertSerializer(ModelSerializer):
    """An alert of an incident."""

    devices = DeviceSerializer(many=True)
    entities = SerializerMethodField()

    class Meta:
        model = Alert
        exclude = ("key", "incident")

    def get_entities(self, alert: Alert) -> list[Any]:
        return [row.document for row in alert.entity_rows.all()]


class IncidentSerializer(ModelSerializer):
    """An incident."""

    comments = CommentSerializer(many=True)
    alerts = AlertSerializer(many=True)

    class Meta:
        model = Incident
        exclude = ("key", "tenantId")


class IncidentView(RetrieveAPIView):
    """One incident, as far as the caller may know about it."""

    serializer_class = IncidentSerializer
    lookup_field = "incidentId"
    lookup_url_kwarg = "incident_id"

    def get_queryset(self) -> Any:
        return Incident.objects.filter(tenantId=self.request.auth.tenant_id).prefetch_related(
            "comments", "alerts__devices", "alerts__entity_rows"
        )

    def retrieve(self, request: Request, *_arguments: Any, **_names: Any) -> Response:
        incident = shared.visible(self.get_serializer(self.get_object()).data, request.user.groups)
        return Response({"@odata.context": shared.context(request.headers.get("host")), **incident})
