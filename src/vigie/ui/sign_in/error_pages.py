"""Where it does not go on: what stops somebody, and the page that says so."""

from vigie.api.error_responses import PAGE_PROBLEMS, TOKEN_PROBLEMS, problem_of
from vigie.core.errors import Refusal
from vigie.identity.sign_in.authorization_requests import AuthorizationRefused
from vigie.ui.browser_request import UnreadableForm, Visit
from vigie.ui.sign_in.authorization_responses import fields_of_refusal, send_answer
from vigie.ui.sign_in.views import Frame, stopped_page


class StalePage(Exception):
    """A form that this browser did not get for this step, or not lately, or that was used before."""


class ForeignForm(Exception):
    """A form that another site sent."""


class OpenToOthers(Exception):
    """A page that was called over plain HTTP, where others could read the password."""


Stop = StalePage | ForeignForm | OpenToOthers


async def show_stop(visit: Visit, frame: Frame, reason: Stop) -> None:
    """The form itself is not good, or the way that it would go; nothing was done."""
    texts, name = frame.texts, type(reason).__name__
    title, note, detail = {
        "StalePage": (texts.stale, texts.stale_note, "the form is not for this browser and step"),
        "ForeignForm": (texts.foreign, texts.foreign_note, "another site sent it"),
        "OpenToOthers": (texts.open_to_others, texts.open_to_others_note, "called over plain HTTP"),
    }[name]
    visit.exchange.refusal, visit.exchange.detail = name, detail
    await visit.show(stopped_page(frame, title, note), status=PAGE_PROBLEMS[name])


async def show_refused_request(visit: Visit, frame: Frame, code: int, message: str, *, detail: str) -> None:
    """The application's request is not good, and it would not be safe to send anybody to where it says."""
    texts, exchange = frame.texts, visit.exchange
    exchange.refusal, exchange.detail = f"AADSTS{code}", detail
    facts = (
        (texts.code, f"AADSTS{code}"),
        (texts.request, exchange.request_id),
        (texts.moment, visit.moment),
    )
    page = stopped_page(frame, texts.cannot_go_on, texts.refused_request, message=message, facts=facts)
    status, _ = TOKEN_PROBLEMS.get(code, (PAGE_PROBLEMS["AuthorizationRefused"], ""))
    await visit.show(page, status=status)


async def show_unreadable(visit: Visit, frame: Frame, reason: UnreadableForm) -> None:
    """The fields cannot be read in one way."""
    message = detail = "The request is not properly formatted."
    if reason.duplicate:
        message = f"{message} The parameter '{reason.duplicate[:100]}' is duplicated."
        detail = f"{detail} A parameter is duplicated."
    await show_refused_request(visit, frame, 9000411, message, detail=detail)


async def show_refused_authorization(visit: Visit, frame: Frame, refused: AuthorizationRefused) -> None:
    """The application hears of it, unless it is the application or the way to it that cannot be trusted."""
    if refused.redirect is None:
        await show_refused_request(visit, frame, refused.code, refused.message, detail=refused.detail)
    else:
        visit.exchange.refusal, visit.exchange.detail = f"AADSTS{refused.code}", refused.detail
        await send_answer(visit, frame, refused.redirect, fields_of_refusal(visit, refused))


async def show_trouble(visit: Visit, frame: Frame, refusal: Refusal) -> None:
    """The server cannot do it, or not now."""
    texts, exchange = frame.texts, visit.exchange
    found = problem_of(refusal)
    exchange.refusal, exchange.detail = found.code, refusal.detail
    facts = ((texts.request, exchange.request_id), (texts.moment, visit.moment))
    page = stopped_page(frame, texts.trouble, texts.trouble_note, message=refusal.message, facts=facts)
    headers = dict(found.headers(refusal, exchange.origin))
    await visit.show(page, status=found.status, headers=headers)
