"""Attacks with tokens that say they are from another issuer: none of them opens anything."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import json_values
from tests.support.foreign_issuers import (
    AUDIENCE,
    JWKS,
    SOC_ROLES,
    ForeignIssuer,
    Pair,
    TrustingHouse,
    ec_pair,
    ed_pair,
    foreign_issuer,
    rsa_pair,
    trusting,
)
from tests.support.house import to_base64
from vigie.config.issuer_settings import ApplicationMarkSettings

GOOD, UNKNOWN, FORBIDDEN = 404, 401, 403


@pytest.fixture(scope="module")
def issuer() -> Iterator[ForeignIssuer]:
    with foreign_issuer(rsa_pair(), ec_pair(), ed_pair()) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def trusted(
    store: str, issuer: ForeignIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrustingHouse]:
    settings = trusting(issuer, tenant_claim="org.id", **SOC_ROLES)
    with TrustingHouse(tmp_path_factory.mktemp("attacked"), settings) as trusted:
        yield trusted


def claims_of(issuer: ForeignIssuer, **changes: object) -> dict[str, object]:
    """Those of a good token of an application, for the fixture's issuer."""
    return issuer.claims(**{"org": {"id": "contoso.example"}, **changes})


def user_claims_of(issuer: ForeignIssuer, **changes: object) -> dict[str, object]:
    """Those of a good token of a user, for the fixture's issuer."""
    usual = {"org": {"id": "contoso.example"}, "groups": ["readers"]}
    return issuer.user_claims(**{**usual, **changes})


def test_the_tokens_that_these_attacks_change_are_good(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    assert trusted.status(issuer.token(claims_of(issuer))) == GOOD
    assert trusted.status(issuer.token(user_claims_of(issuer))) == GOOD


# The algorithm


def test_a_public_key_used_as_a_secret_signs_nothing(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    public = issuer.pairs[0].private.public_key()
    texts = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(issuer.pairs[0].jwk()).encode(),
    ]
    for secret in texts:
        for algorithm in ("HS256", "hs256", "RS256"):
            signed = issuer.token(claims_of(issuer), alg=algorithm).rpartition(".")[0]
            mac = hmac.digest(secret, signed.encode(), hashlib.sha256)

            assert trusted.status(f"{signed}.{to_base64(mac)}") == UNKNOWN


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", None, ..., 256, ["RS256"], "RS1", "ES256K", "dir"]
)
def test_an_algorithm_that_is_none_of_ours_is_refused(
    issuer: ForeignIssuer, trusted: TrustingHouse, algorithm: object
) -> None:
    token = issuer.token(claims_of(issuer), alg=algorithm)

    assert trusted.status(token) == UNKNOWN
    assert trusted.status(f"{token.rpartition('.')[0]}.") == UNKNOWN


@pytest.mark.parametrize(
    ("pair", "algorithm"),
    [
        (rsa_pair(), "ES256"),
        (rsa_pair(), "EdDSA"),
        (ec_pair(), "RS256"),
        (ec_pair(), "ES384"),
        (ec_pair(), "EdDSA"),
        (ed_pair(), "ES256"),
        (ed_pair(), "RS256"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_algorithm_of_another_kind_of_key_is_refused(
    issuer: ForeignIssuer, trusted: TrustingHouse, pair: Pair, algorithm: str
) -> None:
    assert trusted.status(issuer.token(claims_of(issuer), pair=pair, alg=algorithm)) == UNKNOWN


def test_a_key_that_says_its_algorithm_is_used_by_no_other(tmp_path: Any) -> None:
    with foreign_issuer() as issuer, TrustingHouse(tmp_path, trusting(issuer)) as trusted:
        issuer.answers(JWKS, {"keys": [rsa_pair().jwk(alg="PS256")]})

        assert trusted.status(issuer.token(alg="PS256")) == GOOD
        assert trusted.status(issuer.token(alg="RS256")) == UNKNOWN


# The key


def test_keys_that_a_token_brings_along_mean_nothing(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    theirs = rsa_pair("mallory")
    before = issuer.asked.total()
    with foreign_issuer(theirs) as mallory:
        brought: list[dict[str, Any]] = [
            {"jwk": theirs.jwk()},
            {"jku": f"{mallory.url}{JWKS}"},
            {"x5u": f"{mallory.url}{JWKS}"},
            {"x5c": [base64.b64encode(b"certificate").decode()], "x5t": "AAAA"},
        ]
        for header in brought:
            for kid in ("mallory", issuer.pairs[0].kid):
                token = issuer.token(claims_of(issuer), pair=theirs, kid=kid, **header)
                assert trusted.status(token) == UNKNOWN

        assert trusted.status(issuer.token(claims_of(issuer), **brought[1])) == GOOD
        assert mallory.asked.total() == 0
    assert issuer.asked.total() - before <= 2


@pytest.mark.parametrize(
    "kid", [..., None, "", 1, ["rsa-1"], "k" * 257, "../rsa-1", "rsa-1 ", "ec-1", "ed-1"]
)
def test_a_key_that_is_not_named_rightly_is_not_found(
    issuer: ForeignIssuer, trusted: TrustingHouse, kid: object
) -> None:
    assert trusted.status(issuer.token(claims_of(issuer), kid=kid)) == UNKNOWN


@pytest.mark.parametrize("signature", [b"", b"\0", b"\0" * 256, b"\xff" * 256, b"\0" * 64, b"x" * 1000])
def test_a_signature_that_is_none_is_refused(
    issuer: ForeignIssuer, trusted: TrustingHouse, signature: bytes
) -> None:
    for pair in issuer.pairs:
        token = issuer.token(claims_of(issuer), pair=pair, signature=signature)
        assert trusted.status(token) == UNKNOWN


def test_an_elliptic_signature_of_zeros_is_refused(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for r, s in ((0, 0), (0, 1), (1, 0), (order, order)):
        signature = r.to_bytes(32) + s.to_bytes(32)

        assert trusted.status(issuer.token(claims_of(issuer), pair=ec_pair(), signature=signature)) == UNKNOWN


def test_a_token_changed_after_signing_is_refused(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    header, payload, signature = issuer.token(claims_of(issuer, roles=[])).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    richer = to_base64(json.dumps({**claims, "roles": ["Incident.Read.All"]}).encode())

    assert trusted.status(f"{header}.{payload}.{signature}") == FORBIDDEN
    assert trusted.status(f"{header}.{richer}.{signature}") == UNKNOWN


# What it is


@pytest.mark.parametrize(
    "typ", ["JWT", ..., "ID", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwt ", "", None, 1, ["at+jwt"]]
)
def test_a_token_of_another_type_is_no_access_token(
    issuer: ForeignIssuer, trusted: TrustingHouse, typ: object
) -> None:
    assert trusted.status(issuer.token(claims_of(issuer), typ=typ)) == UNKNOWN


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_type_may_be_spelled_as_media_types_are(
    issuer: ForeignIssuer, trusted: TrustingHouse, typ: str
) -> None:
    assert trusted.status(issuer.token(claims_of(issuer), typ=typ)) == GOOD


CLIENT = "5d7b6c1a-9a53-4f55-8a44-0f1d2c3b4a59"
"""A client that is an API too, as where both share a registration: its id is one of the audiences."""

OF_APPLICATION: dict[str, Any] = {"roles": ["Incident.Read.All"]}
OF_USER: dict[str, Any] = {"sub": "a1b2", "groups": ["readers"], "roles": ...}
LOGGED_IN: dict[str, Any] = {**OF_USER, "auth_time": 1_780_000_000, "sid": "5b0e"}
ENTRA_V1: dict[str, Any] = {"client_id": ..., "appid": CLIENT, "appidacr": "1", "ver": "1.0"}
ENTRA_V2: dict[str, Any] = {"client_id": ..., "azp": CLIENT, "azpacr": "0", "ver": "2.0", "aud": CLIENT}

ACCESS_TOKENS: dict[str, tuple[object, dict[str, Any]]] = {
    "RFC 9068, of an application": ("at+jwt", OF_APPLICATION),
    "RFC 9068, of a user": ("at+jwt", {**LOGGED_IN, "scope": "openid Incident.Read"}),
    "RFC 9068, spelled as a media type": ("application/at+jwt", OF_APPLICATION),
    "RFC 9068, with claims of ID tokens": (
        "at+jwt",
        {**OF_APPLICATION, "nonce": "n", "at_hash": "x", "c_hash": "x", "s_hash": "x", "auth_time": 1},
    ),
    "RFC 9068, for the client itself": ("at+jwt", {**OF_APPLICATION, "client_id": CLIENT, "aud": CLIENT}),
    "Entra ID v1, of an application": ("JWT", {**ENTRA_V1, **OF_APPLICATION}),
    "Entra ID v1, of a user": ("JWT", {**ENTRA_V1, **OF_USER, "scp": "Incident.Read"}),
    "Entra ID v2, of an application": ("JWT", {**ENTRA_V2, **OF_APPLICATION}),
    "Entra ID v2, of a user": ("JWT", {**ENTRA_V2, **OF_USER, "scp": "Incident.Read"}),
    "Entra ID v2, with auth_time": ("JWT", {**ENTRA_V2, **LOGGED_IN, "scp": "Incident.Read"}),
    "Entra ID with idtyp, of an application": ("JWT", {**ENTRA_V2, **OF_APPLICATION, "idtyp": "app"}),
    "Entra ID with idtyp, of a user": (
        "JWT",
        {**ENTRA_V2, **LOGGED_IN, "idtyp": "user", "scp": "Incident.Read", "nonce": "n"},
    ),
    "Keycloak, of an application": ("JWT", {**OF_APPLICATION, "typ": "Bearer", "azp": "poller"}),
    "Keycloak, of a user": (
        "JWT",
        {**LOGGED_IN, "client_id": ..., "typ": "Bearer", "azp": "console", "scope": "Incident.Read"},
    ),
    "Keycloak before 24, with nonce": ("JWT", {**OF_APPLICATION, "typ": "Bearer", "nonce": "n"}),
    "Keycloak, with both marks": ("at+jwt", {**OF_APPLICATION, "typ": "Bearer"}),
    "Auth0, of an application": (
        "JWT",
        {
            "client_id": ...,
            "azp": "poller",
            "gty": "client-credentials",
            "roles": ...,
            "scope": "Incident.Read.All",
        },
    ),
    "Auth0, of a user": (
        "JWT",
        {
            **OF_USER,
            "client_id": ...,
            "azp": "console",
            "aud": [AUDIENCE, "https://contoso.example/userinfo"],
            "scope": "openid profile",
            "permissions": ["Incident.Read"],
        },
    ),
    "Auth0, of a user, with permissions alone": (
        "JWT",
        {**OF_USER, "client_id": ..., "azp": "console", "permissions": ["Incident.Read"]},
    ),
    "Okta, of a user, without typ": (
        ...,
        {**LOGGED_IN, "sid": ..., "client_id": ..., "cid": "console", "scp": ["openid", "Incident.Read"]},
    ),
    "AD FS, of an application": (
        "JWT",
        {**OF_APPLICATION, "client_id": ..., "appid": "poller", "apptype": "Confidential", "auth_time": 1},
    ),
    "for the client itself, with a scope": (
        "JWT",
        {**LOGGED_IN, "client_id": ..., "azp": CLIENT, "aud": CLIENT, "scope": "openid Incident.Read"},
    ),
    "for the API and the client": ("JWT", {**OF_APPLICATION, "client_id": CLIENT, "aud": [AUDIENCE, CLIENT]}),
    "no marks at all": ("JWT", OF_APPLICATION),
    "no typ at all": (..., OF_APPLICATION),
}

ID_TOKEN: dict[str, Any] = {**LOGGED_IN, "client_id": ..., "aud": CLIENT, "roles": ["Incident.Read.All"]}

ID_TOKENS: dict[str, dict[str, Any]] = {
    "OpenID Connect Core": ID_TOKEN,
    "with azp": {**ID_TOKEN, "azp": CLIENT},
    "with azp, without auth_time": {**ID_TOKEN, "azp": CLIENT, "auth_time": ...},
    "with azp, in a list": {**ID_TOKEN, "azp": CLIENT, "aud": [CLIENT]},
    "with client_id": {**ID_TOKEN, "client_id": CLIENT},
    "with appid": {**ID_TOKEN, "appid": CLIENT},
    "of code and ID token": {**ID_TOKEN, "azp": CLIENT, "scope": "Incident.Read", "c_hash": "x"},
    "with nonce": {**ID_TOKEN, "azp": CLIENT, "scope": "Incident.Read", "nonce": "n"},
    "with at_hash": {**ID_TOKEN, "azp": CLIENT, "scope": "Incident.Read", "at_hash": "x"},
    "of the Financial-grade API": {**ID_TOKEN, "azp": CLIENT, "scope": "Incident.Read", "s_hash": "x"},
    "for several, with auth_time": {**ID_TOKEN, "azp": CLIENT, "aud": [CLIENT, AUDIENCE], "roles": ...},
    "Entra ID v1": {**ID_TOKEN, "ver": "1.0", "amr": ["pwd"], "upn": "ines@contoso.example"},
    "Entra ID v2": {**ID_TOKEN, "ver": "2.0", "auth_time": ..., "preferred_username": "ines@contoso.example"},
    "Google": {**ID_TOKEN, "azp": CLIENT, "auth_time": ..., "roles": ..., "email": "ines@contoso.example"},
    "Keycloak": {**ID_TOKEN, "azp": CLIENT, "scope": "Incident.Read", "typ": "ID"},
    "Amazon Cognito": {**ID_TOKEN, "token_use": "id", "at_hash": "x", "cognito:groups": ["readers"]},
}

OTHER_TOKENS: dict[str, dict[str, Any]] = {
    "refresh token": {"typ": "Refresh"},
    "offline token": {"typ": "Offline"},
    "bound to a key, as a claim says": {"typ": "DPoP"},
    "of two types": {"typ": ["Bearer"]},
    "no type": {"typ": ""},
    "of a device": {"idtyp": "device"},
    "two words for its type": {"typ": "Bearer", "idtyp": "id"},
    "logout token": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "bound to a key": {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    "bound to a key, of Keycloak": {"typ": "Bearer", "cnf": {}},
    "answer to a request for authorization": {"client_id": ..., "code": "c", "state": "s"},
}


@pytest.fixture(scope="module")
def any_type(
    store: str, issuer: ForeignIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrustingHouse]:
    """A house that takes access tokens of both header types, and those for `CLIENT` as its own."""
    settings = trusting(
        issuer,
        audiences=(AUDIENCE, CLIENT),
        token_types=("at+jwt", "JWT"),
        application_when=ApplicationMarkSettings(absent="groups"),
        application_from=("client_id", "azp", "appid", "cid"),
        application_permissions_from=("roles", "scope"),
        user_permissions_from=("scp", "scope", "permissions"),
        **SOC_ROLES,
    )
    with TrustingHouse(tmp_path_factory.mktemp("any_type"), settings) as trusted:
        yield trusted


@pytest.mark.parametrize("shape", ACCESS_TOKENS)
def test_every_shape_of_access_token_is_accepted(
    issuer: ForeignIssuer, any_type: TrustingHouse, shape: str
) -> None:
    typ, claims = ACCESS_TOKENS[shape]

    assert any_type.status(issuer.token(issuer.claims(**claims), typ=typ)) == GOOD


@pytest.mark.parametrize("shape", ID_TOKENS)
@pytest.mark.parametrize("typ", ["JWT", ...])
def test_every_shape_of_id_token_is_refused(
    issuer: ForeignIssuer, any_type: TrustingHouse, shape: str, typ: object
) -> None:
    id_token = ID_TOKENS[shape]
    marked = {**id_token, "client_id": CLIENT, "scope": "Incident.Read", "typ": "Bearer"}

    assert any_type.status(issuer.token(issuer.claims(**id_token), typ=typ)) == UNKNOWN
    # Nothing else is wrong with it.
    assert any_type.status(issuer.token(issuer.claims(**marked), typ=typ)) == GOOD


@pytest.mark.parametrize("shape", OTHER_TOKENS)
@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
def test_what_is_no_bearer_token_for_an_api_is_refused(
    issuer: ForeignIssuer, any_type: TrustingHouse, shape: str, typ: str
) -> None:
    assert any_type.status(issuer.token(issuer.claims(**OTHER_TOKENS[shape]), typ=typ)) == UNKNOWN


def test_where_only_the_header_type_counts_a_token_without_it_is_refused_whatever_its_claims_say(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    for mark in ({"typ": "Bearer"}, {"idtyp": "app"}):
        assert trusted.status(issuer.token(claims_of(issuer, **mark), typ="JWT")) == UNKNOWN
        assert trusted.status(issuer.token(claims_of(issuer, **mark))) == GOOD


@pytest.mark.parametrize("header", [{"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": "exp"}])
def test_a_header_that_must_be_understood_is_refused(
    issuer: ForeignIssuer, trusted: TrustingHouse, header: dict[str, Any]
) -> None:
    assert trusted.status(issuer.token(claims_of(issuer), **header)) == UNKNOWN


# Its claims


def test_time_is_kept_with_the_skew_that_is_set(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    now = int(time.time())

    def status(**changes: object) -> int:
        return trusted.status(issuer.token(claims_of(issuer, **changes)))

    assert [status(exp=now - 290), status(exp=now + 60, nbf=now + 290)] == [GOOD, GOOD]
    assert [status(exp=now - 310), status(nbf=now + 310), status(exp=...), status(exp=str(now))] == [
        UNKNOWN
    ] * 4


WRONG_TYPES: list[object] = [
    None,
    True,
    1,
    1.5,
    "",
    [],
    ["a"],
    {},
    {"a": 1},
    [["a"]],
    "a\nb",
    "x" * 300,
    "\u202e",
]


@pytest.mark.parametrize("value", WRONG_TYPES, ids=repr)
@pytest.mark.parametrize("name", ["iss", "exp", "client_id", "org", "org.id"])
def test_a_claim_of_an_odd_type_is_refused_and_never_a_defect(
    issuer: ForeignIssuer, trusted: TrustingHouse, name: str, value: object
) -> None:
    changes = {"org": {"id": value}} if name == "org.id" else {name: value}

    status = trusted.status(issuer.token(claims_of(issuer, **changes)))

    assert status == UNKNOWN


@pytest.mark.parametrize("value", WRONG_TYPES, ids=repr)
@pytest.mark.parametrize(
    "name", ["sub", "aud", "nbf", "roles", "scope", "scp", "groups", "name", "iat", "jti"]
)
def test_no_odd_type_anywhere_gives_more_than_was_given(
    issuer: ForeignIssuer, trusted: TrustingHouse, name: str, value: object
) -> None:
    application = trusted.status(issuer.token(claims_of(issuer, **{"roles": [], name: value})))
    user = trusted.status(issuer.token(user_claims_of(issuer, **{"groups": [], name: value})))

    assert {application, user} <= {UNKNOWN, FORBIDDEN}


@given(
    claims=st.dictionaries(
        st.sampled_from(["sub", "aud", "exp", "nbf", "org", "roles", "groups"]), json_values
    )
)
def test_no_claims_at_all_make_a_defect(
    issuer: ForeignIssuer, trusted: TrustingHouse, claims: dict[str, object]
) -> None:
    assert trusted.status(issuer.token(claims_of(issuer, **claims))) in (GOOD, UNKNOWN, FORBIDDEN)


# Its form


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("levels", [100, 1000, 2000])
def test_a_deeply_nested_token_is_refused(issuer: ForeignIssuer, trusted: TrustingHouse, levels: int) -> None:
    inner = json.dumps(claims_of(issuer, roles=[]))
    payload = f'{inner[:-1]},"deep":{deep(levels)}}}'.encode()

    assert trusted.status(issuer.token(payload)) in (UNKNOWN, FORBIDDEN)
    assert trusted.status(issuer.token(deep(levels).encode())) == UNKNOWN


def test_an_oversized_token_is_refused_before_it_is_read(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    fits = issuer.token(claims_of(issuer, padding="x" * 11_000))
    too_long = issuer.token(claims_of(issuer, padding="x" * 12_500))

    assert (len(fits) < 16 * 1024, len(too_long) > 16 * 1024) == (True, True)
    assert (trusted.status(fits), trusted.status(too_long)) == (GOOD, UNKNOWN)


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token.replace(".", ".=", 1),
        lambda token: token.replace(".", "!.", 1),
        lambda token: token.rpartition(".")[0],
        lambda _: "a.b.c",
        lambda _: "..",
        lambda token: f"{to_base64(b'[]')}.{token.partition('.')[2]}",
        lambda token: f"{to_base64(b'{')}.{token.partition('.')[2]}",
        lambda token: f"{token.split('.')[0]}.{to_base64(b'null')}.{token.split('.')[2]}",
        lambda token: token[:-1] + "é",
    ],
)
def test_a_damaged_token_is_refused(issuer: ForeignIssuer, trusted: TrustingHouse, damage: Any) -> None:
    assert trusted.status(damage(issuer.token(claims_of(issuer)))) == UNKNOWN


def test_a_claim_that_is_there_twice_is_read_the_same_way_everywhere(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    inner = json.dumps(claims_of(issuer))
    payload = f'{{"iss":"https://elsewhere.example",{inner[1:]}'.encode()
    other_way = f'{inner[:-1]},"iss":"https://elsewhere.example"}}'.encode()

    assert (trusted.status(issuer.token(payload)), trusted.status(issuer.token(other_way))) == (GOOD, UNKNOWN)


def test_our_own_issuers_name_on_a_foreign_token_opens_nothing(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    own = trusted.running.run(trusted.running.installation.issuer())
    ours = trusted.house.claims(aud="https://api.security.microsoft.com")

    assert str(ours["iss"]).startswith(own)
    assert trusted.status(issuer.token(ours)) == UNKNOWN
    assert trusted.status(trusted.house.sign(claims_of(issuer), typ="at+jwt")) == UNKNOWN
    assert AUDIENCE not in str(ours["aud"])
