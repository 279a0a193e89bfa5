"""The way in: the token, the audience, the quota, the permission, and the host that was called."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import product
from time import perf_counter
from urllib.parse import urlsplit

import pytest

from tests.support.builders import an_incident
from tests.support.house import READ_ALL, Answer, Clock, House, RunningHouse
from vigie.config.settings import QuotaSettings, ServerSettings
from vigie.core.errors import BadRequest
from vigie.http.forwarded import Origins

GRAPH = "https://graph.microsoft.com"
SENT_MAX_BYTES = 16 * 1024


def with_authorization(house: House, number: int, *values: str) -> Answer:
    headers = [("Authorization", value) for value in values]
    return house.running.request("GET", f"/api/incidents/{number}", headers)


# The header


@pytest.mark.parametrize(
    "form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "{}", "  Bearer {}  ", "  {}  "]
)
def test_a_token_comes_with_the_word_bearer_in_any_case_or_alone(house: House, form: str) -> None:
    number = house.takes(an_incident())

    assert with_authorization(house, number, form.format(house.a_token())).status == 200


@pytest.mark.parametrize(
    "form",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {}",
        "Token {}",
        "Bearer: {}",
        "Bearer Bearer {}",
        "Bearer {} extra",
        "Bearer {},",
        'Bearer "{}"',
        "Bearer\t{}",
        "{} Bearer",
        "Bearer token={}",
        "DPoP {}",
        "Bearer \xe9{}",
        "Bearer {}\xa0\xff",
    ],
)
def test_anything_else_in_the_header_is_no_token(house: House, form: str) -> None:
    number = house.takes(an_incident())

    answer = with_authorization(house, number, form.format(house.a_token()))

    assert (answer.status, answer.code) == (401, "Unauthorized")


def test_no_header_is_no_token(house: House) -> None:
    assert with_authorization(house, house.takes(an_incident())).status == 401


def test_two_headers_are_no_token_even_when_both_are_good(house: House) -> None:
    number, token = house.takes(an_incident()), f"Bearer {house.a_token()}"

    assert with_authorization(house, number, token, token).status == 401
    assert with_authorization(house, number, token, "Basic eA==").status == 401


@pytest.mark.parametrize(("length_bytes", "status"), [(SENT_MAX_BYTES, 200), (SENT_MAX_BYTES + 1, 401)])
def test_a_header_may_have_16_kib(house: House, length_bytes: int, status: int) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    sent = "Bearer" + token.rjust(length_bytes - len("Bearer"))

    assert with_authorization(house, number, sent).status == status


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("/api/incidents/{number}?access_token={token}", ()),
        ("/api/incidents/{number}", (("Cookie", "access_token={token}"),)),
        ("/api/incidents/{number}", (("X-Authorization", "Bearer {token}"),)),
        ("/api/incidents/{number}", (("Proxy-Authorization", "Bearer {token}"),)),
    ],
)
def test_a_token_anywhere_else_is_not_looked_at(
    house: House, elsewhere: tuple[str, tuple[tuple[str, str], ...]]
) -> None:
    path, headers = elsewhere
    values = {"number": house.takes(an_incident()), "token": house.a_token()}

    answer = house.running.request(
        "GET", path.format(**values), [(name, value.format(**values)) for name, value in headers]
    )

    assert answer.status == 401


def test_a_refused_token_is_challenged_on_the_origin_that_was_called(house: House) -> None:
    answer = house.running.request("GET", "/api/incidents/1", host="api-us.vigie.example")

    expected = 'Bearer authorization_uri="http://api-us.vigie.example/common/oauth2/authorize"'
    assert answer.header("www-authenticate") == expected


def test_why_a_token_is_refused_is_not_said(house: House) -> None:
    tokens = [None, "nonsense", house.a_token(lifetime_seconds=-4000), house.sign(house.claims(tid=...))]

    answers = [house.get(1, token).json["error"] for token in tokens]

    assert {(error["code"], error["message"]) for error in answers} == {
        ("Unauthorized", "Invalid Authorization payload.")
    }
    assert len({error["target"] for error in answers}) == len(tokens)


# The order of refusals, for every set of faults


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a request, in the order in which it is refused."""

    token: bool
    audience: bool
    quota: bool
    permission: bool
    number: bool
    out_of_sight: bool

    @property
    def expected(self) -> tuple[int, str | None]:
        answers = [
            (self.token, (401, "Unauthorized")),
            (self.audience, (401, "Unauthorized")),
            (self.quota, (429, "429")),
            (self.permission, (403, "Forbidden")),
            (self.number, (400, "InvalidInput")),
            (self.out_of_sight, (404, "ResourceNotFound")),
        ]
        return next((answer for is_wrong, answer in answers if is_wrong), (200, None))


@pytest.fixture(scope="module")
def strict(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house where two calls a minute are allowed, and time stands still."""
    quotas = QuotaSettings(get_per_minute=2, get_per_hour=5)
    with RunningHouse(tmp_path_factory.mktemp("strict"), clock=Clock(), quotas=quotas) as running:
        yield House(running)


@pytest.mark.parametrize("faults", [Faults(*each) for each in product([False, True], repeat=6)])
def test_of_several_faults_the_first_is_told(strict: House, faults: Faults) -> None:
    claims = strict.claims()
    number: int | str = strict.takes(an_incident())
    if faults.quota:
        spent = strict.sign(claims)
        while strict.get(number, spent).status != 429:
            pass
    if faults.audience:
        claims["aud"] = GRAPH
    if faults.permission:
        claims["roles"] = ["Alert.Read.All"]
    if faults.out_of_sight:
        number = 987_654_321
    if faults.number:
        number = f"/api/incidents/{number}x"

    answer = strict.get(number, strict.sign(claims) + ("x" if faults.token else ""))

    assert (answer.status, answer.code) == faults.expected


MANAGEMENT = "https://management.azure.com/"
AZURE_AD_GRAPH = "00000002-0000-0000-c000-000000000000"


@pytest.mark.parametrize("audience", [GRAPH, MANAGEMENT, AZURE_AD_GRAPH, "appid", ""])
def test_a_token_for_another_api_is_401_and_says_what_stands_in_it(house: House, audience: str) -> None:
    claims = house.claims(nbf=1_733_481_775, exp=1_893_456_000)
    claims["aud"] = claims["appid"] if audience == "appid" else audience

    answer = house.get(house.takes(an_incident()), house.sign(claims))

    assert (answer.status, answer.code) == (401, "Unauthorized")
    assert answer.json["error"]["message"] == (
        f"Invalid Authorization payload. AppId: {claims['appid']}, Audience: {claims['aud']}, "
        f"Issuer: {claims['iss']}, Validity: valid from 2024-12-06T10:42:55Z to 2030-01-01T00:00:00Z"
    )
    assert str(answer.header("www-authenticate")).startswith("Bearer authorization_uri=")


def test_what_stands_in_a_token_that_nobody_signed_is_not_said(house: House) -> None:
    for changes in ({}, {"exp": 1}):
        token = house.sign(house.claims(aud=GRAPH, **changes))
        forged = token if changes else f"{token[:-4]}AAAA"

        answer = house.get(house.takes(an_incident()), forged)

        assert answer.json["error"]["message"] == "Invalid Authorization payload."


def test_a_token_that_says_no_beginning_has_none_in_the_answer(house: House) -> None:
    token = house.sign(house.claims(aud=GRAPH, nbf=..., exp=1_893_456_000))

    answer = house.get(house.takes(an_incident()), token)

    assert answer.json["error"]["message"].endswith(", Validity: valid to 2030-01-01T00:00:00Z")


def test_a_token_of_this_apis_family_without_a_role_is_403(house: House) -> None:
    for audience in ("https://api.securitycenter.windows.com", "https://securityoperations.microsoft.com/"):
        token = house.sign(house.claims(aud=audience, roles=["Alert.Read.All"]))

        answer = house.get(house.takes(an_incident()), token)

        assert (answer.status, answer.code) == (403, "Forbidden")


def test_a_missing_permission_is_told_in_microsofts_words(house: House) -> None:
    answer = house.get(house.takes(an_incident()), house.sign(house.claims(roles=["Alert.Read.All"])))

    assert answer.json["error"]["message"] == (
        "Missing application roles. API required roles: Incident.Read.All,Incident.ReadWrite.All, "
        "application roles: ."
    )


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"roles": ["Incident.Read.All"]}, 200),
        ({"roles": ["Incident.ReadWrite.All"]}, 200),
        ({"roles": ["Incident.Read"]}, 403),
        ({"roles": ["Incident.ReadWrite"]}, 403),
        ({"roles": ["Incidents.Read.All"]}, 403),
        ({"roles": []}, 403),
        ({"roles": ...}, 403),
        # With a scope it is a user's token, and no user has the id of an application.
        ({"scp": "Incident.Read"}, 401),
        ({"scp": ""}, 401),
    ],
)
def test_an_application_reads_by_its_roles_alone(
    house: House, claims: dict[str, object], status: int
) -> None:
    number = house.takes(an_incident())

    assert house.get(number, house.sign(house.claims(**claims))).status == status


@pytest.mark.parametrize(
    ("scopes", "role", "status"),
    [
        (("Incident.Read",), "security-reader", 200),
        (("Incident.ReadWrite",), "security-operator", 200),
        (("openid", "Incident.Read"), "security-administrator", 200),
        (("Incident.Read.All",), "security-reader", 403),
        (("Incident.ReadWrite.All",), "security-reader", 403),
        ((), "security-reader", 403),
        (("Incident.Read",), None, 403),
    ],
)
def test_a_user_reads_by_a_scope_and_a_role_together(
    house: House, scopes: tuple[str, ...], role: str | None, status: int
) -> None:
    number = house.takes(an_incident())

    assert house.get(number, house.token_of(house.add_user(role=role), *scopes)).status == status


# Quotas


def admitted(house: House, number: int | str, token: str, *, calls: int) -> int:
    return sum(house.get(number, token).status != 429 for _ in range(calls))


def test_a_hundred_calls_a_minute_are_allowed_and_the_next_is_told_when(house: House) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    statuses = [house.get(number, token).status for _ in range(100)]
    refused = house.get(number, token)

    assert statuses == [200] * 100
    assert (refused.status, refused.code) == (429, "429")
    allowed, seconds = refused.stated_wait
    assert allowed == "100 per 00:01:00"
    assert 50 <= int(seconds) <= 60


@pytest.mark.parametrize("waited_seconds", [0, 0.25, 10, 59.9999999])
def test_the_stated_wait_is_enough_and_at_most_one_second_too_long(
    strict: House, waited_seconds: float
) -> None:
    clock = strict.running.clock
    assert clock is not None
    number, token = strict.takes(an_incident()), strict.a_token()
    assert admitted(strict, number, token, calls=3) == 2

    clock.forward(seconds=waited_seconds)
    retry_after_seconds = int(strict.get(number, token).stated_wait[1])
    clock.forward(seconds=retry_after_seconds - 1)
    a_second_early = strict.get(number, token).status
    clock.forward(seconds=1)

    assert retry_after_seconds - 1 < 60 - waited_seconds <= retry_after_seconds
    assert (a_second_early, strict.get(number, token).status) == (429, 200)


def test_a_spent_hour_is_named_and_waited_for(strict: House) -> None:
    clock = strict.running.clock
    assert clock is not None
    number, token = strict.takes(an_incident()), strict.a_token()
    for _ in range(3):
        admitted(strict, number, token, calls=2)
        clock.forward(seconds=60)

    refused = strict.get(number, token)

    assert refused.stated_wait == ("5 per 01:00:00", str(3600 - 180))


def test_refused_calls_do_not_lengthen_the_wait(strict: House) -> None:
    clock = strict.running.clock
    assert clock is not None
    number, token = strict.takes(an_incident()), strict.a_token()
    for _ in range(60):
        strict.get(number, token)
        clock.forward(seconds=1)

    assert strict.get(number, token).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/incidents/x", 400),
        ("/api/incidents/987654321", 404),
        ("/api/incidents/{number}?$top=1", 400),
        ("/api/v1.0/incidents/{number}", 200),
        ("/API/Incidents/{number}", 200),
        ("//api//incidents//{number}", 200),
    ],
)
def test_every_call_that_reaches_the_meter_is_counted(strict: House, path: str, status: int) -> None:
    number, token = strict.takes(an_incident()), strict.a_token()

    answers = [strict.get(path.format(number=number), token).status for _ in range(2)]

    assert answers == [status, status]
    assert strict.get(number, token).status == 429


def test_calls_without_permission_and_head_are_counted_too(strict: House) -> None:
    number, claims = strict.takes(an_incident()), strict.claims()

    statuses = [
        strict.get(number, strict.sign({**claims, "roles": []})).status,
        strict.get(number, strict.sign(claims), method="HEAD").status,
        strict.get(number, strict.sign(claims)).status,
    ]

    assert statuses == [403, 200, 429]


def test_calls_that_do_not_reach_the_meter_are_not_counted(strict: House) -> None:
    number, claims = strict.takes(an_incident()), strict.claims()
    token = strict.sign(claims)
    for _ in range(5):
        strict.get(number, f"{token}x")
        strict.get(number, strict.sign({**claims, "aud": GRAPH}))
        strict.get(number, token, method="DELETE")
        strict.get("/api/nothing", token)

    assert admitted(strict, number, token, calls=3) == 2


def test_a_new_token_is_not_a_new_quota(strict: House) -> None:
    number, claims = strict.takes(an_incident()), strict.claims()
    tokens = [strict.sign({**claims, "uti": str(each)}) for each in range(3)]

    assert [strict.get(number, token).status for token in tokens] == [200, 200, 429]


def test_every_application_has_its_own_quota_in_every_tenant(strict: House) -> None:
    number = strict.takes(an_incident())
    other_tenant = strict.add_tenant()

    tokens = [strict.a_token(), strict.a_token(), strict.a_token(tenant=other_tenant)]

    assert [admitted(strict, number, token, calls=3) for token in tokens] == [2, 2, 2]


def test_users_of_one_application_share_its_quota(strict: House) -> None:
    house = House(strict.running)
    number = house.takes(an_incident())
    tokens = [house.a_token_exposed_to() for _ in range(3)]

    assert [house.get(number, token).status for token in tokens] == [200, 200, 429]


def test_users_of_one_application_in_two_tenants_do_not(strict: House) -> None:
    houses = [House(strict.running), House(strict.running)]

    allowed = [
        admitted(house, house.takes(an_incident()), house.a_token_exposed_to(), calls=3) for house in houses
    ]

    assert allowed == [2, 2]


# The host that was called

GOOD_HOSTS = [
    "api.security.microsoft.com",
    "api-us.security.microsoft.com",
    "us.api.security.microsoft.com:443",
    "API.Example",
    "127.0.0.1:8400",
    "[::1]:8400",
    "[2001:db8::1]",
    "localhost",
    "under_score.example",
    "x" * 253,
]
BAD_HOSTS = [
    "",
    " ",
    "a b",
    "a,b",
    "user@a.example",
    "a.example/path",
    "a.example?x",
    "a.example#x",
    "a.example:port",
    "a.example:123456",
    "a.example:",
    'a"b.example',
    "a\\b",
    "<script>",
    "::1",
    "[::1",
    "[a]",
    "a.example%0d%0aX:1",
    "é.example",
    "x" * 254,
    "$metadata",
]


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_the_context_repeats_the_host_that_was_called(house: House, host: str) -> None:
    path, token = f"/api/incidents/{house.takes(an_incident())}", house.a_token()

    answer = house.running.request("GET", path, [("Authorization", token)], host=host)

    assert answer.json["@odata.context"] == f"http://{host}/api/$metadata#Incidents/$entity"


def raw(house: House, *lines: str) -> Answer:
    return house.running.send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))


@pytest.mark.parametrize("path", ["/api/incidents/1", "/healthz", "/nothing"])
@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_that_cannot_be_one_is_refused_before_anything_else(
    house: House, host: str, path: str
) -> None:
    answer = raw(house, f"GET {path} HTTP/1.1", f"Host: {host}")

    assert (answer.status, answer.code) == (400, "BadRequest")


@pytest.mark.parametrize(
    "lines",
    [
        ("GET /api/incidents/1 HTTP/1.1",),
        ("GET /api/incidents/1 HTTP/1.0",),
        ("GET /api/incidents/1 HTTP/1.1", "Host: a.example", "Host: a.example"),
        ("GET /api/incidents/1 HTTP/1.1", "Host: a.example", "Host: b.example"),
        ("GET http://a.example/api/incidents/1 HTTP/1.1",),
    ],
)
def test_a_request_names_exactly_one_host(house: House, lines: tuple[str, ...]) -> None:
    answer = raw(house, *lines)

    assert (answer.status, answer.code) == (400, "BadRequest")


# Forwarding headers

FORWARDED = [
    ([("X-Forwarded-Proto", "https")], "https://{host}"),
    ([("X-Forwarded-Host", "front.example")], "http://front.example"),
    (
        [("X-Forwarded-Proto", "HTTPS"), ("X-Forwarded-Host", "front.example:8443")],
        "https://front.example:8443",
    ),
    ([("X-Forwarded-Host", "evil.example, front.example")], "http://front.example"),
    ([("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Host", "front.example")], "http://front.example"),
    ([("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")], "https://{host}"),
    ([("Forwarded", "proto=https;host=front.example")], "https://front.example"),
    ([("Forwarded", 'for=192.0.2.1; Proto=https; Host="front.example:8443"')], "https://front.example:8443"),
    ([("Forwarded", "host=evil.example, for=192.0.2.1;host=front.example")], "http://front.example"),
    ([("Forwarded", "host=evil.example"), ("Forwarded", "host=front.example")], "http://front.example"),
    ([("Forwarded", "for=192.0.2.1;by=_x")], "http://{host}"),
    ([("Forwarded", "host=front.example"), ("X-Forwarded-Host", "front.example")], "http://front.example"),
    ([("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Port", "99")], "http://{host}"),
]

UNUSABLE = [
    [("Forwarded", "host=front.example"), ("X-Forwarded-Host", "x.example")],
    [("X-Forwarded-Proto", "https"), ("Forwarded", "host=evil.example")],
    [("X-Forwarded-Proto", "ftp")],
    [("X-Forwarded-Proto", "")],
    [("X-Forwarded-Host", "")],
    [("X-Forwarded-Host", "a b")],
    [("X-Forwarded-Host", 'a"b')],
    [("X-Forwarded-Host", "front.example, ")],
    [("Forwarded", 'host=""')],
    [("Forwarded", "proto=javascript")],
    [("Forwarded", "host=a/b")],
]


@pytest.fixture(scope="module")
def behind_a_proxy(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that believes a proxy on this machine."""
    server = ServerSettings(port=0, trusted_proxies=("192.0.2.0/24", "127.0.0.1"))
    with RunningHouse(tmp_path_factory.mktemp("proxied"), server=server) as running:
        yield House(running)


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["203.0.113.5"], "203.0.113.5"),
        ("192.0.2.7", ["10.9.9.9, 203.0.113.5"], "203.0.113.5"),
        ("192.0.2.7", ["10.9.9.9", "203.0.113.5"], "203.0.113.5"),
        ("192.0.2.7", ["10.9.9.9, 203.0.113.5, 192.0.2.8"], "203.0.113.5"),
        ("192.0.2.7", ["2001:db8::1"], "2001:db8::1"),
        ("192.0.2.7", ["192.0.2.8, 192.0.2.9"], "192.0.2.8"),
        ("192.0.2.7", ["203.0.113.5, unknown"], "192.0.2.7"),
        ("192.0.2.7", ["203.0.113.5, "], "192.0.2.7"),
        ("192.0.2.7", ["203.0.113.5, _x, 192.0.2.8"], "192.0.2.8"),
        ("192.0.2.7", ["fe80::1%-1.25, 192.0.2.8"], "192.0.2.8"),
        ("198.51.100.1", ["203.0.113.5"], "198.51.100.1"),
        ("", ["203.0.113.5"], ""),
    ],
)
def test_where_a_call_comes_from_is_what_the_first_trusted_proxy_saw(
    peer: str, said: list[str], address: str
) -> None:
    headers = [(b"x-forwarded-for", each.encode()) for each in said]
    scope = {"headers": headers, "client": (peer, 1) if peer else None}

    assert Origins([ip_network("192.0.2.0/24")]).address_of(scope) == address
    assert Origins([]).address_of(scope) == peer


def context_of(house: House, headers: list[tuple[str, str]]) -> str:
    number = house.takes(an_incident())
    context = house.get(number, house.a_token(), headers).json["@odata.context"]
    return str(context).removesuffix("/api/$metadata#Incidents/$entity")


@pytest.mark.parametrize(("headers", "origin"), FORWARDED)
def test_a_trusted_proxy_says_what_was_called(
    behind_a_proxy: House, headers: list[tuple[str, str]], origin: str
) -> None:
    host = urlsplit(behind_a_proxy.running.url).netloc

    assert context_of(behind_a_proxy, headers) == origin.format(host=host)


@pytest.mark.parametrize("headers", UNUSABLE)
def test_what_a_trusted_proxy_says_must_be_usable(
    behind_a_proxy: House, headers: list[tuple[str, str]]
) -> None:
    answer = behind_a_proxy.get(1, behind_a_proxy.a_token(), headers)

    assert (answer.status, answer.code) == (400, "BadRequest")


@pytest.mark.parametrize("headers", [headers for headers, _ in FORWARDED] + UNUSABLE)
def test_anyone_else_is_not_believed(house: House, headers: list[tuple[str, str]]) -> None:
    assert context_of(house, headers) == house.running.url


def test_the_challenge_and_discovery_follow_the_proxy_too(behind_a_proxy: House) -> None:
    headers = [("Forwarded", "proto=https;host=front.example")]
    discovery = f"/{behind_a_proxy.tenant.guid}/v2.0/.well-known/openid-configuration"

    challenge = behind_a_proxy.get(1, None, headers).header("www-authenticate")
    document = behind_a_proxy.get(discovery, None, headers).json

    assert challenge == 'Bearer authorization_uri="https://front.example/common/oauth2/authorize"'
    assert document["token_endpoint"].startswith("https://front.example/")


def test_a_token_without_the_permission_of_its_application_is_no_better(house: House) -> None:
    """What counts is what the token says: consent given later needs a new token, as it does with Microsoft."""
    application, secret = house.add_application()
    number = house.takes(an_incident())

    assert house.get(number, house.fetch_token(application, secret)).status == 403
    assert house.get(number, house.a_token(READ_ALL)).status == 200


def test_a_forwarding_header_made_to_be_slow_is_not() -> None:
    origins = Origins([ip_network("127.0.0.1/32")])
    hostile = b"proto=" + b" " * 20_000 + b'"x'
    scope = {
        "headers": [(b"host", b"api.example"), (b"forwarded", hostile)],
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    started_seconds = perf_counter()

    assert origins.of(scope) == "http://api.example"

    assert perf_counter() - started_seconds < 0.5


@pytest.mark.parametrize("host", [b"[::::]", b"[1.2.3]", b"[fe80]"])
def test_brackets_around_what_is_no_address_are_refused(host: bytes) -> None:
    scope = {"headers": [(b"host", host)], "scheme": "http", "client": None}

    with pytest.raises(BadRequest, match="Host"):
        Origins([]).of(scope)
