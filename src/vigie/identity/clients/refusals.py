"""The refusals of clients: unknown tenants and applications, and credentials that prove nothing."""

from vigie.core.errors import user_text
from vigie.identity.refusals import OAuthRefusal


class TenantNotNamed(OAuthRefusal):
    """A path of every tenant, such as `common`, where one has to be named."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference=user_text(reference))


class InvalidTenantName(OAuthRefusal):
    """A path segment that is neither a GUID nor a domain."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference=user_text(reference[:100]))


class TenantNotFound(OAuthRefusal):
    """A tenant that does not exist."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference=user_text(reference))


class ApplicationNotFound(OAuthRefusal):
    """A client id of no application in the tenant."""

    def __init__(self, client_id: str, directory: str) -> None:
        super().__init__(client_id=user_text(client_id[:100]), directory=user_text(directory))


class UnexpectedCredentials(OAuthRefusal):
    """A public client that sends a secret or an assertion."""

    def __init__(self, client_id: str) -> None:
        super().__init__(client_id=client_id)


class MissingCredentials(OAuthRefusal):
    """A confidential client that sends neither a secret nor an assertion."""


class GrantNeedsCredentials(OAuthRefusal):
    """The client credentials grant without credentials."""


class InvalidClientSecret(OAuthRefusal):
    """A secret that is not the application's."""

    def __init__(self, client_id: str) -> None:
        super().__init__(client_id=client_id)


class ExpiredClientSecret(OAuthRefusal):
    """A secret of the application that has expired."""


class InvalidClientAssertion(OAuthRefusal):
    """A client assertion that is not accepted; the reason says what to correct."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)
