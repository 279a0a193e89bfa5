"""Tokens for people, whichever grant they come of: for whom, for how much, and as one of which family."""

import msgspec

from vigie.core.access import CallerKind
from vigie.core.directory import Application, Tenant, User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.oauth_records import Consent, TokenFamily
from vigie.identity.clients.authentication import AuthenticatedClient
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.grants.refusals import CodeRedeemed, GrantRevoked
from vigie.identity.grants.request import GrantRequest
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.tokens.access_tokens import IdTokenRequest, TokenRequest, issue_id_token, issuer_of
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import ForUser, IssuedToken, issued
from vigie.identity.tokens.refresh_tokens import RefreshToken, RefreshTokenRotation
from vigie.identity.tokens.refusals import ConsentRequired
from vigie.identity.tokens.scopes import (
    RequestedScopes,
    consent_to,
    read_resource,
    read_scope,
    requested_resource,
)


class UserGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a user lets an application do, as one token family; `consent` is the part that is used now.

    `refresh_token` is the one to continue with, None when none was asked for. `nonce` goes into the ID token.
    """

    client: AuthenticatedClient
    user: User
    family: TokenFamily
    consent: Consent
    refresh_token: RefreshToken | None
    nonce: str | None = None


class UserTokens:
    """Issues tokens to applications that somebody has let act for them."""

    def __init__(
        self,
        directory: DirectoryRepository,
        records: SignInRepository,
        audiences: Audiences,
        *,
        rotation: RefreshTokenRotation,
        issuer: str,
        lifetime_seconds: int,
    ) -> None:
        self._directory = directory
        self._records = records
        self._audiences = audiences
        self.rotation = rotation
        self._issuer = issuer
        self._lifetime_seconds = lifetime_seconds

    async def user(self, tenant: Tenant, object_id: str) -> User:
        """Who tokens are for. Raises OAuthRefusal when that user is not there any more."""
        user = await self._directory.find_user(tenant, object_id)
        if user is None or user.object_id != object_id:
            raise GrantRevoked
        return user

    def narrowed(self, kept: Consent, application: Application, request: GrantRequest) -> Consent:
        """What a form asks for of what somebody agreed to; all of it when it asks for nothing in particular.

        What the application may not ask for any more is left out. Raises OAuthRefusal when nothing is left.
        """
        permitted = tuple(each for each in kept.permissions if each in application.delegated_permissions)
        if kept.permissions and not permitted:
            raise ConsentRequired(kept.permissions)
        requested = _requested(request)
        if requested is None or not requested.names:
            return Consent(resource=kept.resource, permissions=permitted, scope=kept.scope)
        if self._audiences.api_of(requested.resource) != self._audiences.api_of(kept.resource):
            raise ConsentRequired((requested.resource,))
        wanted = consent_to(requested, application, self._audiences)
        granted = tuple(each for each in wanted.permissions if each in permitted)
        if wanted.permissions and not granted:
            raise ConsentRequired(requested.names)
        missing = {f"{wanted.resource}/{each}" for each in set(wanted.permissions) - set(granted)}
        return Consent(
            resource=wanted.resource,
            permissions=granted,
            scope=tuple(each for each in wanted.scope if each not in missing),
        )

    async def redeem(
        self,
        client: AuthenticatedClient,
        user: User,
        code_sha256: bytes,
        consent: Consent,
        signed_in_at: Instant,
        now: Instant,
    ) -> tuple[TokenFamily, RefreshToken | None]:
        """Begin the family that a code is for. Raises OAuthRefusal when the code was redeemed before."""
        family, token = self.rotation.begin(
            client_id=client.application.client_id,
            object_id=user.object_id,
            consent=consent,
            signed_in_at=signed_in_at,
            now=now,
        )
        if not await self._records.redeem(client.tenant, code_sha256, family, now):
            raise CodeRedeemed
        return family, token

    def issue(self, request: GrantRequest, grant: UserGrant) -> IssuedToken:
        """An access token, and what comes with it."""
        content = self._token_request(grant)
        wants_id_token = grant.family.consent.wants_id_token
        for_user = ForUser(
            scope=grant.consent.scope,
            permissions=grant.consent.permissions,
            object_id=grant.user.object_id,
            refresh_token=str(grant.refresh_token) if grant.refresh_token else None,
            id_token=self._id_token(request, content, grant.nonce) if wants_id_token else None,
        )
        return issued(
            content,
            request.ring,
            request.now,
            lifetime_seconds=self._lifetime_seconds,
            for_user=for_user,
        )

    def _token_request(self, grant: UserGrant) -> TokenRequest:
        client = grant.client
        return TokenRequest(
            issuer=issuer_of(self._issuer, client.tenant.guid),
            audience=grant.consent.resource,
            tenant_guid=client.tenant.guid,
            kind=CallerKind.USER,
            application_id=client.application.client_id,
            application_name=client.application.name,
            object_id=grant.user.object_id,
            upn=grant.user.upn,
            granted=grant.consent.permissions,
            auth_method=client.auth_method,
            family_id=grant.family.family_id,
        )

    def _id_token(self, request: GrantRequest, content: TokenRequest, nonce: str | None) -> str:
        about = IdTokenRequest(
            issuer=content.issuer,
            tenant_guid=content.tenant_guid,
            client_id=content.application_id,
            object_id=content.object_id,
            upn=content.upn or "",
            nonce=nonce,
            version=request.version,
        )
        return issue_id_token(
            about,
            request.ring.current,
            now_seconds=request.now // TICKS_PER_SECOND,
            lifetime_seconds=self._lifetime_seconds,
        )


def _requested(request: GrantRequest) -> RequestedScopes | None:
    if resource := requested_resource(request.form, request.version):
        return read_resource(resource)
    scope = request.form.get("scope")
    return read_scope(scope) if scope else None
