"""The state of a sign-in: signed into each form, and brought back by the browser with the next step."""

from hashlib import sha256
from typing import TypeVar

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.ui.browser_request import BrowserRequest

FLOW_SECONDS = 3600
"""A page may stay open for this long."""


class Authorization(msgspec.Struct, frozen=True, tag="authorization"):
    """An authorization request of an application: its fields, and the endpoint that it was sent to."""

    tenant: str
    version: EndpointVersion
    fields: dict[str, str]


class DeviceState(msgspec.Struct, frozen=True, tag="device"):
    """The code that a device shows; empty until it was entered."""

    user_code: str = ""


FlowState = Authorization | DeviceState

Signed = TypeVar("Signed")

# Not JSON: that makes six bytes of some characters, and the form would be too large to come back.
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(FlowState)


def read_signed(decoder: msgspec.msgpack.Decoder[Signed], content: bytes | None) -> Signed | None:
    """What was signed; None for nothing, and for what another release has signed in another form."""
    try:
        return None if content is None else decoder.decode(content)
    except msgspec.DecodeError:
        return None


class FlowStates:
    """Signs flow states into forms, and accepts them from the browser alone that got the form."""

    def __init__(self, state_signer: StateSigner) -> None:
        self._state_signer = state_signer

    def sign(self, request: BrowserRequest, step: str, flow_state: FlowState) -> str:
        """The signed state for a form of one step."""
        until = Instant(request.exchange.at + FLOW_SECONDS * TICKS_PER_SECOND)
        return self._state_signer.sign(f"form {step}", request.browser, _encode(flow_state), expires_at=until)

    def verify(self, request: BrowserRequest, step: str, signed: str) -> FlowState | None:
        """The state in a form; None unless this browser got the form, for this step, not long ago."""
        content = self._state_signer.verify(f"form {step}", request.browser, signed, request.exchange.at)
        return read_signed(_decoder, content)


def digest_of(flow_state: FlowState) -> str:
    """A name for a flow, which no other has."""
    return sha256(_encode(flow_state)).hexdigest()
