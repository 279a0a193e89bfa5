"""Token, caller and quota, where Django REST framework has its places for them."""

from dataclasses import dataclass
from typing import Any

import shared
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from drf.models import Caller


@dataclass(frozen=True)
class KnownCaller:
    """Who is behind a good token."""

    groups: shared.Groups
    is_authenticated: bool = True


class TokenAuthentication(BaseAuthentication):
    """Checks the bearer token and finds its caller."""

    def authenticate(self, request: Request) -> tuple[KnownCaller, shared.Claims]:
        claims = shared.check_token(request.headers.get("authorization"))
        caller = Caller.objects.filter(caller_id=claims.object_id).first()
        if caller is None:
            raise shared.Refused(401, "The caller is not known.")
        return KnownCaller(shared.groups_of(caller.device_groups)), claims


class BothWindows(BaseThrottle):
    """Counts the call against both windows."""

    def allow_request(self, request: Request, view: Any) -> bool:  # noqa: ARG002  # as the framework calls it
        shared.spend(request.auth)
        return True
