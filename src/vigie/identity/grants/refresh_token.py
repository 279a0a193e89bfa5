"""The grant of applications that go on with a refresh token. Source: RFC 6749, 6; RFC 9700, 4.14."""

from vigie.core.instants import Instant
from vigie.core.oauth_records import TokenFamily
from vigie.identity.clients.authentication import ClientAuthenticator, ProvenClient
from vigie.identity.grants.request import GrantRequest
from vigie.identity.grants.user_tokens import UserTokens, revoked
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.token_errors import TokenRefusal
from vigie.identity.tokens.issuance import IssuedToken
from vigie.identity.tokens.refresh_tokens import RefreshToken, Rotation, read_refresh_token


class RefreshGrant:
    """Tokens for a refresh token, and the one to go on with."""

    def __init__(self, clients: ClientAuthenticator, records: SignInRepository, tokens: UserTokens) -> None:
        self._clients = clients
        self._records = records
        self._tokens = tokens

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The tokens. Raises TokenRefusal. Where each is single-use, an older one ends its whole family."""
        client = await self._clients.authenticate(
            request.tenant_reference, request.credentials(), request.now
        )
        sent = read_refresh_token(request.required("refresh_token"))
        if sent is None:
            raise TokenRefusal(9002313, "Invalid request. Request is malformed or invalid: 'refresh_token'.")
        family = await self._family(client, sent)
        user = await self._tokens.user(client.tenant, family.object_id)
        consent = self._tokens.narrowed(family.consent, client.application, request)
        token = await self._rotate(client, sent, request.now)
        return self._tokens.issue(request, client, user, family, consent, token)

    async def _family(self, client: ProvenClient, sent: RefreshToken) -> TokenFamily:
        family = await self._records.find_family(client.tenant, sent.handle_sha256)
        if family is None:
            raise revoked()
        if family.client_id != client.application.client_id:
            raise TokenRefusal(70000, "The provided refresh token was issued to another application.")
        return family

    async def _rotate(self, client: ProvenClient, sent: RefreshToken, now: Instant) -> RefreshToken:
        rotations: list[Rotation] = []

        def decide(family: TokenFamily) -> TokenFamily | None:
            rotations.append(self._tokens.lives.rotate(family, sent, now))
            return rotations[-1].family

        await self._records.change_family(client.tenant, sent.handle_sha256, decide)
        rotation = rotations[-1] if rotations else None
        if rotation is not None and rotation.is_expired:
            raise TokenRefusal(
                700082, "The refresh token has expired due to inactivity. Have the user sign in again."
            )
        if rotation is None or rotation.token is None:
            raise revoked()
        return rotation.token
