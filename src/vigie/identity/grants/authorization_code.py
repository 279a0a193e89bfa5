"""The authorization code grant: tokens for applications that a user has signed in to.

Source: RFC 6749, 4.1.3; RFC 7636, 4.6; RFC 9700, 2.1.1.
"""

import base64
import hashlib
import hmac
import re

from vigie.core.client_secrets import hash_secret
from vigie.core.oauth_records import AuthorizationCode
from vigie.identity.clients.authentication import AuthenticatedClient, ClientAuthenticator
from vigie.identity.grants.refusals import (
    CodeExpired,
    CodeNotFound,
    CodeOfAnotherApplication,
    CodeRedeemed,
    CodeVerifierMismatch,
    RedirectUriMismatch,
)
from vigie.identity.grants.request import GrantRequest
from vigie.identity.grants.user_tokens import UserGrant, UserTokens
from vigie.identity.refusals import OAuthRefusal
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.tokens.issuance import IssuedToken

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class CodeGrant:
    """Tokens for an authorization code."""

    def __init__(self, clients: ClientAuthenticator, records: SignInRepository, tokens: UserTokens) -> None:
        self._clients = clients
        self._records = records
        self._tokens = tokens

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The tokens. Raises OAuthRefusal.

        A code is good for one attempt: what is wrong with it ends it, once the application has proven itself.
        """
        client = await self._clients.authenticate(
            request.tenant_reference, request.credentials(), request.now
        )
        sha256 = hash_secret(request.required("code"))
        code = await self._code(client, sha256)
        try:
            _check(code, client, request)
            user = await self._tokens.user(client.tenant, code.object_id)
            consent = self._tokens.narrowed(code.consent, client.application, request)
        except OAuthRefusal:
            await self._records.remove_code(client.tenant, sha256)
            raise
        family, refresh_token = await self._tokens.redeem(
            client, user, sha256, code.consent, code.signed_in_at, request.now
        )
        grant = UserGrant(
            client=client,
            user=user,
            family=family,
            consent=consent,
            refresh_token=refresh_token,
            nonce=code.nonce,
        )
        return self._tokens.issue(request, grant)

    async def _code(self, client: AuthenticatedClient, sha256: bytes) -> AuthorizationCode:
        code = await self._records.find_code(client.tenant, sha256)
        if code is not None:
            return code
        if await self._records.end_family_of_code(client.tenant, sha256):
            raise CodeRedeemed
        raise CodeNotFound


def _check(code: AuthorizationCode, client: AuthenticatedClient, request: GrantRequest) -> None:
    if code.client_id != client.application.client_id:
        raise CodeOfAnotherApplication
    if request.now >= code.expires_at:
        raise CodeExpired
    if request.form.get("redirect_uri") != code.redirect_uri:
        raise RedirectUriMismatch
    _check_verifier(code.code_challenge, request.form.get("code_verifier") or None)


def _check_verifier(challenge: str | None, verifier: str | None) -> None:
    """A verifier without a challenge is refused too: somebody may have taken the challenge away."""
    if challenge is None and verifier is None:
        return
    if challenge is None or verifier is None or not _VERIFIER.fullmatch(verifier):
        raise CodeVerifierMismatch
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    if not hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.encode("ascii")):
        raise CodeVerifierMismatch
