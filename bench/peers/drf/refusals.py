"""Refusals as answers. A module of its own: the framework loads what authenticates before its views."""

from typing import Any

import shared
from rest_framework.response import Response
from rest_framework.views import exception_handler


def refuse(error: Exception, context: dict[str, Any]) -> Response | None:
    """A refusal as JSON; the rest as the framework has it."""
    if isinstance(error, shared.Refused):
        return Response({"error": {"message": error.message}}, status=error.status)
    return exception_handler(error, context)
