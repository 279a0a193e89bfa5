"""The two kinds of sign-in, an authorization request and a device code. Each is read anew at every step."""

from typing import Protocol

import msgspec

from vigie.core.directory import Tenant
from vigie.identity.sign_in.authorization_requests import (
    AuthorizationRefused,
    AuthorizationRequest,
    refused_by_user,
)
from vigie.identity.sign_in.service import DeviceRequest, SignedInUser, SignIn
from vigie.ui.browser_request import BrowserRequest
from vigie.ui.content_security_policy import SELF
from vigie.ui.sign_in.authorization_responses import send_answer
from vigie.ui.sign_in.error_pages import ExpiredPage, show_refused_authorization
from vigie.ui.sign_in.flow_state import Authorization, DeviceState, FlowState
from vigie.ui.sign_in.urls import form_targets, target_named
from vigie.ui.sign_in.views import ConsentPrompt, device_done_page


class SignInFlow(Protocol):
    """A sign-in as the pages see it."""

    @property
    def tenant(self) -> Tenant:
        """The tenant that the user must belong to."""

    @property
    def prompt(self) -> ConsentPrompt:
        """The application and what it requests."""

    @property
    def hint(self) -> str:
        """The user name that the application expects, or nothing."""

    @property
    def form_targets(self) -> str:
        """The targets that the consent form may lead to."""

    @property
    def declined(self) -> AuthorizationRefused | None:
        """The refusal that the application gets from a user who declines; None when no application waits here."""

    async def allow(self, request: BrowserRequest, user: SignedInUser) -> None:
        """Answer a user who allows it."""

    async def refuse(self, request: BrowserRequest) -> None:
        """Answer a user who refuses it."""


async def flow_of(sign_in: SignIn, request: BrowserRequest, flow_state: FlowState) -> SignInFlow:
    """The sign-in that a state stands for.

    Raises OAuthRefusal, AuthorizationRefused, and ExpiredPage for a device that waits no more.
    """
    if isinstance(flow_state, Authorization):
        authorization = await sign_in.request_of(flow_state.tenant, flow_state.fields, flow_state.version)
        return AuthorizationFlow(sign_in=sign_in, authorization=authorization)
    device = await sign_in.find_device_that_waits(flow_state.user_code, now=request.exchange.at)
    if device is None:
        raise ExpiredPage
    return DeviceFlow(sign_in=sign_in, flow_state=flow_state, device=device)


class AuthorizationFlow(msgspec.Struct, frozen=True, kw_only=True):
    """An application's authorization request."""

    sign_in: SignIn
    authorization: AuthorizationRequest

    @property
    def tenant(self) -> Tenant:
        """The tenant in the URL of the request, or the application's."""
        return self.authorization.tenant

    @property
    def prompt(self) -> ConsentPrompt:
        """All that is requested, and where the answer goes."""
        authorization = self.authorization
        return ConsentPrompt(
            application=authorization.application.name,
            tenant=authorization.tenant.name,
            permissions=authorization.permissions,
            target=target_named(authorization.redirect_uri),
            wants_identity=authorization.wants_id_token,
            wants_refresh=authorization.wants_refresh,
        )

    @property
    def hint(self) -> str:
        """`login_hint`."""
        return self.authorization.login_hint or ""

    @property
    def form_targets(self) -> str:
        """The pages and, by a redirect, the application."""
        return form_targets(self.authorization.redirect_uri)

    @property
    def declined(self) -> AuthorizationRefused:
        """The same, before the sign-in and after it."""
        return refused_by_user(self.authorization)

    async def allow(self, request: BrowserRequest, user: SignedInUser) -> None:
        """A code for the application."""
        code = await self.sign_in.issue_code(self.authorization, user, now=request.exchange.at)
        await send_answer(request, self.authorization.redirection, {"code": code})

    async def refuse(self, request: BrowserRequest) -> None:
        """The application is told."""
        await show_refused_authorization(request, self.declined)


class DeviceFlow(msgspec.Struct, frozen=True, kw_only=True):
    """The code of a device, entered in this browser."""

    sign_in: SignIn
    flow_state: DeviceState
    device: DeviceRequest
    hint: str = ""
    declined: AuthorizationRefused | None = None
    form_targets: str = SELF

    @property
    def tenant(self) -> Tenant:
        """The application's."""
        return self.device.tenant

    @property
    def prompt(self) -> ConsentPrompt:
        """What the program on the device requests; the answer goes to the device, so there is no target."""
        return ConsentPrompt(
            application=self.device.application.name,
            tenant=self.device.tenant.name,
            permissions=self.device.permissions,
            target=None,
            wants_refresh=self.device.wants_refresh,
        )

    async def allow(self, request: BrowserRequest, user: SignedInUser) -> None:
        """The device gets its tokens."""
        await self.sign_in.approve_device(self.flow_state.user_code, user, now=request.exchange.at)
        await request.show(device_done_page(request.context, self.prompt.application, allowed=True))

    async def refuse(self, request: BrowserRequest) -> None:
        """The device is told."""
        await self.sign_in.refuse_device(self.flow_state.user_code, now=request.exchange.at)
        await request.show(device_done_page(request.context, self.prompt.application, allowed=False))
