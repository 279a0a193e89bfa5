"""The work that every peer does alike: check a token, keep both windows, leave out what is hidden.

It is what Vigie does, written as one would beside a framework: nothing is remembered between two requests but
the quota.
"""

import os
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import jwt

DATABASE = os.environ["BENCH_DATABASE"]
AUDIENCE = os.environ["BENCH_AUDIENCE"]
ISSUER = os.environ["BENCH_ISSUER"]
PUBLIC_KEY = Path(os.environ["BENCH_PUBLIC_KEY"]).read_text(encoding="ascii")
CALLS_PER_MINUTE = int(os.environ["BENCH_CALLS_PER_MINUTE"])
CALLS_PER_HOUR = int(os.environ["BENCH_CALLS_PER_HOUR"])

READ_PERMISSIONS = frozenset(
    {"Incident.Read.All", "Incident.ReadWrite.All", "Incident.Read", "Incident.ReadWrite"}
)

Groups = frozenset[int | str] | None
"""The device groups of a caller; None: the whole tenant."""


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Claims:
    """What a good token says about its caller."""

    tenant_id: str
    application_id: str
    object_id: str


@dataclass
class Window:
    """At most `calls` in any stretch of `seconds`, for each caller."""

    calls: int
    seconds: float
    logs: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def has_room(self, caller: str, now: float) -> bool:
        log = self.logs[caller]
        while log and log[0] <= now - self.seconds:
            log.popleft()
        return len(log) < self.calls


_windows = (Window(CALLS_PER_MINUTE, 60.0), Window(CALLS_PER_HOUR, 3600.0))
_lock = Lock()


def check_token(authorization: str | None) -> Claims:
    """The claims of a bearer token that allows reading."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(401, "A bearer token is needed.")
    try:
        claims = jwt.decode(token, PUBLIC_KEY, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
    except jwt.PyJWTError as error:
        raise Refused(401, "The token is not valid.") from error
    if READ_PERMISSIONS.isdisjoint([*claims.get("roles", []), *claims.get("scp", "").split()]):
        raise Refused(403, "The token does not allow reading incidents.")
    return Claims(claims["tid"], claims["appid"], claims["oid"])


def spend(claims: Claims) -> None:
    """Count a call against both windows, if it fits."""
    caller, now = f"{claims.tenant_id} {claims.application_id}", time.monotonic()
    with _lock:
        if not all(window.has_room(caller, now) for window in _windows):
            raise Refused(429, "API calls quota exceeded!")
        for window in _windows:
            window.logs[caller].append(now)


def groups_of(kept: list[int | str] | None) -> Groups:
    """The device groups of a caller as the database keeps them."""
    return None if kept is None else frozenset(kept)


def visible(incident: dict[str, Any], groups: Groups) -> dict[str, Any]:
    """The part of an incident that the groups let a caller know about."""
    if groups is None or not incident["alerts"]:
        return incident
    hidden = {
        device["mdatpDeviceId"].lower()
        for alert in incident["alerts"]
        for device in alert["devices"]
        if _label(device) not in groups
    }
    alerts = [
        {
            **alert,
            "devices": [device for device in alert["devices"] if _label(device) in groups],
            "entities": [
                entity for entity in alert["entities"] if (entity.get("deviceId") or "").lower() not in hidden
            ],
        }
        for alert in incident["alerts"]
        if not alert["devices"] or any(_label(device) in groups for device in alert["devices"])
    ]
    if not alerts:
        raise Refused(404, "There is no such incident.")
    return {**incident, "alerts": alerts}


def context(host: str | None) -> str:
    """The first line of every answer."""
    return f"http://{host}/api/$metadata#Incidents/$entity"


def _label(device: Mapping[str, Any]) -> int | str:
    return device["rbacGroupId"] or device["rbacGroupName"] or "Ungrouped devices"
