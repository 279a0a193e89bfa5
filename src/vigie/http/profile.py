"""One API as a value: its routes, the tokens that open it, its quotas, its errors, its fast path, its description.

The dispatcher, the gate, the metrics and the access log work from profiles and know no API by name.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from vigie.core.access import Caller, Exposure
from vigie.core.errors import MethodNotAllowed
from vigie.core.quotas import Quota
from vigie.http.error_responses import ErrorRenderer
from vigie.http.protocol import LimitedProtocol, Limits, OnRefused


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path template, its methods and its handler, which gets the exchange and the names of the template.

    A direct route is found by its profile's `match`, and not by its template.
    """

    path: str
    handler: Callable[..., Awaitable[None]]
    methods: tuple[str, ...] = ("GET",)
    is_direct: bool = False

    def answers(self, method: str) -> bool:
        """Whether a method is answered: HEAD wherever GET is."""
        return method in self.methods or (method == "HEAD" and "GET" in self.methods)

    def require(self, method: str) -> None:
        """Raise MethodNotAllowed for a method that is not answered."""
        if not self.answers(method):
            answered = {*self.methods, *(("HEAD",) if "GET" in self.methods else ())}
            raise MethodNotAllowed(method, tuple(sorted(answered)))


def bound(routes: Iterable[Route], handlers: object) -> tuple[Route, ...]:
    """The routes of a table of methods, each with its method bound to the handlers."""
    return tuple(replace(route, handler=partial(route.handler, handlers)) for route in routes)


Match = tuple[Route, dict[str, Any]]
"""A route, and the arguments that its handler gets beside the exchange."""


class ApiAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that open an API: by their audience, and by their permissions for reading and for changing.

    `read` and `write` raise PermissionMissing. Tokens of other issuers open an API only where it says so; their
    audiences stand in the settings of the issuer.
    """

    is_audience: Callable[[str], bool]
    read: Callable[[Caller], Exposure]
    write: Callable[[Caller], Exposure]
    accepts_other_issuers: bool = False


ProtocolFactory = Callable[[Limits, OnRefused], type[LimitedProtocol]]
"""Makes the class of a server's connections, from their limits and what counts the refused ones."""


class OpenApiPart(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an API in the OpenAPI document: `openapi.yaml` in its package, and `openapi.json` made of it.

    The reference page leaves out paths that begin with one of `alias_prefixes`, which repeat others.
    `sample_queries` are what sample calls ask, by path, where a call makes little sense without a query.
    """

    package: str
    alias_prefixes: tuple[str, ...] = ()
    sample_queries: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)


class ApiProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that makes one API that API.

    `access` is None for an API that answers everyone alike. `match` finds the direct routes, by the path as it
    came. `fast_path` makes connections that answer one of the routes by themselves. Routes at `unserved` paths
    are known to the metrics and not answered. Paths under `root` that nothing answers at are refused with the
    errors of this API; empty: it has no root of its own. `on_shutdown` ends answers that would never end.
    """

    name: str
    routes: tuple[Route, ...]
    root: str = ""
    errors: ErrorRenderer
    access: ApiAccess | None = None
    quotas: tuple[Quota, ...] = ()
    match: Callable[[bytes], Match | None] | None = None
    fast_path: ProtocolFactory | None = None
    openapi: OpenApiPart | None = None
    unserved: frozenset[str] = frozenset()
    on_shutdown: Callable[[], None] | None = None


def require_distinct(profiles: Iterable[ApiProfile]) -> None:
    """Raise ValueError where two APIs have a name, a path or a quota in common: one would count for the other.

    So do two with a fast path: a connection has one.
    """
    profiles = tuple(profiles)
    for kind, names in (
        ("API", [each.name for each in profiles]),
        ("path", [path for each in profiles for path in {route.path for route in each.routes}]),
        ("quota", [quota.name for each in profiles for quota in each.quotas]),
    ):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"there are two of the {kind} {twice[0]!r}")
    if len(fast := [each.name for each in profiles if each.fast_path]) > 1:
        raise ValueError(f"a connection has one fast path; the APIs {' and '.join(fast)} each have one")
