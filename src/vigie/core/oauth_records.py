"""Records of sign-ins: authorization codes, device codes, consents and token families. Plain values."""

from enum import StrEnum

import msgspec

from vigie.core.instants import Instant

OFFLINE_ACCESS = "offline_access"
OPENID = "openid"


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What an application may do for a person: the permissions it has of a resource.

    `resource` is spelled as it was asked for. `scope` has the names that token answers repeat: those that were
    asked for and granted, as they were written.
    """

    resource: str
    permissions: tuple[str, ...]
    scope: tuple[str, ...]

    @property
    def wants_refresh(self) -> bool:
        """Whether the application wants to go on when the person has left."""
        return OFFLINE_ACCESS in self.scope

    @property
    def wants_id_token(self) -> bool:
        """Whether the application wants to know who the person is."""
        return OPENID in self.scope


class Password(msgspec.Struct, frozen=True, kw_only=True):
    """The argon2id hash of a person's password, and since when it counts."""

    hash: str
    changed_at: Instant


class AuthorizationCode(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who brings a code gets tokens for, and what has to be brought with it."""

    client_id: str
    object_id: str
    consent: Consent
    redirect_uri: str
    code_challenge: str | None
    nonce: str | None
    signed_in_at: Instant
    expires_at: Instant


class DeviceDecision(StrEnum):
    """What became of a device's request."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"


class DeviceCode(msgspec.Struct, frozen=True, kw_only=True):
    """A device that waits for somebody to sign in elsewhere. `object_id` is who did, once it is approved."""

    user_code: str
    client_id: str
    consent: Consent
    decision: DeviceDecision
    object_id: str | None
    signed_in_at: Instant | None
    expires_at: Instant


class TokenFamily(msgspec.Struct, frozen=True, kw_only=True):
    """All tokens that come of one sign-in: while it is kept they are good, and with it they end.

    `handle_sha256` names it in its refresh tokens, `current_sha256` is the only one of those that counts. The
    one before it counts a moment longer, for a client that did not hear the answer: `successor_salt` makes
    the same successor of it again. All four are None where no refresh was asked for.
    """

    family_id: str
    client_id: str
    object_id: str
    consent: Consent
    signed_in_at: Instant
    ends_at: Instant
    idle_until: Instant
    kept_until: Instant
    rotated_at: Instant
    handle_sha256: bytes | None = None
    current_sha256: bytes | None = None
    previous_sha256: bytes | None = None
    successor_salt: bytes | None = None
