"""The steps of a sign-in: an authorization request or a device's code, a password, a consent. They do not decide.

Between these steps nothing is kept but what the browser brings back, signed. There are no sessions: every sign-in
needs the password. docs/divergences.md, "No single sign-on".
"""

from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil

from vigie.core.errors import Refusal
from vigie.http.error_responses import TableErrorRenderer
from vigie.http.exchange import Exchange
from vigie.http.profile import Route
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.refusals import OAuthErrorText, OAuthRefusal
from vigie.identity.sign_in.authorization_requests import AuthorizationRefused, sign_in_needed
from vigie.identity.sign_in.refusals import SignInRefused
from vigie.identity.sign_in.service import SignedInUser, SignIn
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.ui.browser_request import FORM_BYTES_MAX, REQUEST_BYTES_MAX, BrowserRequest, UnreadableForm
from vigie.ui.rendering import Html, page_context
from vigie.ui.sign_in.authorization_responses import url_of_refusal
from vigie.ui.sign_in.consent_session import ConsentSessions
from vigie.ui.sign_in.error_pages import (
    PAGE_ERROR_STATUSES,
    CrossSiteForm,
    ExpiredPage,
    InsecureConnection,
    show_error_page,
    show_refusal,
    show_refused_authorization,
    show_refused_request,
    show_unreadable,
)
from vigie.ui.sign_in.flow_state import Authorization, DeviceState, FlowState, FlowStates
from vigie.ui.sign_in.flows import AuthorizationFlow, SignInFlow, flow_of
from vigie.ui.sign_in.views import (
    ALLOW,
    CONSENT_PATH,
    DEVICE_PATH,
    FORM_SCRIPT,
    OTHER_ACCOUNT,
    PASSWORD_PATH,
    REFUSE,
    FormError,
    consent_page,
    device_page,
    sign_in_page,
)

_CODE_STEP, _PASSWORD_STEP, _CONSENT_STEP = "code", "password", "consent"
_USER_CODE_LENGTH_MAX = 64


class SignInHandlers:
    """Answers the browsers of people who sign in."""

    def __init__(
        self,
        sign_in: SignIn,
        directory: DirectoryRepository,
        state_signer: StateSigner,
        *,
        errors: TableErrorRenderer,
        oauth_error_text: Callable[[OAuthRefusal], OAuthErrorText],
        count_step: Callable[[str], None],
    ) -> None:
        self._sign_in = sign_in
        self._flow_states = FlowStates(state_signer)
        self._consent_sessions = ConsentSessions(state_signer, directory)
        self._errors = errors
        self._oauth_error_text = oauth_error_text
        self._count_step = count_step

    async def authorize(self, exchange: Exchange, tenant: str, *, version: EndpointVersion) -> None:
        """An authorization request of an application: ask for user name and password."""
        await self._take_step(exchange, partial(self._authorize, tenant=tenant, version=version))

    async def password(self, exchange: Exchange) -> None:
        """A user name and a password: ask for the consent."""
        await self._take_step(exchange, self._password)

    async def consent(self, exchange: Exchange) -> None:
        """The answer to the consent prompt: do it."""
        await self._take_step(exchange, self._consent)

    async def device(self, exchange: Exchange, **_path: str) -> None:
        """The device page, and the code entered on it. The tenant is the code's, whatever the path says."""
        await self._take_step(exchange, self._device_code if exchange.method == "POST" else self._device)

    async def _take_step(self, exchange: Exchange, step: Callable[[BrowserRequest], Awaitable[None]]) -> None:
        """Take a step. An error is answered with a page, or to the application."""
        request = BrowserRequest(exchange, await page_context(exchange), self._oauth_error_text)
        if request.is_insecure:
            return await show_error_page(request, InsecureConnection())
        try:
            await step(request)
        except UnreadableForm as error:
            await show_unreadable(request, error)
        except (ExpiredPage, CrossSiteForm) as error:
            await show_error_page(request, error)
        except OAuthRefusal as refusal:
            await show_refused_request(request, refusal)
        except AuthorizationRefused as refused:
            await show_refused_authorization(request, refused)
        except Refusal as refusal:
            await show_refusal(request, refusal, self._errors)

    # The steps

    async def _authorize(self, request: BrowserRequest, *, tenant: str, version: EndpointVersion) -> None:
        is_post = request.exchange.method == "POST"
        fields = await request.form(REQUEST_BYTES_MAX) if is_post else request.query()
        flow_state = Authorization(tenant=tenant, version=version, fields=fields)
        flow = await self._flow(request, flow_state)
        if isinstance(flow, AuthorizationFlow) and flow.authorization.prompt == "none":
            raise sign_in_needed(flow.authorization)
        await self._ask_for_password(request, flow_state, flow)

    async def _device(self, request: BrowserRequest) -> None:
        await self._ask_for_code(request)

    async def _device_code(self, request: BrowserRequest) -> None:
        form = await _own_form(request)
        self._flow_state(request, _CODE_STEP, form)
        flow_state = DeviceState(user_code=form.get("user_code", "")[:_USER_CODE_LENGTH_MAX])
        try:
            found = await self._sign_in.find_device_request(
                flow_state.user_code, address=request.exchange.address, now=request.exchange.at
            )
        except SignInRefused as refused:
            return await self._ask_for_code(request, _form_error(request, refused))
        if found is None:
            error = FormError(name="DeviceCodeUnknown", detail="no device waits with it")
            return await self._ask_for_code(request, error)
        return await self._ask_for_password(request, flow_state, await self._flow(request, flow_state))

    async def _password(self, request: BrowserRequest) -> None:
        form = await _own_form(request)
        flow_state = self._flow_state(request, _PASSWORD_STEP, form)
        flow = await self._flow(request, flow_state)
        user_name, password = form.get("username", "").strip(), form.get("password", "")
        ask_again = partial(self._ask_for_password, request, flow_state, flow, user_name)
        if not user_name or not password:
            return await ask_again(
                FormError(name="CredentialsMissing", detail="no user name, or no password")
            )
        try:
            user = await self._sign_in.check_password(
                flow.tenant, user_name, password, address=request.exchange.address, now=request.exchange.at
            )
        except SignInRefused as refused:
            self._count_step("busy" if refused.retry_after else "refused")
            return await ask_again(_form_error(request, refused))
        self._count_step("signed_in")
        return await self._ask_for_consent(request, flow_state, flow, user)

    async def _consent(self, request: BrowserRequest) -> None:
        form = await _own_form(request)
        flow_state = self._flow_state(request, _CONSENT_STEP, form)
        flow = await self._flow(request, flow_state)
        user = await self._consent_sessions.use(request, flow_state, flow.prompt)
        if user is None:
            raise ExpiredPage
        choice = form.get("choice")
        if choice == ALLOW:
            self._count_step("allowed")
            await flow.allow(request, user)
        elif choice == REFUSE:
            self._count_step("denied")
            await flow.refuse(request)
        elif choice == OTHER_ACCOUNT:
            await self._ask_for_password(request, flow_state, flow)
        else:
            raise ExpiredPage

    # Parts of steps

    def _flow_state(self, request: BrowserRequest, step: str, form: dict[str, str]) -> FlowState:
        flow_state = self._flow_states.verify(request, step, form.get("flow", ""))
        if flow_state is None:
            raise ExpiredPage
        return flow_state

    async def _flow(self, request: BrowserRequest, flow_state: FlowState) -> SignInFlow:
        flow = await flow_of(self._sign_in, request, flow_state)
        request.exchange.tenant_guid = flow.tenant.guid
        return flow

    async def _ask_for_code(self, request: BrowserRequest, error: FormError | None = None) -> None:
        signed = self._flow_states.sign(request, _CODE_STEP, DeviceState())
        await _show_form(request, device_page(request.context, signed, error=error), error)

    async def _ask_for_password(
        self,
        request: BrowserRequest,
        flow_state: FlowState,
        flow: SignInFlow,
        user_name: str = "",
        error: FormError | None = None,
    ) -> None:
        page = sign_in_page(
            request.context,
            flow.prompt,
            self._flow_states.sign(request, _PASSWORD_STEP, flow_state),
            user_name=user_name or flow.hint,
            error=error,
            cancel_url=url_of_refusal(request, flow.declined),
        )
        await _show_form(request, page, error)

    async def _ask_for_consent(
        self, request: BrowserRequest, flow_state: FlowState, flow: SignInFlow, user: SignedInUser
    ) -> None:
        self._consent_sessions.give(request, flow_state, flow.prompt, user)
        signed = self._flow_states.sign(request, _CONSENT_STEP, flow_state)
        page = consent_page(request.context, flow.prompt, signed, user=user.user.upn)
        await request.show(page, form_targets=flow.form_targets, scripts=[FORM_SCRIPT])


_PAGE_METHODS = ("GET", "POST")

ROUTES: tuple[Route, ...] = (
    Route(
        path="/{tenant}/oauth2/v2.0/authorize",
        handler=partial(SignInHandlers.authorize, version=EndpointVersion.V2),
        methods=_PAGE_METHODS,
    ),
    Route(
        path="/{tenant}/oauth2/authorize",
        handler=partial(SignInHandlers.authorize, version=EndpointVersion.V1),
        methods=_PAGE_METHODS,
    ),
    Route(path="/{tenant}/oauth2/deviceauth", handler=SignInHandlers.device, methods=_PAGE_METHODS),
    Route(path=DEVICE_PATH, handler=SignInHandlers.device, methods=_PAGE_METHODS),
    Route(path=PASSWORD_PATH, handler=SignInHandlers.password, methods=("POST",)),
    Route(path=CONSENT_PATH, handler=SignInHandlers.consent, methods=("POST",)),
)
"""Every route of the sign-in pages."""


async def _own_form(request: BrowserRequest) -> dict[str, str]:
    if request.is_cross_site:
        raise CrossSiteForm
    return await request.form(FORM_BYTES_MAX)


async def _show_form(request: BrowserRequest, page: Html, error: FormError | None) -> None:
    if error is None:
        await request.show(page, scripts=[FORM_SCRIPT])
        return
    request.exchange.refusal, request.exchange.detail = error.name, error.detail
    await request.show(
        page,
        status=PAGE_ERROR_STATUSES[error.name],
        scripts=[FORM_SCRIPT],
        headers=error.headers,
    )


def _form_error(request: BrowserRequest, refused: SignInRefused) -> FormError:
    """The reason why nobody was signed in. It does not tell whether the user name exists."""
    detail = request.oauth_error_text(refused).detail
    if refused.retry_after is None:
        return FormError(name="SignInRefused", detail=detail)
    wait = ceil(refused.retry_after.total_seconds())
    return FormError(name="SignInBusy", detail=detail, retry_after_seconds=wait)
