"""What comes with a token or a device code, in the vendor's shapes. Source: graph contract 9.2; RFC 8628, 3.2."""

import base64
from typing import Literal

import msgspec

from vigie.core.oauth_records import OFFLINE_ACCESS
from vigie.identity.grants.device_code import POLL_SECONDS, IssuedDeviceCode
from vigie.identity.tokens.issuance import IssuedToken
from vigie.ui.sign_in.views import DEVICE_PATH


def v2_answer(issued: IssuedToken) -> dict[str, object]:
    """A token from the newer endpoint: its numbers are numbers."""
    return {
        "token_type": "Bearer",
        "expires_in": issued.lifetime_seconds,
        "ext_expires_in": issued.lifetime_seconds,
        "access_token": issued.access_token,
        **_for_user(issued, "scope"),
    }


def v1_answer(issued: IssuedToken) -> dict[str, object]:
    """Version 1 gives its numbers as texts."""
    lifetime = str(issued.lifetime_seconds)
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "expires_on": str(issued.issued_at_seconds + issued.lifetime_seconds),
        "not_before": str(issued.issued_at_seconds),
        "resource": issued.resource,
        "access_token": issued.access_token,
        **_for_user(issued, "permissions"),
    }


def _for_user(issued: IssuedToken, names_of: Literal["scope", "permissions"]) -> dict[str, object]:
    """What comes beside a token for a person; version 1 names permissions without their resource."""
    user = issued.for_user
    if user is None:
        return {}
    names = user.scope if names_of == "scope" else user.permissions
    beside = {"refresh_token": user.refresh_token, "id_token": user.id_token}
    present = {name: token for name, token in beside.items() if token is not None}
    return {"scope": " ".join(name for name in names if name != OFFLINE_ACCESS), **present}


def client_info(issued: IssuedToken) -> dict[str, object]:
    """Under which account MSAL caches what it gets."""
    if issued.for_user is None:
        return {}
    account = {"uid": issued.for_user.object_id, "utid": issued.tenant_guid}
    return {"client_info": base64.urlsafe_b64encode(msgspec.json.encode(account)).rstrip(b"=").decode()}


def device_answer(issued: IssuedDeviceCode, origin: str, *, is_v2: bool) -> dict[str, object]:
    """Version 1 gives its numbers as texts, and calls a URI a URL."""
    address = f"{origin}{DEVICE_PATH}"
    numbers: dict[str, int] = {"expires_in": issued.lifetime_seconds, "interval": POLL_SECONDS}
    return {
        "user_code": issued.user_code,
        "device_code": issued.device_code,
        "verification_uri" if is_v2 else "verification_url": address,
        **{name: number if is_v2 else str(number) for name, number in numbers.items()},
        "message": f"To sign in, use a web browser to open the page {address} and enter the code "
        f"{issued.user_code} to authenticate.",
    }
