"""Signing in, step by step: a request or a device's code, a password, a yes or a no. It does not decide.

Nothing is kept between these steps but what the browser brings back, sealed. Nobody stays signed in here: every
errand needs the password. docs/divergences.md, "No single sign-on".
"""

from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from urllib.parse import urlsplit

from vigie.core.errors import Refusal
from vigie.http.anonymous_throttle import Kind
from vigie.http.error_responses import ErrorRenderer
from vigie.http.exchange import Exchange
from vigie.http.profile import Route
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.sign_in.authorization_requests import AuthorizationRefused, sign_in_needed
from vigie.identity.sign_in.service import SignedInUser, SignIn, SignInRefused
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.identity.token_errors import TokenRefusal
from vigie.ui.browser_request import FORM_BYTES_MAX, REQUEST_BYTES_MAX, BrowserRequest, UnreadableForm
from vigie.ui.html import Html
from vigie.ui.layout import SEND_ONCE_SCRIPT, STYLE_PATH, style
from vigie.ui.sign_in.authorization_responses import url_of_refusal
from vigie.ui.sign_in.consent_session import ConsentSessions
from vigie.ui.sign_in.error_pages import (
    PAGE_ERROR_RESPONSES,
    CrossSiteForm,
    ExpiredPage,
    InsecureConnection,
    show_error_page,
    show_form_error,
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
    OTHER_ACCOUNT,
    PASSWORD_PATH,
    REFUSE,
    FormError,
    PageContext,
    consent_page,
    device_page,
    sign_in_page,
)

_CODE_STEP, _PASSWORD_STEP, _CONSENT_STEP = "code", "password", "consent"
_USER_CODE_LENGTH_MAX = 64
_STYLE_HEADERS = (
    (b"content-type", b"text/css; charset=utf-8"),
    (b"cache-control", b"public, max-age=600"),
)


class SignInHandlers:
    """Answers the browsers of people who sign in."""

    def __init__(
        self,
        sign_in: SignIn,
        directory: DirectoryRepository,
        state_signer: StateSigner,
        *,
        errors: ErrorRenderer,
        count_step: Callable[[str], None],
    ) -> None:
        self._sign_in = sign_in
        self._errands = FlowStates(state_signer)
        self._tickets = ConsentSessions(state_signer, directory)
        self._errors = errors
        self._count_step = count_step

    async def authorize(self, exchange: Exchange, tenant: str, *, version: EndpointVersion) -> None:
        """An application sends its user: ask who that is."""
        await self._take(exchange, partial(self._authorize, tenant=tenant, version=version))

    async def password(self, exchange: Exchange) -> None:
        """Somebody says who they are: ask whether they allow what the errand is about."""
        await self._take(exchange, self._password)

    async def consent(self, exchange: Exchange) -> None:
        """Somebody says yes or no: do it."""
        await self._take(exchange, self._consent)

    async def device(self, exchange: Exchange, **_path: str) -> None:
        """Somebody has a device that shows a code: ask for it, then who they are. The tenant is the code's."""
        await self._take(exchange, self._device_code if exchange.method == "POST" else self._device)

    async def style(self, exchange: Exchange) -> None:
        """How the pages look."""
        await exchange.wait_among(Kind.DOCUMENT)
        await exchange.answer(200, [*_STYLE_HEADERS, *exchange.safety_headers], style())

    async def _take(
        self, exchange: Exchange, step: Callable[[BrowserRequest, PageContext], Awaitable[None]]
    ) -> None:
        """Take a step. Whatever keeps it from being taken is answered with a page, or to the application."""
        visit = BrowserRequest(exchange)
        frame = PageContext(texts=visit.texts, host=urlsplit(exchange.origin).netloc)
        if visit.is_open_to_others:
            return await show_error_page(visit, frame, InsecureConnection())
        try:
            await step(visit, frame)
        except UnreadableForm as reason:
            await show_unreadable(visit, frame, reason)
        except (ExpiredPage, CrossSiteForm) as reason:
            await show_error_page(visit, frame, reason)
        except TokenRefusal as refusal:
            await show_refused_request(visit, frame, refusal.code, refusal.message, detail=refusal.detail)
        except AuthorizationRefused as refused:
            await show_refused_authorization(visit, frame, refused)
        except Refusal as refusal:
            await show_form_error(visit, frame, refusal, self._errors)

    # Steps

    async def _authorize(
        self, visit: BrowserRequest, frame: PageContext, *, tenant: str, version: EndpointVersion
    ) -> None:
        is_post = visit.exchange.method == "POST"
        fields = await visit.form(REQUEST_BYTES_MAX) if is_post else visit.query()
        flow_state = Authorization(tenant=tenant, version=version, fields=fields)
        subject = await self._subject(visit, flow_state)
        if isinstance(subject, AuthorizationFlow) and subject.request.prompt == "none":
            raise sign_in_needed(subject.request)
        await self._ask_who(visit, frame, flow_state, subject)

    async def _device(self, visit: BrowserRequest, frame: PageContext) -> None:
        await self._ask_for_code(visit, frame)

    async def _device_code(self, visit: BrowserRequest, frame: PageContext) -> None:
        form = await self._own_form(visit)
        self._errand(visit, _CODE_STEP, form)
        flow_state = DeviceState(user_code=form.get("user_code", "")[:_USER_CODE_LENGTH_MAX])
        try:
            found = await self._sign_in.find_device_request(
                flow_state.user_code, address=visit.exchange.address, now=visit.exchange.at
            )
        except SignInRefused as refused:
            trouble = _trouble(frame, refused)
        else:
            if found is not None:
                return await self._ask_who(visit, frame, flow_state, await self._subject(visit, flow_state))
            trouble = FormError(
                name="DeviceCodeUnknown", detail="no device waits with it", text=frame.texts.device_code_wrong
            )
        return await self._ask_for_code(visit, frame, trouble)

    async def _password(self, visit: BrowserRequest, frame: PageContext) -> None:
        form = await self._own_form(visit)
        flow_state = self._errand(visit, _PASSWORD_STEP, form)
        subject = await self._subject(visit, flow_state)
        user_name, password = form.get("username", "").strip(), form.get("password", "")
        ask_again = partial(self._ask_who, visit, frame, flow_state, subject, user_name)
        if not user_name or not password:
            trouble = FormError(
                name="CredentialsMissing",
                detail="no user name, or no password",
                text=frame.texts.credentials_missing,
            )
            return await ask_again(trouble)
        try:
            who = await self._sign_in.check_password(
                subject.tenant, user_name, password, address=visit.exchange.address, now=visit.exchange.at
            )
        except SignInRefused as refused:
            self._count_step("busy" if refused.retry_after else "refused")
            return await ask_again(_trouble(frame, refused))
        self._count_step("signed_in")
        return await self._ask_consent(visit, frame, flow_state, subject, who)

    async def _consent(self, visit: BrowserRequest, frame: PageContext) -> None:
        form = await self._own_form(visit)
        flow_state = self._errand(visit, _CONSENT_STEP, form)
        subject = await self._subject(visit, flow_state)
        who = await self._tickets.use(visit, flow_state, subject.asked)
        if who is None:
            raise ExpiredPage
        choice = form.get("choice")
        if choice == ALLOW:
            self._count_step("allowed")
            await subject.allow(visit, frame, who)
        elif choice == REFUSE:
            self._count_step("denied")
            await subject.refuse(visit, frame)
        elif choice == OTHER_ACCOUNT:
            await self._ask_who(visit, frame, flow_state, subject)
        else:
            raise ExpiredPage

    # What steps are made of

    async def _own_form(self, visit: BrowserRequest) -> dict[str, str]:
        if visit.is_from_elsewhere:
            raise CrossSiteForm
        return await visit.form(FORM_BYTES_MAX)

    def _errand(self, visit: BrowserRequest, step: str, form: dict[str, str]) -> FlowState:
        flow_state = self._errands.open(visit, step, form.get("errand", ""))
        if flow_state is None:
            raise ExpiredPage
        return flow_state

    async def _subject(self, visit: BrowserRequest, flow_state: FlowState) -> SignInFlow:
        subject = await flow_of(self._sign_in, visit, flow_state)
        visit.exchange.tenant_guid = subject.tenant.guid
        return subject

    async def _ask_for_code(
        self, visit: BrowserRequest, frame: PageContext, trouble: FormError | None = None
    ) -> None:
        sealed = self._errands.seal(visit, _CODE_STEP, DeviceState())
        await _show_again(visit, device_page(frame, sealed, trouble=trouble), trouble)

    async def _ask_who(
        self,
        visit: BrowserRequest,
        frame: PageContext,
        flow_state: FlowState,
        subject: SignInFlow,
        user_name: str = "",
        trouble: FormError | None = None,
    ) -> None:
        page = sign_in_page(
            frame,
            subject.asked,
            self._errands.seal(visit, _PASSWORD_STEP, flow_state),
            user_name=user_name or subject.hint,
            trouble=trouble,
            cancel_url=url_of_refusal(visit, subject.declined),
        )
        await _show_again(visit, page, trouble)

    async def _ask_consent(
        self,
        visit: BrowserRequest,
        frame: PageContext,
        flow_state: FlowState,
        subject: SignInFlow,
        who: SignedInUser,
    ) -> None:
        self._tickets.give(visit, flow_state, subject.asked, who)
        page = consent_page(
            frame,
            subject.asked,
            self._errands.seal(visit, _CONSENT_STEP, flow_state),
            user=who.user.upn,
        )
        await visit.show(page, form_targets=subject.form_targets, scripts=[SEND_ONCE_SCRIPT])


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
    Route(path=STYLE_PATH, handler=SignInHandlers.style),
)
"""Every route of the sign-in pages. The style sheet is the landing page's too."""


async def _show_again(visit: BrowserRequest, page: Html, trouble: FormError | None) -> None:
    if trouble is None:
        await visit.show(page, scripts=[SEND_ONCE_SCRIPT])
        return
    visit.exchange.refusal, visit.exchange.detail = trouble.name, trouble.detail
    wait = trouble.retry_after_seconds
    headers = {} if wait is None else {"retry-after": str(wait)}
    await visit.show(
        page, status=PAGE_ERROR_RESPONSES[trouble.name], scripts=[SEND_ONCE_SCRIPT], headers=headers
    )


def _trouble(frame: PageContext, refused: SignInRefused) -> FormError:
    """Why nobody was let in. Whether the name is anybody's is not said."""
    if refused.retry_after is None:
        text = frame.texts.wrong_credentials
        return FormError(name="SignInRefused", detail=refused.message, text=text)
    wait = ceil(refused.retry_after.total_seconds())
    text = frame.texts.too_busy.format(seconds=wait)
    return FormError(name="SignInBusy", detail=refused.message, text=text, retry_after_seconds=wait)
