"""Who has signed in, from the password to the yes or no: kept by the browser, for one errand and one use."""

import secrets
from hashlib import sha256

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.directory_repository import Directory
from vigie.identity.sign_in.service import SignedInUser
from vigie.identity.sign_in.signed_state import Sealer
from vigie.ui.browser_request import Visit
from vigie.ui.sign_in.flow_state import Errand, digest_of
from vigie.ui.sign_in.views import Asked

TICKET_SECONDS = 600
"""How long somebody may think about what an application asks for."""

_NUMBER_BYTES = 16
_DIGEST_IN_NAME = 12


class _Ticket(msgspec.Struct, frozen=True):
    number: bytes
    tenant_guid: str
    object_id: str
    signed_in_at: Instant
    password_since: Instant
    expires_at: Instant


_decoder = msgspec.msgpack.Decoder(_Ticket)


class Tickets:
    """Gives tickets to browsers, and lets each of them be used once, in that browser."""

    def __init__(self, sealer: Sealer, directory: Directory) -> None:
        self._sealer = sealer
        self._directory = directory

    def give(self, visit: Visit, errand: Errand, asked: Asked, who: SignedInUser) -> None:
        """A ticket for one errand alone: others may be open beside it. It is good for what is asked for now."""
        expires_at = Instant(visit.exchange.at + TICKET_SECONDS * TICKS_PER_SECOND)
        ticket = _Ticket(
            number=secrets.token_bytes(_NUMBER_BYTES),
            tenant_guid=who.tenant.guid,
            object_id=who.user.object_id,
            signed_in_at=who.signed_in_at,
            password_since=who.password_since,
            expires_at=expires_at,
        )
        sealed = self._sealer.seal(
            _purpose(errand, asked), visit.browser, msgspec.msgpack.encode(ticket), expires_at=expires_at
        )
        visit.set_cookie(_cookie(errand), sealed, same_site="Strict", seconds=TICKET_SECONDS)

    async def use(self, visit: Visit, errand: Errand, asked: Asked) -> SignedInUser | None:
        """Who holds a ticket for the errand; None without a good one, or when they are no longer there.

        None too when something else is asked for than when it was given: that is not what they have seen.
        """
        sealed = visit.cookie(_cookie(errand)) or ""
        visit.forget_cookie(_cookie(errand))
        content = self._sealer.open(_purpose(errand, asked), visit.browser, sealed, visit.exchange.at)
        if content is None:
            return None
        ticket = _decoder.decode(content)
        tenant = await self._directory.find_tenant(ticket.tenant_guid)
        user = await self._directory.find_user(tenant, ticket.object_id) if tenant else None
        if tenant is None or user is None:
            return None
        # The store's memory of assertions will do: every server has it, and it forgets what has expired.
        is_first = await self._directory.note_assertion(
            tenant, sha256(ticket.number).digest(), ticket.expires_at, visit.exchange.at
        )
        if not is_first:
            return None
        return SignedInUser(
            tenant=tenant, user=user, signed_in_at=ticket.signed_in_at, password_since=ticket.password_since
        )


def _purpose(errand: Errand, asked: Asked) -> str:
    return f"ticket for {digest_of(errand)} {sha256(msgspec.msgpack.encode(asked)).hexdigest()}"


def _cookie(errand: Errand) -> str:
    return f"vigie-ticket-{digest_of(errand)[:_DIGEST_IN_NAME]}"
