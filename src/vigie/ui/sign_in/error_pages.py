"""Where it does not go on: what stops somebody, and the page that says so."""

from collections.abc import Mapping

from vigie.api.oauth.error_responses import TOKEN_ERROR_RESPONSES
from vigie.core.errors import Refusal
from vigie.http.error_responses import ErrorRenderer
from vigie.identity.sign_in.authorization_requests import AuthorizationRefused
from vigie.ui.browser_request import BrowserRequest, UnreadableForm
from vigie.ui.sign_in.authorization_responses import fields_of_refusal, send_answer
from vigie.ui.sign_in.views import PageContext, stopped_page

# Why a page for signing in does not go on: status.
PAGE_ERROR_RESPONSES: Mapping[str, int] = {
    "AuthorizationRefused": 400,
    "CredentialsMissing": 400,
    "DeviceCodeUnknown": 400,
    "CrossSiteForm": 403,
    "InsecureConnection": 403,
    "SignInBusy": 503,
    "SignInRefused": 403,
    "ExpiredPage": 400,
}


class ExpiredPage(Exception):
    """A form that this browser did not get for this step, or not lately, or that was used before."""


class CrossSiteForm(Exception):
    """A form that another site sent."""


class InsecureConnection(Exception):
    """A page that was called over plain HTTP, where others could read the password."""


PageError = ExpiredPage | CrossSiteForm | InsecureConnection


async def show_error_page(visit: BrowserRequest, frame: PageContext, reason: PageError) -> None:
    """The form itself is not good, or the way that it would go; nothing was done."""
    texts, name = frame.texts, type(reason).__name__
    title, note, detail = {
        "ExpiredPage": (texts.stale, texts.stale_note, "the form is not for this browser and step"),
        "CrossSiteForm": (texts.foreign, texts.foreign_note, "another site sent it"),
        "InsecureConnection": (texts.open_to_others, texts.open_to_others_note, "called over plain HTTP"),
    }[name]
    visit.exchange.refusal, visit.exchange.detail = name, detail
    await visit.show(stopped_page(frame, title, note), status=PAGE_ERROR_RESPONSES[name])


async def show_refused_request(
    visit: BrowserRequest, frame: PageContext, code: int, message: str, *, detail: str
) -> None:
    """The application's request is not good, and it would not be safe to send anybody to where it says."""
    texts, exchange = frame.texts, visit.exchange
    exchange.refusal, exchange.detail = f"AADSTS{code}", detail
    facts = (
        (texts.code, f"AADSTS{code}"),
        (texts.request, exchange.request_id),
        (texts.moment, visit.moment),
    )
    page = stopped_page(frame, texts.cannot_go_on, texts.refused_request, message=message, facts=facts)
    status, _ = TOKEN_ERROR_RESPONSES.get(code, (PAGE_ERROR_RESPONSES["AuthorizationRefused"], ""))
    await visit.show(page, status=status)


async def show_unreadable(visit: BrowserRequest, frame: PageContext, reason: UnreadableForm) -> None:
    """The fields cannot be read in one way."""
    message = detail = "The request is not properly formatted."
    if reason.duplicate:
        message = f"{message} The parameter '{reason.duplicate[:100]}' is duplicated."
        detail = f"{detail} A parameter is duplicated."
    await show_refused_request(visit, frame, 9000411, message, detail=detail)


async def show_refused_authorization(
    visit: BrowserRequest, frame: PageContext, refused: AuthorizationRefused
) -> None:
    """The application hears of it, unless it is the application or the way to it that cannot be trusted."""
    if refused.redirect is None:
        await show_refused_request(visit, frame, refused.code, refused.message, detail=refused.detail)
    else:
        visit.exchange.refusal, visit.exchange.detail = f"AADSTS{refused.code}", refused.detail
        await send_answer(visit, frame, refused.redirect, fields_of_refusal(visit, refused))


async def show_form_error(
    visit: BrowserRequest, frame: PageContext, refusal: Refusal, errors: ErrorRenderer
) -> None:
    """The server cannot do it, or not now."""
    texts, exchange = frame.texts, visit.exchange
    found = errors.response_to(refusal)
    exchange.refusal, exchange.detail = found.code, refusal.detail
    facts = ((texts.request, exchange.request_id), (texts.moment, visit.moment))
    page = stopped_page(frame, texts.trouble, texts.trouble_note, message=refusal.message, facts=facts)
    headers = dict(errors.headers_of(refusal, exchange))
    await visit.show(page, status=found.status, headers=headers)
