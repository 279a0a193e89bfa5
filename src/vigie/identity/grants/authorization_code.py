"""The grant of applications that bring the authorization code of somebody who signed in.

Source: RFC 6749, 4.1.3; RFC 7636, 4.6; RFC 9700, 2.1.1.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from vigie.core.client_secrets import hash_secret
from vigie.core.instants import Instant
from vigie.core.oauth_records import AuthorizationCode
from vigie.core.redirect_uris import canonical
from vigie.identity.clients.authentication import ClientAuthenticator, ProvenClient, Sender, sent_by_client
from vigie.identity.form_parameters import first_of
from vigie.identity.grants.user_tokens import UserTokens, already_redeemed
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.token_errors import TokenRefusal
from vigie.identity.tokens.issuance import IssuedToken

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class CodeGrant:
    """Tokens for an authorization code."""

    def __init__(self, clients: ClientAuthenticator, records: SignInRepository, tokens: UserTokens) -> None:
        self._clients = clients
        self._records = records
        self._tokens = tokens

    async def issue(
        self,
        tenant_reference: str,
        form: Mapping[str, str],
        sender: Sender,
        *,
        is_v2: bool,
        ring: KeyRing,
        now: Instant,
    ) -> IssuedToken:
        """The tokens. Raises TokenRefusal.

        A code is good for one attempt: what is wrong with it ends it, once the application has proven itself.
        """
        client = await self._clients.of_form(tenant_reference, sent_by_client(form, sender), now)
        sha256 = hash_secret(first_of(form, ("code",)))
        code = await self._code(client, sha256)
        try:
            _check(code, client, form, now)
            user = await self._tokens.user(client.tenant, code.object_id)
            consent = self._tokens.narrowed(code.consent, client.application, form, is_v2=is_v2)
        except TokenRefusal:
            await self._records.remove_code(client.tenant, sha256)
            raise
        family, refresh_token = await self._tokens.redeem(
            client, user, sha256, code.consent, code.signed_in_at, now
        )
        return self._tokens.issue(
            client,
            user,
            family,
            consent,
            refresh_token,
            nonce=code.nonce,
            is_v2=is_v2,
            ring=ring,
            now=now,
        )

    async def _code(self, client: ProvenClient, sha256: bytes) -> AuthorizationCode:
        code = await self._records.find_code(client.tenant, sha256)
        if code is not None:
            return code
        if await self._records.end_family_of_code(client.tenant, sha256):
            raise already_redeemed()
        raise TokenRefusal(
            70000,
            "The provided value for the 'code' parameter is not valid: it is unknown, or was tried before.",
        )


def _check(code: AuthorizationCode, client: ProvenClient, form: Mapping[str, str], now: Instant) -> None:
    if code.client_id != client.application.client_id:
        raise TokenRefusal(70000, "The provided authorization code was issued to another application.")
    if now >= code.expires_at:
        raise TokenRefusal(70008, "The provided authorization code has expired. Have the user sign in again.")
    if canonical(form.get("redirect_uri") or "") != code.redirect_uri:
        raise TokenRefusal(
            500112,
            "The reply address does not match the reply address provided when requesting the authorization code.",
        )
    _check_verifier(code.code_challenge, form.get("code_verifier") or None)


def _check_verifier(challenge: str | None, verifier: str | None) -> None:
    """A verifier without a challenge is refused too: somebody may have taken the challenge away."""
    if challenge is None and verifier is None:
        return
    if challenge is None or verifier is None or not _VERIFIER.fullmatch(verifier):
        raise _mismatch()
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    if not hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.encode("ascii")):
        raise _mismatch()


def _mismatch() -> TokenRefusal:
    return TokenRefusal(
        501481, "The code_verifier does not match the code_challenge supplied in the authorization request."
    )
