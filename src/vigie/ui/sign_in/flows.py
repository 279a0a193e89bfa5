"""What an errand is about, and what a yes or a no to it does. It is asked for anew at every step."""

from dataclasses import dataclass
from typing import Protocol

from vigie.core.directory import Tenant
from vigie.identity.sign_in.authorization_requests import (
    AuthorizationRefused,
    AuthorizationRequest,
    refused_by_user,
)
from vigie.identity.sign_in.service import DeviceRequest, SignedInUser, SignIn
from vigie.ui.browser_request import SELF, BrowserRequest
from vigie.ui.sign_in.authorization_responses import send_answer
from vigie.ui.sign_in.error_pages import ExpiredPage, show_refused_authorization
from vigie.ui.sign_in.flow_state import Authorization, DeviceState, FlowState
from vigie.ui.sign_in.urls import form_targets, target_named
from vigie.ui.sign_in.views import Asked, PageContext, device_done_page


class SignInFlow(Protocol):
    """What pages must know about an errand."""

    @property
    def tenant(self) -> Tenant:
        """Where whoever comes must be known."""

    @property
    def asked(self) -> Asked:
        """What is shown of it."""

    @property
    def hint(self) -> str:
        """The user name that the application expects, or nothing."""

    @property
    def form_targets(self) -> str:
        """Where the form with the yes or no may lead."""

    @property
    def declined(self) -> AuthorizationRefused | None:
        """What the application hears when somebody does not want to; None when nobody waits in this browser."""

    async def allow(self, visit: BrowserRequest, frame: PageContext, who: SignedInUser) -> None:
        """The answer to a yes."""

    async def refuse(self, visit: BrowserRequest, frame: PageContext) -> None:
        """The answer to a no."""


async def flow_of(sign_in: SignIn, visit: BrowserRequest, flow_state: FlowState) -> SignInFlow:
    """Raises TokenRefusal, AuthorizationRefused, and ExpiredPage for a device that waits no more."""
    if isinstance(flow_state, Authorization):
        request = await sign_in.request_of(flow_state.tenant, flow_state.fields, flow_state.version)
        return AuthorizationFlow(sign_in=sign_in, request=request)
    device = await sign_in.find_device_that_waits(flow_state.user_code, now=visit.exchange.at)
    if device is None:
        raise ExpiredPage
    return DeviceFlow(sign_in=sign_in, flow_state=flow_state, device=device)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationFlow:
    """An application's request for authorization."""

    sign_in: SignIn
    request: AuthorizationRequest

    @property
    def tenant(self) -> Tenant:
        """As the address of the request names it, or the application's."""
        return self.request.tenant

    @property
    def asked(self) -> Asked:
        """All that is asked for, and where the answer goes."""
        request = self.request
        return Asked(
            application=request.application.name,
            tenant=request.tenant.name,
            permissions=request.permissions,
            target=target_named(request.redirect_uri),
            wants_identity=request.wants_id_token,
            wants_refresh=request.wants_refresh,
        )

    @property
    def hint(self) -> str:
        """`login_hint`."""
        return self.request.login_hint or ""

    @property
    def form_targets(self) -> str:
        """The pages and, by a redirect, the application."""
        return form_targets(self.request.redirect_uri)

    @property
    def declined(self) -> AuthorizationRefused:
        """The same, whether they sign in before or not."""
        return refused_by_user(self.request)

    async def allow(self, visit: BrowserRequest, frame: PageContext, who: SignedInUser) -> None:
        """A code for the application."""
        code = await self.sign_in.issue_code(self.request, who, now=visit.exchange.at)
        await send_answer(visit, frame, self.request.redirection, {"code": code})

    async def refuse(self, visit: BrowserRequest, frame: PageContext) -> None:
        """The application hears of it."""
        await show_refused_authorization(visit, frame, self.declined)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFlow:
    """A device that shows a code somewhere else."""

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
    def asked(self) -> Asked:
        """What the program on the device asks for; the answer goes to the device, so there is no target."""
        return Asked(
            application=self.device.application.name,
            tenant=self.device.tenant.name,
            permissions=self.device.permissions,
            target=None,
            wants_refresh=self.device.wants_refresh,
        )

    async def allow(self, visit: BrowserRequest, frame: PageContext, who: SignedInUser) -> None:
        """The device gets its tokens."""
        await self.sign_in.approve_device(self.flow_state.user_code, who, now=visit.exchange.at)
        await visit.show(device_done_page(frame, self.asked.application, allowed=True))

    async def refuse(self, visit: BrowserRequest, frame: PageContext) -> None:
        """The device hears of it."""
        await self.sign_in.refuse_device(self.flow_state.user_code, now=visit.exchange.at)
        await visit.show(device_done_page(frame, self.asked.application, allowed=False))
