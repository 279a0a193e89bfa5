"""Authorization codes at the token endpoint: what they give, and every way of bringing one wrongly."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.database_access import below
from tests.support.house import INCIDENTS_API, Answer, Clock, House, RunningHouse, eventually
from tests.support.sign_in_client import (
    BACK,
    SCOPE,
    Program,
    a_program_with_a_secret,
    a_public_program,
    challenge_of,
    claims_of,
)
from vigie.core.client_secrets import hash_secret
from vigie.core.oauth_records import Consent
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.tokens.refresh_tokens import RefreshTokenRotation

OTHER_VERIFIER = "another-verifier-of-some-length-0123456789-abcdef"


def refused(answer: Answer) -> tuple[int, str, int]:
    """A refusal in three words."""
    return answer.status, answer.json["error"], answer.error_code


@pytest.mark.parametrize("make", [a_public_program, a_program_with_a_secret])
def test_a_code_gives_a_token_that_reads_what_its_user_may_see(house: House, make: object) -> None:
    program = make(house)  # type: ignore[operator]
    seen = house.takes(an_incident(an_alert("servers")))

    tokens = program.tokens_of(house.add_person())

    assert house.get(seen, tokens["access_token"]).json["incidentId"] == seen
    assert {name: tokens[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "scope": f"{INCIDENTS_API}/Incident.Read openid profile",
    }


def test_a_users_token_names_the_application_and_how_it_proved_itself(house: House) -> None:
    user = house.add_person()
    public, confidential = a_public_program(house), a_program_with_a_secret(house)

    claims = [claims_of(each.tokens_of(user)["access_token"]) for each in (public, confidential)]

    assert [each["appid"] for each in claims] == [
        public.application.client_id,
        confidential.application.client_id,
    ]
    assert [each["appidacr"] for each in claims] == ["0", "1"]
    assert {(each["oid"], each["upn"], each["scp"]) for each in claims} == {
        (user.object_id, user.upn, "Incident.Read")
    }


def test_an_id_token_is_for_the_application_and_repeats_the_nonce(house: House) -> None:
    user, program = house.add_person(), a_public_program(house)

    claims = claims_of(program.tokens_of(user, nonce="n-0S6_WzA2Mj")["id_token"])

    assert claims["aud"] == program.application.client_id
    assert (claims["nonce"], claims["preferred_username"], claims["tid"]) == (
        "n-0S6_WzA2Mj",
        user.upn,
        house.tenant.guid,
    )


def test_an_id_token_is_signed_with_a_key_that_discovery_leads_to(house: House) -> None:
    program = a_public_program(house)
    token = program.tokens_of(house.add_person())["id_token"]
    path = f"/{house.tenant.guid}/v2.0/.well-known/openid-configuration"
    document = house.running.request("GET", path).json
    keys = house.running.request("GET", urlsplit(document["jwks_uri"]).path).json["keys"]
    (key,) = (each for each in keys if each["kid"] == jwt.get_unverified_header(token)["kid"])

    claims = jwt.decode(
        token,
        jwt.PyJWK(key, "RS256"),
        algorithms=["RS256"],
        audience=program.application.client_id,
        issuer=document["issuer"],
    )

    assert claims["exp"] > claims["iat"]


def test_an_id_token_opens_no_api(house: House) -> None:
    tokens = a_public_program(house).tokens_of(house.add_person())

    assert house.get("/api/incidents", tokens["id_token"]).status == 401


def test_an_id_token_with_all_claims_of_an_access_token_but_its_type_opens_no_api(house: House) -> None:
    claims = house.claims()
    number = house.takes(an_incident())

    statuses = [
        house.get(number, house.sign({**claims, "idtyp": each})).status for each in ("app", "id", None)
    ]

    assert statuses == [200, 401, 401]
    assert house.get(number, house.sign(house.claims(idtyp=...))).status == 401


def test_nobody_gets_what_was_not_asked_for(house: House) -> None:
    tokens = a_public_program(house).tokens_of(house.add_person(), scope=f"{INCIDENTS_API}/.default")

    assert {"refresh_token", "id_token"}.isdisjoint(tokens)


def test_version_1_gives_all_of_it_and_its_numbers_as_texts(house: House) -> None:
    program, user = a_program_with_a_secret(house), house.add_person()
    code = program.code(user, version=EndpointVersion.V1, scope=None, resource=INCIDENTS_API)

    answer = program.redeems(code, version="", resource=INCIDENTS_API)

    assert answer.status == 200, answer.body
    assert (answer.json["expires_in"], answer.json["resource"], answer.json["scope"]) == (
        "3599",
        INCIDENTS_API,
        "Incident.Read",
    )
    assert claims_of(answer.json["id_token"])["upn"] == user.upn
    assert program.refreshes(answer.json["refresh_token"], version="").status == 200


def test_client_info_names_the_account_where_it_is_asked_for(house: House) -> None:
    program, user = a_public_program(house), house.add_person()

    answer = program.redeems(program.code(user), client_info="1").json

    info = answer["client_info"]
    account = json.loads(base64.urlsafe_b64decode(info + "=" * (-len(info) % 4)))
    assert account == {"uid": user.object_id, "utid": house.tenant.guid}


def test_an_application_gets_no_more_than_an_administrator_allowed_it(house: House) -> None:
    program = a_public_program(house, "Incident.Read")
    scope = f"{INCIDENTS_API}/Incident.Read {INCIDENTS_API}/Incident.ReadWrite"

    tokens = program.tokens_of(house.add_person(), scope=scope)

    assert claims_of(tokens["access_token"])["scp"] == "Incident.Read"
    assert tokens["scope"] == f"{INCIDENTS_API}/Incident.Read"


def test_a_token_may_be_asked_to_do_less_than_was_agreed_to(house: House) -> None:
    program = a_public_program(house, "Incident.Read", "Incident.ReadWrite")
    code = program.code(house.add_person(), scope=f"{INCIDENTS_API}/.default offline_access")

    answer = program.redeems(code, scope=f"{INCIDENTS_API}/Incident.Read").json

    assert claims_of(answer["access_token"])["scp"] == "Incident.Read"
    again = program.refreshes(answer["refresh_token"]).json
    assert claims_of(again["access_token"])["scp"] == "Incident.Read Incident.ReadWrite"


def test_a_token_cannot_do_more_than_was_agreed_to(house: House) -> None:
    program = a_public_program(house, "Incident.Read", "Incident.ReadWrite")
    code = program.code(house.add_person(), scope=f"{INCIDENTS_API}/Incident.Read")

    answer = program.redeems(code, scope=f"{INCIDENTS_API}/Incident.ReadWrite")

    assert refused(answer) == (400, "invalid_grant", 65001)


@pytest.mark.parametrize("reference", ["common", "organizations"])
def test_the_tenant_may_be_left_to_the_application(house: House, reference: str) -> None:
    program, user = a_public_program(house), house.add_person()
    code = program.code(user)
    form: dict[str, Any] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": program.verifier,
    }

    answer = program.asks(form, tenant=reference)

    assert claims_of(answer.json["access_token"])["tid"] == house.tenant.guid


# Attacks


def test_a_code_that_comes_again_ends_the_tokens_that_came_of_it(house: House) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())
    tokens = program.redeems(code).json
    seen = house.takes(an_incident(an_alert("servers")))
    assert house.get(seen, tokens["access_token"]).status == 200

    answer = program.redeems(code)

    assert refused(answer) == (400, "invalid_grant", 54005)
    assert refused(program.refreshes(tokens["refresh_token"])) == (400, "invalid_grant", 50173)
    assert eventually(lambda: house.get(seen, tokens["access_token"]).status == 401)


def test_a_code_that_comes_again_from_somebody_without_the_verifier_ends_them_too(house: House) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())
    tokens = program.redeems(code).json

    answer = program.redeems(code, code_verifier=None)

    assert answer.error_code == 54005
    assert program.refreshes(tokens["refresh_token"]).error_code == 50173


def test_of_two_who_bring_a_code_at_the_same_moment_neither_keeps_what_it_got(house: House) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: program.redeems(code), range(8)))

    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200, *[400] * 7]
    # A request that comes when the family has ended already finds nothing any more.
    refusals = {answer.error_code for answer in answers if answer.status == 400}
    assert 54005 in refusals <= {54005, 70000}
    (tokens,) = (answer.json for answer in answers if answer.status == 200)
    assert program.refreshes(tokens["refresh_token"]).error_code == 50173


def test_a_code_that_was_found_and_then_redeemed_by_another_ends_what_that_got(house: House) -> None:
    program, user = a_public_program(house), house.add_person()
    sha256, records = hash_secret(program.code(user)), house.running.installation.sign_ins
    lives = RefreshTokenRotation(
        access_ticks=10, idle_ticks=10, absolute_ticks=10, retry_ticks=0, is_single_use=False
    )

    def redeem() -> tuple[bool, str]:
        family, _ = lives.begin(
            client_id=program.application.client_id,
            object_id=user.object_id,
            consent=Consent(resource=INCIDENTS_API, permissions=(), scope=()),
            signed_in_at=house.now(),
            now=house.now(),
        )
        return house.running.run(records.redeem(house.tenant, sha256, family, house.now())), family.family_id

    (first, family_id), (second, _) = redeem(), redeem()

    assert (first, second) == (True, False)
    assert not house.running.run(records.has_family(house.tenant, family_id))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code_verifier": OTHER_VERIFIER}, 501481),
        ({"code_verifier": None}, 501481),
        ({"code_verifier": ""}, 501481),
        ({"code_verifier": "short"}, 501481),
        ({"code_verifier": "é" * 43}, 501481),
        ({"redirect_uri": "http://localhost/other"}, 500112),
        ({"redirect_uri": "http://localhost:1/back"}, 500112),
        ({"redirect_uri": None}, 500112),
        ({"scope": "nonsense"}, 70011),
        ({"scope": "https://graph.microsoft.com/.default"}, 65001),
    ],
)
def test_what_is_wrong_with_a_code_is_refused_and_ends_it(
    house: House, changes: dict[str, Any], code: int
) -> None:
    program = a_public_program(house)
    issued = program.code(house.add_person())

    first, second = program.redeems(issued, **changes), program.redeems(issued)

    assert (first.status, first.error_code) == (400, code)
    assert refused(second) == (400, "invalid_grant", 70000)


def test_the_challenge_itself_is_no_verifier(house: House) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())

    answer = program.redeems(code, code_verifier=challenge_of(program.verifier))

    assert answer.error_code == 501481


def test_a_code_asked_for_without_a_challenge_takes_no_verifier(house: House) -> None:
    program, user = a_program_with_a_secret(house), house.add_person()
    without: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}

    answer = program.redeems(program.code(user, **without))

    assert refused(answer) == (400, "invalid_grant", 501481)
    assert program.redeems(program.code(user, **without), code_verifier=None).status == 200


def test_a_code_is_good_for_the_application_alone_that_asked_for_it(house: House) -> None:
    victim, thief = a_public_program(house), a_public_program(house)
    code = victim.code(house.add_person())

    answer = thief.redeems(code, code_verifier=victim.verifier)

    assert refused(answer) == (400, "invalid_grant", 70000)


def test_a_code_of_another_tenant_is_not_known(house: House) -> None:
    elsewhere = House(house.running)
    code = a_public_program(elsewhere).code(elsewhere.add_person())

    answer = a_public_program(house).redeems(code)

    assert refused(answer) == (400, "invalid_grant", 70000)


@pytest.mark.parametrize(("secret", "code"), [(None, 7000218), ("", 7000218), ("wrong", 7000215)])
def test_a_program_with_a_secret_proves_itself_before_its_code_is_looked_at(
    house: House, secret: str | None, code: int
) -> None:
    program = a_program_with_a_secret(house)
    issued = program.code(house.add_person())

    answer = program.redeems(issued, client_secret=secret)

    assert refused(answer) == (401, "invalid_client", code)
    assert program.redeems(issued).status == 200


def test_a_public_program_must_not_bring_a_secret(house: House) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())

    answer = program.redeems(code, client_secret="anything")

    assert refused(answer) == (401, "invalid_client", 700025)
    assert program.redeems(code).status == 200


def test_a_public_program_gets_no_token_for_itself(house: House) -> None:
    program = a_public_program(house)
    form: dict[str, Any] = {"grant_type": "client_credentials", "scope": f"{INCIDENTS_API}/.default"}

    assert program.asks(form).error_code == 7000216
    assert program.asks({**form, "client_secret": "guess"}).error_code == 700025


@pytest.mark.parametrize("code", ["", "x", "x" * 60_000, "é\U0001f6a8", "null", "%00"])
def test_what_was_never_a_code_is_refused(house: House, code: str) -> None:
    answer = a_public_program(house).redeems(code)

    assert answer.status == 400
    assert answer.error_code == (70000 if code else 900144)


@pytest.mark.parametrize(
    "name", ["code", "code_verifier", "client_secret", "refresh_token", "device_code", "client_assertion"]
)
def test_a_secret_in_the_query_string_is_refused(house: House, name: str) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())
    form: dict[str, Any] = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}

    answer = program.asks(form, query=f"?{name}=anything")

    assert refused(answer) == (400, "invalid_request", 900144)
    assert name in answer.json["error_description"]
    assert "anything" not in answer.json["error_description"]


def test_a_token_in_the_query_string_opens_nothing(house: House) -> None:
    token = a_public_program(house).tokens_of(house.add_person())["access_token"]

    assert house.get(f"/api/incidents?access_token={token}", None).status == 401


# What ends tokens


@pytest.fixture
def signed_in(house: House) -> tuple[Program, dict[str, str]]:
    program = a_public_program(house)
    return program, program.tokens_of(house.add_person())


def ends_at_once(program: Program, tokens: dict[str, str]) -> bool:
    """Whether refreshing is refused, and the access token good no more within the stated time."""
    house = program.house
    refreshing = program.refreshes(tokens["refresh_token"])
    assert refreshing.json["error"] in ("invalid_grant", "unauthorized_client"), refreshing.body
    return eventually(lambda: house.get("/api/incidents", tokens["access_token"]).status == 401)


def test_a_new_password_ends_what_was_begun_with_the_old_one(house: House) -> None:
    program, user = a_public_program(house), house.add_person()
    tokens, code = program.tokens_of(user), program.code(user)

    house.set_password(user, "another quiet harbour")

    assert program.redeems(code).error_code == 70000
    assert ends_at_once(program, tokens)


def test_a_removed_user_ends_their_tokens(house: House) -> None:
    program, user = a_public_program(house), house.add_person()
    tokens, code = program.tokens_of(user), program.code(user)

    house.running.run(house.directory.remove_user(house.tenant, user))

    assert program.redeems(code).error_code == 70000
    assert ends_at_once(program, tokens)


def test_a_removed_application_ends_its_tokens(signed_in: tuple[Program, dict[str, str]]) -> None:
    program, tokens = signed_in
    house = program.house

    house.running.run(house.directory.remove_application(house.tenant, program.application))

    assert ends_at_once(program, tokens)


def test_what_an_application_may_ask_for_no_more_is_not_refreshed(house: House) -> None:
    program = a_public_program(house, "Incident.Read", "Incident.ReadWrite")
    tokens = program.tokens_of(house.add_person(), scope=f"{INCIDENTS_API}/.default offline_access")

    house.running.run(
        house.directory.update_application(house.tenant, program.application, permissions=["Incident.Read"])
    )

    again = program.refreshes(tokens["refresh_token"]).json
    assert claims_of(again["access_token"])["scp"] == "Incident.Read"


# Time


@pytest.fixture(scope="module")
def clocked(store: str, tmp_path_factory: pytest.TempPathFactory) -> object:
    with RunningHouse(tmp_path_factory.mktemp("clocked"), clock=Clock()) as running:
        yield running


def test_a_code_expires(clocked: RunningHouse) -> None:
    house = House(clocked)
    program = a_public_program(house)
    user = house.add_person()
    assert clocked.clock is not None
    in_time, late = program.code(user), program.code(user)

    clocked.clock.forward(seconds=119)
    answers = [program.redeems(in_time)]
    clocked.clock.forward(seconds=1)
    answers.append(program.redeems(late))

    assert answers[0].status == 200
    assert refused(answers[1]) == (400, "invalid_grant", 70008)


def test_codes_that_have_expired_are_forgotten_when_others_come(clocked: RunningHouse) -> None:
    house = House(clocked)
    program, user = a_public_program(house), house.add_person()
    assert clocked.clock is not None
    for _ in range(3):
        program.code(user)
        program.shows_code()
    clocked.clock.forward(seconds=900 + 3600)
    program.code(user)
    program.shows_code()

    assert [rows_of(house, table) for table in ("authorization_code", "device_code")] == [1, 1]


def rows_of(house: House, table: str) -> int:
    """How many rows a table has of a tenant: looked up in the file itself."""
    query = f"SELECT count(*) FROM {table} WHERE tenant_id = {house.tenant.tenant_id}"
    return int(below(house.running.settings.database).rows(query)[0][0])


def test_the_scope_that_msal_asks_with_is_answered_as_it_was_asked(house: House) -> None:
    program = a_public_program(house)

    tokens = program.tokens_of(house.add_person(), scope=SCOPE.replace("Incident.Read ", ".default "))

    assert set(tokens["scope"].split()) == {
        f"{INCIDENTS_API}/.default",
        f"{INCIDENTS_API}/Incident.Read",
        "openid",
        "profile",
    }
