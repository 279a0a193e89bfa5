"""People's passwords: right, wrong, guessed and hammered; nobody learns who is known here."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import process_time
from typing import Any

import pytest

from tests.support.database_access import below
from tests.support.house import PASSWORD, Clock, House, RunningHouse, a_name
from tests.support.paths import ROOT
from tests.support.sign_in_client import Program, a_public_program
from vigie.config.settings import IdentitySettings
from vigie.core.directory import DirectoryError, User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.lockout import Attempts, LockOut, counted
from vigie.core.oauth_records import Password
from vigie.identity.sign_in.authorization_requests import AuthorizationRefused
from vigie.identity.sign_in.passwords import (
    LENGTH_MAX,
    LENGTH_MIN,
    PasswordChecks,
    TooManyPasswords,
    check_new_password,
    hash_password,
)
from vigie.identity.sign_in.refusals import (
    InvalidCredentials,
    SignInOutdated,
    SignInRefused,
    TooManyAttempts,
    TooManySignIns,
    UserOfAnotherTenant,
)
from vigie.identity.sign_in.service import SignedInUser

DAY = 86_400


@pytest.fixture(scope="module")
def clocked(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    with RunningHouse(tmp_path_factory.mktemp("clocked"), clock=Clock()) as running:
        yield running


@pytest.fixture
def timed(clocked: RunningHouse) -> House:
    return House(clocked)


@pytest.fixture
def program(timed: House) -> Program:
    return a_public_program(timed)


def forward(house: House, seconds: float) -> None:
    assert house.running.clock is not None
    house.running.clock.forward(seconds=seconds)


def tries(program: Program, name: str, password: str, *, address: str | None = None) -> SignedInUser:
    """Try a password for a name, from an address of its own unless one is named."""
    house = program.house
    return house.running.run(
        program.sign_in.check_password(
            house.tenant, name, password, address=address or a_name("address"), now=house.now()
        )
    )


def refusal(program: Program, name: str, password: str = "a wrong password", **options: Any) -> SignInRefused:
    with pytest.raises(SignInRefused) as caught:
        tries(program, name, password, **options)
    return caught.value


# Right and wrong


@pytest.mark.parametrize("spelled", [str.lower, str.upper, lambda upn: f"  {upn}\n"])
def test_the_right_password_signs_in_under_any_spelling_of_the_name(
    program: Program, spelled: Callable[[str], str]
) -> None:
    user = program.house.add_person()

    who = tries(program, spelled(user.upn), PASSWORD)

    assert (who.tenant, who.user, who.signed_in_at) == (
        program.house.tenant,
        user,
        program.house.now(),
    )


@pytest.mark.parametrize(
    "password", ["", " ", PASSWORD.upper(), f"{PASSWORD} ", "x" * 100_000, "\0", "\ud800"]
)
def test_any_other_password_does_not(program: Program, password: str) -> None:
    user = program.house.add_person()

    refused = refusal(program, user.upn, password)

    assert isinstance(refused, InvalidCredentials)
    assert refused.retry_after is None


@pytest.mark.parametrize(
    ("upn", "typed"),
    [("mark@contoso.example", "mar\u212a@contoso.example"), ("strasse@x.example", "straße@x.example")],
)
def test_a_name_that_only_folds_to_somebodys_does_not_sign_in(program: Program, upn: str, typed: str) -> None:
    house = program.house
    user = house.running.run(house.directory.add_user(house.tenant, upn))
    house.set_password(user, PASSWORD)

    assert isinstance(refusal(program, typed, PASSWORD), InvalidCredentials)
    assert tries(program, upn.upper(), PASSWORD).user == user


def test_letters_that_look_alike_are_one(program: Program) -> None:
    user = program.house.add_person("caf\u00e9 cr\u00e8me \ufb01n")

    assert tries(program, user.upn, "cafe\u0301 cre\u0300me fin").user == user


def test_a_password_of_the_greatest_length_counts_to_its_last_letter(program: Program) -> None:
    longest = "x" * LENGTH_MAX
    user = program.house.add_person(longest)

    assert tries(program, user.upn, longest).user == user
    assert isinstance(refusal(program, user.upn, f"{longest[:-1]}y"), InvalidCredentials)
    assert isinstance(refusal(program, user.upn, f"{longest}x"), InvalidCredentials)


def nobody(_: House) -> str:
    return "nobody@contoso.example"


def somebody(house: House) -> str:
    return house.add_person().upn


def one_without_a_password(house: House) -> str:
    return house.add_user().upn


def one_by_object_id(house: House) -> str:
    return house.add_person().object_id


def one_of_another_tenant(house: House) -> str:
    return House(house.running).add_person().upn


def what_is_no_name(_: House) -> str:
    return "\ud800\0"


def one_who_is_locked(house: House) -> str:
    name = house.add_person().upn
    program = a_public_program(house)
    for _ in range(5):
        refusal(program, name)
    return name


@pytest.mark.parametrize(
    "who",
    [
        *(nobody, somebody, one_without_a_password, one_by_object_id, one_of_another_tenant),
        *(what_is_no_name, one_who_is_locked),
    ],
)
def test_every_refusal_reads_alike(program: Program, who: Callable[[House], str]) -> None:
    refused = refusal(program, who(program.house))

    assert isinstance(refused, InvalidCredentials)
    assert refused.retry_after is None


def test_the_object_id_and_the_right_password_sign_nobody_in(program: Program) -> None:
    user = program.house.add_person()

    assert isinstance(refusal(program, user.object_id, PASSWORD), InvalidCredentials)


def test_a_name_that_nobody_has_or_that_waits_costs_as_much_as_one_that_somebody_has(
    program: Program,
) -> None:
    names = [program.house.add_person().upn for _ in range(9)]
    waiting = one_who_is_locked(program.house)

    def seconds(name: str) -> float:
        started = process_time()
        refusal(program, name)
        return process_time() - started

    known, unknown, locked = least(
        (seconds(name), seconds(f"not-{name}"), seconds(waiting)) for name in names
    )

    assert 0.6 < unknown / known < 1.7
    assert 0.6 < locked / known < 1.7


def least(rounds: Iterable[tuple[float, ...]]) -> list[float]:
    """The least of each, measured in turns: what else the machine does makes some of them dearer, none cheaper."""
    return [min(each) for each in zip(*rounds, strict=True)]


def test_the_first_try_of_all_costs_the_same_for_every_name() -> None:
    def seconds(kept: str | None) -> float:
        code = (
            "import asyncio, time; from vigie.identity.sign_in.passwords import PasswordChecks;"
            "checks = PasswordChecks(at_once=1, waiting_max=0); started = time.process_time();"
            f"asyncio.run(checks.check('y', {kept!r})); print(time.process_time() - started)"
        )
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    kept = hash_password("x")
    known, unknown = least((seconds(kept), seconds(None)) for _ in range(3))

    assert 0.6 < unknown / known < 1.7


def test_what_the_store_does_says_nothing_about_a_name(program: Program) -> None:
    def operations(who: Callable[[House], str]) -> dict[bytes, int]:
        name = who(program.house)
        before = store_operations(program.house)
        refusal(program, name)
        after = store_operations(program.house)
        return {operation: after[operation] - before[operation] for operation in after}

    everybody = (nobody, one_without_a_password, one_by_object_id, one_of_another_tenant, what_is_no_name)

    assert [operations(who) for who in everybody] == [operations(somebody)] * len(everybody)
    assert operations(somebody)[b"password"] == 1


OF_PEOPLE = {
    name
    for file in ("directory.sql", "sign_ins.sql")
    for name in re.findall(
        r"^-- name: (\w+)", (ROOT / "src/vigie/storage/sql" / file).read_text(encoding="utf-8"), re.M
    )
} - {"installation_value", "tenants"}


def store_operations(house: House) -> dict[bytes, int]:
    """How often the store has done what, as everybody can read; not what a server does by itself.

    In the background it reads the installation, its tenants, and all that is about incidents.
    """
    metrics = house.running.request("GET", "/metrics").body
    found = re.findall(rb'^vigie_store_seconds_count\{operation="(\w+)"\} (\d+)', metrics, re.M)
    assert found
    return {operation: int(count) for operation, count in found if operation.decode() in OF_PEOPLE}


# Locking out


@pytest.mark.parametrize("who", [nobody, somebody])
def test_after_five_wrong_ones_a_name_has_to_wait_whether_anybody_has_it_or_not(
    program: Program, who: Callable[[House], str]
) -> None:
    name = who(program.house)
    for _ in range(5):
        refusal(program, name)

    assert is_locked(program, name)
    forward(program.house, 30)
    assert not is_locked(program, name)


def is_locked(program: Program, name: str) -> bool:
    """Whether an attempt under the name is not even counted."""
    house = program.house
    before = attempts_of(house)
    refusal(program, name)
    return attempts_of(house) == before


def attempts_of(house: House) -> list[tuple[object, ...]]:
    """What is kept of attempts: looked up in the file itself."""
    return below(house.running.settings.database).rows(
        f"SELECT name_sha256, count FROM password_attempt WHERE tenant_id = {house.tenant.tenant_id} ORDER BY 1"
    )


def test_while_it_waits_the_right_password_does_not_help_and_afterwards_it_does(program: Program) -> None:
    user = program.house.add_person()
    for _ in range(5):
        refusal(program, user.upn)

    assert isinstance(refusal(program, user.upn, PASSWORD), InvalidCredentials)
    forward(program.house, 30)
    assert tries(program, user.upn, PASSWORD).user == user


def test_a_new_password_ends_the_wait(program: Program) -> None:
    house, user = program.house, program.house.add_person()
    for _ in range(5):
        refusal(program, user.upn)

    house.set_password(user, "another quiet harbour")

    assert tries(program, user.upn, "another quiet harbour").user == user
    assert attempts_of(house) == []


def test_a_clock_that_was_wrong_by_days_locks_nobody_out_once_it_is_mended(
    program: Program,
) -> None:
    house, user = program.house, program.house.add_person()
    forward(house, 5 * DAY)
    for _ in range(5):
        refusal(program, user.upn)
    assert is_locked(program, user.upn)

    forward(house, -5 * DAY)

    assert tries(program, user.upn, PASSWORD).user == user


def test_guesses_after_it_is_mended_are_locked_out_as_ever(program: Program) -> None:
    name = nobody(program.house)
    forward(program.house, 5 * DAY)
    for _ in range(5):
        refusal(program, name)
    forward(program.house, -5 * DAY)

    assert not is_locked(program, name)
    assert is_locked(program, name)
    forward(program.house, 61)
    assert not is_locked(program, name)


def test_a_password_given_while_the_clock_was_wrong_signs_in_once_it_is_mended(program: Program) -> None:
    house, user = program.house, program.house.add_user()
    forward(house, 5 * DAY)
    house.set_password(user, PASSWORD)
    forward(house, -5 * DAY)

    assert program.tokens_of(user)["access_token"]


def test_servers_whose_clocks_differ_a_little_agree_about_a_lock() -> None:
    rule, now = LockOut(attempts=1, seconds_max=900), Instant(10**17)
    attempts = counted(Attempts(), rule, now)

    for seconds, is_locked_there in ((-3600, False), (-59, True), (0, True), (29, True), (30, False)):
        assert attempts.is_locked(rule, Instant(now + seconds * TICKS_PER_SECOND)) is is_locked_there


def test_each_wrong_one_more_doubles_the_wait_up_to_a_bound() -> None:
    rule = LockOut(attempts=5, seconds_max=900)
    now = Instant(10**17)
    attempts, waits = Attempts(), []
    for _ in range(40):
        attempts = counted(attempts, rule, now)
        waits.append((attempts.locked_until - now) // TICKS_PER_SECOND)
        now = Instant(max(now, attempts.locked_until))

    assert waits[:11] == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900]
    assert set(waits[11:]) == {900}


def test_somebody_who_signs_in_begins_anew(program: Program) -> None:
    user = program.house.add_person()
    for _ in range(4):
        refusal(program, user.upn)
    tries(program, user.upn, PASSWORD)
    for _ in range(4):
        refusal(program, user.upn)

    assert tries(program, user.upn, PASSWORD).user == user


def test_guesses_at_the_same_moment_are_all_counted(program: Program) -> None:
    house, user = program.house, program.house.add_person()

    async def all_at_once() -> list[BaseException | SignedInUser]:
        guesses = [
            program.sign_in.check_password(
                house.tenant, user.upn, f"guess {number}", address=a_name("address"), now=house.now()
            )
            for number in range(12)
        ]
        return await asyncio.gather(*guesses, return_exceptions=True)

    outcomes = house.running.run(all_at_once())

    assert all(isinstance(outcome, SignInRefused) for outcome in outcomes)
    assert [count for _, count in attempts_of(house)] == [5]


def test_attempts_under_names_that_nobody_has_are_forgotten(program: Program) -> None:
    for number in range(3):
        refusal(program, f"made-up-{number}")
    forward(program.house, 2 * 3600 + 1)
    refusal(program, "another")

    assert len(attempts_of(program.house)) == 1


# Hammering


def test_one_address_may_try_so_often_and_no_more(program: Program) -> None:
    user = program.house.add_person()
    forward(program.house, 3600)
    for number in range(30):
        refusal(program, f"guessed-{number}", address="192.0.2.7")

    refused = refusal(program, user.upn, PASSWORD, address="192.0.2.7")

    assert isinstance(refused, TooManyAttempts)
    assert refused.retry_after is not None
    assert tries(program, user.upn, PASSWORD, address="192.0.2.8").user == user


def test_a_flood_of_passwords_is_bounded_and_the_rest_is_told_to_try_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    identity = IdentitySettings(password_checks_at_once=1, password_checks_waiting_max=3)
    with RunningHouse(tmp_path_factory.mktemp("flooded"), identity=identity) as running:
        program = a_public_program(House(running))
        house, user = program.house, program.house.add_person()

        async def flood() -> list[BaseException | SignedInUser]:
            attempts = [
                program.sign_in.check_password(
                    house.tenant, f"guess-{number}", "x", address=a_name("address"), now=house.now()
                )
                for number in range(40)
            ]
            return await asyncio.gather(*attempts, return_exceptions=True)

        threads_before = threading.active_count()
        outcomes = running.run(flood())

        kinds = Counter(map(type, outcomes))
        assert kinds.total() == 40
        assert kinds[InvalidCredentials] <= 8
        assert kinds[TooManySignIns] >= 32
        assert set(kinds) <= {InvalidCredentials, TooManySignIns}
        assert threading.active_count() <= threads_before + 2
        assert tries(program, user.upn, PASSWORD).user == user


def test_room_that_was_taken_is_given_back_when_nobody_waits_for_the_answer_any_more() -> None:
    async def give_up_and_try_again() -> bool:
        checks = PasswordChecks(at_once=1, waiting_max=0)
        impatient = asyncio.create_task(checks.check("x", None))
        await asyncio.sleep(0)
        with pytest.raises(TooManyPasswords):
            await checks.check("y", None)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        while True:
            try:
                await checks.check("z", None)
            except TooManyPasswords:
                await asyncio.sleep(0.005)
            else:
                checks.close()
                return True

    assert asyncio.run(asyncio.wait_for(give_up_and_try_again(), timeout=10))


def test_passwords_give_way_to_requests(program: Program) -> None:
    refusal(program, "somebody")

    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    hashing = [each for each in threading.enumerate() if each.name.startswith("vigie-passwords")]
    assert hashing
    for thread in hashing:
        assert thread.native_id is not None
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == min(19, ours + 5)


# What is kept


def test_a_password_is_kept_as_argon2id_with_what_owasp_asks_for() -> None:
    assert hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_weaker_hash_is_made_anew_when_its_password_is_right(program: Program) -> None:
    from argon2 import PasswordHasher

    house, user = program.house, program.house.add_user()
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    records = house.running.installation.sign_ins
    house.running.run(records.put_password(house.tenant, user, Password(hash=weak, changed_at=house.now())))

    tries(program, user.upn, PASSWORD)

    kept = house.running.run(records.find_password(house.tenant, user))
    assert kept is not None
    assert kept.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert tries(program, user.upn, PASSWORD).user == user


@pytest.mark.parametrize("password", ["x" * (LENGTH_MIN - 1), "x" * (LENGTH_MAX + 1), ""])
def test_a_new_password_is_neither_short_nor_endless(password: str) -> None:
    with pytest.raises(DirectoryError, match="12 to 1024 characters"):
        check_new_password(password, [])


NAMES = ["mark.osei@contoso.example", "mark.osei", "contoso.example", "contoso", "Contoso Ltd", "", "co"]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "kX9#qLmZ2vRt",
        "fünf Möwen über Kiel",
        "contoso buys nine purple trumpets",
        f"{PASSWORD} " * 40,
    ],
)
def test_whatever_is_hard_to_guess_can_be_one_without_rules_about_its_letters(password: str) -> None:
    check_new_password(password, NAMES)


@pytest.mark.parametrize(
    "password",
    [
        "123456789012",
        "passwordpassword",
        " " * 12,
        "x" * 1024,
        "\u2603" * 12,
        "qwertyuiop[]",
        "P@ssw0rd12345",
    ],
)
def test_what_is_tried_first_is_refused_and_what_to_do_instead_is_said(password: str) -> None:
    with pytest.raises(DirectoryError, match="too easy to guess; take four or more words"):
        check_new_password(password, NAMES)


@pytest.mark.parametrize(
    "password",
    [
        "mark.osei@contoso.example",
        "Mark.Osei@Contoso.Example",
        "mark.osei-2026!",
        "ContosoContoso2026",
        "Contoso Ltd 2026!",
        "contoso.example+1",
    ],
)
def test_names_of_the_user_and_the_organisation_do_not_count(password: str) -> None:
    with pytest.raises(
        DirectoryError, match="beside the names of the user, the organisation and Vigie; take four"
    ):
        check_new_password(password, NAMES)


def test_a_server_does_not_load_the_lists_of_common_passwords() -> None:
    modules = "vigie.cli.main, vigie.runtime.server, vigie.identity.sign_in.passwords"
    loads = f"import sys, {modules}; sys.exit('zxcvbn' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0


def test_a_user_whose_password_is_taken_away_signs_in_no_more(program: Program) -> None:
    house, user = program.house, program.house.add_person()
    house.running.run(house.running.installation.sign_ins.remove_password(house.tenant, user))

    assert isinstance(refusal(program, user.upn, PASSWORD), InvalidCredentials)
    with pytest.raises(DirectoryError, match="has no password"):
        house.running.run(house.running.installation.sign_ins.remove_password(house.tenant, user))


# Between the password and the code


def gone(house: House, user: User) -> None:
    house.running.run(house.directory.remove_user(house.tenant, user))


def changed(house: House, user: User) -> None:
    forward(house, 1)
    house.set_password(user, "another quiet harbour")


def taken_away(house: House, user: User) -> None:
    house.running.run(house.running.installation.sign_ins.remove_password(house.tenant, user))


@pytest.mark.parametrize("happens", [gone, changed, taken_away])
def test_no_code_is_issued_when_the_password_counts_no_more(
    program: Program, happens: Callable[[House, User], None]
) -> None:
    house, user = program.house, program.house.add_person()
    request, who = program.request(), program.signed_in(user)

    happens(house, user)

    with pytest.raises(AuthorizationRefused) as caught:
        house.running.run(program.sign_in.issue_code(request, who, now=house.now()))
    assert isinstance(caught.value.refusal, SignInOutdated)
    assert caught.value.redirection == request.redirection


def test_a_code_for_an_application_that_has_just_been_removed_is_not_kept(program: Program) -> None:
    house, user = program.house, program.house.add_person()
    request, who = program.request(), program.signed_in(user)
    house.running.run(house.directory.remove_application(house.tenant, program.application))

    code = house.running.run(program.sign_in.issue_code(request, who, now=house.now()))

    assert program.redeems(code).error_code == 700016


def test_no_code_is_issued_to_a_user_of_another_tenant(program: Program) -> None:
    elsewhere = House(program.house.running)
    stranger = a_public_program(elsewhere).signed_in(elsewhere.add_person())

    with pytest.raises(AuthorizationRefused) as caught:
        program.house.running.run(
            program.sign_in.issue_code(program.request(), stranger, now=program.house.now())
        )

    assert isinstance(caught.value.refusal, UserOfAnotherTenant)
