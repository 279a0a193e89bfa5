"""What an application gets in answer to its request, by way of the browser."""

from vigie.identity.sign_in.authorization_requests import AuthorizationRefused, Redirection
from vigie.ui.browser_request import BrowserRequest
from vigie.ui.sign_in.urls import form_targets, in_ascii, with_fields
from vigie.ui.sign_in.views import HANDING_OVER_SCRIPT, PageContext, handing_over_page


async def send_answer(
    visit: BrowserRequest, frame: PageContext, to: Redirection, fields: dict[str, str]
) -> None:
    """Send the browser back to the application: by the query, the fragment, or a form that sends itself."""
    url = url_of_answer(to, fields)
    if url is not None:
        await visit.send_to(url)
    else:
        target = in_ascii(to.redirect_uri)
        page = handing_over_page(frame, target, _whole(to, fields))
        await visit.show(page, form_targets=form_targets(target), scripts=[HANDING_OVER_SCRIPT])


def url_of_refusal(visit: BrowserRequest, refused: AuthorizationRefused | None) -> str | None:
    """The address with which an application hears of a refusal; None when a link cannot tell it."""
    if refused is None or refused.redirect is None:
        return None
    return url_of_answer(refused.redirect, fields_of_refusal(visit, refused))


def url_of_answer(to: Redirection, fields: dict[str, str]) -> str | None:
    """The address with the answer in it; None for an answer that goes by a form."""
    if to.response_mode == "form_post":
        return None
    in_fragment = to.response_mode == "fragment"
    return with_fields(to.redirect_uri, _whole(to, fields), in_fragment=in_fragment)


def fields_of_refusal(visit: BrowserRequest, refused: AuthorizationRefused) -> dict[str, str]:
    """A refusal, in the form of the vendor's authority."""
    said = f"AADSTS{refused.code}: {refused.message}"
    description = f"{said} Trace ID: {visit.exchange.request_id} Timestamp: {visit.moment}"
    return {"error": refused.error, "error_description": description}


def _whole(to: Redirection, fields: dict[str, str]) -> dict[str, str]:
    more = {"state": to.state, "iss": to.issuer}
    return {**fields, **{name: value for name, value in more.items() if value is not None}}
