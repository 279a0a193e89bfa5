"""The refusals of authorization codes, device codes and refresh tokens."""

from vigie.identity.refusals import OAuthRefusal


class CodeNotFound(OAuthRefusal):
    """An authorization code that was never issued, or has been used up."""


class CodeOfAnotherApplication(OAuthRefusal):
    """An authorization code that was issued to another application."""


class RefreshTokenOfAnotherApplication(OAuthRefusal):
    """A refresh token that was issued to another application."""


class CodeExpired(OAuthRefusal):
    """An authorization code that has expired."""


class CodeRedeemed(OAuthRefusal):
    """A code that is redeemed a second time; the tokens of the first time are revoked."""


class RedirectUriMismatch(OAuthRefusal):
    """Another redirect URI than the one that the code was sent to."""


class CodeVerifierMismatch(OAuthRefusal):
    """A code verifier that does not belong to the challenge."""


class MalformedRefreshToken(OAuthRefusal):
    """A refresh token that this server never issued."""


class RefreshTokenExpired(OAuthRefusal):
    """A refresh token that was not used for too long."""


class GrantRevoked(OAuthRefusal):
    """A grant that was valid once: the user has to sign in again."""


class TooManyDeviceCodes(OAuthRefusal):
    """An address that has requested more device codes than it may."""


class DeviceCodeNotFound(OAuthRefusal):
    """A device code that is unknown, or is another application's."""


class DeviceCodeExpired(OAuthRefusal):
    """A device code that has expired."""


class AuthorizationPending(OAuthRefusal):
    """A device whose user has not decided yet."""


class PolledTooSoon(OAuthRefusal):
    """A device that polls again before the interval is over."""

    def __init__(self, interval_seconds: int) -> None:
        super().__init__(interval_seconds=str(interval_seconds))


class AuthorizationDeclined(OAuthRefusal):
    """A user who does not let the application act for them."""


class TransientError(OAuthRefusal):
    """A request that the server cannot answer now."""
