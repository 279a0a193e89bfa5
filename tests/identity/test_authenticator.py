"""The authenticator: a token checked once, remembered within bounds, forgotten when anything changes."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import READ_ALL, House, RunningHouse, a_key_ring, eventually, from_base64
from tests.support.sign_in_client import a_public_program
from tests.support.updating import WRITE_ALL
from vigie.core.access import WHOLE_TENANT, Caller, CallerKind, Exposure
from vigie.core.errors import InvalidToken
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.authenticator import Authenticator, key_of
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.keys.key_ring import KeyRing, new_key, rotated
from vigie.runtime.clock import now
from vigie.runtime.installation import opened


class Lookup:
    """The callers of a house, as its server knows them, and how often the cache was asked."""

    def __init__(self, house: House, *, size_max: int = 100, directory: object = None) -> None:
        self._house = house
        self.counted: Counter[str] = Counter()
        self.callers = Authenticator(
            cast("DirectoryRepository", directory or house.directory),
            house.running.installation.sign_ins,
            a_key_ring(),
            issuer=house.running.run(house.running.installation.issuer()),
            clock_skew_ticks=300 * TICKS_PER_SECOND,
            size_max=size_max,
            count_lookup=lambda result: self.counted.update([result]),
        )
        self.refresh()

    def refresh(self, ring: KeyRing | None = None) -> None:
        self._house.running.run(self.callers.refresh(ring or a_key_ring()))

    def caller(self, token: str, *, at: Instant | None = None) -> Caller:
        return self._house.running.run(self.callers.find_caller(token, at or now())).caller

    def refusal(self, token: str, *, at: Instant | None = None) -> str | None:
        try:
            self.caller(token, at=at)
        except InvalidToken as refused:
            return refused.detail
        return None


class AskedDirectory:
    """The directory of a house, and how often it was asked what."""

    def __init__(self, house: House) -> None:
        self._directory = house.directory
        self.counted: Counter[str] = Counter()

    def __getattr__(self, question: str) -> Any:
        self.counted.update([question])
        return getattr(self._directory, question)


class OvertakenDirectory:
    """The directory of a house, whose next answer about its version is held back until it is let go."""

    def __init__(self, house: House) -> None:
        self._directory = house.directory
        self.held: asyncio.Event | None = None
        self.is_holding = asyncio.Event()

    def __getattr__(self, question: str) -> Any:
        return getattr(self._directory, question)

    async def version(self) -> int:
        version = await self._directory.version()
        if self.held is not None and not self.is_holding.is_set():
            self.is_holding.set()
            await self.held.wait()
        return version


@pytest.fixture
def lookup(house: House) -> Lookup:
    return Lookup(house)


# Who it is


def test_an_application_sees_the_whole_tenant(house: House, lookup: Lookup) -> None:
    application, secret = house.add_application(READ_ALL)

    caller = lookup.caller(house.fetch_token(application, secret))

    assert (caller.tenant_id, caller.tenant_guid) == (house.tenant.tenant_id, house.tenant.guid)
    assert (caller.kind, caller.application_id) == (CallerKind.APPLICATION, application.client_id)
    assert (caller.name, caller.granted) == (application.name, (READ_ALL,))
    assert caller.exposure == WHOLE_TENANT


def test_a_user_sees_what_the_assignments_say(house: House, lookup: Lookup) -> None:
    user = house.add_user("servers")
    house.grant(user, "security-operator", "laptops")

    caller = lookup.caller(house.token_of(user, "Incident.Read"))

    assert (caller.kind, caller.name) == (CallerKind.USER, user.upn)
    assert caller.exposure == Exposure(device_groups=frozenset({"servers", "laptops"}))


def test_a_user_without_any_role_is_known_and_sees_nothing(house: House, lookup: Lookup) -> None:
    user = house.add_user(role=None)

    assert lookup.caller(house.token_of(user, "Incident.Read")).exposure is None


# What is remembered


def test_a_token_is_checked_once(house: House, lookup: Lookup) -> None:
    token = house.a_token()

    callers = [lookup.caller(token) for _ in range(5)]

    assert callers == callers[:1] * 5
    assert lookup.counted == {"miss": 1, "hit": 4}


def test_the_cache_is_bounded_and_forgets_the_oldest(house: House) -> None:
    lookup = Lookup(house, size_max=2)
    tokens = [house.a_token() for _ in range(3)]
    for token in tokens:
        lookup.caller(token)

    results: list[str] = []
    for token in reversed(tokens):
        lookup.counted.clear()
        lookup.caller(token)
        results += lookup.counted

    assert results == ["hit", "hit", "miss"]


def test_refused_tokens_are_not_remembered(house: House) -> None:
    lookup = Lookup(house, size_max=1)
    good = house.a_token()
    lookup.caller(good)

    for number in range(3):
        assert lookup.refusal(f"{good}{number}") is not None
    lookup.counted.clear()
    lookup.caller(good)

    assert lookup.counted == {"hit": 1}


def test_a_remembered_token_is_good_until_its_end_and_no_longer(house: House, lookup: Lookup) -> None:
    token = house.sign(house.claims(exp=now() // TICKS_PER_SECOND + 100))
    lookup.caller(token)

    end = Instant((now() // TICKS_PER_SECOND + 100 + 300) * TICKS_PER_SECOND)

    assert lookup.refusal(token, at=Instant(end - 2 * TICKS_PER_SECOND)) is None
    assert lookup.refusal(token, at=Instant(end + 2 * TICKS_PER_SECOND)) == "expired"


def test_the_directory_answers_for_many_tokens_at_once(house: House) -> None:
    asked = AskedDirectory(house)
    user = house.add_user("laptops")
    tokens = [
        *(house.a_token() for _ in range(3)),
        *(house.token_of(user, "Incident.Read") for _ in range(3)),
    ]
    lookup = Lookup(house, directory=asked)

    for token in tokens:
        lookup.caller(token)

    asked_for_users = {"find_user": 1, "assignments": 1}
    assert asked.counted == {"version": 7, "find_tenant": 4, "find_application": 3, **asked_for_users}


def test_a_token_that_is_new_here_is_held_against_the_directory_of_now(house: House, lookup: Lookup) -> None:
    user = house.add_user("laptops")
    lookup.caller(house.token_of(user, "Incident.Read"))

    house.grant(user, "security-reader", "servers")

    exposure = lookup.caller(house.token_of(user, "Incident.Read")).exposure
    assert exposure == Exposure(device_groups=frozenset({"servers", "laptops"}))


# What is forgotten


def test_a_removed_application_is_refused(house: House, lookup: Lookup) -> None:
    application, secret = house.add_application(READ_ALL)
    token = house.fetch_token(application, secret)
    lookup.caller(token)

    house.running.run(house.directory.remove_application(house.tenant, application))
    lookup.refresh()

    assert lookup.refusal(token) == "application has been removed"


def test_a_removed_user_is_refused(house: House, lookup: Lookup) -> None:
    user = house.add_user()
    token = house.token_of(user, "Incident.Read")
    lookup.caller(token)

    house.running.run(house.directory.remove_user(house.tenant, user))
    lookup.refresh()

    assert lookup.refusal(token) == "user has been removed"


def test_a_revoked_grant_shows_less(house: House, lookup: Lookup) -> None:
    user = house.add_user("laptops", role="security-operator")
    house.grant(user, "security-reader", "servers")
    token = house.token_of(user, "Incident.Read")
    lookup.caller(token)

    reader = house.running.run(house.directory.get_role(house.tenant, "security-reader"))
    house.running.run(house.directory.revoke(house.tenant, user, reader))
    lookup.refresh()

    assert lookup.caller(token).exposure == Exposure(device_groups=frozenset({"laptops"}))


def test_a_removed_tenant_is_refused(house: House, lookup: Lookup) -> None:
    tenant = house.add_tenant()
    token = house.a_token(tenant=tenant)
    lookup.caller(token)

    house.running.run(house.directory.remove_tenant(tenant))
    lookup.refresh()

    assert lookup.refusal(token) == "tenant is not known here"


def test_any_change_of_the_directory_has_every_token_checked_again(house: House, lookup: Lookup) -> None:
    token = house.a_token()
    lookup.caller(token)

    house.add_user()
    lookup.refresh()
    lookup.counted.clear()
    lookup.caller(token)

    assert lookup.counted == {"miss": 1}


def test_tokens_of_a_retired_key_are_good_still(house: House, lookup: Lookup) -> None:
    token = house.a_token()
    lookup.caller(token)

    lookup.refresh(rotated(a_key_ring(), now(), 300))

    assert lookup.refusal(token) is None


def test_with_its_key_a_token_leaves_even_when_it_was_remembered(house: House, lookup: Lookup) -> None:
    token = house.a_token()
    lookup.caller(token)

    lookup.refresh(KeyRing(current=new_key()))

    assert lookup.refusal(token) == "signed with a key that is not ours, or not any more"


# Through a server, within the time that is set: here a tenth of a second


def test_a_running_server_refuses_a_removed_application(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    token, number = house.fetch_token(application, secret), house.takes(an_incident())
    assert house.get(number, token).status == 200

    house.running.run(house.directory.remove_application(house.tenant, application))

    assert eventually(lambda: house.get(number, token).status == 401)


def test_a_running_server_refuses_a_removed_user(house: House) -> None:
    user, number = house.add_user(), house.takes(an_incident())
    token = house.token_of(user, "Incident.Read")
    assert house.get(number, token).status == 200

    house.running.run(house.directory.remove_user(house.tenant, user))

    assert eventually(lambda: house.get(number, token).status == 401)


def test_a_running_server_forgets_a_revoked_grant(house: House) -> None:
    user, number = house.add_user(), house.takes(an_incident())
    token = house.token_of(user, "Incident.Read")
    assert house.get(number, token).status == 200

    house.running.run(house.directory.revoke(house.tenant, user, None))

    assert eventually(lambda: house.get(number, token).status == 403)


def test_a_running_server_forgets_a_permission_taken_from_an_application(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    token, number = house.fetch_token(application, secret), house.takes(an_incident())
    assert house.get(number, token).status == 200

    house.running.run(house.directory.update_application(house.tenant, application, permissions=()))

    assert eventually(lambda: house.get(number, token).status == 403)


def test_a_running_server_forgets_what_people_may_let_an_application_do(house: House) -> None:
    program, user, number = a_public_program(house), house.add_person(), house.takes(an_incident())
    token = program.tokens_of(user)["access_token"]
    assert house.get(number, token).status == 200

    house.running.run(house.directory.update_application(house.tenant, program.application, permissions=()))

    assert eventually(lambda: house.get(number, token).status == 403)


@pytest.mark.parametrize(("before", "after"), [(READ_ALL, WRITE_ALL), (WRITE_ALL, READ_ALL)])
def test_an_old_token_goes_on_reading_when_writing_is_added_or_taken_away(
    house: House, lookup: Lookup, before: str, after: str
) -> None:
    application, secret = house.add_application(before)
    token = house.fetch_token(application, secret)

    house.running.run(house.directory.update_application(house.tenant, application, permissions=(after,)))
    lookup.refresh()

    assert lookup.caller(token).granted == (READ_ALL,)


def test_a_running_server_sees_a_new_grant_in_an_old_token(house: House) -> None:
    user, number = house.add_user("laptops"), house.takes(an_incident(an_alert("servers")))
    token = house.token_of(user, "Incident.Read")
    assert house.get(number, token).status == 404

    house.grant(user, "security-reader", "servers")

    assert eventually(lambda: house.get(number, token).status == 200)


def test_a_running_server_sees_what_another_process_changed(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    token, number = house.fetch_token(application, secret), house.takes(an_incident())
    assert house.get(number, token).status == 200

    async def remove_elsewhere() -> None:
        async with opened(house.running.settings, create=False) as elsewhere:
            await elsewhere.directory.remove_application(house.tenant, application)

    asyncio.run(remove_elsewhere())

    assert eventually(lambda: house.get(number, token).status == 401)


@pytest.fixture
def house_of_its_own(tmp_path: Path) -> Iterator[House]:
    """Where keys are exchanged."""
    with RunningHouse(tmp_path) as running:
        yield House(running)


def test_a_running_server_signs_with_a_rotated_key_and_accepts_the_old_one(house_of_its_own: House) -> None:
    house = house_of_its_own
    application, secret = house.add_application(READ_ALL)
    old, number = house.fetch_token(application, secret), house.takes(an_incident())
    ring = rotated(house.running.run(house.running.installation.keys().load_or_create()), now(), 300)

    house.running.keep_keys(ring)

    assert eventually(lambda: kid_of(house.fetch_token(application, secret)) == ring.current.kid)
    new = house.fetch_token(application, secret)
    assert [house.get(number, token).status for token in (old, new)] == [200, 200]


def test_a_running_server_refuses_the_tokens_of_a_key_that_was_taken_away(house_of_its_own: House) -> None:
    house = house_of_its_own
    token, number = house.a_token(), house.takes(an_incident())
    assert house.get(number, token).status == 200

    house.running.keep_keys(KeyRing(current=new_key()))

    assert eventually(lambda: house.get(number, token).status == 401)


@pytest.mark.parametrize("damage", [b"{", b"\xff", b'{"keys":[{"kid":"a","accepted_until":null,"key":{}}]}'])
def test_damaged_keys_do_not_stop_revocation(house_of_its_own: House, damage: bytes) -> None:
    house = house_of_its_own
    application, secret = house.add_application(READ_ALL)
    token, number = house.fetch_token(application, secret), house.takes(an_incident())
    assert house.get(number, token).status == 200
    house.running.damage_keys(damage)
    time.sleep(0.2)

    house.running.run(house.directory.remove_application(house.tenant, application))

    assert eventually(lambda: house.get(number, token).status == 401)


def kid_of(token: str) -> str:
    return str(json.loads(from_base64(token.partition(".")[0]))["kid"])


def test_an_answer_that_was_overtaken_brings_nobody_back(house: House) -> None:
    directory = OvertakenDirectory(house)
    lookup = Lookup(house, directory=directory)
    application, secret = house.add_application(READ_ALL)
    revoked, other = house.fetch_token(application, secret), house.a_token()
    lookup.caller(revoked)

    async def scene() -> bool:
        directory.held = asyncio.Event()
        late = asyncio.create_task(lookup.callers.find_caller(other, now()))
        await directory.is_holding.wait()
        await house.directory.remove_application(house.tenant, application)
        await lookup.callers.refresh(a_key_ring())
        directory.held.set()
        await late
        return lookup.callers.recall(key_of(revoked), now()) is None

    assert house.running.run(scene())
