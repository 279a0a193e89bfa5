"""Rows of codes and token families as the values they stand for, and back."""

from collections.abc import Mapping

from vigie.core.oauth_records import AuthorizationCode, Consent, DeviceCode, DeviceDecision, TokenFamily
from vigie.storage.database import Row


def authorization_code_of(row: Row) -> AuthorizationCode:
    """A row of authorization codes."""
    (
        client_id,
        object_id,
        resource,
        permissions,
        scope,
        redirect_uri,
        code_challenge,
        nonce,
        signed_in_at,
        expires_at,
    ) = row
    return AuthorizationCode(
        client_id=client_id,
        object_id=object_id,
        consent=_consent_of(resource, permissions, scope),
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        nonce=nonce,
        signed_in_at=signed_in_at,
        expires_at=expires_at,
    )


def authorization_code_values(code: AuthorizationCode) -> dict[str, object]:
    """The columns of an authorization code."""
    return {
        "client_id": code.client_id,
        "object_id": code.object_id,
        **_consent_values(code.consent),
        "redirect_uri": code.redirect_uri,
        "code_challenge": code.code_challenge,
        "nonce": code.nonce,
        "signed_in_at": code.signed_in_at,
        "expires_at": code.expires_at,
    }


def device_code_of(row: Row) -> DeviceCode:
    """A row of device codes."""
    user_code, client_id, resource, permissions, scope, decision, object_id, signed_in_at, expires_at = row
    return DeviceCode(
        user_code=user_code,
        client_id=client_id,
        consent=_consent_of(resource, permissions, scope),
        decision=DeviceDecision(decision),
        object_id=object_id,
        signed_in_at=signed_in_at,
        expires_at=expires_at,
    )


def device_code_values(code: DeviceCode) -> dict[str, object]:
    """The columns of a device code that is not decided yet."""
    return {
        "user_code": code.user_code,
        "client_id": code.client_id,
        **_consent_values(code.consent),
        "expires_at": code.expires_at,
    }


def token_family_of(row: Row) -> TokenFamily:
    """A row of token families."""
    (
        family_id,
        client_id,
        object_id,
        resource,
        permissions,
        scope,
        signed_in_at,
        ends_at,
        idle_until,
        kept_until,
        rotated_at,
        handle_sha256,
        current_sha256,
        previous_sha256,
        successor_salt,
    ) = row
    return TokenFamily(
        family_id=family_id,
        client_id=client_id,
        object_id=object_id,
        consent=_consent_of(resource, permissions, scope),
        signed_in_at=signed_in_at,
        ends_at=ends_at,
        idle_until=idle_until,
        kept_until=kept_until,
        rotated_at=rotated_at,
        handle_sha256=handle_sha256,
        current_sha256=current_sha256,
        previous_sha256=previous_sha256,
        successor_salt=successor_salt,
    )


def token_family_values(family: TokenFamily) -> dict[str, object]:
    """The columns of a token family."""
    return {
        "family_id": family.family_id,
        "client_id": family.client_id,
        "object_id": family.object_id,
        **_consent_values(family.consent),
        "signed_in_at": family.signed_in_at,
        "ends_at": family.ends_at,
        "idle_until": family.idle_until,
        "kept_until": family.kept_until,
        "rotated_at": family.rotated_at,
        "handle_sha256": family.handle_sha256,
        "current_sha256": family.current_sha256,
        "previous_sha256": family.previous_sha256,
        "successor_salt": family.successor_salt,
    }


def _consent_of(resource: str, permissions: str, scope: str) -> Consent:
    return Consent(resource=resource, permissions=tuple(permissions.split()), scope=tuple(scope.split()))


def _consent_values(consent: Consent) -> Mapping[str, object]:
    return {
        "resource": consent.resource,
        "permissions": " ".join(consent.permissions),
        "scope": " ".join(consent.scope),
    }
