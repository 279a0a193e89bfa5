"""Error responses of the token endpoints: status and `error` of every AADSTS code.

docs/errors.md says when each of them comes.
"""

from collections.abc import Mapping

# AADSTS code: status, `error`.
TOKEN_ERROR_RESPONSES: Mapping[int, tuple[int, str]] = {
    50049: (400, "invalid_instance"),
    50059: (400, "invalid_request"),
    50173: (400, "invalid_grant"),
    50196: (400, "slow_down"),
    54005: (400, "invalid_grant"),
    65001: (400, "invalid_grant"),
    65004: (400, "authorization_declined"),
    70000: (400, "invalid_grant"),
    70003: (400, "unsupported_grant_type"),
    70008: (400, "invalid_grant"),
    70011: (400, "invalid_scope"),
    70016: (400, "authorization_pending"),
    70018: (400, "bad_verification_code"),
    70020: (400, "expired_token"),
    90002: (400, "invalid_request"),
    90033: (503, "temporarily_unavailable"),
    90055: (429, "temporarily_unavailable"),
    500011: (400, "invalid_resource"),
    500112: (400, "invalid_grant"),
    501481: (400, "invalid_grant"),
    700016: (400, "unauthorized_client"),
    700025: (401, "invalid_client"),
    700027: (401, "invalid_client"),
    700082: (400, "invalid_grant"),
    900023: (400, "invalid_request"),
    900144: (400, "invalid_request"),
    901002: (400, "invalid_request"),
    1002012: (400, "invalid_scope"),
    7000215: (401, "invalid_client"),
    7000216: (401, "invalid_client"),
    7000218: (401, "invalid_client"),
    7000222: (401, "invalid_client"),
    9002313: (400, "invalid_grant"),
}
