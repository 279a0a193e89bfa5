"""A second API, for the tests: its own tokens, permission, quota, errors and description, and one route."""

from functools import partial

import msgspec

from vigie.api.defender.error_responses import ERROR_RESPONSES
from vigie.api.gate import Gate
from vigie.application.incidents import IncidentService
from vigie.core.access import WHOLE_TENANT, Caller, Exposure
from vigie.core.api_resource import ApiResource
from vigie.core.errors import DisallowedOperation, InvalidToken, PermissionMissing, WrongAudience
from vigie.core.quotas import Quota, Window
from vigie.http.error_responses import ErrorResponse, Headers, InternalErrorResponse, TableErrorRenderer
from vigie.http.exchange import Exchange
from vigie.http.profile import ApiAccess, ApiProfile, OpenApiPart, Route, bound
from vigie.runtime.apis import ApiContext

NAME = "toy"
ROOT = "/toys"
ROUTE = "/toys/{id}"
PERMISSION = "Toy.Read.All"
AUDIENCE = "https://toys.example"
RESOURCE = ApiResource(name=NAME, audiences=frozenset({AUDIENCE}), application_permissions=(PERMISSION,))
CALLS_A_MINUTE = 3
QUOTA = Quota(name="toys", windows=(Window(calls=CALLS_A_MINUTE, seconds=60),))
MEDIA_TYPE = "application/toy+json"
HEADERS = ((b"content-type", MEDIA_TYPE.encode()), (b"x-toy", b"1"))
BROKEN, WITHOUT_ROW = "0", "1"
"""The ids at which the handler has a bug, and refuses what its table of errors has no row for."""


def _challenge(*_: object) -> Headers:
    return (("www-authenticate", "Toy"),)


ERRORS = TableErrorRenderer(
    responses={
        kind: ErrorResponse(
            status=row.status,
            code=f"toy.{kind.__name__}",
            headers=_challenge if kind in (InvalidToken, WrongAudience) else row.headers,
        )
        for kind, row in ERROR_RESPONSES.items()
        if kind is not DisallowedOperation
    },
    internal_error=InternalErrorResponse(code="toy.Broken", message="The toy is broken."),
    envelope=lambda code, message, target: msgspec.json.encode(
        {"toy": {"kind": code, "why": message, "request": target}}
    ),
    headers=HEADERS,
)


class ToyHandlers:
    """Answers the one call: whether there is an incident."""

    def __init__(self, gate: Gate, incident_service: IncidentService) -> None:
        self._gate = gate
        self._incident_service = incident_service

    async def toy(self, exchange: Exchange, id: str) -> None:  # noqa: A002
        """Answer `/toys/{id}`."""
        caller, exposure, min_position = await self._gate.admit(exchange, QUOTA)
        if id == BROKEN:
            raise RuntimeError("the bug of the toy")
        if id == WITHOUT_ROW:
            raise DisallowedOperation("This toy is not for you.")
        await self._incident_service.get_incident(
            caller.tenant_id, exposure, int(id), exchange.at, min_position=min_position
        )
        await exchange.answer(200, [*HEADERS], msgspec.json.encode({"toy": int(id)}))


def _may(caller: Caller) -> Exposure:
    if PERMISSION not in caller.granted:
        raise PermissionMissing(f"{PERMISSION} is missing.")
    return WHOLE_TENANT


def toy_api(context: ApiContext) -> ApiProfile:
    """The profile: all that there is to add to the APIs of a server."""
    access = ApiAccess(is_audience=partial(context.audiences.grants_access, RESOURCE), read=_may, write=_may)
    handlers = ToyHandlers(context.gate(access), context.incident_service)
    return ApiProfile(
        name=NAME,
        root=ROOT,
        routes=bound((Route(path=ROUTE, handler=ToyHandlers.toy),), handlers),
        errors=ERRORS,
        access=access,
        quotas=(QUOTA,),
        openapi=OpenApiPart(package="tests.support.toy_api"),
    )
