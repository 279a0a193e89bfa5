"""The one path."""

from django.urls import path

from drf.views import IncidentView

urlpatterns = [path("api/incidents/<int:incident_id>", IncidentView.as_view())]
