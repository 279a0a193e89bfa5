"""The answers with a token or a device code: docs/api/tokens.md; RFC 8628, 3.2."""

import base64

import msgspec

from vigie.core.oauth_records import OFFLINE_ACCESS
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.grants.device_code import POLL_SECONDS, VERIFICATION_PATH, IssuedDeviceCode
from vigie.identity.tokens.issuance import IssuedToken


def token_answer(issued: IssuedToken, version: EndpointVersion) -> dict[str, object]:
    """A token and what comes with it. Version 1 also says for which resource, and from when until when."""
    expires_at_seconds = issued.issued_at_seconds + issued.lifetime_seconds
    of_v1 = {
        "expires_on": version.number(expires_at_seconds),
        "not_before": version.number(issued.issued_at_seconds),
        "resource": issued.resource,
    }
    return {
        "token_type": "Bearer",
        "expires_in": version.number(issued.lifetime_seconds),
        "ext_expires_in": version.number(issued.lifetime_seconds),
        **(of_v1 if version is EndpointVersion.V1 else {}),
        "access_token": issued.access_token,
        **_for_user(issued, version),
    }


def _for_user(issued: IssuedToken, version: EndpointVersion) -> dict[str, object]:
    """What comes beside a token for a person; version 1 names permissions without their resource."""
    user = issued.for_user
    if user is None:
        return {}
    names = user.permissions if version is EndpointVersion.V1 else user.scope
    beside = {"refresh_token": user.refresh_token, "id_token": user.id_token}
    present = {name: token for name, token in beside.items() if token is not None}
    return {"scope": " ".join(name for name in names if name != OFFLINE_ACCESS), **present}


def client_info(issued: IssuedToken) -> dict[str, object]:
    """Under which account MSAL caches what it gets."""
    if issued.for_user is None:
        return {}
    account = {"uid": issued.for_user.object_id, "utid": issued.tenant_guid}
    return {"client_info": base64.urlsafe_b64encode(msgspec.json.encode(account)).rstrip(b"=").decode()}


def device_answer(issued: IssuedDeviceCode, origin: str, version: EndpointVersion) -> dict[str, object]:
    """What a device shows and how it asks."""
    address = f"{origin}{VERIFICATION_PATH}"
    return {
        "user_code": issued.user_code,
        "device_code": issued.device_code,
        version.verification_uri_name: address,
        "expires_in": version.number(issued.lifetime_seconds),
        "interval": version.number(POLL_SECONDS),
        "message": f"To sign in, use a web browser to open the page {address} and enter the code "
        f"{issued.user_code} to authenticate.",
    }
