"""Refusals: the answers that are not what a caller asked for. Any other exception is an internal error.

`message` is for the caller; `detail` is for the log and never leaves. Where nothing more is known, it is the
message without what is marked as `user_text`. Which status a refusal becomes is decided by each
API's table of error responses.
"""

import re

from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess

CLAIM_LENGTH_MAX = 200
"""How much of a claim is shown, to the caller or in the log."""

_FIRST, _LAST = "\ue000", "\ue001"
_USER_TEXT = re.compile(f"{_FIRST}[^{_LAST}]*{_LAST}")
_MARKS = str.maketrans("", "", _FIRST + _LAST)


def user_text(text: str) -> str:
    """A caller's own words inside a message: they go back to the caller, and not into the log."""
    return f"{_FIRST}{text.translate(_MARKS)}{_LAST}"


def for_caller(message: str) -> str:
    """A message as the caller reads it."""
    return message.translate(_MARKS)


def for_log(message: str) -> str:
    """A message as the log has it."""
    return _USER_TEXT.sub("…", message)


class Refusal(Exception):
    """A request that is answered, but not granted."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        self.message = for_caller(message)
        super().__init__(self.message)
        self.detail = detail or for_log(message)


class InvalidToken(Refusal):
    """No token, or one that proves nothing. Why it proves nothing is for the log alone."""

    def __init__(self, detail: str) -> None:
        super().__init__("The token is missing or not valid.", detail=detail)


class WrongAudience(Refusal):
    """A token that is good, but for another API. An API may tell the caller what stands in it, and nothing else."""

    def __init__(
        self,
        *,
        application: str,
        audience: str,
        issuer: str,
        valid_from: Instant | None,
        valid_until: Instant,
    ) -> None:
        super().__init__("The token is for another API.", detail=f"audience {audience[:CLAIM_LENGTH_MAX]!r}")
        self.application = application
        self.audience = audience
        self.issuer = issuer
        self.valid_from = valid_from
        self.valid_until = valid_until


class PermissionMissing(Refusal):
    """A caller whose token, or whose role, does not allow the call."""


class TokenPermissionMissing(PermissionMissing):
    """A caller whose token grants none of the `required` permissions, but only those `granted`."""

    def __init__(self, *, required: tuple[str, ...], granted: tuple[str, ...], is_application: bool) -> None:
        super().__init__(
            f"The token grants none of these permissions: {', '.join(required)}.",
            detail="the token grants no such permission",
        )
        self.required = required
        self.granted = granted
        self.is_application = is_application


class QuotaExceeded(Refusal):
    """A caller who has spent a quota; `retry_after_seconds` is enough, and at most one second too long."""

    def __init__(self, quota: Quota, excess: QuotaExcess) -> None:
        self.quota_name = quota.name
        self.window = excess.window
        self.retry_after_seconds = excess.retry_after_seconds
        super().__init__(
            f"The quota {quota.name} is spent.",
            detail=f"quota {quota.name}, retry after {self.retry_after_seconds} s",
        )


class BadRequest(Refusal):
    """A request that is not one: no or several hosts, for example."""


class InvalidInput(Refusal):
    """A value in the path or the query that cannot be what it should be."""


class InvalidQuery(Refusal):
    """A query option that the route does not know, or cannot read."""


class InvalidBody(Refusal):
    """A body that is not JSON of the right shape, or says what cannot be."""


class DisallowedOperation(Refusal):
    """Something that cannot be done to this incident by any caller."""


class BodyTooLarge(Refusal):
    """A body over the stated size."""


class IncidentNotFound(Refusal):
    """No such incident, or none that this caller may know about: the answers are alike."""

    def __init__(self, incident_id: int, *, detail: str = "") -> None:
        super().__init__(f"Incident {incident_id} was not found", detail=detail)


_BEGIN_ANEW = (
    "Begin anew: get the latest place in the feed, then read the incidents, then follow from that place."
)


class AlertNotFound(Refusal):
    """No such alert, or none that this caller may know about: the answers are alike."""

    def __init__(self, alert_id: str) -> None:
        super().__init__(
            f"Alert {user_text(alert_id[:100])} was not found", detail="missing, or hidden from the caller"
        )


class ChangesGone(Refusal):
    """Changes that were asked for and are not in the feed any more, or never were: the consumer has to begin anew.

    `oldest` is the oldest change that is kept.
    """

    def __init__(self, oldest: int) -> None:
        super().__init__(
            "That place is not in the feed: changes behind it are not kept any more, or a backup was restored. "
            f"{_BEGIN_ANEW}"
        )
        self.oldest = oldest


class ViewChanged(Refusal):
    """A place in the change feed that was reached with another exposure.

    What came into the reader's view with the other exposure, or left it, was no change of an incident, and so was
    never told.
    """

    def __init__(self) -> None:
        super().__init__(
            f"What the caller may see is not what it was at that place in the feed. {_BEGIN_ANEW}"
        )


class TooManyStreams(Refusal):
    """One more stream than a caller may have open."""

    def __init__(self, count_max: int, *, retry_after_seconds: int = 10) -> None:
        super().__init__(f"The caller has {count_max} streams open, and may not have more. Close one first.")
        self.retry_after_seconds = retry_after_seconds


class RouteNotFound(Refusal):
    """A path that nothing answers at."""


class MethodNotAllowed(Refusal):
    """A method that the path does not answer; `allowed` are those it does."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(
            f"The method {user_text(method[:20])} is not allowed here; allowed: {', '.join(allowed)}."
        )
        self.allowed = allowed


class StoreUnavailable(Refusal):
    """The database does not answer now: busy, full or gone. Nothing acknowledged is lost; try again."""

    def __init__(
        self,
        detail: str,
        *,
        message: str = "The store cannot answer at the moment. Try again.",
        retry_after_seconds: int = 5,
    ) -> None:
        super().__init__(message, detail=detail)
        self.retry_after_seconds = retry_after_seconds


class QuotaStoreUnavailable(Refusal):
    """What counts the calls for all servers does not answer, and none may count for itself. Try again."""

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__("Calls cannot be counted at the moment. Try again.", detail="no quota store")
        self.retry_after_seconds = retry_after_seconds


class IssuerUnavailable(Refusal):
    """A token that cannot be judged now: its issuer does not say with which keys it signs."""

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__("The issuer of the token cannot be reached at the moment. Try again.", detail=detail)
        self.retry_after_seconds = retry_after_seconds


class QueryTooSlow(Refusal):
    """A question that the database cannot answer within the stated time."""

    def __init__(self, detail: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__("The query takes too long. Ask for less.", detail=detail)
        self.retry_after_seconds = retry_after_seconds
