"""Who has signed in, from the password to the yes or no: kept by the browser, for one errand and one use."""

import secrets
from hashlib import sha256

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.sign_in.service import SignedInUser
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.ui.browser_request import BrowserRequest
from vigie.ui.sign_in.flow_state import FlowState, digest_of
from vigie.ui.sign_in.views import Asked

CONSENT_SESSION_SECONDS = 600
"""How long somebody may think about what an application asks for."""

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
    """Gives tickets to browsers, and lets each of them be used once, in that browser."""

    def __init__(self, state_signer: StateSigner, directory: DirectoryRepository) -> None:
        self._sealer = state_signer
        self._directory = directory

    def give(self, visit: BrowserRequest, flow_state: FlowState, asked: Asked, who: SignedInUser) -> None:
        """A ticket for one errand alone: others may be open beside it. It is good for what is asked for now."""
        expires_at = Instant(visit.exchange.at + CONSENT_SESSION_SECONDS * TICKS_PER_SECOND)
        consent_session = _ConsentSession(
            number=secrets.token_bytes(_NUMBER_BYTES),
            tenant_guid=who.tenant.guid,
            object_id=who.user.object_id,
            signed_in_at=who.signed_in_at,
            password_since=who.password_since,
            expires_at=expires_at,
        )
        sealed = self._sealer.seal(
            _purpose(flow_state, asked),
            visit.browser,
            msgspec.msgpack.encode(consent_session),
            expires_at=expires_at,
        )
        visit.set_cookie(_cookie(flow_state), sealed, same_site="Strict", seconds=CONSENT_SESSION_SECONDS)

    async def use(self, visit: BrowserRequest, flow_state: FlowState, asked: Asked) -> SignedInUser | None:
        """Who holds a ticket for the errand; None without a good one, or when they are no longer there.

        None too when something else is asked for than when it was given: that is not what they have seen.
        """
        sealed = visit.cookie(_cookie(flow_state)) or ""
        visit.forget_cookie(_cookie(flow_state))
        content = self._sealer.open(_purpose(flow_state, asked), visit.browser, sealed, visit.exchange.at)
        if content is None:
            return None
        consent_session = _decoder.decode(content)
        tenant = await self._directory.find_tenant(consent_session.tenant_guid)
        user = await self._directory.find_user(tenant, consent_session.object_id) if tenant else None
        if tenant is None or user is None:
            return None
        # The store's memory of assertions will do: every server has it, and it forgets what has expired.
        is_first = await self._directory.note_assertion(
            tenant, sha256(consent_session.number).digest(), consent_session.expires_at, visit.exchange.at
        )
        if not is_first:
            return None
        return SignedInUser(
            tenant=tenant,
            user=user,
            signed_in_at=consent_session.signed_in_at,
            password_since=consent_session.password_since,
        )


def _purpose(flow_state: FlowState, asked: Asked) -> str:
    return f"ticket for {digest_of(flow_state)} {sha256(msgspec.msgpack.encode(asked)).hexdigest()}"


def _cookie(flow_state: FlowState) -> str:
    return f"vigie-ticket-{digest_of(flow_state)[:_DIGEST_IN_NAME]}"
