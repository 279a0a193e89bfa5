"""A request to a token endpoint, as grants judge it."""

from collections.abc import Mapping

import msgspec

from vigie.core.instants import Instant
from vigie.identity.clients.assertions import SentAssertion
from vigie.identity.clients.credentials import Credentials, Sender, credentials_in
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.form_parameters import first_of
from vigie.identity.keys.key_ring import KeyRing


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The form, who sent it to which tenant's endpoint, and the keys and the moment of the answer."""

    tenant_reference: str
    form: Mapping[str, str]
    sender: Sender
    version: EndpointVersion
    ring: KeyRing
    now: Instant

    def credentials(self) -> Credentials | SentAssertion:
        """Who the form says it comes from, and what it brings to prove it. Raises OAuthRefusal."""
        return credentials_in(self.form, self.sender)

    def required(self, *names: str) -> str:
        """The first of these fields that is filled in. Raises OAuthRefusal when none is."""
        return first_of(self.form, names)
