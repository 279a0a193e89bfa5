"""An API as tokens know it: a resource, its names as an audience, and the permissions that it grants."""

import msgspec


class ApiResource(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens may be issued for. `audiences` are its names in small letters, without slashes at the end.

    With `has_own_origins`, the origins of the installation are names of it too: of one API at most.
    """

    name: str
    audiences: frozenset[str]
    application_permissions: tuple[str, ...] = ()
    delegated_permissions: tuple[str, ...] = ()
    has_own_origins: bool = False
