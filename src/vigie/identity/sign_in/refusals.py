"""The refusals of authorization requests and of sign-ins."""

from collections.abc import Collection
from datetime import timedelta

from vigie.core.errors import user_text
from vigie.identity.refusals import OAuthRefusal


class DuplicateParameter(OAuthRefusal):
    """An authorization request with the same parameter twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name=user_text(name[:100]))


class MalformedRequest(OAuthRefusal):
    """An authorization request whose parameters cannot be read."""


class RedirectUriNotRegistered(OAuthRefusal):
    """A redirect URI that the application has not registered."""

    def __init__(self, redirect_uri: str, client_id: str) -> None:
        super().__init__(redirect_uri=user_text(redirect_uri[:200]), client_id=client_id)


class UnsupportedResponseType(OAuthRefusal):
    """Another `response_type` than `code`."""

    def __init__(self, response_type: str) -> None:
        super().__init__(response_type=user_text(response_type[:100]))


class UnsupportedResponseMode(OAuthRefusal):
    """A `response_mode` that is not served here."""

    def __init__(self, mode: str, supported: Collection[str]) -> None:
        super().__init__(mode=user_text(mode[:100]), supported=", ".join(supported))


class UnsupportedRequestObject(OAuthRefusal):
    """A request inside a JWT, or behind a URI."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class CodeChallengeRequired(OAuthRefusal):
    """A public client without PKCE."""


class CodeChallengeMissing(OAuthRefusal):
    """A code challenge method without a challenge."""


class UnsupportedChallengeMethod(OAuthRefusal):
    """Another code challenge method than S256."""


class MalformedCodeChallenge(OAuthRefusal):
    """A code challenge that is not the length or the alphabet of S256."""


class NonceTooLong(OAuthRefusal):
    """A nonce that is longer than an ID token should carry."""

    def __init__(self, length_max: int) -> None:
        super().__init__(length_max=str(length_max))


class SignInRequired(OAuthRefusal):
    """A request with `prompt=none`: nobody stays signed in here, so a page is needed."""


class SignInOutdated(OAuthRefusal):
    """A user who was removed, or whose password was changed, since signing in."""


class UserOfAnotherTenant(OAuthRefusal):
    """A user who does not belong to the tenant of the application."""


class DeviceNotWaiting(OAuthRefusal):
    """A user code that no device waits with."""


class SignInRefused(OAuthRefusal):
    """Nobody is signed in. `retry_after` is how long to wait when the password was not even checked."""

    def __init__(self, retry_after: timedelta | None = None) -> None:
        super().__init__()
        self.retry_after = retry_after


class InvalidCredentials(SignInRefused):
    """A wrong password, an unknown user name or a locked account: all alike, so that none can be told apart."""


class TooManyAttempts(SignInRefused):
    """An address with more attempts than it may make."""


class TooManySignIns(SignInRefused):
    """More passwords to check at once than the server can."""
