"""Client assertions: what proves an application by its certificate, what does not, and that none is good twice."""

import base64
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.builders import an_incident, json_values
from tests.support.client_certificates import Certified, a_key, certified, claims_for, padded
from tests.support.commands import done, run
from tests.support.database_access import below, without_table
from tests.support.house import INCIDENTS_API, READ_ALL, Answer, Clock, House, RunningHouse, a_name, to_base64
from vigie.api.defender.resource import INCIDENTS
from vigie.config.settings import IdentitySettings
from vigie.core.directory import Application, Tenant
from vigie.core.instants import TICKS_PER_SECOND
from vigie.identity.clients.assertions import ASSERTION_BYTES_MAX, ASSERTION_TYPE
from vigie.identity.clients.certificates import read_certificate
from vigie.identity.tokens.audiences import own_audiences
from vigie.runtime.clock import now
from vigie.runtime.resources import RESOURCES

V1, V2 = "/oauth2/token", "/oauth2/v2.0/token"
GRAPH = "https://graph.microsoft.com"
ALIAS = "https://vigie.example:8443"


@dataclass(frozen=True, slots=True)
class Client:
    """An application that may read and has a certificate, in a house."""

    house: House
    folder: Path
    own: Certified
    application: Application
    tenant: Tenant

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"{self.house.running.url}/{self.tenant.guid}{V2}"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Of a good assertion, but for the changes."""
        clock = self.house.running.clock
        now_seconds = (clock.now() if clock else now()) / TICKS_PER_SECOND
        return claims_for(self.application.client_id, self.url, now_seconds, **changes)

    def signs(
        self, claims: dict[str, Any], algorithm: str = "RS256", *, by: Certified | None = None, **header: Any
    ) -> str:
        """An assertion."""
        return (by or self.own).sign(claims, header, algorithm)

    def asserts(self, **changes: Any) -> str:
        """A good assertion, but for the changes of its claims."""
        return self.signs(self.claims(**changes))

    def asks(
        self, assertion: str | None, path: str | None = None, *, address: str = "", **changes: str | None
    ) -> Answer:
        """Ask for a token with an assertion, and no client id beside it."""
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **changes}
        return self.house.ask_for_token(form, path or f"/{self.tenant.guid}{V2}", address=address)


def a_client(
    house: House, folder: Path, own: Certified | None = None, tenant: Tenant | None = None
) -> Client:
    own, tenant = own or certified(), tenant or house.tenant
    kept = read_certificate(own.written_to(folder), now())
    added = house.directory.add_application_without_secret(tenant, a_name("app"), [READ_ALL], [kept])
    return Client(house, folder, own, house.running.run(added), tenant)


@pytest.fixture
def client(house: House, tmp_path: Path) -> Client:
    return a_client(house, tmp_path)


def claims_in(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    claims: dict[str, Any] = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    return claims


def reason_in(answer: Answer) -> str:
    """Why an assertion was refused, once it is sure that it was."""
    assert (answer.status, answer.json["error"]) == (401, "invalid_client"), answer.body
    assert answer.error_code == 700027
    description: str = answer.json["error_description"]
    assert description.startswith("AADSTS700027: The client assertion was not accepted. [Reason - ")
    return description


# What proves an application

GOOD_HEADERS: list[dict[str, Any]] = [
    {},
    {"x5t": "{sha1:unpadded}"},
    {"x5t": ..., "x5t#S256": "{sha256:padded}"},
    {"x5t": ..., "x5t#S256": "{sha256:unpadded}"},
    {"x5t#S256": "{sha256:padded}"},
    {"x5t": ..., "kid": "{sha1:hex}"},
    {"x5t": ..., "kid": "{sha256:HEX}"},
    {"x5t": ..., "kid": "{sha1:padded}"},
    {"x5t": ..., "kid": "{sha256:unpadded}"},
    {"kid": "a name of the client's own"},
]


def filled(values: dict[str, Any], client: Client) -> dict[str, Any]:
    """With what stands in braces put in."""
    words = {"{url}": client.house.running.url, "{tenant}": client.tenant.guid}
    for name, thumbprint in (("sha1", client.own.sha1), ("sha256", client.own.sha256)):
        words[f"{{{name}:padded}}"] = padded(thumbprint)
        words[f"{{{name}:unpadded}}"] = padded(thumbprint).rstrip("=")
        words[f"{{{name}:hex}}"] = thumbprint.hex()
        words[f"{{{name}:HEX}}"] = thumbprint.hex(":").upper()

    def put_into(value: Any) -> Any:
        if isinstance(value, list):
            return [put_into(each) for each in value]
        for word, text in words.items():
            value = value.replace(word, text) if isinstance(value, str) else value
        return value

    return {name: put_into(value) for name, value in values.items()}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
@pytest.mark.parametrize("header", GOOD_HEADERS)
def test_a_certificate_may_be_named_in_every_usual_way(
    client: Client, algorithm: str, header: dict[str, Any]
) -> None:
    assertion = client.signs(client.claims(), algorithm, **filled(header, client))

    claims = claims_in(client.asks(assertion))

    assert (claims["appid"], claims["appidacr"]) == (client.application.client_id, "2")


def test_the_token_reads_incidents(client: Client) -> None:
    number = client.house.takes(an_incident())

    token = client.asks(client.asserts()).json["access_token"]

    assert client.house.get(number, token).status == 200


def test_a_token_by_secret_says_so(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    form = {"client_id": application.client_id, "client_secret": secret}

    assert claims_in(house.ask_for_token(form))["appidacr"] == "1"


def test_an_assertion_goes_before_a_secret(client: Client) -> None:
    answer = client.asks(client.asserts(), client_secret="wrong")

    assert claims_in(answer)["appidacr"] == "2"


def test_a_client_id_may_stand_beside_it_in_any_case(client: Client) -> None:
    for client_id in (client.application.client_id, client.application.client_id.upper(), ""):
        assert client.asks(client.asserts(), client_id=client_id).status == 200


def test_times_may_be_whole_or_not(client: Client) -> None:
    seconds = now() // TICKS_PER_SECOND

    for change in ({"exp": seconds + 60}, {"exp": seconds + 60.75, "nbf": seconds - 0.5}, {"nbf": seconds}):
        assert client.asks(client.asserts(**change)).status == 200


def test_both_endpoints_take_assertions_for_either(client: Client) -> None:
    base = f"{client.house.running.url}/{client.tenant.guid}"

    for path in (V1, V2):
        for audience in (V1, V2):
            answer = client.asks(client.asserts(aud=base + audience), f"/{client.tenant.guid}{path}")
            assert answer.status == 200, (path, audience)


@pytest.mark.parametrize("form", ["{}", "{}/"])
def test_the_audience_may_be_the_issuer(client: Client, form: str) -> None:
    discovery = client.house.running.request(
        "GET", f"/{client.tenant.guid}/v2.0/.well-known/openid-configuration"
    )

    answer = client.asks(client.asserts(aud=form.format(discovery.json["issuer"].rstrip("/"))))

    assert answer.status == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_the_audience_may_be_on_any_name_of_the_loopback(client: Client, name: str) -> None:
    port = urlsplit(client.house.running.url).port

    assert client.asks(client.asserts(aud=f"http://{name}:{port}/{client.tenant.guid}{V2}")).status == 200


def test_the_audience_may_be_a_list_of_one_and_in_any_case(client: Client) -> None:
    assert client.asks(client.asserts(aud=[client.url])).status == 200
    assert client.asks(client.asserts(aud=client.url.upper())).status == 200


def test_the_audience_may_name_the_tenant_by_its_domain(house: House, tmp_path: Path) -> None:
    tenant = house.add_tenant(domain=f"{a_name('contoso')}.example")
    client = a_client(house, tmp_path, tenant=tenant)

    assertion = client.asserts(aud=f"{house.running.url}/{tenant.domain}{V2}")

    assert client.asks(assertion, f"/{tenant.domain}{V2}").status == 200


# What does not


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with an assertion, and a word of the reason that is given."""

    reason: str
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"


SOON = 4_000_000_000
MISTAKES = [
    # The names of the certificate
    Mistake("no certificate", header={"x5t": ...}),
    Mistake("the key was not found", header={"x5t": padded(b"\0" * 20)}),
    Mistake("the key was not found", header={"x5t": ..., "x5t#S256": padded(b"\0" * 32)}),
    Mistake("the key was not found", header={"x5t#S256": padded(b"\0" * 32)}),
    Mistake("the key was not found", header={"x5t": "{sha256:padded}"}),
    Mistake("the key was not found", header={"x5t": "{sha1:hex}"}),
    Mistake("the key was not found", header={"x5t": ""}),
    Mistake("the key was not found", header={"x5t": "\u00e9" * 28}),
    Mistake("the key was not found", header={"x5t": ["a", {"b": None}]}),
    Mistake("the key was not found", header={"x5t": ..., "kid": "unknown"}),
    # The algorithm
    Mistake("alg", algorithm="RS384"),
    Mistake("alg", algorithm="RS512"),
    Mistake("alg", algorithm="PS512"),
    Mistake("crit", header={"crit": ["exp"]}),
    # Whose it is
    Mistake("iss and sub", claims={"iss": ...}),
    Mistake("iss and sub", claims={"sub": ...}),
    Mistake("iss and sub", claims={"sub": "00000000-0000-4000-8000-000000000000"}),
    Mistake("iss and sub", claims={"iss": 1, "sub": 1}),
    Mistake("iss and sub", claims={"iss": None, "sub": None}),
    # For whom it is
    Mistake("aud", claims={"aud": ...}),
    Mistake("aud", claims={"aud": None}),
    Mistake("aud", claims={"aud": []}),
    Mistake("aud", claims={"aud": [["x"]]}),
    Mistake("aud", claims={"aud": {"a": "b"}}),
    Mistake("aud", claims={"aud": ""}),
    Mistake("aud", claims={"aud": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"}),
    Mistake("aud", claims={"aud": "{url}"}),
    Mistake("aud", claims={"aud": "{url}/common/oauth2/v2.0/token"}),
    Mistake("aud", claims={"aud": "{url}/00000000-0000-4000-8000-000000000000/oauth2/v2.0/token"}),
    Mistake("aud", claims={"aud": "{url}/{tenant}/oauth2/v2.0/token?x=1"}),
    Mistake("aud", claims={"aud": "{url}.evil.example/{tenant}/oauth2/v2.0/token"}),
    Mistake("aud", claims={"aud": "http://127.0.0.1/{tenant}/oauth2/v2.0/token"}),
    Mistake("aud", claims={"aud": ["{url}/{tenant}/oauth2/v2.0/token", "https://other.example"]}),
    # How long it lasts
    Mistake("exp is missing", claims={"exp": ...}),
    Mistake("exp is missing", claims={"exp": "4000000000"}),
    Mistake("exp is missing", claims={"exp": True}),
    Mistake("exp is missing", claims={"exp": None}),
    Mistake("exp is missing", claims={"exp": -1}),
    Mistake("exp is missing", claims={"exp": 10**400}),
    Mistake("it expired at", claims={"exp": 0}),
    Mistake("24 hours", claims={"exp": SOON}),
    Mistake("nbf", claims={"nbf": SOON}),
    Mistake("nbf", claims={"nbf": "x"}),
    # That it is used once
    Mistake("jti", claims={"jti": ...}),
    Mistake("jti", claims={"jti": ""}),
    Mistake("jti", claims={"jti": 7}),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_refused_with_its_reason(client: Client, mistake: Mistake) -> None:
    header = {"alg": mistake.algorithm, **filled(mistake.header, client)}

    assertion = hand_signed(client, client.claims(**filled(mistake.claims, client)), header)

    assert mistake.reason in reason_in(client.asks(assertion))


def hand_signed(client: Client, claims: object, header: dict[str, Any]) -> str:
    """RS256 by hand: libraries do not write all that can be written."""
    named = {"typ": "JWT", "alg": "RS256", "x5t": padded(client.own.sha1), **header}
    head = {name: value for name, value in named.items() if value is not ...}
    signed = f"{to_base64(json.dumps(head).encode())}.{to_base64(json.dumps(claims).encode())}"
    signature = jwt.get_algorithm_by_name("RS256").sign(signed.encode(), client.own.key)
    return f"{signed}.{to_base64(signature)}"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", "", "rs256", None, ["RS256"], {"a": 1}])
def test_an_algorithm_of_the_callers_own_choice_is_refused(client: Client, algorithm: object) -> None:
    assertion = hand_signed(client, client.claims(), {"alg": algorithm})

    assert "alg" in reason_in(client.asks(assertion))


def test_an_assertion_without_a_signature_is_refused(client: Client) -> None:
    head, claims, _ = client.asserts().split(".")

    for signature in ("", "AAAA", to_base64(b"\0" * 256)):
        assert "not signed with" in reason_in(client.asks(f"{head}.{claims}.{signature}"))


def test_the_public_key_is_no_shared_secret(client: Client) -> None:
    public = client.own.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = to_base64(json.dumps({"alg": "HS256", "x5t": padded(client.own.sha1)}).encode())
    signed = f"{head}.{to_base64(json.dumps(client.claims()).encode())}"

    assertion = f"{signed}.{to_base64(hmac.digest(public, signed.encode(), sha256))}"

    assert "alg" in reason_in(client.asks(assertion))


def test_a_signature_of_one_algorithm_is_none_of_the_other(client: Client) -> None:
    for one, other in (("RS256", "PS256"), ("PS256", "RS256")):
        _, claims, _ = client.asserts().split(".")
        head = to_base64(json.dumps({"alg": other, "x5t": padded(client.own.sha1)}).encode())
        signature = jwt.get_algorithm_by_name(one).sign(f"{head}.{claims}".encode(), client.own.key)

        assert "not signed with" in reason_in(client.asks(f"{head}.{claims}.{to_base64(signature)}"))


def test_a_key_that_the_assertion_brings_along_is_not_looked_at(client: Client) -> None:
    theirs = certified(a_key(1))
    key = jwt.get_algorithm_by_name("RS256").to_jwk(theirs.key.public_key(), as_dict=True)
    x5c = [base64.b64encode(theirs.certificate.public_bytes(Encoding.DER)).decode()]
    brought: dict[str, Any] = {
        "jwk": key,
        "x5c": x5c,
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/x",
    }

    by_ours = client.signs(client.claims(), by=theirs, x5t=padded(client.own.sha1), **brought)
    by_theirs = client.signs(client.claims(), by=theirs, **brought)
    by_nobodys = client.signs(client.claims(), by=theirs, x5t=..., **brought)

    assert "not signed with" in reason_in(client.asks(by_ours))
    assert "the key was not found" in reason_in(client.asks(by_theirs))
    assert "no certificate" in reason_in(client.asks(by_nobodys))
    assert client.asks(client.signs(client.claims(), **brought)).status == 200


@pytest.mark.parametrize(
    "brought", [{"jwk": 1}, {"x5c": "x"}, {"jku": []}, {"x5u": {}}, {"typ": 7}, {"b64": 0}]
)
def test_what_else_stands_in_the_header_means_nothing(client: Client, brought: dict[str, Any]) -> None:
    assert client.asks(hand_signed(client, client.claims(), brought)).status == 200


def test_certificates_of_others_do_not_count(client: Client, tmp_path: Path) -> None:
    neighbour = a_client(client.house, tmp_path, certified(a_key(1)))
    stranger = a_client(client.house, tmp_path, certified(a_key(1)), tenant=client.house.add_tenant())

    for other in (neighbour, stranger):
        assertion = client.signs(client.claims(), by=other.own)
        assert "the key was not found" in reason_in(client.asks(assertion))


def test_an_application_of_another_tenant_is_not_known_here(client: Client, tmp_path: Path) -> None:
    stranger = a_client(client.house, tmp_path, tenant=client.house.add_tenant())

    assert client.asks(stranger.asserts(aud=client.url)).error_code == 700016


def test_the_name_of_an_application_is_no_client_id(client: Client) -> None:
    name = client.application.name

    assert client.asks(client.asserts(iss=name, sub=name)).error_code == 700016


def test_a_client_id_beside_it_must_be_the_same(client: Client, tmp_path: Path) -> None:
    other = a_client(client.house, tmp_path)

    answer = client.asks(client.asserts(), client_id=other.application.client_id)

    assert "client_id" in reason_in(answer)


def test_an_application_without_certificates_is_told_so(client: Client) -> None:
    application, _ = client.house.add_application(READ_ALL)
    client_id = application.client_id

    answer = client.asks(client.asserts(iss=client_id, sub=client_id))

    assert "the key was not found" in reason_in(answer)


def test_an_assertion_for_another_server_is_not_good_here_under_its_name(client: Client) -> None:
    path = f"/{client.tenant.guid}{V2}"
    assertion = client.asserts(aud=f"http://other.example{path}")
    form = (
        f"grant_type=client_credentials&scope={INCIDENTS_API}/.default"
        f"&client_assertion_type={ASSERTION_TYPE}&client_assertion={assertion}"
    )

    answer = client.house.running.request("POST", path, body=form.encode(), host="other.example")

    assert "aud" in reason_in(answer)


def test_an_alias_is_a_name_of_our_own(tmp_path: Path) -> None:
    identity = IdentitySettings(audience_aliases=(ALIAS, "https://login.example"))

    with RunningHouse(tmp_path, identity=identity) as running:
        client = a_client(House(running), tmp_path)

        def status(origin: str) -> int:
            return client.asks(client.asserts(aud=f"{origin}/{client.tenant.guid}{V2}")).status

        assert status(ALIAS) == status("https://login.example") == status("https://login.example:443") == 200
        assert status("https://vigie.example") == status("http://login.example") == 401


def test_the_names_of_the_certificate_are_origins_and_no_audiences() -> None:
    audiences = own_audiences(
        RESOURCES, "https://127.0.0.1:8443", (), ("LOGIN.example", "graph.microsoft.com", "2001:db8::1")
    )

    for name in ("login.example", "graph.microsoft.com", "[2001:db8::1]"):
        own = {f"https://{name}", f"https://{name}:443", f"https://{name}:8443"}
        assert own <= audiences.origins
        assert not own & audiences.own
    assert not audiences.grants_access(INCIDENTS, "https://graph.microsoft.com")


# The form


def test_neither_an_assertion_nor_a_secret_is_its_own_refusal(client: Client) -> None:
    for assertion in (None, ""):
        answer = client.asks(assertion, client_id=client.application.client_id)
        assert (answer.status, answer.error_code) == (401, 7000216)


def test_the_type_of_the_assertion_must_be_said_and_right(client: Client) -> None:
    missing = client.asks(client.asserts(), client_assertion_type=None)
    saml = client.asks(
        client.asserts(), client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
    )

    assert (missing.status, missing.error_code) == (400, 900144)
    assert "client_assertion_type" in reason_in(saml)


JUNK = [
    "x",
    "..",
    "a.b",
    "a.b.c",
    "a.b.c.d",
    "\u00e9.\u00e9.\u00e9",
    "e30.e30.e30",
    "bnVsbA.bnVsbA.AAAA",
    "W10.W10.AAAA",
    "MQ.MQ.AAAA",
    *(
        f"e30.{to_base64(claims)}.AAAA"
        for claims in (
            b"[" * 4000,
            b'{"a":' * 900 + b"1" + b"}" * 900,
            b'{"exp": 1e999}',
            b'{"exp": NaN}',
            b'{"iss": "\xff"}',
            b'{"iss": "\\ud800"}',
        )
    ),
    "x" * (ASSERTION_BYTES_MAX + 1),
]


@pytest.mark.parametrize("junk", JUNK)
def test_junk_is_refused_and_never_a_defect(client: Client, junk: str) -> None:
    reason_in(client.asks(junk))


@pytest.mark.parametrize("depth", [100, 900])
@pytest.mark.parametrize("place", ["aud", "exp", "jti", "x5t", "alg", "crit", "unknown"])
def test_depth_is_never_a_defect(client: Client, place: str, depth: int) -> None:
    deep = json.loads("[" * depth + "]" * depth)
    is_of_header = place in ("x5t", "alg", "crit")

    assertion = hand_signed(
        client,
        client.claims(**({} if is_of_header else {place: deep})),
        {place: deep} if is_of_header else {},
    )

    assert client.asks(assertion).status == (200 if place == "unknown" else 401)


def test_an_assertion_has_at_most_16_kib(client: Client) -> None:
    def sized(length: int) -> str:
        filler = length - len(client.asserts(filler=""))
        return client.asserts(filler="x" * (filler * 3 // 4 - 3))

    fits = sized(ASSERTION_BYTES_MAX)

    assert len(fits) <= ASSERTION_BYTES_MAX
    assert client.asks(fits).status == 200
    assert "longer than" in reason_in(client.asks(sized(ASSERTION_BYTES_MAX + 20)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(st.sampled_from(["alg", "x5t", "x5t#S256", "kid", "crit", "typ"]), json_values),
    claims=st.dictionaries(
        st.sampled_from(["aud", "iss", "sub", "exp", "nbf", "iat", "jti", "x"]), json_values
    ),
)
def test_whatever_is_signed_is_answered(
    client: Client, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    answer = client.asks(hand_signed(client, client.claims(**claims), header))

    assert answer.status in (200, 400, 401), answer.body


# Times, on a clock that stands still


def test_an_assertion_lasts_until_its_end_and_as_long_as_clocks_may_differ(tmp_path: Path) -> None:
    clock = Clock()
    with RunningHouse(tmp_path, clock=clock) as running:
        client = a_client(House(running), tmp_path)
        first, second = client.asserts(), client.asserts()

        clock.forward(seconds=600 + 299)
        before = client.asks(first)
        clock.forward(seconds=2)
        after = client.asks(second)

    assert before.status == 200
    assert "it expired at" in reason_in(after)


def test_an_assertion_begins_when_it_says_but_for_what_clocks_may_differ(tmp_path: Path) -> None:
    clock = Clock()
    with RunningHouse(tmp_path, clock=clock) as running:
        client = a_client(House(running), tmp_path)
        seconds = clock.now() / TICKS_PER_SECOND
        assertion = client.asserts(nbf=seconds + 301, exp=seconds + 900)

        before = client.asks(assertion)
        clock.forward(seconds=2)
        after = client.asks(assertion)

    assert "nbf" in reason_in(before)
    assert after.status == 200


def test_the_dates_of_a_certificate_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with RunningHouse(tmp_path, clock=clock) as running:
        client = a_client(House(running), tmp_path, certified(valid_from=tomorrow, lasts=timedelta(days=1)))

        before = client.asks(client.asserts())
        clock.forward(seconds=86_400 + 3600)
        between = client.asks(client.asserts())
        clock.forward(seconds=86_400)
        after = client.asks(client.asserts())

    assert f"the certificate {client.own.thumbprint} is valid from" in reason_in(before)
    assert between.status == 200
    assert f"the certificate {client.own.thumbprint} expired at" in reason_in(after)


# Once


def test_an_assertion_is_good_once(client: Client) -> None:
    assertion = client.asserts()

    assert client.asks(assertion).status == 200
    assert "used before" in reason_in(client.asks(assertion))
    assert "used before" in reason_in(client.asks(assertion, f"/{client.tenant.guid}{V1}"))


def test_an_assertion_is_good_once_for_each_api_as_msal_uses_it(client: Client) -> None:
    assertion = client.asserts()

    assert client.asks(assertion).status == 200
    assert client.asks(assertion, scope=f"{GRAPH}/.default").status == 200
    for name in (GRAPH, "00000003-0000-0000-c000-000000000000"):
        assert "used before" in reason_in(client.asks(assertion, scope=f"{name}/.default"))


@pytest.mark.parametrize(
    "name",
    [
        f"{INCIDENTS_API}/",
        f"{INCIDENTS_API}//",
        INCIDENTS_API.upper(),
        *sorted(INCIDENTS.audiences),
        "{origin}",
    ],
)
def test_asking_for_the_same_api_by_another_name_does_not_help(client: Client, name: str) -> None:
    assertion = client.asserts()
    scope = f"{name.format(origin=client.house.running.url)}/.default"

    assert client.asks(assertion).status == 200
    assert "used before" in reason_in(client.asks(assertion, scope=scope))


def test_somebody_elsewhere_gets_nothing_for_an_assertion_for_the_api_that_is_left(client: Client) -> None:
    assertion = client.asserts()

    assert client.asks(assertion, address="127.0.0.2").status == 200
    for _ in range(2):
        stolen = client.asks(assertion, scope=f"{GRAPH}/.default", address="127.0.0.3")
        assert "used before" in reason_in(stolen)
    assert client.asks(assertion, scope=f"{GRAPH}/.default", address="127.0.0.2").status == 200


def test_it_is_the_jti_that_is_used_up_whatever_else_is_said(client: Client) -> None:
    assert client.asks(client.asserts(jti="1")).status == 200
    assert "used before" in reason_in(client.asks(client.asserts(jti="1", extra=True)))


def test_a_jti_is_the_applications_own(client: Client, tmp_path: Path) -> None:
    other = a_client(client.house, tmp_path)
    elsewhere = a_client(client.house, tmp_path, tenant=client.house.add_tenant())

    assert [each.asks(each.asserts(jti="1")).status for each in (client, other, elsewhere)] == [200] * 3


def test_a_request_that_fails_for_another_reason_does_not_use_it_up(client: Client) -> None:
    assertion = client.asserts()

    refused = client.asks(assertion, scope="https://unknown.example/.default")

    assert refused.error_code == 500011
    assert client.asks(assertion).status == 200


def test_where_its_use_cannot_be_noted_there_is_no_token_and_it_may_be_sent_again(tmp_path: Path) -> None:
    with RunningHouse(tmp_path) as running:
        client = a_client(House(running), tmp_path)
        assertion = client.asserts()

        with without_table(running.settings.database, "assertion_seen"):
            refused = client.asks(assertion)

        assert (refused.status, refused.error_code) == (503, 90033)
        assert client.asks(assertion).status == 200


def test_of_several_that_arrive_at_once_one_wins(client: Client) -> None:
    assertion = client.asserts()

    with ThreadPoolExecutor(8) as at_once:
        answers = list(at_once.map(lambda _: client.asks(assertion), range(8)))

    assert sorted(answer.status for answer in answers) == [200, *[401] * 7]


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    identity = IdentitySettings(audience_aliases=(ALIAS,))
    with RunningHouse(tmp_path, identity=identity) as running:
        client = a_client(House(running), tmp_path)
        assertion = client.asserts(aud=f"{ALIAS}/{client.tenant.guid}{V2}")
        first = client.asks(assertion)

    with RunningHouse(tmp_path, identity=identity) as running:
        path = f"/{client.tenant.guid}{V2}"
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        second = House(running).ask_for_token(form, path)

    assert first.status == 200
    assert "used before" in reason_in(second)


def test_what_has_expired_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    with RunningHouse(tmp_path, clock=clock) as running:
        client = a_client(House(running), tmp_path)
        for _ in range(3):
            client.asks(client.asserts())
        clock.forward(seconds=600 + 300 + 1)
        client.asks(client.asserts())

        # Which it was, from where, and for what.
        assert assertions_kept(running) == 3


def assertions_kept(running: RunningHouse) -> int:
    ((found,),) = below(running.settings.database).rows("SELECT count(*) FROM assertion_seen")
    return int(found)


# Certificates come and go


def test_a_certificate_is_replaced_without_a_gap(client: Client, tmp_path: Path) -> None:
    directory, run_in = client.house.directory, client.house.running.run
    new = certified(a_key(1))
    key = (client.tenant, client.application)

    run_in(directory.add_certificate(*key, read_certificate(new.written_to(tmp_path), now())))
    both = [client.asks(client.signs(client.claims(), by=each)).status for each in (client.own, new)]
    run_in(directory.remove_certificate(*key, run_in(directory.get_certificate(*key, client.own.thumbprint))))
    old = client.asks(client.asserts())

    assert both == [200, 200]
    assert "the key was not found" in reason_in(old)
    assert client.asks(client.signs(client.claims(), by=new)).status == 200


def test_an_application_may_have_both_a_certificate_and_a_secret(house: House, tmp_path: Path) -> None:
    own = certified()
    kept = [read_certificate(own.written_to(tmp_path), now())] * 2
    application, secret = house.running.run(
        house.directory.add_application(house.tenant, a_name("app"), [READ_ALL], kept)
    )
    client = Client(house, tmp_path, own, application, house.tenant)

    assert house.fetch_token(application, secret)
    assert client.asks(client.asserts()).status == 200


# The commands

OF_CONTOSO = ("--tenant", "contoso")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a store and the tenant contoso in it."""
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")
    return tmp_path


def test_an_application_with_a_certificate_has_no_secret_unless_it_is_asked_for(folder: Path) -> None:
    one, other = certified(), certified()
    files = ("--certificate", one.written_to(folder), "--certificate", other.written_to(folder))

    without = done("app", "add", "a", *OF_CONTOSO, *files)
    with_one = done("app", "add", "b", *OF_CONTOSO, *files, "--secret")
    by_secret = done("app", "add", "c", *OF_CONTOSO)

    assert set(without) >= {"tenant_id", "client_id", "client_secret", "permissions", "certificates"}
    assert without["client_secret"] is None
    assert set(without["certificates"]) == {one.thumbprint, other.thumbprint}
    assert with_one["client_secret"]
    assert by_secret["client_secret"]
    assert by_secret["certificates"] == []


def test_certificates_are_added_listed_and_removed(folder: Path) -> None:
    later, sooner = certified(), certified(lasts=timedelta(days=1))
    done("app", "add", "a", *OF_CONTOSO)

    added = [
        done("app", "add-certificate", "a", each.written_to(folder), *OF_CONTOSO) for each in (later, sooner)
    ]
    listed = done("app", "list-certificates", "a", *OF_CONTOSO)
    removed = done("app", "remove-certificate", "a", later.sha1.hex(":"), *OF_CONTOSO, "--yes")
    left = done("app", "list-certificates", "a", *OF_CONTOSO)

    assert listed == added[::-1]
    assert set(listed[0]) == {"thumbprint", "sha1_thumbprint", "valid_from", "expires_at"}
    assert removed == {}
    assert [each["thumbprint"] for each in left] == [sooner.thumbprint]


def test_a_certificate_that_is_there_or_is_not_is_said_so(folder: Path) -> None:
    own = certified()
    file = own.written_to(folder)
    done("app", "add", "a", *OF_CONTOSO, "--certificate", file)

    again = run("app", "add-certificate", "a", file, *OF_CONTOSO)
    unknown = run("app", "remove-certificate", "a", "00" * 32, *OF_CONTOSO, "--yes")

    assert f"a has the certificate {own.thumbprint} already" in again.refusal
    assert "vigie app list-certificates" in unknown.refusal


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: certified().private_pem + certified().pem, "holds a private key"),
        (lambda: certified().pem + certified().private_pem, "holds a private key"),
        (lambda: certified().pem + certified().pem, "holds 2 certificates"),
        (lambda: certified().certificate.public_bytes(Encoding.DER), "is not a certificate in PEM"),
        (lambda: b"", "is not a certificate in PEM"),
        (
            lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "is not a certificate in PEM",
        ),
        (lambda: certified(rsa.generate_private_key(65537, 1024)).pem, "no RSA key of at least 2048 bits"),
        (lambda: certified(ec.generate_private_key(ec.SECP256R1())).pem, "no RSA key of at least 2048 bits"),
        (lambda: certified(lasts=timedelta(minutes=59)).pem, "expired at"),
    ],
)
def test_a_file_that_is_no_good_certificate_is_refused_and_nothing_is_added(
    folder: Path, content: Any, reason: str
) -> None:
    file = folder / "given.pem"
    file.write_bytes(content())

    ended = run("app", "add", "a", *OF_CONTOSO, "--certificate", file)

    assert ended.code == 1
    assert reason in ended.refusal
    assert done("app", "list", *OF_CONTOSO) == []


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    ended = run("app", "add", "a", *OF_CONTOSO, "--certificate", "away.pem")

    assert ended.refusal == "vigie: away.pem: No such file or directory"


# Instance discovery


def instance(house: House, query: str, host: str | None = None) -> Answer:
    return house.running.request("GET", f"/common/discovery/instance?{query}", host=host)


@pytest.mark.parametrize("version", ["/v2.0", ""])
def test_an_instance_that_is_ours_leads_to_its_discovery(house: House, version: str) -> None:
    tenant = house.tenant.guid
    asked = f"http://127.0.0.1/{tenant}/oauth2{version}/authorize"

    answer = instance(house, f"api-version=1.0&authorization_endpoint={asked}")

    url = answer.json["tenant_discovery_endpoint"]
    assert url == f"{house.running.url}/{tenant}{version}/.well-known/openid-configuration"
    assert house.running.request("GET", urlsplit(url).path).status == 200


@pytest.mark.parametrize("anyone", ["common", "Organizations"])
def test_an_instance_may_be_asked_about_under_the_name_that_was_called(house: House, anyone: str) -> None:
    asked = f"authorization_endpoint=https%3A%2F%2Flogin.example%2F{anyone}%2Foauth2%2Fv2.0%2Fauthorize"

    answer = instance(house, asked, host="login.example:8443")

    assert answer.json == {
        "tenant_discovery_endpoint": f"http://login.example:8443/{anyone}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [
            {
                "preferred_network": "login.example",
                "preferred_cache": "login.example",
                "aliases": ["login.example"],
            }
        ],
    }


def test_an_instance_with_a_port_goes_by_it_and_is_known_without(house: House) -> None:
    asked = "authorization_endpoint=https://login.example:8443/common/oauth2/v2.0/authorize"

    answer = instance(house, asked, host="login.example:8443")

    assert answer.json["metadata"] == [
        {
            "preferred_network": "login.example:8443",
            "preferred_cache": "login.example:8443",
            "aliases": ["login.example", "login.example:8443"],
        }
    ]


def test_an_instance_whose_port_is_left_empty_goes_by_its_name(house: House) -> None:
    asked = "authorization_endpoint=https://login.example:/common/oauth2/v2.0/authorize"

    answer = instance(house, asked, host="login.example")

    assert answer.json["metadata"][0]["aliases"] == ["login.example"]


def test_microsofts_names_are_one_instance_as_far_as_they_lead_here(tmp_path: Path) -> None:
    aliases = ("https://login.windows.net", "https://login.microsoftonline.com", "https://vigie.example")
    with RunningHouse(tmp_path, identity=IdentitySettings(audience_aliases=aliases)) as running:
        house = House(running)
        asked = "authorization_endpoint=https://login.windows.net/common/oauth2/authorize"

        answer = instance(house, asked, host="login.windows.net")

        assert answer.json["metadata"] == [
            {
                "preferred_network": "login.microsoftonline.com",
                "preferred_cache": "login.windows.net",
                "aliases": ["login.microsoftonline.com", "login.windows.net"],
            }
        ]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("authorization_endpoint=https://evil.example/{tenant}/oauth2/v2.0/authorize", 50049),
        ("authorization_endpoint=https://127.0.0.1.evil.example/{tenant}/oauth2/v2.0/authorize", 50049),
        ("authorization_endpoint=https://127.0.0.1@evil.example/{tenant}/oauth2/v2.0/authorize", 50049),
        ("authorization_endpoint=127.0.0.1", 50049),
        ("authorization_endpoint=https://127.0.0.1/nonsense/oauth2/v2.0/authorize", 900023),
        ("authorization_endpoint=https://127.0.0.1", 900023),
        ("authorization_endpoint=https://127.0.0.1/nobody.example/oauth2/v2.0/authorize", 90002),
        ("authorization_endpoint=https://[/", 900144),
        ("authorization_endpoint=https://127.0.0.1:65536/common/oauth2/v2.0/authorize", 900144),
        ("authorization_endpoint=https://127.0.0.1:0/common/oauth2/v2.0/authorize", 900144),
        ("authorization_endpoint=https://127.0.0.1:port/common/oauth2/v2.0/authorize", 900144),
        ("authorization_endpoint=", 900144),
        ("api-version=1.0", 900144),
        ("", 900144),
    ],
)
def test_an_instance_that_is_none_is_refused(house: House, query: str, code: int) -> None:
    answer = instance(house, query.format(tenant=house.tenant.guid))

    assert (answer.status, answer.error_code) == (400, code)
    assert (answer.json["error"] == "invalid_instance") == (code == 50049)
