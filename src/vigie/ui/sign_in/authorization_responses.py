"""The answer that an application gets to its authorization request, by way of the browser."""

from vigie.identity.sign_in.authorization_requests import AuthorizationRefused, Redirection
from vigie.ui.browser_request import BrowserRequest
from vigie.ui.sign_in.urls import form_targets, in_ascii, with_fields
from vigie.ui.sign_in.views import FORM_POST_SCRIPT, form_post_page


async def send_answer(request: BrowserRequest, to: Redirection, fields: dict[str, str]) -> None:
    """Send the browser back to the application: by the query, the fragment, or a form that sends itself."""
    url = url_of_answer(to, fields)
    if url is not None:
        await request.redirect(url)
    else:
        target = in_ascii(to.redirect_uri)
        page = form_post_page(request.context, target, _with_state(to, fields))
        await request.show(page, form_targets=form_targets(target), scripts=[FORM_POST_SCRIPT])


def url_of_refusal(request: BrowserRequest, refused: AuthorizationRefused | None) -> str | None:
    """The URL that tells an application of a refusal; None when a link cannot."""
    if refused is None:
        return None
    return url_of_answer(refused.redirection, fields_of_refusal(request, refused))


def url_of_answer(to: Redirection, fields: dict[str, str]) -> str | None:
    """The URL with the answer in it; None for an answer that goes by a form."""
    if to.response_mode == "form_post":
        return None
    in_fragment = to.response_mode == "fragment"
    return with_fields(to.redirect_uri, _with_state(to, fields), in_fragment=in_fragment)


def fields_of_refusal(request: BrowserRequest, refused: AuthorizationRefused) -> dict[str, str]:
    """A refusal, in the form of Microsoft's authorization server."""
    error = request.oauth_error_text(refused.refusal)
    said = f"{error.code}: {error.message}"
    description = f"{said} Trace ID: {request.exchange.request_id} Timestamp: {request.time}"
    return {"error": error.redirect_error, "error_description": description}


def _with_state(to: Redirection, fields: dict[str, str]) -> dict[str, str]:
    more = {"state": to.state, "iss": to.issuer}
    return {**fields, **{name: value for name, value in more.items() if value is not None}}
