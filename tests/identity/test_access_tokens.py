"""Access tokens: what is in one, checked by a library that did not sign it; and what a checked one proves."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from msgspec.structs import replace

from tests.support.house import INCIDENTS_API, a_key_ring, a_strange_key, to_base64
from vigie.core.access import CallerKind
from vigie.core.errors import InvalidToken
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.keys.key_ring import KeyRing, rotated
from vigie.identity.tokens.access_tokens import (
    USER_CLIENT_ID,
    ClientAuthMethod,
    SignedClaims,
    TokenRequest,
    check_token,
    issue_token,
    issuer_of,
)
from vigie.identity.tokens.jws import parse_jwt

TENANT = "3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88"
APPLICATION = "c1a7e2d4-7f33-4a55-8a0e-d1f0b6a9c302"
ISSUER = issuer_of("https://vigie.example", TENANT)
NOW_SECONDS = 1_770_795_669
SKEW_SECONDS = 300


def at(seconds: float) -> Instant:
    return Instant(NOW_SECONDS * TICKS_PER_SECOND + round(seconds * TICKS_PER_SECOND))


def a_request(**changes: Any) -> TokenRequest:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": INCIDENTS_API,
        "tenant_guid": TENANT,
        "kind": CallerKind.APPLICATION,
        "application_id": APPLICATION,
        "application_name": "connector",
        "object_id": APPLICATION,
        "granted": ("Incident.Read.All",),
        "auth_method": ClientAuthMethod.SECRET,
    }
    return TokenRequest(**(values | changes))


def a_user_request(**changes: Any) -> TokenRequest:
    user: dict[str, Any] = {
        "kind": CallerKind.USER,
        "application_id": USER_CLIENT_ID,
        "object_id": "d2a1f0c4-5b6e-47a8-9d10-1c2b3a4d5e6f",
        "upn": "ana@contoso.example",
        "granted": ("Incident.Read", "Incident.ReadWrite"),
        "auth_method": ClientAuthMethod.NONE,
    }
    return a_request(**(user | changes))


def issued(request: TokenRequest | None = None, *, lifetime_seconds: int = 3599) -> str:
    return issue_token(
        request or a_request(),
        a_key_ring().current,
        now_seconds=NOW_SECONDS,
        lifetime_seconds=lifetime_seconds,
    )


def checked(token: str, *, after_seconds: float = 0, ring: KeyRing | None = None) -> SignedClaims:
    return check_token(
        parse_jwt(token),
        ring or a_key_ring(),
        now=at(after_seconds),
        clock_skew_ticks=SKEW_SECONDS * TICKS_PER_SECOND,
    )


def is_accepted(token: str, *, after_seconds: float, ring: KeyRing | None = None) -> bool:
    try:
        checked(token, after_seconds=after_seconds, ring=ring)
    except InvalidToken:
        return False
    return True


# What is in a token


def test_another_library_accepts_a_token_with_the_published_key_alone() -> None:
    token = issue_token(
        a_request(),
        a_key_ring().current,
        now_seconds=int(datetime.now(UTC).timestamp()),
        lifetime_seconds=3599,
    )

    claims = jwt.decode(
        token,
        jwt.PyJWK(a_key_ring().current.public()),
        algorithms=["RS256"],
        audience=INCIDENTS_API,
        issuer=ISSUER,
        leeway=timedelta(seconds=2),
        options={"require": ["exp", "iat", "nbf", "aud", "iss", "sub"]},
    )

    assert claims["roles"] == ["Incident.Read.All"]


def test_a_token_of_an_application_says_what_microsofts_says() -> None:
    claims = jwt.decode(issued(), options={"verify_signature": False})

    assert len(claims.pop("uti")) > 10
    assert claims == {
        "aud": INCIDENTS_API,
        "iss": f"https://vigie.example/{TENANT}/",
        "iat": NOW_SECONDS,
        "nbf": NOW_SECONDS,
        "exp": NOW_SECONDS + 3599,
        "appid": APPLICATION,
        "app_displayname": "connector",
        "appidacr": "1",
        "idp": f"https://vigie.example/{TENANT}/",
        "oid": APPLICATION,
        "sub": APPLICATION,
        "tid": TENANT,
        "ver": "1.0",
        "idtyp": "app",
        "roles": ["Incident.Read.All"],
    }


def test_a_token_of_a_user_has_scopes_and_no_roles() -> None:
    claims = jwt.decode(issued(a_user_request()), options={"verify_signature": False})

    assert claims["scp"] == "Incident.Read Incident.ReadWrite"
    assert (claims["idtyp"], claims["appidacr"], claims["appid"]) == ("user", "0", USER_CLIENT_ID)
    assert claims["upn"] == claims["unique_name"] == "ana@contoso.example"
    assert "roles" not in claims


def test_an_application_without_a_permission_has_no_roles_in_its_token() -> None:
    claims = jwt.decode(issued(a_request(granted=())), options={"verify_signature": False})

    assert "roles" not in claims


def test_the_head_names_the_key_in_both_words() -> None:
    kid = a_key_ring().current.kid

    assert jwt.get_unverified_header(issued()) == {"typ": "JWT", "alg": "RS256", "kid": kid, "x5t": kid}


def test_two_tokens_are_never_the_same() -> None:
    assert issued() != issued()


# What a token proves


def test_a_checked_token_of_an_application_proves_who_calls() -> None:
    assert checked(issued()) == SignedClaims(
        issuer=ISSUER,
        audience=INCIDENTS_API,
        tenant_guid=TENANT,
        kind=CallerKind.APPLICATION,
        application_id=APPLICATION,
        object_id=APPLICATION,
        granted=("Incident.Read.All",),
        valid_from=at(0),
        valid_until=at(3599),
        expires_at=at(3599 + SKEW_SECONDS),
        kid=a_key_ring().current.kid,
    )


def test_a_checked_token_of_a_user_proves_who_calls() -> None:
    claims = checked(issued(a_user_request()))

    assert (claims.kind, claims.granted) == (CallerKind.USER, ("Incident.Read", "Incident.ReadWrite"))


def test_a_user_without_scopes_is_a_user_still() -> None:
    claims = checked(issued(a_user_request(granted=())))

    assert (claims.kind, claims.granted) == (CallerKind.USER, ())


@given(
    st.builds(
        a_request,
        audience=st.text(st.characters(exclude_categories=["Cs"])),
        granted=st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
    )
)
def test_what_is_issued_is_what_is_proved(request_: TokenRequest) -> None:
    claims = checked(issued(request_))

    assert (claims.audience, claims.granted) == (request_.audience, request_.granted)


@pytest.mark.parametrize(
    ("after_seconds", "accepted"),
    [
        (-SKEW_SECONDS - 1, False),
        (-SKEW_SECONDS, True),
        (0, True),
        (3599, True),
        (3599 + SKEW_SECONDS - 1e-7, True),
        (3599 + SKEW_SECONDS, False),
    ],
)
def test_times_are_checked_to_the_tick_with_the_stated_skew(after_seconds: float, accepted: bool) -> None:
    assert is_accepted(issued(), after_seconds=after_seconds) == accepted


def test_a_token_that_is_dead_from_the_start_is_expired_and_not_from_the_future() -> None:
    token = issued(lifetime_seconds=-3600)

    with pytest.raises(InvalidToken) as refused:
        checked(token)

    assert refused.value.detail == "expired"


def test_another_library_also_finds_it_expired() -> None:
    key = jwt.PyJWK(a_key_ring().current.public())

    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(issued(lifetime_seconds=-3600), key, algorithms=["RS256"], audience=INCIDENTS_API)


def test_a_token_of_the_old_key_is_accepted_as_long_as_it_lives() -> None:
    token = issued(lifetime_seconds=86_400)

    ring = rotated(a_key_ring(), at(1), SKEW_SECONDS)

    last_moment = 86_400 + SKEW_SECONDS - 1e-7
    assert is_accepted(token, after_seconds=last_moment, ring=ring)


def test_a_token_of_another_installations_key_is_refused_even_under_the_id_of_ours() -> None:
    stranger = replace(a_strange_key(), kid=a_key_ring().current.kid)
    token = issue_token(a_request(), stranger, now_seconds=NOW_SECONDS, lifetime_seconds=3599)

    with pytest.raises(InvalidToken, match="not valid"):
        checked(token)


@given(st.data())
def test_a_token_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    token = issued()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != token[place]))

    assert not is_accepted(token[:place] + other + token[place + 1 :], after_seconds=0)


@given(st.data())
def test_a_signature_is_good_where_a_library_for_it_finds_it_so(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([a_key_ring().current, a_strange_key()]))
    token = issue_token(a_request(), key, now_seconds=NOW_SECONDS, lifetime_seconds=3599)
    cut = data.draw(st.integers(0, len(token)))
    changed = token[:cut] + data.draw(st.sampled_from(["", "=", "A", ".", "é", "-_", token[cut:]]))

    assert is_accepted(changed, after_seconds=0) == _is_good_for_a_library(changed)


def _is_good_for_a_library(token: str) -> bool:
    try:
        jws.deserialize_compact(
            token, RSAKey.import_key(a_key_ring().current.pair.public_key), algorithms=["RS256"]
        )
    except (JoseError, ValueError):
        return False
    return True


def test_padding_is_read_only_where_it_may_be_and_is_signed_with_the_rest() -> None:
    token = issued()
    padded = ".".join(segment + "=" * (-len(segment) % 4) for segment in token.split("."))

    with pytest.raises(InvalidToken):
        parse_jwt(padded)
    read = parse_jwt(padded, may_be_padded=True)
    assert read.claims == parse_jwt(token).claims
    assert read.signed.decode() == padded.rpartition(".")[0]


def test_what_must_be_understood_is_refused() -> None:
    key = a_key_ring().current
    head = {"alg": "RS256", "kid": key.kid, "crit": ["b64"], "b64": True}
    payload = issued().split(".")[1]
    signed = f"{to_base64(json.dumps(head).encode())}.{payload}"
    signature = key.pair.private_key.sign(signed.encode(), PKCS1v15(), SHA256())

    assert not is_accepted(f"{signed}.{to_base64(signature)}", after_seconds=0)


@given(st.text(st.characters(codec="latin-1"), max_size=300))
def test_any_text_at_all_is_refused_and_never_a_defect(text: str) -> None:
    assert not is_accepted(text, after_seconds=0)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.binary(), st.binary())
def test_any_head_at_all_is_refused_and_never_a_defect(
    head: dict[str, object], payload: bytes, signature: bytes
) -> None:
    head = {"alg": "RS256", "kid": a_key_ring().current.kid, **head}
    parts = (json.dumps(head).encode(), payload, signature)

    assert not is_accepted(".".join(map(to_base64, parts)), after_seconds=0)


def test_the_reason_is_for_the_log_and_not_for_the_caller() -> None:
    with pytest.raises(InvalidToken) as refused:
        checked(issued(), after_seconds=10_000)

    assert (refused.value.message, refused.value.detail) == ("The token is missing or not valid.", "expired")
