"""Devices without a browser: their codes, what they hear while they wait, and who may guess how often."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import INCIDENTS_API, Answer, Clock, House, RunningHouse, eventually
from tests.support.sign_in_client import (
    DEVICE_GRANT,
    Program,
    a_program_with_a_secret,
    a_public_program,
    claims_of,
)
from vigie.config.settings import IdentitySettings
from vigie.core.oauth_records import DeviceDecision
from vigie.identity.sign_in.refusals import DeviceNotWaiting, SignInRefused, UserOfAnotherTenant

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
XSOAR_SCOPE = "offline_access https://security.microsoft.com/mtp/.default"


@pytest.fixture(scope="module")
def clocked(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    with RunningHouse(tmp_path_factory.mktemp("clocked"), clock=Clock()) as running:
        yield running


@pytest.fixture
def timed(clocked: RunningHouse) -> House:
    """A house in which an hour has passed: limits of other tests are over."""
    forward(clocked, 3601)
    return House(clocked)


def forward(running: RunningHouse, seconds: float) -> None:
    assert running.clock is not None
    running.clock.forward(seconds=seconds)


def begun(house: House) -> tuple[Program, dict[str, Any]]:
    program = a_public_program(house)
    answer = program.shows_code()
    assert answer.status == 200, answer.body
    return program, answer.json


def refused(answer: Answer) -> tuple[int, str, int]:
    return answer.status, answer.json["error"], answer.error_code


def test_a_device_is_told_what_to_show_and_when_to_ask(timed: House) -> None:
    _, shown = begun(timed)

    address = f"{timed.running.url}/devicelogin"
    assert (shown["verification_uri"], shown["expires_in"], shown["interval"]) == (address, 900, 5)
    assert re.fullmatch(rf"[{LETTERS}]{{4}}-[{LETTERS}]{{4}}", shown["user_code"])
    assert address in shown["message"]
    assert shown["user_code"] in shown["message"]


def test_version_1_is_told_so_in_its_own_words(timed: House) -> None:
    program = a_public_program(timed)

    shown = program.shows_code(version="", scope=None, resource=INCIDENTS_API).json

    assert (shown["verification_url"], shown["expires_in"], shown["interval"]) == (
        f"{timed.running.url}/devicelogin",
        "900",
        "5",
    )
    program.approve(shown["user_code"], timed.add_person())
    form: dict[str, Any] = {"grant_type": "device_code", "code": shown["device_code"]}
    answer = program.asks({**form, "resource": INCIDENTS_API}, version="")
    assert answer.status == 200, answer.body
    assert {"refresh_token", "id_token", "access_token"} <= answer.json.keys()


def test_a_device_waits_until_somebody_agrees_and_then_reads(timed: House) -> None:
    program, shown = begun(timed)
    number = timed.takes(an_incident(an_alert("servers")))
    user = timed.add_person()

    waiting = program.polls(shown["device_code"])
    program.approve(shown["user_code"].lower().replace("-", " "), user)
    answer = program.polls(shown["device_code"])

    assert refused(waiting) == (400, "authorization_pending", 70016)
    assert answer.status == 200, answer.body
    assert claims_of(answer.json["access_token"])["upn"] == user.upn
    assert timed.get(number, answer.json["access_token"]).status == 200
    assert program.refreshes(answer.json["refresh_token"]).status == 200


def test_the_flow_of_cortex_xsoar_ends_at_organizations(timed: House) -> None:
    program = a_public_program(timed)
    shown = program.shows_code(tenant="organizations", scope=XSOAR_SCOPE).json
    program.approve(shown["user_code"], timed.add_person())

    answer = program.polls(shown["device_code"], tenant="organizations")
    again = program.asks(
        {"grant_type": "refresh_token", "refresh_token": answer.json["refresh_token"]}, tenant="organizations"
    )

    assert claims_of(answer.json["access_token"])["aud"] == "https://security.microsoft.com/mtp"
    assert claims_of(again.json["access_token"])["aud"] == "https://security.microsoft.com/mtp"


def test_a_device_that_asks_too_often_is_told_to_slow_down(timed: House) -> None:
    program, shown = begun(timed)
    program.polls(shown["device_code"])

    at_once = program.polls(shown["device_code"])
    forward(timed.running, 5)
    later = program.polls(shown["device_code"])

    assert refused(at_once) == (400, "slow_down", 50196)
    assert refused(later) == (400, "authorization_pending", 70016)


def test_a_device_that_was_refused_hears_it(timed: House) -> None:
    program, shown = begun(timed)
    timed.running.run(program.sign_in.refuse_device(shown["user_code"], now=timed.now()))

    answer = program.polls(shown["device_code"])

    assert refused(answer) == (400, "authorization_declined", 65004)


def test_a_device_code_expires(timed: House) -> None:
    program, shown = begun(timed)
    forward(timed.running, 900)

    assert refused(program.polls(shown["device_code"])) == (400, "expired_token", 70020)


def test_an_approval_that_comes_too_late_is_none(timed: House) -> None:
    program, shown = begun(timed)
    user = timed.add_person()
    forward(timed.running, 900)

    with pytest.raises(DeviceNotWaiting):
        program.approve(shown["user_code"], user)


def test_an_approved_code_that_nobody_fetches_expires_too(timed: House) -> None:
    program, shown = begun(timed)
    program.approve(shown["user_code"], timed.add_person())
    forward(timed.running, 900)

    assert program.polls(shown["device_code"]).error_code == 70020


def test_a_device_code_that_comes_again_ends_its_tokens(timed: House) -> None:
    program, shown = begun(timed)
    program.approve(shown["user_code"], timed.add_person())
    tokens = program.polls(shown["device_code"]).json

    answer = program.polls(shown["device_code"])

    assert refused(answer) == (400, "invalid_grant", 54005)
    assert program.refreshes(tokens["refresh_token"]).error_code == 50173
    assert eventually(lambda: timed.get("/api/incidents", tokens["access_token"]).status == 401)


def test_what_was_decided_once_stays(timed: House) -> None:
    program, shown = begun(timed)
    user = timed.add_person()
    timed.running.run(program.sign_in.refuse_device(shown["user_code"], now=timed.now()))

    with pytest.raises(DeviceNotWaiting):
        program.approve(shown["user_code"], user)
    with pytest.raises(DeviceNotWaiting):
        timed.running.run(program.sign_in.refuse_device(shown["user_code"], now=timed.now()))
    assert program.polls(shown["device_code"]).error_code == 65004


def test_of_two_who_decide_at_once_one_does_and_too_late_nobody_does(timed: House) -> None:
    records, user = timed.running.installation.sign_ins, timed.add_person()

    def decide(user_code: str, decision: DeviceDecision) -> bool:
        code = user_code.replace("-", "")
        return timed.running.run(records.decide_device_code(timed.tenant, code, decision, user, timed.now()))

    _, first = begun(timed)
    _, second = begun(timed)
    decided = [decide(first["user_code"], each) for each in (DeviceDecision.REFUSED, DeviceDecision.APPROVED)]
    forward(timed.running, 900)

    assert decided == [True, False]
    assert not decide(second["user_code"], DeviceDecision.APPROVED)


def test_a_device_code_is_good_for_its_application_alone(timed: House) -> None:
    program, shown = begun(timed)
    program.approve(shown["user_code"], timed.add_person())

    answer = a_public_program(timed).polls(shown["device_code"])

    assert refused(answer) == (400, "bad_verification_code", 70018)
    assert program.polls(shown["device_code"]).status == 200


@pytest.mark.parametrize("device_code", ["x", "x" * 60_000, "é\U0001f6a8"])
def test_what_was_never_a_device_code_is_refused(timed: House, device_code: str) -> None:
    assert refused(a_public_program(timed).polls(device_code)) == (400, "bad_verification_code", 70018)


def test_the_code_that_people_type_is_no_device_code(timed: House) -> None:
    program, shown = begun(timed)
    program.approve(shown["user_code"], timed.add_person())

    assert program.polls(shown["user_code"]).error_code == 70018


def test_an_application_with_a_secret_needs_it_to_fetch_the_tokens(timed: House) -> None:
    program = a_program_with_a_secret(timed)
    shown = program.shows_code().json
    program.approve(shown["user_code"], timed.add_person())

    answer = program.polls(shown["device_code"], client_secret=None)

    assert refused(answer) == (401, "invalid_client", 7000218)
    assert program.polls(shown["device_code"]).status == 200


def test_a_user_of_another_tenant_approves_nothing(timed: House) -> None:
    program, shown = begun(timed)
    elsewhere = House(timed.running)
    stranger = a_public_program(elsewhere).signed_in(elsewhere.add_person())

    with pytest.raises(UserOfAnotherTenant):
        timed.running.run(program.sign_in.approve_device(shown["user_code"], stranger, now=timed.now()))

    assert program.polls(shown["device_code"]).error_code == 70016


def test_a_user_who_enters_a_code_is_shown_who_asks_for_what(timed: House) -> None:
    program, shown = begun(timed)

    found = timed.running.run(
        program.sign_in.find_device_request(shown["user_code"], address="192.0.2.1", now=timed.now())
    )

    assert found is not None
    assert (found.tenant, found.application) == (timed.tenant, program.application)
    assert (found.permissions, found.resource, found.wants_refresh) == (
        ("Incident.Read",),
        INCIDENTS_API,
        True,
    )


@pytest.mark.parametrize("changes", [{"scope": None}, {"scope": "nonsense"}, {"client_id": None}])
def test_a_device_that_asks_for_nothing_gets_no_code(timed: House, changes: dict[str, Any]) -> None:
    assert a_public_program(timed).shows_code(**changes).status == 400


# Guessing


def test_guessing_codes_from_one_address_is_bounded(timed: House) -> None:
    program, shown = begun(timed)

    def find(address: str, code: str = "BBBB-BBBB") -> object:
        return timed.running.run(program.sign_in.find_device_request(code, address=address, now=timed.now()))

    for _ in range(20):
        assert find("198.51.100.7") is None
    with pytest.raises(SignInRefused) as caught:
        find("198.51.100.7", shown["user_code"])

    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after.total_seconds() <= 60
    assert find("198.51.100.8", shown["user_code"]) is not None


def test_a_network_of_ipv6_is_one_address(timed: House) -> None:
    program, _ = begun(timed)

    def guess(host: int) -> object:
        address = f"2001:db8:0:1::{host:x}"
        return timed.running.run(
            program.sign_in.find_device_request("BBBB-BBBB", address=address, now=timed.now())
        )

    for host in range(20):
        guess(host)
    with pytest.raises(SignInRefused):
        guess(99)


def test_asking_for_codes_from_one_address_is_bounded(tmp_path_factory: pytest.TempPathFactory) -> None:
    identity = IdentitySettings(device_codes_per_minute=3)
    with RunningHouse(tmp_path_factory.mktemp("few"), identity=identity) as running:
        program = a_public_program(House(running))
        answers = [program.shows_code() for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].error_code == 90055
    assert answers[-1].header("retry-after") == "60"


def test_discovery_names_the_endpoint_and_the_grants(house: House) -> None:
    path = f"/{house.tenant.guid}/v2.0/.well-known/openid-configuration"

    document = house.running.request("GET", path).json

    assert document["device_authorization_endpoint"].endswith(f"/{house.tenant.guid}/oauth2/v2.0/devicecode")
    assert document["grant_types_supported"] == [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        DEVICE_GRANT,
        "device_code",
    ]
    assert document["code_challenge_methods_supported"] == ["S256"]
