"""The refresh token grant. Source: RFC 6749, 6; RFC 9700, 4.14."""

from vigie.core.instants import Instant
from vigie.core.oauth_records import TokenFamily
from vigie.identity.clients.authentication import AuthenticatedClient, ClientAuthenticator
from vigie.identity.grants.refusals import (
    GrantRevoked,
    MalformedRefreshToken,
    RefreshTokenExpired,
    RefreshTokenOfAnotherApplication,
)
from vigie.identity.grants.request import GrantRequest
from vigie.identity.grants.user_tokens import UserGrant, UserTokens
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.tokens.issuance import IssuedToken
from vigie.identity.tokens.refresh_tokens import RefreshToken, Rotation, read_refresh_token


class RefreshGrant:
    """Tokens for a refresh token, and the one to go on with."""

    def __init__(self, clients: ClientAuthenticator, records: SignInRepository, tokens: UserTokens) -> None:
        self._clients = clients
        self._records = records
        self._tokens = tokens

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The tokens. Raises OAuthRefusal. Where each is single-use, an older one ends its whole family."""
        client = await self._clients.authenticate(
            request.tenant_reference, request.credentials(), request.now
        )
        sent = read_refresh_token(request.required("refresh_token"))
        if sent is None:
            raise MalformedRefreshToken
        family = await self._family(client, sent)
        user = await self._tokens.user(client.tenant, family.object_id)
        consent = self._tokens.narrowed(family.consent, client.application, request)
        token = await self._rotate(client, sent, request.now)
        grant = UserGrant(client=client, user=user, family=family, consent=consent, refresh_token=token)
        return self._tokens.issue(request, grant)

    async def _family(self, client: AuthenticatedClient, sent: RefreshToken) -> TokenFamily:
        family = await self._records.find_family(client.tenant, sent.handle_sha256)
        if family is None:
            raise GrantRevoked
        if family.client_id != client.application.client_id:
            raise RefreshTokenOfAnotherApplication
        return family

    async def _rotate(self, client: AuthenticatedClient, sent: RefreshToken, now: Instant) -> RefreshToken:
        rotations: list[Rotation] = []

        def decide(family: TokenFamily) -> TokenFamily | None:
            rotations.append(self._tokens.rotation.rotate(family, sent, now))
            return rotations[-1].family

        await self._records.change_family(client.tenant, sent.handle_sha256, decide)
        rotation = rotations[-1] if rotations else None
        if rotation is not None and rotation.is_expired:
            raise RefreshTokenExpired
        if rotation is None or rotation.token is None:
            raise GrantRevoked
        return rotation.token
