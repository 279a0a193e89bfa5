"""Tokens for people, whichever grant they come of: for whom, for how much, and as one of which family."""

from vigie.core.access import CallerKind
from vigie.core.directory import Application, Tenant, User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.oauth_records import Consent, TokenFamily
from vigie.identity.clients.authentication import ProvenClient
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.grants.refusals import CodeRedeemed, GrantRevoked
from vigie.identity.grants.request import GrantRequest
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.tokens.access_tokens import IdTokenRequest, TokenRequest, issue_id_token, issuer_of
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import ForUser, IssuedToken, issued
from vigie.identity.tokens.refresh_tokens import RefreshToken, RefreshTokenRotation
from vigie.identity.tokens.refusals import ConsentRequired
from vigie.identity.tokens.scopes import Asked, consent_to, read_resource, read_scope, resource_in


class UserTokens:
    """Issues tokens to applications that somebody has let act for them."""

    def __init__(
        self,
        directory: DirectoryRepository,
        records: SignInRepository,
        audiences: Audiences,
        *,
        lives: RefreshTokenRotation,
        issuer: str,
        lifetime_seconds: int,
    ) -> None:
        self._directory = directory
        self._records = records
        self._audiences = audiences
        self.lives = lives
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
        asked = _asked(request)
        if asked is None or not asked.names:
            return Consent(resource=kept.resource, permissions=permitted, scope=kept.scope)
        if self._audiences.api_of(asked.resource) != self._audiences.api_of(kept.resource):
            raise ConsentRequired((asked.resource,))
        wanted = consent_to(asked, application, self._audiences)
        granted = tuple(each for each in wanted.permissions if each in permitted)
        if wanted.permissions and not granted:
            raise ConsentRequired(asked.names)
        missing = {f"{wanted.resource}/{each}" for each in set(wanted.permissions) - set(granted)}
        return Consent(
            resource=wanted.resource,
            permissions=granted,
            scope=tuple(each for each in wanted.scope if each not in missing),
        )

    async def redeem(
        self,
        client: ProvenClient,
        user: User,
        code_sha256: bytes,
        consent: Consent,
        signed_in_at: Instant,
        now: Instant,
    ) -> tuple[TokenFamily, RefreshToken | None]:
        """Begin the family that a code is for. Raises OAuthRefusal when the code was redeemed before."""
        family, token = self.lives.begin(
            client_id=client.application.client_id,
            object_id=user.object_id,
            consent=consent,
            signed_in_at=signed_in_at,
            now=now,
        )
        if not await self._records.redeem(client.tenant, code_sha256, family, now):
            raise CodeRedeemed
        return family, token

    def issue(
        self,
        request: GrantRequest,
        client: ProvenClient,
        user: User,
        family: TokenFamily,
        consent: Consent,
        refresh_token: RefreshToken | None,
        *,
        nonce: str | None = None,
    ) -> IssuedToken:
        """An access token, and what comes with it."""
        content = TokenRequest(
            issuer=issuer_of(self._issuer, client.tenant.guid),
            audience=consent.resource,
            tenant_guid=client.tenant.guid,
            kind=CallerKind.USER,
            application_id=client.application.client_id,
            application_name=client.application.name,
            object_id=user.object_id,
            upn=user.upn,
            granted=consent.permissions,
            proof=client.proof,
            family_id=family.family_id,
        )
        for_user = ForUser(
            scope=consent.scope,
            permissions=consent.permissions,
            object_id=user.object_id,
            refresh_token=str(refresh_token) if refresh_token else None,
            id_token=self._id_token(request, content, nonce) if family.consent.wants_id_token else None,
        )
        return issued(
            content,
            request.ring,
            request.now,
            lifetime_seconds=self._lifetime_seconds,
            for_user=for_user,
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


def _asked(request: GrantRequest) -> Asked | None:
    if resource := resource_in(request.form, request.version):
        return read_resource(resource)
    scope = request.form.get("scope")
    return read_scope(scope) if scope else None
