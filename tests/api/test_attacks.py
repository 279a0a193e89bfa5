"""Attacks: nothing but a token that this house signed, for this tenant and this moment, opens anything."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.builders import an_incident
from tests.support.house import READ_ALL, Answer, House, from_base64, signature_of, to_base64
from vigie.core.instants import TICKS_PER_SECOND
from vigie.identity.keys.key_ring import SigningKey, new_key
from vigie.runtime.clock import now

Forgery = Callable[[House], str]

NOW = int(time.time())


def assembled(head: object, payload: object, signature: bytes) -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (head, payload)]
    return ".".join(map(to_base64, [*parts, signature]))


def signed_by(key: SigningKey, head: object, payload: object) -> str:
    signed = assembled(head, payload, b"").rstrip(".")
    return f"{signed}.{to_base64(signature_of(signed.encode(), key))}"


def a_head(house: House, **changes: object) -> dict[str, object]:
    head = {"typ": "JWT", "alg": "RS256", "kid": house.running.key.kid, **changes}
    return {name: value for name, value in head.items() if value is not ...}


@pytest.fixture(scope="module")
def stranger() -> SigningKey:
    """The key of someone else."""
    return new_key()


def is_let_in(house: House, token: str) -> bool:
    answer = house.get(house.takes(an_incident()), token)
    assert answer.status in (200, 401), answer.body
    assert answer.status == 200 or answer.code == "Unauthorized"
    return answer.status == 200


def test_what_the_attacks_below_begin_with_is_let_in(house: House) -> None:
    claims = house.claims()

    assert is_let_in(house, house.sign(claims))
    assert is_let_in(house, signed_by(house.running.key, a_head(house), claims))


# Algorithms


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", None, 0, ["RS256"], {"a": "RS256"}]
)
@pytest.mark.parametrize("is_signed", [False, True])
def test_no_algorithm_but_ours(house: House, algorithm: object, is_signed: bool) -> None:
    head, claims = a_head(house, alg=algorithm), house.claims()

    token = signed_by(house.running.key, head, claims) if is_signed else assembled(head, claims, b"")

    assert not is_let_in(house, token)


@pytest.mark.parametrize(
    "algorithm", ["RS384", "RS512", "PS256", "ES256", "HS256", "EdDSA", "rs256", "RS256 "]
)
def test_a_good_signature_under_the_name_of_another_algorithm(house: House, algorithm: str) -> None:
    assert not is_let_in(house, house.sign(house.claims(), alg=algorithm))


def test_a_head_without_an_algorithm(house: House) -> None:
    assert not is_let_in(house, house.sign(house.claims(), alg=...))


def public_forms(house: House) -> Iterator[bytes]:
    public = house.running.key.pair.public_key
    assert public is not None
    for encoding in (Encoding.PEM, Encoding.DER):
        for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
            yield public.public_bytes(encoding, form)
    yield json.dumps(house.running.key.public()).encode()
    yield from_base64(str(house.running.key.public()["n"]))


@pytest.mark.parametrize("form", range(6))
@pytest.mark.parametrize(("algorithm", "digest"), [("HS256", hashlib.sha256), ("HS512", hashlib.sha512)])
def test_an_hmac_with_the_public_key_as_its_secret(
    house: House, form: int, algorithm: str, digest: Callable[..., object]
) -> None:
    secret = list(public_forms(house))[form]
    signed = assembled(a_head(house, alg=algorithm), house.claims(), b"").rstrip(".")
    signature = hmac.new(secret, signed.encode(), digest).digest()  # type: ignore[arg-type]

    assert not is_let_in(house, f"{signed}.{to_base64(signature)}")


def test_an_hmac_under_the_name_of_our_algorithm(house: House) -> None:
    signed = assembled(a_head(house), house.claims(), b"").rstrip(".")

    for secret in [b"", b"secret", *public_forms(house)]:
        signature = hmac.digest(secret, signed.encode(), "sha256")
        assert not is_let_in(house, f"{signed}.{to_base64(signature)}")


def test_a_pss_signature_of_our_own_key(house: House) -> None:
    private = house.running.key.pair.private_key
    assert isinstance(private, RSAPrivateKey)
    for algorithm in ("RS256", "PS256"):
        signed = assembled(a_head(house, alg=algorithm), house.claims(), b"").rstrip(".")
        signature = private.sign(signed.encode(), PSS(MGF1(SHA256()), 32), SHA256())
        assert not is_let_in(house, f"{signed}.{to_base64(signature)}")


def test_a_token_of_an_elliptic_key(house: House) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(house.claims(), key, "ES256", headers={"kid": house.running.key.kid})

    assert not is_let_in(house, token)


# Keys


def test_a_foreign_key_under_its_own_id(house: House, stranger: SigningKey) -> None:
    assert not is_let_in(house, signed_by(stranger, a_head(house, kid=stranger.kid), house.claims()))


def test_a_foreign_key_under_the_id_of_ours(house: House, stranger: SigningKey) -> None:
    assert not is_let_in(house, signed_by(stranger, a_head(house), house.claims()))


@pytest.mark.parametrize(
    "kid",
    [
        ...,
        None,
        "",
        "None",
        "null",
        0,
        True,
        [],
        {},
        "../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "x" * 5000,
    ],
)
def test_an_id_that_is_not_that_of_our_key(house: House, kid: object) -> None:
    assert not is_let_in(house, house.sign(house.claims(), kid=kid))


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "x5t", "x5t#S256"])
@pytest.mark.parametrize("keeps_our_kid", [True, False])
def test_a_key_that_the_token_brings_along(
    house: House, stranger: SigningKey, name: str, keeps_our_kid: bool
) -> None:
    public = stranger.public()
    brought = {"jwk": public, "x5c": [str(public["n"])], "x5t": stranger.kid, "x5t#S256": stranger.kid}
    value = brought.get(name, "http://127.0.0.1:9/keys.json")
    kid = house.running.key.kid if keeps_our_kid else stranger.kid

    assert not is_let_in(house, signed_by(stranger, a_head(house, kid=kid, **{name: value}), house.claims()))


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_where_a_token_says_its_key_lies_is_not_looked_at(house: House, name: str) -> None:
    began = time.monotonic()

    # An address that never answers: a server that looked there would wait.
    let_in = is_let_in(house, house.sign(house.claims(), **{name: "http://10.255.255.1/keys.json"}))

    assert let_in
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("critical", [["exp"], ["b64"], ["unknown"], "exp"])
def test_what_a_token_calls_critical_is_known_or_it_is_refused(house: House, critical: object) -> None:
    assert not is_let_in(house, house.sign(house.claims(), crit=critical))


# Times


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 301, "nbf": NOW - 4000},
        {"exp": 0},
        {"exp": -1},
        {"exp": ...},
        {"exp": None},
        {"exp": True},
        {"exp": str(NOW + 3600)},
        {"exp": [NOW + 3600]},
        {"exp": {"value": NOW + 3600}},
        {"exp": 10**12},
        {"exp": 10**400},
        {"exp": 1e308},
        {"nbf": NOW + 4000},
        {"nbf": NOW + 10**8},
        {"nbf": None},
        {"nbf": "0"},
        {"nbf": 10**400},
    ],
)
def test_a_token_of_another_time_or_of_none(house: House, claims: dict[str, object]) -> None:
    assert not is_let_in(house, house.sign(house.claims(**claims)))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999"])
@pytest.mark.parametrize("name", [b"exp", b"nbf"])
def test_a_time_that_is_no_number(house: House, name: bytes, number: bytes) -> None:
    claims = json.dumps(house.claims(exp=..., nbf=...)).encode()
    other = b'"exp":%d,' % (NOW + 3600) if name == b"nbf" else b""

    assert not is_let_in(house, house.sign(b'{%s"%s":%s,%s' % (other, name, number, claims[1:])))


def test_a_number_of_five_thousand_digits(house: House) -> None:
    claims = json.dumps(house.claims(exp=...)).encode()

    assert not is_let_in(house, house.sign(b'{"exp":%s,%s' % (b"9" * 5000, claims[1:])))


def test_times_may_have_fractions(house: House) -> None:
    assert is_let_in(house, house.sign(house.claims(exp=NOW + 3600.5, nbf=NOW - 0.5, iat=NOW - 0.5)))


# Claims


@pytest.mark.parametrize("name", ["iss", "aud", "tid", "appid", "oid"])
@pytest.mark.parametrize("value", [..., None, 1, True, [], {}, ""])
def test_a_claim_that_is_missing_or_no_text(house: House, name: str, value: object) -> None:
    answer = house.get(house.takes(an_incident()), house.sign(house.claims(**{name: value})))

    if (name, value) == ("oid", ""):
        assert answer.status == 200
    else:
        assert answer.status == 401


@pytest.mark.parametrize("roles", [READ_ALL, {READ_ALL: True}, [READ_ALL, 1], [[READ_ALL]], 1, True, None])
def test_roles_that_are_no_list_of_names(house: House, roles: object) -> None:
    assert not is_let_in(house, house.sign(house.claims(roles=roles)))


@pytest.mark.parametrize("scope", [["Incident.Read"], None, 1, {}])
def test_a_scope_that_is_no_text(house: House, scope: object) -> None:
    user = house.add_user()

    assert not is_let_in(house, house.sign(house.claims(scp=scope, oid=user.object_id)))


def test_an_audience_in_a_list(house: House) -> None:
    assert not is_let_in(house, house.sign(house.claims(aud=["https://api.security.microsoft.com"])))


@pytest.mark.parametrize(
    "issuer",
    [
        "https://sts.windows.net/{tid}/",
        "https://login.microsoftonline.com/{tid}/v2.0",
        "{url}/{tid}",
        "{url}//{tid}/",
        "{url}/{other}/",
        "{url}/{tid}/{other}/",
        "{url}/{upper}/",
        "{url}.evil.example/{tid}/",
        "http://evil.example/{tid}/",
        "",
    ],
)
def test_an_issuer_that_is_not_the_tenants_own(house: House, issuer: str) -> None:
    other, tid = house.add_tenant().guid, house.tenant.guid
    values = {"url": house.running.url, "tid": tid, "other": other, "upper": tid.upper()}

    assert not is_let_in(house, house.sign(house.claims(iss=issuer.format(**values))))


def test_another_tenants_id_with_our_issuer_or_with_its_own(house: House) -> None:
    other = house.add_tenant()
    house.takes(an_incident(incidentId=5), tenant=other)
    theirs = f"{house.running.url}/{other.guid}/"

    tokens = [house.sign(house.claims(tid=other.guid)), house.sign(house.claims(tid=other.guid, iss=theirs))]

    assert [house.get(5, token).status for token in tokens] == [401, 401]


@pytest.mark.parametrize("tid", ["name", "domain", "unknown", "common", "*", "%"])
def test_a_tenant_that_is_named_by_anything_but_its_id(house: House, tid: str) -> None:
    tenant = house.add_tenant(domain=f"a{now()}.example")
    named = {"name": tenant.name, "domain": tenant.domain, "unknown": "00000000-0000-4000-8000-000000000000"}
    claims = house.claims(tid=named.get(tid, tid))
    application, _ = house.add_application(READ_ALL, tenant=tenant)

    for guid in (tenant.guid, claims["tid"]):
        forged = {**claims, "iss": f"{house.running.url}/{guid}/", "appid": application.client_id}
        assert not is_let_in(house, house.sign(forged))


def test_an_application_that_is_not_known_or_is_another_tenants(house: House) -> None:
    other = house.add_tenant()
    theirs, _ = house.add_application(READ_ALL, tenant=other)
    ours, _ = house.add_application(READ_ALL)

    for appid in (
        theirs.client_id,
        ours.name,
        ours.client_id.upper(),
        "x",
        "00000000-0000-4000-8000-000000000000",
    ):
        assert not is_let_in(house, house.sign(house.claims(appid=appid)))


def test_a_user_that_is_not_known_or_is_another_tenants(house: House) -> None:
    user = house.add_user()
    other = House(house.running).add_user()

    for oid in (other.object_id, user.upn, user.object_id.upper(), "x", ""):
        claims = house.claims(oid=oid, scp="Incident.Read", roles=...)
        assert not is_let_in(house, house.sign(claims))


def test_a_user_under_an_application_that_is_not_known(house: House) -> None:
    claims = house.claims(oid=house.add_user().object_id, scp="Incident.Read", appid="unknown")

    assert not is_let_in(house, house.sign(claims))


@pytest.mark.parametrize("order", [("ours", "theirs"), ("theirs", "ours")])
def test_a_claim_that_stands_twice_is_one_value_and_never_two(house: House, order: tuple[str, str]) -> None:
    """Whichever of the two counts, it counts for everything: issuer, tenant and application must agree."""
    other = house.add_tenant()
    house.takes(an_incident(incidentId=6), tenant=other)
    tids = {"ours": house.tenant.guid, "theirs": other.guid}
    claims = json.dumps(house.claims(tid=...)).encode()
    twice = ",".join(f'"tid":"{tids[name]}"' for name in order).encode()

    answer = house.get(6, house.sign(b"{%s,%s" % (twice, claims[1:])))

    assert answer.status in (401, 404)


# Broken tokens


def broken_tokens(house: House) -> dict[str, str]:
    good = house.sign(house.claims())
    head, payload, signature = good.split(".")
    stronger = to_base64(from_base64(payload).replace(b"Incident.Read.All", b"Incident.ReadWrite.All"))
    older = house.sign(house.claims(exp=NOW - 1000)).split(".")
    return {
        "no signature": f"{head}.{payload}.",
        "no last dot": f"{head}.{payload}",
        "no payload": f"{head}..{signature}",
        "no head": f".{payload}.{signature}",
        "payload changed": f"{head}.{stronger}.{signature}",
        "payload of a newer token on an older signature": f"{head}.{payload}.{older[2]}",
        "head and payload exchanged": f"{payload}.{head}.{signature}",
        "signature shortened": f"{head}.{payload}.{signature[:-4]}",
        "signature lengthened": f"{head}.{payload}.{signature}AAAA",
        "signature of zeros": f"{head}.{payload}.{to_base64(bytes(256))}",
        "signature of ones": f"{head}.{payload}.{to_base64(bytes([255]) * 256)}",
        "four parts": f"{good}.AAAA",
        "five parts, as an encrypted token has": f"{head}.{payload}.{signature}.AAAA.AAAA",
        "padded": f"{head}.{payload}.{signature}==",
        "spaces inside": f"{head}. {payload}.{signature}",
        "standard base64 in the signature": f"{head}.{payload}.{signature.replace('-', '+').replace('_', '/')}+/",
        "dots alone": "..",
        "one dot": ".",
        "many dots": "." * 1000,
        "a token inside a token": house.sign(good.encode()),
        "a payload that is a list": house.sign(b"[]"),
        "a payload that is null": house.sign(b"null"),
        "an empty payload": house.sign(b""),
        "a payload in UTF-16": house.sign(from_base64(payload).decode().encode("utf-16")),
        "a payload that is not UTF-8": house.sign(b'{"tid":"\xff"}'),
        "a payload that is deep": house.sign(b"[" * 5000 + b"]" * 5000),
        "a payload in a payload": house.sign({"claims": house.claims()}),
        "a lone escape": house.sign(json.dumps(house.claims(tid="\ud800")).encode()),
        "an issuer with a lone escape": house.sign(json.dumps(house.claims(iss="\ud800")).encode()),
        "JSON serialization": json.dumps({"payload": payload, "protected": head, "signature": signature}),
        "letters that are not ASCII": f"é{good}",
        "digits that are not ASCII": f"{head}.{payload}.\xb2\xb3",
        "a head that is deep": f"{to_base64(b'[' * 3000)}.{payload}.{signature}",
        "a head that is a list": f"{to_base64(b'[]')}.{payload}.{signature}",
        "a head of another length": f"A.{payload}.{signature}",
    }


def test_no_broken_token_is_let_in(house: House) -> None:
    let_in = [name for name, token in broken_tokens(house).items() if is_let_in(house, token)]

    assert let_in == []


# Requests


def raw(house: House, *lines: str) -> Answer:
    return house.running.send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))


@pytest.mark.parametrize(
    "host",
    [
        "a.example\nX-Injected: 1",
        "a.example\rX-Injected: 1",
        "a.example%0d%0aX-Injected:%201",
        'a.example","injected":"1',
        "a.example/api/$metadata#Evil",
        "a.example\tb",
    ],
)
def test_a_host_injects_nothing_into_headers_or_documents(house: House, host: str) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    answer = raw(
        house, f"GET /api/incidents/{number} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}"
    )

    assert answer.status == 400
    assert answer.header("x-injected") is None
    assert b"njected" not in answer.body
    assert b"Evil" not in answer.body


def test_two_hosts_are_refused_whichever_is_ours(house: House) -> None:
    number, token = house.takes(an_incident()), house.a_token()
    ours = urlsplit(house.running.url).netloc

    for hosts in ((ours, "evil.example"), ("evil.example", ours), (ours, ours)):
        lines = [f"GET /api/incidents/{number} HTTP/1.1", *(f"Host: {host}" for host in hosts)]
        assert raw(house, *lines, f"Authorization: Bearer {token}").status == 400


def test_two_authorizations_are_refused_whichever_is_good(house: House) -> None:
    number, good, host = house.takes(an_incident()), house.a_token(), "Host: a.example"

    for tokens in ((good, "x.y.z"), ("x.y.z", good), (good, good)):
        lines = [f"Authorization: Bearer {token}" for token in tokens]
        assert raw(house, f"GET /api/incidents/{number} HTTP/1.1", host, *lines).status == 401


def test_two_tokens_in_one_header_are_refused(house: House) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    for value in (f"{token}, {token}", f"{token},Bearer {token}", f"{token} {token}"):
        assert house.get(number, value).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/incidents/{number}\t",
        "/api/incidents/{number} HTTP/1.1\r\nX: y\r\n\r\nGET /healthz",
        "/api/incidents/\xff",
        "/\xe9",
        "http://",
        "no-slash",
        "",
    ],
)
def test_a_request_line_that_is_none_is_400_and_never_a_defect(house: House, path: str) -> None:
    line = f"GET {path.format(number=house.takes(an_incident()))} HTTP/1.1"

    answer = raw(house, line, "Host: a.example", f"Authorization: Bearer {house.a_token()}")

    assert answer.status in (400, 404) or "\r\n" in path


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"]
)
def test_headers_that_would_change_the_request_change_nothing(house: House, name: str) -> None:
    number = house.takes(an_incident())

    answer = house.get(number, house.a_token(), [(name, "/healthz")])

    assert answer.json["incidentId"] == number


def test_no_refusal_repeats_a_token(house: House) -> None:
    token = house.sign(house.claims(aud="https://graph.microsoft.com"))

    answers = [house.get(1, token), house.get(1, f"{token}x"), house.get(f"/{token}", token)]

    assert all(token.encode() not in answer.body for answer in answers)


def test_markup_in_a_path_is_never_markup_in_an_answer(house: House) -> None:
    answer = house.get("/api/incidents/<script>alert(1)</script>", house.a_token())

    assert answer.header("x-content-type-options") == "nosniff"
    assert "json" in (answer.header("content-type") or "")


def test_the_moment_of_checking_is_the_servers(house: House) -> None:
    claims = house.claims(exp=now() // TICKS_PER_SECOND - 1000)

    answer = house.get(1, house.sign(claims), [("Date", "Mon, 01 Jan 2001 00:00:00 GMT")])

    assert answer.status == 401
