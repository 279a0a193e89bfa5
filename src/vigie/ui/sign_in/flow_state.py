"""What somebody came to the pages for, as their forms bring it back from one page to the next."""

from hashlib import sha256

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.ui.browser_request import BrowserRequest

FLOW_SECONDS = 3600
"""How long a page may stay open."""


class Authorization(msgspec.Struct, frozen=True, tag="authorization"):
    """An application sent its user here: the fields with which it did, and the address it chose."""

    tenant: str
    version: EndpointVersion
    fields: dict[str, str]


class DeviceState(msgspec.Struct, frozen=True, tag="device"):
    """Somebody has a device that shows a code; it is empty until they have entered it."""

    user_code: str = ""


FlowState = Authorization | DeviceState

# Not JSON: that makes six bytes of some characters, and the form would be too large to come back.
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(FlowState)


class FlowStates:
    """Puts errands into forms, and takes them back from the very browser that got the form."""

    def __init__(self, state_signer: StateSigner) -> None:
        self._sealer = state_signer

    def seal(self, visit: BrowserRequest, step: str, flow_state: FlowState) -> str:
        """The errand for a form of one step."""
        until = Instant(visit.exchange.at + FLOW_SECONDS * TICKS_PER_SECOND)
        return self._sealer.seal(f"form {step}", visit.browser, _encode(flow_state), expires_at=until)

    def open(self, visit: BrowserRequest, step: str, sealed: str) -> FlowState | None:
        """The errand of a form; None unless this browser got the form, for this step, not long ago."""
        content = self._sealer.open(f"form {step}", visit.browser, sealed, visit.exchange.at)
        return None if content is None else _decoder.decode(content)


def digest_of(flow_state: FlowState) -> str:
    """A name for an errand, which no other has."""
    return sha256(_encode(flow_state)).hexdigest()
