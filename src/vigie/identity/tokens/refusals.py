"""The refusals of scopes and resources."""

from collections.abc import Collection

from vigie.core.errors import user_text
from vigie.identity.refusals import OAuthRefusal

_TEXT_LENGTH_MAX = 200


class InvalidScope(OAuthRefusal):
    """A scope in which nothing can be granted, or one of several resources."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope=user_text(scope[:_TEXT_LENGTH_MAX]))


class DefaultScopeRequired(OAuthRefusal):
    """A scope of the client credentials grant that does not end in `/.default`."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope=user_text(scope[:_TEXT_LENGTH_MAX]))


class ResourceNotFound(OAuthRefusal):
    """A resource that no tokens are issued for."""

    def __init__(self, resource: str, client_id: str) -> None:
        super().__init__(resource=user_text(resource[:_TEXT_LENGTH_MAX]), client_id=client_id)


class ResourceNotSupported(OAuthRefusal):
    """The parameter `resource` of version 1 at an endpoint of version 2."""


class PermissionNotAllowed(OAuthRefusal):
    """Permissions that the application may ask nobody for."""

    def __init__(self, names: Collection[str], client_id: str) -> None:
        super().__init__(names=user_text(" ".join(names)[:_TEXT_LENGTH_MAX]), client_id=client_id)


class ConsentRequired(OAuthRefusal):
    """More than the user has consented to."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(names=user_text(" ".join(names)[:_TEXT_LENGTH_MAX]))
