"""The refusals of OAuth requests: their base class, and those of a form that lacks something.

The others stand in the `refusals` of the packages that raise them. A refusal carries the facts of the case; the
AADSTS number, the status, the OAuth word and the sentence of each stand in `api/oauth/error_responses.py`.
"""

import msgspec

from vigie.core.errors import Refusal, user_text


class OAuthRefusal(Refusal):
    """A request of an OAuth client or of its user that is answered, but not granted.

    `detail` is for the log, in place of the sentence that the client reads. `facts` fill the gaps of that
    sentence; those that came with the request are marked as `user_text`, so that they stay out of the log.
    """

    def __init__(self, *, detail: str = "", **facts: str) -> None:
        super().__init__(type(self).__name__)
        self.detail = detail
        self.facts = facts


class OAuthErrorText(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal in the words of the OAuth API, for pages and for applications; `detail` is for the log."""

    code: str
    redirect_error: str
    message: str
    detail: str


class MissingParameter(OAuthRefusal):
    """A form without a field that it needs."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class SecretInQuery(OAuthRefusal):
    """A secret in the query string, which proxies and servers write into their logs."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class UnreadableBody(OAuthRefusal):
    """A body that is not a form."""


class MissingAuthority(OAuthRefusal):
    """Instance discovery without the URL of an authorization server."""


class UnknownAuthority(OAuthRefusal):
    """Instance discovery for another authorization server than this one."""


class UnsupportedGrantType(OAuthRefusal):
    """A grant type that is not served here."""

    def __init__(self, grant_type: str) -> None:
        super().__init__(grant_type=user_text(grant_type[:100]))
