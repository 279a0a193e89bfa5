"""The last changes of callers in Valkey: told only when certain, and never behind what was answered."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st
from redis import Redis

from tests.support.paths import DOCS
from tests.support.valkey import RunningValkey
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess, Window, minute_and_hour
from vigie.core.replication import ReplicationPosition, replication_position_of
from vigie.ratelimit.address import quota_store_address
from vigie.ratelimit.memory import CallerKey, MemoryRateLimiter
from vigie.ratelimit.read_your_writes import DIGITS, STORE_POSITION, ValkeyReadYourWrites
from vigie.ratelimit.valkey import SPEND, ValkeyRateLimiter
from vigie.ratelimit.valkey_connection import ValkeyConnection

SECOND = 1_000_000
ANY_DAY = 1_790_000_000 * SECOND
LASTS_SECONDS = 60
QUOTA = minute_and_hour("get", per_minute=1000, per_hour=10_000)
NARROW = Quota(name="get", windows=(Window(calls=1, seconds=60),))
ANA, BEN = (1, "ana"), (1, "ben")
NO_MOMENT = Instant(0)
AGE_SECONDS = 0.4

_callers = count(1)


# The scripts


@dataclass
class Caller:
    """What the scripts say of a caller whom nobody has met before, at moments that are handed in."""

    client: Redis
    name: str = field(default_factory=lambda: f"vigie:{{1:app-{next(_callers)}}}")
    now: int = ANY_DAY

    @property
    def changes(self) -> str:
        """Where it is kept what is known of them."""
        return f"{self.name}:position"

    def spend(self, change: str = "") -> list[int | bytes]:
        """Admit a call that begins a change, or a read."""
        values = (10**6, 60 * SECOND, change, LASTS_SECONDS * SECOND, self.now)
        said: list[int | bytes] = self.client.eval(
            SPEND.text.decode(), 2, f"{self.name}:any", self.changes, *values
        )
        return said

    def read(self) -> int | str | None:
        """The position a reader is told, "busy" while a change is under way, None when none is known."""
        said = self.spend()
        return int(said[1]) if len(said) > 1 else "busy" if said else None

    def keep(self, position: int | None, change: str = "") -> None:
        """Put a position there, and end a change."""
        digits = "" if position is None else f"{position:0{DIGITS}}"
        self.client.eval(STORE_POSITION.text.decode(), 1, self.changes, digits, change)


@dataclass
class NaiveChanges:
    """The same, as it would be written down for people."""

    at: int | None = None
    under_way: dict[str, int] = field(default_factory=dict)

    def forget(self, now: int) -> None:
        for change, until in list(self.under_way.items()):
            if until <= now:
                del self.under_way[change]
                self.at = None

    def read(self, now: int) -> int | str | None:
        self.forget(now)
        return "busy" if self.under_way else self.at

    def begin(self, now: int, change: str) -> None:
        self.forget(now)
        self.under_way[change] = now + LASTS_SECONDS * SECOND

    def keep(self, position: int | None, change: str) -> None:
        self.under_way.pop(change, None)
        if position is not None:
            self.at = max(position, self.at or 0)


names = st.sampled_from("abc")
places = st.one_of(st.integers(0, 20), st.integers(2**64 - 2, 2**64 + 2), st.just(2**96 - 1))
steps = st.one_of(
    st.tuples(st.just("begin"), names),
    st.tuples(st.just("keep"), places | st.none(), names | st.just("")),
    st.tuples(st.just("wait"), st.sampled_from((1, SECOND, 59 * SECOND, 60 * SECOND - 1, 60 * SECOND))),
    st.tuples(st.just("read")),
)


@given(st.lists(steps, max_size=40))
@example([("keep", 2, ""), ("keep", 1, ""), ("read",)])
@example([("keep", 2, ""), ("begin", "a"), ("wait", 60 * SECOND), ("read",), ("read",)])
def test_the_scripts_do_what_is_written_down_for_people(client: Redis, taken: list[tuple]) -> None:  # type: ignore[type-arg]
    caller, naive = Caller(client), NaiveChanges()

    for step, *values in taken:
        if step == "begin":
            assert caller.spend(*values) == []
            naive.begin(caller.now, *values)
        elif step == "keep":
            caller.keep(*values)
            naive.keep(*values)
        elif step == "wait":
            caller.now += values[0]
        else:
            assert caller.read() == naive.read(caller.now)


@dataclass
class Step:
    """Something under way between a server and the store of the quotas: a change, or a position to be put there."""

    change: str = ""
    asked_at: int | None = None
    committed_at: int = 0


moves = st.tuples(st.sampled_from(("begin", "read", "commit", "ask", "end")), st.integers(0, 5))


@given(st.lists(moves, max_size=60))
def test_whatever_comes_late_nobody_is_told_a_position_before_an_answered_change(
    client: Redis, taken: list[tuple[str, int]]
) -> None:
    """Several servers at once, of which each may stop at any moment; the store's position only grows."""
    caller, store, answered = Caller(client), count(1), 0
    position_now, under_way = 0, list[Step]()

    for move, number in taken:
        chosen = under_way[number % len(under_way)] if under_way else Step()
        if move == "begin":
            under_way.append(Step(change=f"change-{next(_callers)}"))
            caller.spend(under_way[-1].change)
        elif move == "read":
            told = caller.read()
            if isinstance(told, int):
                assert told >= answered
            elif told is None:
                under_way.append(Step())
        elif move == "commit" and chosen.change and not chosen.committed_at:
            chosen.committed_at = position_now = next(store)
        elif move == "ask" and (chosen.committed_at or not chosen.change):
            chosen.asked_at = position_now
        elif move == "end" and chosen.asked_at is not None:
            caller.keep(chosen.asked_at, chosen.change)
            answered = max(answered, chosen.committed_at)
            under_way.remove(chosen)


def test_a_refused_call_begins_no_change(client: Redis) -> None:
    caller = Caller(client)
    values = (1, 60 * SECOND, "a", LASTS_SECONDS * SECOND, ANY_DAY)
    spent = [client.eval(SPEND.text.decode(), 2, f"{caller.name}:any", caller.changes, *values) for _ in "12"]
    caller.keep(7, "a")

    again = client.eval(SPEND.text.decode(), 2, f"{caller.name}:any", caller.changes, *values)

    assert spent[0] == []
    assert spent[1] == again == [1, 60 * SECOND]
    assert client.hgetall(caller.changes) == {b"at": b"7".zfill(DIGITS)}


@pytest.mark.parametrize("command", [("SET", "x"), ("RPUSH", "x"), ("HSET", "at", "x"), ("HSET", "b", "x")])
def test_what_somebody_else_has_put_there_is_no_position(client: Redis, command: tuple[str, ...]) -> None:
    caller = Caller(client)
    client.execute_command(command[0], caller.changes, *command[1:])  # type: ignore[no-untyped-call]

    assert caller.read() is None
    caller.spend("a")
    assert caller.read() == "busy"


def test_what_is_known_of_a_caller_is_small_and_forgotten_after_an_hour(client: Redis) -> None:
    caller = Caller(client)
    for number in range(1000):
        caller.spend(f"|7d1f0c2291ab44e0.{number:x}.")
        caller.now += SECOND

    assert client.hlen(caller.changes) <= LASTS_SECONDS
    assert (client.memory_usage(caller.changes, samples=0) or 0) < 6_000
    assert 3599_000 < int(client.pttl(caller.changes)) <= 3600_000


def test_positions_are_in_order_also_over_a_promotion() -> None:
    ordered = [
        replication_position_of(1, 0),
        replication_position_of(1, 2**64 - 1),
        replication_position_of(2, 0),
        replication_position_of(2**32 - 1, 5),
    ]

    assert sorted(ordered) == ordered
    assert max(len(str(position)) for position in ordered) == DIGITS


# The servers


class Store:
    """A database that says how far it is, when it can."""

    def __init__(self) -> None:
        self.position = ReplicationPosition(1)
        self.is_there = True
        self.asked_count = 0

    async def now(self) -> ReplicationPosition:
        self.asked_count += 1
        if not self.is_there:
            raise StoreUnavailable("gone")
        return self.position


@asynccontextmanager
async def a_server(
    valkey: RunningValkey,
    store: Store,
    *,
    url: str = "",
    age_seconds: float = AGE_SECONDS,
    change_seconds: float = 60,
) -> AsyncIterator[ValkeyReadYourWrites]:
    """One that believes what it is told already."""
    address = quota_store_address(url or valkey.url)
    connection = ValkeyConnection(address, read_password=lambda: address.password, seconds_max=10)
    rate_limiter = ValkeyRateLimiter(connection, local=MemoryRateLimiter())
    positions = ValkeyReadYourWrites(
        rate_limiter,
        connection,
        current_position=store.now,
        age_seconds=age_seconds,
        change_seconds_max=change_seconds,
    )
    async with positions:
        await asyncio.sleep(age_seconds)
        yield positions


async def read(server: ValkeyReadYourWrites, caller: CallerKey) -> ReplicationPosition | None:
    spent = await server.spend_on_read(QUOTA, caller, NO_MOMENT)
    assert not isinstance(spent, QuotaExcess)
    return spent


async def told(
    server: ValkeyReadYourWrites, caller: CallerKey, *, within_seconds: float = 5
) -> ReplicationPosition | None:
    """What a reader is told in the end."""
    async with asyncio.timeout(within_seconds):
        while True:
            if (position := await read(server, caller)) is not None:
                return position
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def _nothing_is_known(client: Redis) -> None:
    client.flushdb()


def test_a_reader_of_whom_nothing_is_known_is_told_nothing_and_the_next_time_something(
    valkey: RunningValkey,
) -> None:
    async def work() -> None:
        store = Store()
        async with a_server(valkey, store) as server:
            assert await read(server, ANA) is None
            assert await told(server, ANA) == 1
            store.position = ReplicationPosition(2)
            assert await read(server, ANA) == 1
            assert store.asked_count == 1

    uvloop.run(work())


def test_what_one_server_has_changed_the_other_knows_and_nobody_else_s_reads_wait_for(
    valkey: RunningValkey,
) -> None:
    async def work() -> None:
        store = Store()
        async with a_server(valkey, store) as one, a_server(valkey, store) as other:
            assert [await told(other, caller) for caller in (ANA, BEN)] == [1, 1]
            assert await one.spend_on_change(QUOTA, ANA, NO_MOMENT, "|1.") is None
            assert [await read(other, caller) for caller in (ANA, BEN)] == [None, 1]
            store.position = ReplicationPosition(2)
            await one.end(ANA, "|1.")
            assert [await read(other, caller) for caller in (ANA, BEN)] == [2, 1]

    uvloop.run(work())


def test_a_change_that_was_refused_leaves_what_was_known(valkey: RunningValkey) -> None:
    async def work() -> None:
        store = Store()
        async with a_server(valkey, store) as server:
            assert await told(server, ANA) == 1
            await server.spend_on_change(QUOTA, ANA, NO_MOMENT, "|1.")
            store.position = ReplicationPosition(2)
            await server.call_off(ANA, "|1.")
            assert await read(server, ANA) == 1

    uvloop.run(work())


def test_a_change_whose_server_has_died_is_under_way_until_its_time_is_up_and_then_nothing_is_known(
    valkey: RunningValkey,
) -> None:
    async def work() -> None:
        store = Store()
        async with a_server(valkey, store, change_seconds=1) as server:
            assert await told(server, ANA) == 1
            began = monotonic()
            await server.spend_on_change(QUOTA, ANA, NO_MOMENT, "|1.")
            store.position = ReplicationPosition(2)
            assert await told(server, ANA) == 2
            assert monotonic() - began >= 1

    uvloop.run(work())


def test_a_refusal_over_the_quota_is_one_for_reads_and_for_changes(valkey: RunningValkey) -> None:
    async def work() -> list[object]:
        async with a_server(valkey, Store()) as server:
            return [
                await server.spend_on_read(NARROW, ANA, NO_MOMENT),
                await server.spend_on_read(NARROW, ANA, NO_MOMENT),
                await server.spend_on_change(NARROW, ANA, NO_MOMENT, "|1."),
                await read(server, ANA),
            ]

    first, read_again, changed, after = uvloop.run(work())

    assert first is None
    assert isinstance(read_again, QuotaExcess)
    assert isinstance(changed, QuotaExcess)
    assert after == 1


def test_without_the_quota_store_nothing_is_known_and_a_change_is_answered_when_it_is_old_enough(
    valkey: RunningValkey,
) -> None:
    async def work() -> float:
        async with a_server(valkey, Store()) as server:
            assert await told(server, ANA) == 1
            valkey.kill()
            assert await read(server, ANA) is None
            assert await server.spend_on_change(QUOTA, ANA, NO_MOMENT, "|1.") is None
            began = monotonic()
            await server.end(ANA, "|1.")
            return monotonic() - began

    try:
        assert uvloop.run(work()) >= AGE_SECONDS
    finally:
        valkey.kill()
        valkey.start()


def test_a_change_whose_position_nobody_can_say_is_answered_when_it_is_old_enough(
    valkey: RunningValkey,
) -> None:
    async def work() -> None:
        store = Store()
        async with a_server(valkey, store) as server:
            assert await told(server, ANA) == 1
            await server.spend_on_change(QUOTA, ANA, NO_MOMENT, "|1.")
            store.is_there = False
            began = monotonic()
            await server.end(ANA, "|1.")
            assert monotonic() - began >= AGE_SECONDS
            assert await read(server, ANA) is None

    uvloop.run(work())


def test_a_store_that_comes_back_is_not_believed_until_what_it_may_have_forgotten_is_old(
    valkey: RunningValkey,
) -> None:
    async def work() -> None:
        async with a_server(valkey, Store(), age_seconds=1.5) as server:
            assert await told(server, ANA) == 1
            began = monotonic()
            await asyncio.to_thread(valkey.do, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert await read(server, ANA) is None
            assert await told(server, ANA) == 1
            assert monotonic() - began >= 1.5

    uvloop.run(work())


def test_a_user_with_the_documented_permissions_is_enough(valkey: RunningValkey) -> None:
    documented = (DOCS / "operations.md").read_text(encoding="utf-8").partition("- **Permissions:** ")[2]
    commands = re.findall(r"`([A-Z ]+)`", documented.partition("\n- **")[0])
    allowed = [f"+{command.lower().replace(' ', '|')}" for command in commands]

    async def work() -> None:
        url = f"valkey://vigie:secret@127.0.0.1:{valkey.port}/1"
        async with a_server(valkey, Store(), url=url) as server:
            assert await told(server, ANA) == 1
            await server.spend_on_change(QUOTA, ANA, NO_MOMENT, "|1.")
            await server.end(ANA, "|1.")
            assert await read(server, ANA) == 1

    valkey.do("ACL", "SETUSER", "vigie", "on", ">secret", "~vigie:*", "-@all", *allowed)

    uvloop.run(work())
