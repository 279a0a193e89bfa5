"""The error pages of a sign-in, and the one table of their statuses. docs/errors.md has a heading for each."""

from collections.abc import Mapping

from vigie.core.errors import Refusal
from vigie.http.error_responses import TableErrorRenderer
from vigie.identity.refusals import OAuthRefusal
from vigie.identity.sign_in.authorization_requests import AuthorizationRefused
from vigie.identity.sign_in.refusals import DuplicateParameter, MalformedRequest
from vigie.ui.browser_request import BrowserRequest, UnreadableForm
from vigie.ui.rendering import render
from vigie.ui.sign_in.authorization_responses import fields_of_refusal, send_answer


class ExpiredPage(Exception):
    """A form that this browser did not get for this step, or not lately, or that was used before."""


class CrossSiteForm(Exception):
    """A form that another site sent."""


class InsecureConnection(Exception):
    """A page that was requested over plain HTTP, where others could read the password."""


PageError = ExpiredPage | CrossSiteForm | InsecureConnection

PAGE_ERROR_STATUSES: Mapping[str, int] = {
    "AuthorizationRefused": 400,
    "CredentialsMissing": 400,
    "DeviceCodeUnknown": 400,
    "CrossSiteForm": 403,
    "InsecureConnection": 403,
    "SignInBusy": 503,
    "SignInRefused": 403,
    "ExpiredPage": 400,
}

_PAGE_ERRORS: Mapping[type[PageError], tuple[str, str]] = {
    ExpiredPage: ("expired_page.html", "the form is not for this browser and step"),
    CrossSiteForm: ("cross_site_form.html", "another site sent it"),
    InsecureConnection: ("insecure_connection.html", "called over plain HTTP"),
}


async def show_error_page(request: BrowserRequest, error: PageError) -> None:
    """The form itself is not good, or the connection; nothing was done."""
    name = type(error).__name__
    template, detail = _PAGE_ERRORS[type(error)]
    request.exchange.refusal, request.exchange.detail = name, detail
    await request.show(render(template, request.context), status=PAGE_ERROR_STATUSES[name])


async def show_refused_request(request: BrowserRequest, refusal: OAuthRefusal) -> None:
    """The application's request is not good, and it would not be safe to redirect to the URL in it."""
    exchange, error = request.exchange, request.oauth_error_text(refusal)
    exchange.refusal, exchange.detail = error.code, error.detail
    page = render(
        "request_refused.html",
        request.context,
        message=error.message,
        code=error.code,
        request_id=exchange.request_id,
        time=request.time,
    )
    await request.show(page, status=PAGE_ERROR_STATUSES["AuthorizationRefused"])


async def show_unreadable(request: BrowserRequest, error: UnreadableForm) -> None:
    """The fields cannot be read in one way."""
    refusal = DuplicateParameter(error.duplicate) if error.duplicate else MalformedRequest()
    await show_refused_request(request, refusal)


async def show_refused_authorization(request: BrowserRequest, refused: AuthorizationRefused) -> None:
    """The application is told, by way of the browser."""
    error = request.oauth_error_text(refused.refusal)
    request.exchange.refusal, request.exchange.detail = error.code, error.detail
    await send_answer(request, refused.redirection, fields_of_refusal(request, refused))


async def show_refusal(request: BrowserRequest, refusal: Refusal, errors: TableErrorRenderer) -> None:
    """The server cannot do it, or not now."""
    exchange, response = request.exchange, errors.response_to(refusal)
    exchange.refusal, exchange.detail = response.code, refusal.detail
    page = render(
        "unavailable.html",
        request.context,
        message=refusal.message,
        request_id=exchange.request_id,
        time=request.time,
    )
    await request.show(page, status=response.status, headers=errors.headers_of(refusal, exchange))
