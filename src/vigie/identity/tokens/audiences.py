"""The resources that tokens are issued for, and which of them open the incidents API.

Source: docs/api/tokens.md, "Resources"; docs/api/clients.md, "Tokens".
"""

from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

import msgspec

from vigie.core.api_resource import ApiResource
from vigie.core.letter_case import lowered

GRAPH_AUDIENCE = "https://graph.microsoft.com"
GRAPH = ApiResource(
    name="graph",
    # By name and by id.
    audiences=frozenset({GRAPH_AUDIENCE, "00000003-0000-0000-c000-000000000000"}),
)
"""Clients ask for tokens for Microsoft Graph too. They carry no permission, and open nothing here."""

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Audiences(msgspec.Struct, frozen=True, kw_only=True):
    """What this installation issues tokens for: Microsoft's resources and its own origins.

    `origins` are those own ones as URLs of its endpoints begin; `own` has them without their ports too.
    """

    resources: tuple[ApiResource, ...]
    own: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def is_known(self, resource: str) -> bool:
        """Whether a token may be issued for the resource; slashes at its end do not matter."""
        return self.resource_of(resource) is not None

    def resource_of(self, audience: str) -> ApiResource | None:
        """The resource that an audience is a name of; None for one that no tokens are issued for."""
        return next((each for each in self.resources if self.grants_access(each, audience)), None)

    def grants_access(self, resource: ApiResource, audience: str) -> bool:
        """Whether a token for this audience grants access to the resource."""
        name = bare(audience)
        return name in resource.audiences or (resource.has_own_origins and name in self.own)

    def api_of(self, resource: str) -> str:
        """The API that a resource is a name of, by one name whichever it is."""
        found = self.resource_of(resource)
        return bare(resource) if found is None else found.name


def own_audiences(
    resources: Iterable[ApiResource], public_url: str, aliases: Iterable[str], tls_names: Iterable[str] = ()
) -> Audiences:
    """The installation's own origins: each with and without its port, a loopback one under all its names.

    Clients derive a scope from the address they call, and some drop the port. The names that its
    certificate is for are origins, on the same port or the usual one, but no audiences: Microsoft's may be
    among them.
    """
    urls = [urlsplit(lowered(url)) for url in (public_url, *aliases)]
    port = urls[0].port or _DEFAULT_PORTS[urls[0].scheme]
    hosts = (f"[{name}]" if ":" in name else name for name in tls_names)
    called = [urlsplit(f"https://{lowered(host)}:{each}") for host in hosts for each in (port, 443)]
    return Audiences(
        resources=(*resources, GRAPH),
        own=frozenset(name for url in urls for name in _names(url)),
        origins=frozenset(origin for url in (*urls, *called) for origin in _origins(url)),
    )


def _names(url: SplitResult) -> Iterable[str]:
    for host in _hosts(url):
        yield f"{url.scheme}://{host}"
        if url.port is not None:
            yield f"{url.scheme}://{host}:{url.port}"


def _origins(url: SplitResult) -> Iterable[str]:
    """A scheme's own port may be written or left out."""
    default = _DEFAULT_PORTS.get(url.scheme)
    port = url.port or default
    for host in _hosts(url):
        yield f"{url.scheme}://{host}:{port}"
        if port == default:
            yield f"{url.scheme}://{host}"


def _hosts(url: SplitResult) -> tuple[str, ...]:
    name = url.hostname or ""
    host = f"[{name}]" if ":" in name else name
    return _LOOPBACK_NAMES if host in _LOOPBACK_NAMES else (host,)


def bare(resource: str) -> str:
    """The one spelling of a resource: letter case and slashes at its end do not matter."""
    return lowered(resource.rstrip("/"))
