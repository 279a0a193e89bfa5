"""Refresh tokens at the token endpoint: good until their sign-in ends, or each once, where an old one ends all."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.database_access import below
from tests.support.house import INCIDENTS_API, Clock, House, RunningHouse, eventually
from tests.support.sign_in_client import (
    Program,
    a_program_with_a_secret,
    a_public_program,
    claims_of,
)
from vigie.config.settings import IdentitySettings
from vigie.identity.tokens.refresh_tokens import read_refresh_token

DAY = 86_400


@pytest.fixture(scope="module")
def clocked(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    identity = IdentitySettings(revocation_seconds=0.1, refresh_idle_days=10, refresh_days=25)
    with RunningHouse(tmp_path_factory.mktemp("clocked"), clock=Clock(), identity=identity) as running:
        yield running


@pytest.fixture
def timed(clocked: RunningHouse) -> House:
    return House(clocked)


@pytest.fixture(scope="module")
def single_use(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    identity = IdentitySettings(revocation_seconds=0.1, refresh_tokens="single-use")
    with RunningHouse(tmp_path_factory.mktemp("single-use"), clock=Clock(), identity=identity) as running:
        yield running


@pytest.fixture
def strict(single_use: RunningHouse) -> House:
    """A house where each refresh token is good once."""
    return House(single_use)


def forward(house: House, seconds: float) -> None:
    assert house.running.clock is not None
    house.running.clock.forward(seconds=seconds)


def begun(house: House) -> tuple[Program, str]:
    """A program, and its first refresh token."""
    program = a_public_program(house)
    return program, program.tokens_of(house.add_person())["refresh_token"]


def next_of(program: Program, token: str) -> str:
    answer = program.refreshes(token)
    assert answer.status == 200, answer.body
    return str(answer.json["refresh_token"])


@pytest.mark.parametrize("make", [a_public_program, a_program_with_a_secret])
@pytest.mark.parametrize("mode", ["reusable", "single-use"])
def test_a_refresh_token_gives_new_tokens_and_the_one_to_go_on_with(
    timed: House, strict: House, mode: str, make: Callable[[House], Program]
) -> None:
    house = timed if mode == "reusable" else strict
    program = make(house)
    first = program.tokens_of(house.add_person())

    second = program.refreshes(first["refresh_token"]).json

    assert (second["refresh_token"] == first["refresh_token"]) == (mode == "reusable")
    assert house.get("/api/incidents", second["access_token"]).status == 200
    same = ("oid", "appid", "appidacr", "scp", "sid", "aud")
    assert [claims_of(second["access_token"])[name] for name in same] == [
        claims_of(first["access_token"])[name] for name in same
    ]


def test_a_refresh_without_a_scope_is_for_the_resource_that_was_agreed_to(house: House) -> None:
    program = a_public_program(house)
    scope = "offline_access https://security.microsoft.com/mtp/.default"
    tokens = program.tokens_of(house.add_person(), scope=scope)

    answer = program.refreshes(tokens["refresh_token"], scope=None)

    claims = claims_of(answer.json["access_token"])
    assert (claims["aud"], claims["scp"]) == ("https://security.microsoft.com/mtp", "Incident.Read")


def test_a_refresh_may_name_the_same_api_by_another_of_its_names(house: House) -> None:
    program, token = begun(house)

    answer = program.refreshes(token, scope=f"{house.running.url}/.default offline_access openid")

    assert claims_of(answer.json["access_token"])["aud"] == house.running.url


@pytest.mark.parametrize(
    "scope", ["https://graph.microsoft.com/.default", f"{INCIDENTS_API}/Incident.ReadWrite"]
)
def test_a_refresh_gives_nothing_that_was_not_agreed_to(house: House, scope: str) -> None:
    program, token = begun(house)

    answer = program.refreshes(token, scope=scope)

    assert (answer.status, answer.json["error"], answer.error_code) == (400, "invalid_grant", 65001)
    assert program.refreshes(token).status == 200


@pytest.mark.parametrize(
    ("version", "scope", "answered"),
    [
        ("/v2.0", None, (400, "invalid_request", [901002])),
        ("/v2.0", f"{INCIDENTS_API}/.default", (200, None, None)),
        ("", None, (200, None, None)),
    ],
)
def test_version_2_knows_no_resource_but_beside_a_scope(
    house: House, version: str, scope: str | None, answered: object
) -> None:
    program, token = begun(house)

    answer = program.refreshes(token, version=version, scope=scope, resource=INCIDENTS_API).json

    said = (answer.get("error"), answer.get("error_codes"))
    assert (400 if answer.get("error") else 200, *said) == answered


def test_organizations_will_do_for_the_tenant(house: House) -> None:
    program, token = begun(house)

    answer = program.asks({"grant_type": "refresh_token", "refresh_token": token}, tenant="organizations")

    assert answer.status == 200


# Reuse


def test_the_first_refresh_token_stays_good_however_often_it_is_sent(timed: House) -> None:
    program, first = begun(timed)

    for seconds in (0, 60, 3600, 8 * DAY, 8 * DAY):
        forward(timed, seconds)
        answer = program.refreshes(first)
        assert answer.status == 200, answer.body
        assert program.refreshes(answer.json["refresh_token"]).status == 200
        assert timed.get("/api/incidents", answer.json["access_token"]).status == 200


def test_by_default_a_refresh_token_is_good_for_90_days_used_or_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with RunningHouse(tmp_path_factory.mktemp("default"), clock=Clock()) as running:
        house = House(running)
        program, token = begun(house)
        forward(house, 90 * DAY - 1)
        last = program.refreshes(token).status
        forward(house, 1)

        assert (last, program.refreshes(token).error_code) == (200, 700082)


def test_a_reusable_one_that_is_made_up_is_refused_and_ends_nothing(timed: House) -> None:
    program, first = begun(timed)
    token = read_refresh_token(first)
    assert token is not None

    answer = program.refreshes(f"{token.handle}.{'x' * 43}")

    assert (answer.status, answer.json["error"], answer.error_code) == (400, "invalid_grant", 50173)
    assert program.refreshes(first).status == 200


def test_an_old_refresh_token_ends_the_family(strict: House) -> None:
    program, first = begun(strict)
    second = next_of(program, first)
    answer = program.refreshes(second)
    third, access_token = answer.json["refresh_token"], answer.json["access_token"]
    forward(strict, 11)

    reused = program.refreshes(first)

    assert (reused.status, reused.json["error"], reused.error_code) == (400, "invalid_grant", 50173)
    assert program.refreshes(third).error_code == 50173
    assert eventually(lambda: strict.get("/api/incidents", access_token).status == 401)


def test_an_old_one_ends_it_at_any_time_once_its_successor_was_used(strict: House) -> None:
    program, first = begun(strict)
    third = next_of(program, next_of(program, first))

    assert program.refreshes(first).error_code == 50173
    assert program.refreshes(third).error_code == 50173


def test_one_whose_answer_was_lost_may_come_again_for_a_moment_and_gets_the_same(strict: House) -> None:
    program, first = begun(strict)
    second = next_of(program, first)
    forward(strict, 9)

    again = next_of(program, first)

    assert again == second
    assert program.refreshes(second).status == 200


def test_after_that_moment_it_ends_the_family(strict: House) -> None:
    program, first = begun(strict)
    second = next_of(program, first)
    forward(strict, 10)

    assert program.refreshes(first).error_code == 50173
    assert program.refreshes(second).error_code == 50173


def test_threads_that_refresh_at_once_get_one_successor(strict: House) -> None:
    program, first = begun(strict)

    with ThreadPoolExecutor(4) as threads:
        successors = set(threads.map(lambda _: next_of(program, first), range(8)))

    assert len(successors) == 1
    assert program.refreshes(successors.pop()).status == 200


def test_no_retry_at_all_where_it_is_set_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    identity = IdentitySettings(revocation_seconds=0.1, refresh_tokens="single-use", refresh_retry_seconds=0)
    with RunningHouse(tmp_path_factory.mktemp("no-retry"), identity=identity) as running:
        program, first = begun(House(running))
        second = next_of(program, first)

        assert program.refreshes(first).error_code == 50173
        assert program.refreshes(second).error_code == 50173


def test_a_guessed_secret_of_a_known_family_ends_it(strict: House) -> None:
    program, first = begun(strict)
    token = read_refresh_token(first)
    assert token is not None

    answer = program.refreshes(f"{token.handle}.{'x' * 43}")

    assert answer.error_code == 50173
    assert program.refreshes(first).error_code == 50173


def test_nothing_in_an_access_token_names_the_family_to_those_who_would_end_it(strict: House) -> None:
    program = a_public_program(strict)
    tokens = program.tokens_of(strict.add_person())
    family_id = claims_of(tokens["access_token"])["sid"]

    program.refreshes(f"{family_id}.{'x' * 43}")

    assert program.refreshes(tokens["refresh_token"]).status == 200


# Whose it is


def test_a_refresh_token_is_good_for_its_application_alone(house: House) -> None:
    program, token = begun(house)

    answer = a_public_program(house).refreshes(token)

    assert (answer.json["error"], answer.error_code) == ("invalid_grant", 70000)
    assert program.refreshes(token).status == 200


def test_a_refresh_token_of_another_tenant_is_not_known(house: House) -> None:
    _, token = begun(House(house.running))

    assert a_public_program(house).refreshes(token).error_code == 50173


@pytest.mark.parametrize("secret", [None, "wrong"])
def test_an_application_with_a_secret_needs_it_for_every_refresh(house: House, secret: str | None) -> None:
    program = a_program_with_a_secret(house)
    token = program.tokens_of(house.add_person())["refresh_token"]

    answer = program.refreshes(token, client_secret=secret)

    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert program.refreshes(token).status == 200


@pytest.mark.parametrize("token", ["x", ".", "a.", ".b", "a" * 201, "é.é" * 1000, "a" * 60_000])
def test_what_was_never_a_refresh_token_is_refused(house: House, token: str) -> None:
    answer = a_public_program(house).refreshes(token)

    assert (answer.status, answer.json["error"], answer.error_code) == (400, "invalid_grant", 9002313)


def test_an_administrator_may_end_what_a_user_allowed(house: House) -> None:
    program, user = a_public_program(house), house.add_person()
    tokens = program.tokens_of(user)
    records = house.running.installation.sign_ins

    ended = house.running.run(records.end_families(house.tenant, user, program.application))

    assert ended == 1
    assert program.refreshes(tokens["refresh_token"]).error_code == 50173
    assert eventually(lambda: house.get("/api/incidents", tokens["access_token"]).status == 401)


# Time


def test_a_refresh_token_that_nobody_uses_expires(timed: House) -> None:
    program, first = begun(timed)
    forward(timed, 10 * DAY)

    answer = program.refreshes(first)

    assert (answer.json["error"], answer.error_code) == ("invalid_grant", 700082)


def test_however_often_it_is_refreshed_there_is_an_end(timed: House) -> None:
    program, token = begun(timed)
    for _ in range(3):
        forward(timed, 8 * DAY)
        token = next_of(program, token)
    forward(timed, DAY)

    assert program.refreshes(token).error_code == 700082


def test_an_access_token_is_good_as_long_as_it_says_even_at_the_end_of_its_family(timed: House) -> None:
    program, token = begun(timed)
    for _ in range(3):
        forward(timed, 8 * DAY)
        token = next_of(program, token)
    forward(timed, DAY - 10)
    access_token = program.refreshes(token).json["access_token"]
    forward(timed, 3800)
    begun(timed)

    assert timed.get("/api/incidents", access_token).status == 200


def test_what_has_ended_is_forgotten_when_others_begin(timed: House) -> None:
    for _ in range(2):
        begun(timed)
    forward(timed, 26 * DAY)
    begun(timed)

    assert families_of(timed) == 1


def families_of(house: House) -> int:
    """How many families are kept of a tenant: looked up in the file itself."""
    query = f"SELECT count(*) FROM token_family WHERE tenant_id = {house.tenant.tenant_id}"
    return int(below(house.running.settings.database).rows(query)[0][0])


def test_no_secret_is_kept_in_the_store(house: House) -> None:
    program = a_public_program(house)
    code = program.code(house.add_person())
    tokens = program.redeems(code).json
    second = program.refreshes(tokens["refresh_token"]).json

    kept = below(house.running.settings.database).everything()

    for secret in (code, *tokens["refresh_token"].split("."), *second["refresh_token"].split(".")):
        assert secret.encode() not in kept
