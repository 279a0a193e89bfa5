"""Authorization requests: their fields, their errors, and every trick with their address."""

from typing import Any

import pytest

from tests.support.house import INCIDENTS_API, House, RunningHouse, a_name
from tests.support.sign_in_client import (
    BACK,
    Program,
    a_program_with_a_secret,
    a_public_program,
    challenge_of,
)
from vigie.api.oauth.error_responses import oauth_error_of
from vigie.core.directory import DirectoryError
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.refusals import OAuthRefusal
from vigie.identity.sign_in.authorization_requests import (
    AuthorizationRefused,
    Redirection,
    refused_by_user,
    sign_in_needed,
)

UNKNOWN_GUID = "00000000-0000-4000-8000-000000000000"
SITE = "https://app.contoso.example/signed-in"


@pytest.fixture
def program(house: House) -> Program:
    return a_public_program(house)


def refusal(program: Program, **changes: Any) -> AuthorizationRefused:
    with pytest.raises(AuthorizationRefused) as caught:
        program.request(**changes)
    return caught.value


def told(refused: AuthorizationRefused) -> tuple[int, str]:
    """The number and the word that the application reads."""
    row = oauth_error_of(refused.refusal)
    return row.number, row.redirect_error


def told_the_user_alone(program: Program, **changes: Any) -> int:
    """The number of a refusal that no application hears of."""
    with pytest.raises(OAuthRefusal) as caught:
        program.request(**changes)
    return oauth_error_of(caught.value).number


def issuer_for(program: Program) -> str:
    """As the discovery document of the program's tenant has it."""
    return f"{program.house.running.url}/{program.house.tenant.guid}/"


# What is read


def test_a_request_says_who_wants_what_and_where_the_answer_goes(program: Program) -> None:
    request = program.request(
        nonce="n-1", login_hint="maren@contoso.example", prompt="login", response_mode="form_post"
    )

    assert (request.tenant, request.application) == (program.house.tenant, program.application)
    assert request.redirection == Redirection(
        redirect_uri=BACK, response_mode="form_post", state="a state", issuer=issuer_for(program)
    )
    assert (request.nonce, request.login_hint, request.prompt) == ("n-1", "maren@contoso.example", "login")
    assert (request.permissions, request.resource) == (("Incident.Read",), INCIDENTS_API)
    assert (request.wants_refresh, request.wants_id_token, request.version) == (
        True,
        True,
        EndpointVersion.V2,
    )
    assert request.code_challenge == challenge_of(program.verifier)


def test_what_is_not_said_is_none(program: Program) -> None:
    request = program.request(state=None, prompt="whatever", scope=f"{INCIDENTS_API}/Incident.Read")

    assert (request.nonce, request.login_hint, request.prompt) == (None, None, None)
    assert (request.redirection.state, request.redirection.response_mode) == (None, "query")
    assert (request.wants_refresh, request.wants_id_token) == (False, False)


SCOPES = [
    (f"{INCIDENTS_API}/.default", INCIDENTS_API, ("Incident.Read", "Incident.ReadWrite")),
    (f"{INCIDENTS_API}/Incident.Read", INCIDENTS_API, ("Incident.Read",)),
    (f"{INCIDENTS_API}//Incident.ReadWrite", f"{INCIDENTS_API}/", ("Incident.ReadWrite",)),
    (
        "offline_access https://security.microsoft.com/mtp/.default",
        "https://security.microsoft.com/mtp",
        ("Incident.Read", "Incident.ReadWrite"),
    ),
    (
        f"openid profile offline_access {INCIDENTS_API}/Incident.Read {INCIDENTS_API}/Nothing.Known",
        INCIDENTS_API,
        ("Incident.Read",),
    ),
    ("openid profile", "https://graph.microsoft.com", ()),
    ("https://graph.microsoft.com/.default", "https://graph.microsoft.com", ()),
]


@pytest.mark.parametrize(("scope", "resource", "permissions"), SCOPES)
def test_a_scope_is_a_resource_and_what_the_application_may_ask_for_of_it(
    house: House, scope: str, resource: str, permissions: tuple[str, ...]
) -> None:
    program = a_public_program(house, "Incident.Read", "Incident.ReadWrite")

    request = program.request(scope=scope)

    assert (request.resource, request.permissions) == (resource, permissions)


def test_version_1_names_a_resource(house: House) -> None:
    program = a_public_program(house)

    request = program.request(version=EndpointVersion.V1, scope=None, resource=INCIDENTS_API)

    assert (request.resource, request.permissions) == (INCIDENTS_API, ("Incident.Read",))
    assert (request.wants_refresh, request.wants_id_token, request.version) == (
        True,
        True,
        EndpointVersion.V1,
    )


@pytest.mark.parametrize("reference", ["common", "Organizations"])
def test_under_common_the_tenant_is_the_applications(program: Program, reference: str) -> None:
    request = program.request(tenant=reference)

    assert request.tenant == program.house.tenant
    assert request.redirection.issuer is None


# What is refused, and told to the application

MISTAKES: list[tuple[int, str, dict[str, Any]]] = [
    (900144, "invalid_request", {"response_type": None}),
    (70005, "unsupported_response_type", {"response_type": "token"}),
    (70005, "unsupported_response_type", {"response_type": "code id_token"}),
    (70007, "invalid_request", {"response_mode": "web_message"}),
    (9002313, "invalid_request", {"request": "eyJhbGciOiJub25lIn0.e30."}),
    (9002313, "invalid_request", {"request_uri": "https://attacker.example/request"}),
    (9002313, "invalid_request", {"nonce": "n" * 1025}),
    (9002325, "invalid_request", {"code_challenge": None, "code_challenge_method": None}),
    (501491, "invalid_request", {"code_challenge_method": "plain"}),
    (501491, "invalid_request", {"code_challenge_method": None}),
    (501491, "invalid_request", {"code_challenge_method": "s256"}),
    (501491, "invalid_request", {"code_challenge": "x" * 42}),
    (501491, "invalid_request", {"code_challenge": "x" * 44}),
    (501491, "invalid_request", {"code_challenge": "é" * 43}),
    (900144, "invalid_request", {"scope": None}),
    (901002, "invalid_request", {"scope": None, "resource": INCIDENTS_API}),
    (70011, "invalid_scope", {"scope": "Incident.Read"}),
    (70011, "invalid_scope", {"scope": f"{INCIDENTS_API}/.default https://graph.microsoft.com/.default"}),
    (70011, "invalid_scope", {"scope": "/ x/ /x"}),
    (70011, "invalid_scope", {"scope": f"{INCIDENTS_API}/{'x' * 2048}"}),
    (500011, "invalid_resource", {"scope": "https://unknown.example/.default"}),
    (65001, "consent_required", {"scope": f"{INCIDENTS_API}/Incident.ReadWrite"}),
    (65001, "consent_required", {"scope": f"{INCIDENTS_API}/Incident.Read.All"}),
]


@pytest.mark.parametrize(("code", "error", "changes"), MISTAKES)
def test_what_is_wrong_is_told_to_the_application_with_its_state(
    program: Program, code: int, error: str, changes: dict[str, Any]
) -> None:
    refused = refusal(program, **changes)

    assert told(refused) == (code, error)
    assert refused.redirection == Redirection(
        redirect_uri=BACK, response_mode="query", state="a state", issuer=issuer_for(program)
    )


def test_it_is_told_in_the_mode_that_was_asked_for(program: Program) -> None:
    refused = refusal(program, scope="nonsense", response_mode="fragment")

    assert refused.redirection.response_mode == "fragment"


def test_an_application_with_a_secret_may_do_without_a_challenge_but_not_name_a_method_for_none(
    house: House,
) -> None:
    program = a_program_with_a_secret(house)

    assert program.request(code_challenge=None, code_challenge_method=None).code_challenge is None
    assert told(refusal(program, code_challenge=None)) == (501491, "invalid_request")


def test_what_somebody_decides_is_told_to_the_application(program: Program) -> None:
    request = program.request()

    declined, needed = refused_by_user(request), sign_in_needed(request)

    assert (told(declined), declined.redirection) == ((65004, "access_denied"), request.redirection)
    assert (told(needed), needed.redirection) == ((50058, "login_required"), request.redirection)


# What is refused, and told to nobody else


@pytest.mark.parametrize("client_id", [None, "", UNKNOWN_GUID, "' OR 1=1 --"])
@pytest.mark.parametrize("tenant", [None, "common"])
def test_an_application_that_is_not_known_is_sent_nobody(
    program: Program, client_id: str | None, tenant: str | None
) -> None:
    number = told_the_user_alone(program, tenant=tenant, client_id=client_id)

    assert number == (700016 if client_id else 900144)


def test_an_application_of_another_tenant_is_not_known(program: Program) -> None:
    elsewhere = House(program.house.running)

    assert told_the_user_alone(program, tenant=elsewhere.tenant.guid) == 700016


@pytest.mark.parametrize(
    ("tenant", "code"), [("consumers", 50059), ("nonsense", 900023), (UNKNOWN_GUID, 90002)]
)
def test_a_tenant_that_is_not_known_is_refused_as_everywhere(
    program: Program, tenant: str, code: int
) -> None:
    assert told_the_user_alone(program, tenant=tenant) == code


REGISTERED = (
    SITE,
    "https://xn--bcher-kva.example/cb",
    "https://Mixed.Contoso.Example/cb",
    "https://app.contoso.example/with?query=1",
    "http://localhost/back",
    "http://127.0.0.1:1234/cb",
    "http://[::1]/cb",
    "msal6f0c0a52://auth",
    "com.contoso.app:/oauth",
)

GOOD = [
    *REGISTERED,
    "http://localhost:49152/back",
    "http://127.0.0.1/cb",
    "http://127.0.0.1:8080/cb",
    "http://[::1]:65535/cb",
]

TRICKS = [
    "",
    "null",
    # Prefix and suffix.
    f"{SITE}/",
    f"{SITE}/more",
    f"{SITE}.attacker.example",
    SITE[:-1],
    "https://app.contoso.example",
    "https://app.contoso.example.attacker.example/signed-in",
    "https://attacker.example/https://app.contoso.example/signed-in",
    "https://attacker.example/?https://app.contoso.example/signed-in",
    # Queries and fragments.
    f"{SITE}?x=1",
    f"{SITE}?",
    f"{SITE}#",
    f"{SITE}#https://attacker.example",
    "https://app.contoso.example/with?query=2",
    "https://app.contoso.example/with?query=1&more=2",
    "https://app.contoso.example/with",
    # Who is in front of the host.
    "https://app.contoso.example@attacker.example/signed-in",
    "https://user@app.contoso.example/signed-in",
    "https://user:secret@app.contoso.example/signed-in",
    "https://@app.contoso.example/signed-in",
    # Ports and schemes.
    "https://app.contoso.example:8443/signed-in",
    "https://app.contoso.example:443/signed-in",
    "https://app.contoso.example:/signed-in",
    "https://app.contoso.example:x/signed-in",
    "https://app.contoso.example:99999/signed-in",
    "http://app.contoso.example/signed-in",
    "https://localhost/back",
    "javascript:alert(1)//app.contoso.example/signed-in",
    "data:text/html,hello",
    "//app.contoso.example/signed-in",
    "/signed-in",
    "https:/app.contoso.example/signed-in",
    "https:app.contoso.example/signed-in",
    "https:///app.contoso.example/signed-in",
    # Other spellings of the same place: no parser decides here what is the same.
    "HTTPS://app.contoso.example/signed-in",
    "https://App.Contoso.Example/signed-in",
    "https://mixed.contoso.example/cb",
    "https://bücher.example/cb",
    "https://b%C3%BCcher.example/cb",
    "https://XN--BCHER-KVA.example/cb",
    "https://%61pp.contoso.example/signed-in",
    "https://app.contoso.example/%73igned-in",
    "https%3A%2F%2Fapp.contoso.example%2Fsigned-in",
    # Case and encoding of the path.
    "https://app.contoso.example/Signed-In",
    "https://app.contoso.example/signed%2Din",
    # Paths that are not what they seem.
    "https://app.contoso.example/other/../signed-in",
    "https://app.contoso.example/./signed-in",
    "https://app.contoso.example/signed-in/..",
    "https://app.contoso.example/other/%2e%2e/signed-in",
    "https://app.contoso.example//signed-in",
    "https://app.contoso.example\\signed-in",
    "https://app.contoso.example\\@attacker.example/signed-in",
    "https://attacker.example\\.app.contoso.example/signed-in",
    # What parsers take away.
    f" {SITE}",
    f"{SITE} ",
    f"{SITE}\n",
    "https://app.contoso.example/signed\t-in",
    "https://app.contoso.example\r\n/signed-in",
    f"{SITE}\0",
    # Hosts that look alike.
    "https://\u0430pp.contoso.example/signed-in",
    "https://app.contoso.example./signed-in",
    "https://app\u3002contoso.example.attacker.example/signed-in",
    "https://bucher.example/cb",
    # The loopback is only itself.
    "http://localhost.attacker.example/back",
    "http://localhost:80@attacker.example/back",
    "http://127.0.0.1.attacker.example/cb",
    "http://127.0.0.2/cb",
    "http://127.1/cb",
    "http://2130706433/cb",
    "http://localhost/cb",
    "http://127.0.0.1/back",
    "http://localhost:1234/cb",
    "http://[::1]:1234/back",
    "http://LOCALHOST:1234/back",
    "HTTP://localhost:1234/back",
    "https://localhost:1234/back",
    "http://localhost.:1234/back",
    "http://%6cocalhost:1234/back",
    "http://localhost%3A1234/back",
    "http://localhost:1234:1234/back",
    "http://localhost:/back",
    "http://localhost:0/back",
    "http://localhost:01234/back",
    "http://localhost:65536/back",
    "http://localhost:123456/back",
    "http://localhost:+80/back",
    "http://localhost:\u0661\u0662/back",
    "http://localhost:1234@attacker.example/back",
    "http://user@localhost:1234/back",
    "http://localhost:1234\\@attacker.example/back",
    "http://localhost:1234\\back",
    "http://localhost:1234#/back",
    "http://localhost:1234/back#",
    "http://localhost:1234/back?",
    "http://localhost:1234//back",
    "http://localhost:1234/x/../back",
    "http://localhost:1234/./back",
    "http://localhost:1234/%62ack",
    "http://localhost:1234/back\n",
    "http://\tlocalhost:1234/back",
    "//localhost:1234/back",
    "http://[0:0:0:0:0:0:0:1]:1234/cb",
    "http://[::1%25lo]:1234/cb",
    "http://[::1]@attacker.example/cb",
    "http://[::1]attacker.example/cb",
    "http://0.0.0.0:1234/cb",
    "http://localhost:1234/back/more",
    "http://localhost:1234/back?x",
    "http://[::ffff:127.0.0.1]/cb",
    # Schemes of one's own.
    "msal6f0c0a52://auth.attacker",
    "msal6f0c0a52://auth/more",
    "msal6f0c0a53://auth",
    "com.contoso.app:/oauth2",
    "com.contoso.app://oauth",
    f"https://app.contoso.example/{'x' * 2000}",
]


@pytest.fixture(scope="module")
def site(running_house: RunningHouse) -> Program:
    return a_public_program(House(running_house), redirect_uris=REGISTERED)


@pytest.mark.parametrize("sent", GOOD)
def test_the_answer_goes_to_a_registered_address_as_it_was_sent(site: Program, sent: str) -> None:
    assert site.request(redirect_uri=sent).redirect_uri == sent


@pytest.mark.parametrize("trick", TRICKS)
def test_an_address_that_is_not_registered_is_sent_nobody(site: Program, trick: str) -> None:
    assert told_the_user_alone(site, redirect_uri=trick) == 50011


def test_so_is_no_address_at_all(site: Program) -> None:
    assert told_the_user_alone(site, redirect_uri=None) == 50011


def test_an_application_without_addresses_is_sent_nobody(house: House) -> None:
    program = a_public_program(house, redirect_uris=())

    assert told_the_user_alone(program, redirect_uri=BACK) == 50011


def test_what_may_not_be_registered_is_said_with_the_reason(house: House) -> None:
    with pytest.raises(DirectoryError, match=r"the redirect URI 'http://contoso.+' is http, .+ use https"):
        a_public_program(house, redirect_uris=("http://contoso.example/cb",))


def test_a_private_use_scheme_is_for_public_clients(house: House) -> None:
    adding = house.directory.add_application(
        house.tenant, a_name("site"), [], redirect_uris=["com.contoso.app:/oauth"]
    )

    with pytest.raises(DirectoryError, match="public clients"):
        house.running.run(adding)
