"""Error responses of an API: one table from refusal to status and code, and the envelope around them."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from vigie.core.errors import Refusal
from vigie.http.exchange import Exchange

Headers = tuple[tuple[str, str], ...]


class ErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How a refusal is answered: the status, the word for machines, the sentence, the headers that go with it.

    `message` makes the API's own sentence of a refusal, where that is another than the refusal's. The headers may
    name the authorization server by its origin; empty: there is none here.
    """

    status: int
    code: str
    message: Callable[[Any], str] = attrgetter("message")
    headers: Callable[[Refusal, str], Headers] = lambda _refusal, _origin: ()


class InternalErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How an internal error is answered: with one sentence whatever the error is, so that nothing of it leaves."""

    status: int = 500
    code: str
    message: str


def retry_after(refusal: Refusal, _origin: str) -> Headers:
    """The seconds that the refusal asks the client to wait."""
    return (("retry-after", str(getattr(refusal, "retry_after_seconds", 1))),)


def allow(refusal: Refusal, _origin: str) -> Headers:
    """The methods that a 405 offers instead."""
    return (("allow", ", ".join(getattr(refusal, "allowed", ()))),)


class ErrorRenderer(Protocol):
    """Answers refusals and internal errors in the form of one API."""

    @property
    def internal_error(self) -> InternalErrorResponse:
        """The response to whatever is no refusal."""

    def has_response_to(self, refusal: Refusal) -> bool:
        """Whether a refusal has a response; one without is an internal error of its API."""

    def response_to(self, refusal: Refusal) -> ErrorResponse:
        """The response to a refusal that has one."""

    async def answer(self, exchange: Exchange, refusal: Refusal) -> None:
        """Send the error response to a refusal."""

    async def answer_internal_error(self, exchange: Exchange) -> None:
        """Send the error response to whatever is no refusal."""


class TableErrorRenderer(msgspec.Struct, frozen=True, kw_only=True):
    """Answers from a table, with one envelope around every message.

    `envelope` makes the body of a code, a message and the id of the request; `headers` stand on every error
    response. `names_authorization_server` is false where no tokens are issued.
    """

    responses: Mapping[type[Refusal], ErrorResponse]
    internal_error: InternalErrorResponse
    envelope: Callable[[str, str, str], bytes]
    headers: tuple[tuple[bytes, bytes], ...]
    names_authorization_server: bool = True

    def has_response_to(self, refusal: Refusal) -> bool:
        """Whether the table has a row for a refusal."""
        return type(refusal) in self.responses

    def response_to(self, refusal: Refusal) -> ErrorResponse:
        """The row of the table for a refusal."""
        return self.responses[type(refusal)]

    def headers_of(self, refusal: Refusal, exchange: Exchange) -> Headers:
        """The headers that this refusal adds to the common ones."""
        origin = exchange.origin if self.names_authorization_server else ""
        return self.response_to(refusal).headers(refusal, origin)

    async def answer(self, exchange: Exchange, refusal: Refusal) -> None:
        """Send the error response to a refusal."""
        more = [(name.encode(), value.encode()) for name, value in self.headers_of(refusal, exchange)]
        response = self.response_to(refusal)
        await self._send(exchange, response.status, response.code, response.message(refusal), more)

    async def answer_internal_error(self, exchange: Exchange) -> None:
        """Send the error response to whatever is no refusal."""
        response = self.internal_error
        await self._send(exchange, response.status, response.code, response.message, [])

    async def _send(
        self, exchange: Exchange, status: int, code: str, message: str, more: list[tuple[bytes, bytes]]
    ) -> None:
        body = self.envelope(code, message, exchange.request_id)
        await exchange.answer(status, [*self.headers, *exchange.safety_headers, *more], body)
