"""The pages of a sign-in, each from its template and the values that it is handed. They do not decide."""

from collections.abc import Mapping

import msgspec

from vigie.http.error_responses import Headers
from vigie.identity.grants.device_code import VERIFICATION_PATH
from vigie.ui.rendering import Html, PageContext, render
from vigie.ui.sign_in.urls import target_named

PASSWORD_PATH = "/signin/password"  # noqa: S105
CONSENT_PATH = "/signin/consent"
DEVICE_PATH = VERIFICATION_PATH

ALLOW, REFUSE, OTHER_ACCOUNT = "allow", "refuse", "other"

FORM_SCRIPT = "send_once.js"
FORM_POST_SCRIPT = "submit.js"


class ConsentPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """The application, its organisation and what it requests, as pages name them.

    `target` is where the answer goes, None for a device.
    """

    application: str
    tenant: str
    permissions: tuple[str, ...]
    target: str | None
    wants_identity: bool = False
    wants_refresh: bool = False


class FormError(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a form is shown again: templates have a text for each `name`, and `detail` is for the log."""

    name: str
    detail: str
    retry_after_seconds: int | None = None

    @property
    def headers(self) -> Headers:
        """The headers of its answer."""
        wait = self.retry_after_seconds
        return () if wait is None else (("retry-after", str(wait)),)


def sign_in_page(
    context: PageContext,
    prompt: ConsentPrompt,
    flow: str,
    *,
    user_name: str = "",
    error: FormError | None = None,
    cancel_url: str | None = None,
) -> Html:
    """Ask for user name and password. `flow` is the signed state of the flow, here as in all forms."""
    return render(
        "sign_in.html",
        context,
        prompt=prompt,
        flow=flow,
        user_name=user_name,
        error=error,
        cancel_url=cancel_url,
        password_path=PASSWORD_PATH,
    )


def consent_page(context: PageContext, prompt: ConsentPrompt, flow: str, *, user: str) -> Html:
    """Show which application requests what, and ask whether it is allowed."""
    return render("consent.html", context, prompt=prompt, flow=flow, user=user, consent_path=CONSENT_PATH)


def device_page(context: PageContext, flow: str, *, error: FormError | None = None) -> Html:
    """Ask for the code that a device shows."""
    return render("device.html", context, flow=flow, error=error, device_path=DEVICE_PATH)


def device_done_page(context: PageContext, application: str, *, allowed: bool) -> Html:
    """Say that a device was connected, or was not."""
    return render(
        "device_done.html", context, application=application, allowed=allowed, device_path=DEVICE_PATH
    )


def form_post_page(context: PageContext, target: str, fields: Mapping[str, str]) -> Html:
    """Send fields to the application: by itself, and by a button where scripts do not run."""
    return render("form_post.html", context, target=target, target_name=target_named(target), fields=fields)
