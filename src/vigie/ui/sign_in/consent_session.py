"""The signed-in user between the password and the consent: in a signed cookie, for one flow and one use."""

import secrets
from hashlib import sha256

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.sign_in.service import SignedInUser
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.ui.browser_request import BrowserRequest
from vigie.ui.sign_in.flow_state import FlowState, digest_of, read_signed
from vigie.ui.sign_in.views import ConsentPrompt

CONSENT_SESSION_SECONDS = 600
"""A user may think about a consent prompt for this long."""

_NUMBER_BYTES = 16
_DIGEST_IN_NAME = 12


class _ConsentSession(msgspec.Struct, frozen=True):
    number: bytes
    tenant_guid: str
    object_id: str
    signed_in_at: Instant
    password_since: Instant
    expires_at: Instant


_decoder = msgspec.msgpack.Decoder(_ConsentSession)


class ConsentSessions:
    """Gives consent sessions to browsers, and lets each be used once, in that browser."""

    def __init__(self, state_signer: StateSigner, directory: DirectoryRepository) -> None:
        self._state_signer = state_signer
        self._directory = directory

    def give(
        self, request: BrowserRequest, flow_state: FlowState, prompt: ConsentPrompt, user: SignedInUser
    ) -> None:
        """Start a session for one flow, others may be open beside it, and for this prompt alone."""
        expires_at = Instant(request.exchange.at + CONSENT_SESSION_SECONDS * TICKS_PER_SECOND)
        consent_session = _ConsentSession(
            number=secrets.token_bytes(_NUMBER_BYTES),
            tenant_guid=user.tenant.guid,
            object_id=user.user.object_id,
            signed_in_at=user.signed_in_at,
            password_since=user.password_since,
            expires_at=expires_at,
        )
        signed = self._state_signer.sign(
            _purpose(flow_state, prompt),
            request.browser,
            msgspec.msgpack.encode(consent_session),
            expires_at=expires_at,
        )
        request.set_cookie(_cookie(flow_state), signed, same_site="Strict", seconds=CONSENT_SESSION_SECONDS)

    async def use(
        self, request: BrowserRequest, flow_state: FlowState, prompt: ConsentPrompt
    ) -> SignedInUser | None:
        """The user of the session of a flow; None without a good one, or when the user is no longer there.

        None too when the prompt has changed since: the user has seen another one.
        """
        signed = request.cookie(_cookie(flow_state)) or ""
        request.delete_cookie(_cookie(flow_state))
        content = self._state_signer.verify(
            _purpose(flow_state, prompt), request.browser, signed, request.exchange.at
        )
        consent_session = read_signed(_decoder, content)
        if consent_session is None:
            return None
        tenant = await self._directory.find_tenant(consent_session.tenant_guid)
        user = await self._directory.find_user(tenant, consent_session.object_id) if tenant else None
        if tenant is None or user is None:
            return None
        # The table of used assertions will do: all servers share it, and expired rows are deleted.
        is_first = await self._directory.note_assertion(
            tenant, sha256(consent_session.number).digest(), consent_session.expires_at, request.exchange.at
        )
        if not is_first:
            return None
        return SignedInUser(
            tenant=tenant,
            user=user,
            signed_in_at=consent_session.signed_in_at,
            password_since=consent_session.password_since,
        )


def _purpose(flow_state: FlowState, prompt: ConsentPrompt) -> str:
    return f"consent to {digest_of(flow_state)} {sha256(msgspec.msgpack.encode(prompt)).hexdigest()}"


def _cookie(flow_state: FlowState) -> str:
    return f"vigie-consent-{digest_of(flow_state)[:_DIGEST_IN_NAME]}"
