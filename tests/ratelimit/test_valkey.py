"""The rate limiter of several servers: exact together, never waited for twice, and back by itself."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography.x509 import IPAddress
from redis.crc import key_slot

from tests.support.handshakes import a_certificate, an_authority
from tests.support.paths import DOCS
from tests.support.valkey import RunningValkey
from vigie.core.errors import QuotaStoreUnavailable
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.quotas import QuotaExcess, minute_and_hour
from vigie.ratelimit.address import quota_store_address
from vigie.ratelimit.memory import CallerKey, MemoryRateLimiter
from vigie.ratelimit.valkey import BATCH_MAX, PROBE_SECONDS_MAX, ValkeyRateLimiter
from vigie.ratelimit.valkey_connection import ValkeyConnection

QUOTA = minute_and_hour("get", per_minute=10, per_hour=100)
ANA, BEN = (1, "ana"), (1, "ben")
NO_MOMENT = Instant(0)
# Long, because a machine that others use too stops now and then.
ANSWER_SECONDS_MAX = 10.0
SILENCE_SECONDS = 2.0
BACK_SECONDS_MAX = PROBE_SECONDS_MAX + ANSWER_SECONDS_MAX


class Told:
    """What a rate limiter reported of its store."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.is_back = asyncio.Event()


@asynccontextmanager
async def a_rate_limiter(
    url: str,
    *,
    local: bool = True,
    told: Told | None = None,
    ca_file: str = "",
    read_password: Callable[[], str] | None = None,
    seconds_max: float = ANSWER_SECONDS_MAX,
) -> AsyncIterator[ValkeyRateLimiter]:
    address, told = quota_store_address(url), told or Told()
    connection = ValkeyConnection(
        address,
        read_password=read_password or (lambda: address.password),
        ca_file=ca_file,
        seconds_max=seconds_max,
    )
    rate_limiter = ValkeyRateLimiter(
        connection,
        local=MemoryRateLimiter() if local else None,
        on_gone=told.reasons.append,
        on_back=told.is_back.set,
    )
    async with rate_limiter:
        yield rate_limiter


async def spend(rate_limiter: ValkeyRateLimiter, caller: CallerKey = ANA) -> QuotaExcess | None:
    """As the gate does."""
    refused = rate_limiter.spend(QUOTA, caller, NO_MOMENT)
    return refused if refused is None or isinstance(refused, QuotaExcess) else await refused


async def admitted(*spends: Coroutine[Any, Any, QuotaExcess | None]) -> int:
    """How many calls are let in, all made at once."""
    return [refused is None for refused in await asyncio.gather(*spends)].count(True)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[RunningValkey]:
    with RunningValkey(tmp_path) as running:
        yield running


# Counting


def test_many_calls_at_once_over_several_servers_get_exactly_the_quota(valkey: RunningValkey) -> None:
    async def work() -> tuple[int, int]:
        async with a_rate_limiter(valkey.url) as one, a_rate_limiter(valkey.url) as other:
            calls = [
                spend(rate_limiter, caller) for caller in (ANA, BEN) for rate_limiter in (one, other) * 150
            ]
            half = len(calls) // 2
            return await admitted(*calls[:half]), await admitted(*calls[half:])

    assert uvloop.run(work()) == (10, 10)
    assert BATCH_MAX < 2 * 150


def test_a_refused_call_hears_which_window_and_how_long(valkey: RunningValkey) -> None:
    async def work() -> list[QuotaExcess | None]:
        async with a_rate_limiter(valkey.url) as rate_limiter:
            return [await spend(rate_limiter) for _ in range(11)]

    *_, refused = uvloop.run(work())

    assert refused is not None
    assert refused.window == QUOTA.windows[0]
    assert refused.retry_after_seconds == 60


def test_as_time_passes_the_calls_come_back_until_the_hour_is_spent(valkey: RunningValkey) -> None:
    async def work() -> list[int]:
        async with a_rate_limiter(valkey.url) as rate_limiter:
            counts = []
            for _ in range(11):
                counts.append(await admitted(*(spend(rate_limiter) for _ in range(15))))
                await asyncio.to_thread(valkey.let_pass, 60)
            return counts

    assert uvloop.run(work()) == [*[10] * 10, 0]


def test_a_caller_who_goes_away_takes_no_answer_from_another(valkey: RunningValkey) -> None:
    async def work() -> tuple[list[QuotaExcess | None], QuotaExcess | None]:
        async with a_rate_limiter(valkey.url) as rate_limiter:
            for _ in range(10):
                await spend(rate_limiter)
            gone = [asyncio.create_task(spend(rate_limiter, BEN)) for _ in range(5)]
            stays = [asyncio.create_task(spend(rate_limiter)) for _ in range(5)]
            await asyncio.sleep(0)
            for task in gone:
                task.cancel()
            return await asyncio.gather(*stays), await spend(rate_limiter, BEN)

    of_ana, of_ben = uvloop.run(work())

    assert all(refused is not None for refused in of_ana)
    assert of_ben is None


def test_a_store_that_has_forgotten_the_script_is_told_it_again(valkey: RunningValkey) -> None:
    async def work() -> int:
        async with a_rate_limiter(valkey.url, local=False) as rate_limiter:
            first = await admitted(*(spend(rate_limiter) for _ in range(4)))
            await asyncio.to_thread(valkey.do, "SCRIPT", "FLUSH")
            return first + await admitted(*(spend(rate_limiter) for _ in range(30)))

    assert uvloop.run(work()) == 10


def test_a_connection_that_was_cut_while_idle_is_opened_again_without_a_word(valkey: RunningValkey) -> None:
    async def work(told: Told) -> int:
        async with a_rate_limiter(valkey.url, local=False, told=told) as rate_limiter:
            await spend(rate_limiter)
            await asyncio.to_thread(valkey.do, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await spend(rate_limiter)
            return rate_limiter.decided_without_count

    told = Told()

    assert uvloop.run(work(told)) == 0
    assert told.reasons == []


def test_a_rate_limiter_holds_one_connection(valkey: RunningValkey) -> None:
    async def work() -> list[Any]:
        async with a_rate_limiter(valkey.url) as rate_limiter:
            await asyncio.gather(*(spend(rate_limiter, (1, f"app-{number}")) for number in range(500)))
            with valkey.client() as client:
                return await asyncio.to_thread(client.client_list)

    names = [client["name"] for client in uvloop.run(work())]

    assert names.count("vigie") == 1


def test_all_that_is_counted_of_a_caller_lies_together_in_a_cluster(valkey: RunningValkey) -> None:
    async def work() -> None:
        async with a_rate_limiter(valkey.url) as rate_limiter:
            for name in ("get", "list", "update"):
                refused = rate_limiter.spend(minute_and_hour(name, per_minute=1, per_hour=1), ANA, NO_MOMENT)
                assert refused is not None
                assert not isinstance(refused, QuotaExcess)
                await refused

    uvloop.run(work())

    keys = valkey.do("KEYS", "*ana*")
    assert len(keys) == 3
    assert len({key_slot(key) for key in keys}) == 1


# Gone, and back


def test_a_store_that_is_not_there_at_the_start_is_found_later(valkey: RunningValkey) -> None:
    async def work(told: Told) -> int:
        async with a_rate_limiter(valkey.url, told=told) as rate_limiter:
            local = await admitted(*(spend(rate_limiter) for _ in range(15)))
            await asyncio.to_thread(valkey.start)
            await asyncio.wait_for(told.is_back.wait(), BACK_SECONDS_MAX)
            assert await admitted(*(spend(rate_limiter) for _ in range(15))) == 10
            assert rate_limiter.decided_without_count == 15
            return local

    told = Told()
    valkey.kill()

    assert uvloop.run(work(told)) == 10
    assert len(told.reasons) == 1


def test_while_the_store_is_gone_each_server_counts_for_itself(valkey: RunningValkey) -> None:
    async def work() -> tuple[int, int]:
        async with a_rate_limiter(valkey.url) as one, a_rate_limiter(valkey.url) as other:
            assert await admitted(*(spend(one) for _ in range(15))) == 10
            valkey.kill()
            calls = [
                await admitted(*(spend(rate_limiter) for _ in range(15))) for rate_limiter in (one, other)
            ]
            return calls[0], calls[1]

    assert uvloop.run(work()) == (10, 10)


def test_each_outage_and_each_store_that_comes_back_empty_begins_anew(valkey: RunningValkey) -> None:
    async def work(told: Told) -> list[int]:
        calls = []
        async with a_rate_limiter(valkey.url, told=told) as rate_limiter:
            for _ in range(3):
                calls.append(await admitted(*(spend(rate_limiter) for _ in range(15))))
                told.is_back.clear()
                await asyncio.to_thread(valkey.kill)
                calls.append(await admitted(*(spend(rate_limiter) for _ in range(15))))
                await asyncio.to_thread(valkey.start)
                await asyncio.wait_for(told.is_back.wait(), BACK_SECONDS_MAX)
        return calls

    assert uvloop.run(work(Told())) == [10, 10] * 3


def test_while_the_store_is_gone_calls_are_refused_where_that_is_set(valkey: RunningValkey) -> None:
    async def work(told: Told) -> None:
        async with a_rate_limiter(valkey.url, local=False, told=told) as rate_limiter:
            assert await spend(rate_limiter) is None
            valkey.kill()
            for _ in range(3):
                with pytest.raises(QuotaStoreUnavailable) as refused:
                    await spend(rate_limiter)
                assert refused.value.retry_after_seconds == 2
            assert rate_limiter.decided_without_count == 3
            valkey.start()
            await asyncio.wait_for(told.is_back.wait(), BACK_SECONDS_MAX)
            assert await spend(rate_limiter) is None

    uvloop.run(work(Told()))


def test_a_store_that_says_nothing_costs_those_who_wait_its_time_once_and_nobody_after_them(
    valkey: RunningValkey,
) -> None:
    async def work(told: Told) -> tuple[float, bool]:
        async with a_rate_limiter(valkey.url, told=told, seconds_max=SILENCE_SECONDS) as rate_limiter:
            with valkey.stopped():
                began_seconds = time.monotonic()
                await asyncio.gather(*(spend(rate_limiter, (1, f"app-{number}")) for number in range(300)))
                waited_seconds = time.monotonic() - began_seconds
                is_decided_at_once = rate_limiter.spend(QUOTA, BEN, NO_MOMENT) is None
            await asyncio.wait_for(told.is_back.wait(), BACK_SECONDS_MAX)
            return waited_seconds, is_decided_at_once

    told = Told()
    waited_seconds, is_decided_at_once = uvloop.run(work(told))

    assert SILENCE_SECONDS <= waited_seconds < 2 * SILENCE_SECONDS
    assert is_decided_at_once
    assert [reason.partition(":")[0] for reason in told.reasons] == ["TimeoutError"]


@pytest.mark.parametrize(
    ("break_it", "mend_it", "reason"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "ReadOnlyError"),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "OutOfMemoryError"),
        (
            ("ACL", "SETUSER", "default", "-@scripting"),
            ("ACL", "SETUSER", "default", "+@all"),
            "NoPermission",
        ),
        (
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            ("CONFIG", "SET", "min-replicas-to-write", "0"),
            "",
        ),
    ],
    ids=["a replica after a failover", "memory is full", "permission withdrawn", "replicas lost"],
)
def test_a_store_that_answers_but_cannot_count_is_gone_until_it_can(
    valkey: RunningValkey, break_it: tuple[str, ...], mend_it: tuple[str, ...], reason: str
) -> None:
    async def work(told: Told) -> None:
        async with a_rate_limiter(valkey.url, local=False, told=told) as rate_limiter:
            assert await spend(rate_limiter) is None
            await asyncio.to_thread(valkey.do, *break_it)
            with pytest.raises(QuotaStoreUnavailable):
                await spend(rate_limiter)
            assert not rate_limiter.is_up
            await asyncio.to_thread(valkey.do, *mend_it)
            await asyncio.wait_for(told.is_back.wait(), BACK_SECONDS_MAX)
            assert await spend(rate_limiter) is None

    told = Told()
    uvloop.run(work(told))

    assert len(told.reasons) == 1
    assert reason in told.reasons[0]


def test_what_the_store_could_still_answer_is_answered_by_it(valkey: RunningValkey) -> None:
    async def work() -> tuple[QuotaExcess | None, QuotaExcess | None, int]:
        async with a_rate_limiter(valkey.url) as rate_limiter:
            await admitted(*(spend(rate_limiter) for _ in range(10)))
            await asyncio.to_thread(valkey.do, "CONFIG", "SET", "maxmemory", "1")
            # To refuse Ana nothing is written; to admit Ben there is no room.
            of_ana, of_ben = await asyncio.gather(spend(rate_limiter, ANA), spend(rate_limiter, BEN))
            return of_ana, of_ben, rate_limiter.decided_without_count

    of_ana, of_ben, decided_without_count = uvloop.run(work())

    assert of_ana is not None
    assert of_ben is None
    assert decided_without_count == 1


# Passwords and TLS


def test_a_password_comes_from_the_address_and_is_never_told(tmp_path: Path) -> None:
    async def work(url: str, told: Told) -> bool:
        async with a_rate_limiter(url, told=told) as rate_limiter:
            await spend(rate_limiter)
            return rate_limiter.is_up

    with RunningValkey(tmp_path, "--requirepass", "hunter 2") as valkey:
        right = f"valkey://:hunter%202@127.0.0.1:{valkey.port}"
        wrong = f"valkey://:hunter3@127.0.0.1:{valkey.port}"
        told = Told()

        assert uvloop.run(work(right, told))
        assert not uvloop.run(work(wrong, told))
        assert not uvloop.run(work(valkey.url, told))
    assert [reason.partition(":")[0] for reason in told.reasons] == ["AuthenticationError"] * 2
    assert "hunter" not in "".join([*told.reasons, repr(quota_store_address(right))])


def test_a_user_with_the_documented_permissions_is_enough(valkey: RunningValkey) -> None:
    documented = (DOCS / "operations.md").read_text(encoding="utf-8").partition("- **Permissions:** ")[2]
    commands = re.findall(r"`([A-Z ]+)`", documented.partition("\n- **")[0])
    allowed = [f"+{command.lower().replace(' ', '|')}" for command in commands]

    async def work() -> tuple[int, int]:
        async with a_rate_limiter(f"valkey://vigie:secret@127.0.0.1:{valkey.port}/1") as rate_limiter:
            return await admitted(
                *(spend(rate_limiter) for _ in range(15))
            ), rate_limiter.decided_without_count

    valkey.do("ACL", "SETUSER", "vigie", "on", ">secret", "~vigie:*", "-@all", *allowed)

    assert "+evalsha" in allowed
    assert uvloop.run(work()) == (10, 0)


def test_a_password_is_read_again_for_every_connection(tmp_path: Path) -> None:
    passwords = ["old"]

    async def work(valkey: RunningValkey, told: Told) -> None:
        async with a_rate_limiter(valkey.url, told=told, read_password=lambda: passwords[-1]) as rate_limiter:
            assert rate_limiter.is_up
            valkey.kill()
            valkey.start()
            await asyncio.to_thread(change_password, valkey)
            await spend(rate_limiter)
            passwords.append("new")
            await asyncio.wait_for(told.is_back.wait(), BACK_SECONDS_MAX)

    def change_password(valkey: RunningValkey) -> None:
        with valkey.client(password="old") as client:
            client.config_set("requirepass", "new")

    with RunningValkey(tmp_path, "--requirepass", "old") as valkey:
        uvloop.run(work(valkey, Told()))


def test_a_store_with_tls_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    async def is_up(url: str, ca_file: str) -> bool:
        async with a_rate_limiter(url, ca_file=ca_file) as rate_limiter:
            return rate_limiter.is_up

    certified = a_certificate("valkey", IPAddress(ip_address("127.0.0.1")), signed_by=an_authority())
    pem, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    pem.write_bytes(certified.to_pem())
    ca.write_bytes(an_authority().root_pem())
    options = (
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        pem,
        "--tls-key-file",
        pem,
        "--tls-auth-clients",
        "no",
    )
    with RunningValkey(tmp_path, *map(str, options), "--tls-ca-cert-file", str(ca)) as valkey:
        address = f"127.0.0.1:{valkey.port}"

        assert uvloop.run(is_up(f"rediss://{address}", str(ca)))
        assert uvloop.run(is_up(f"valkeys://{address}/3", str(ca)))
        assert not uvloop.run(is_up(f"valkeys://{address}", ""))
        assert not uvloop.run(is_up(f"valkeys://localhost:{valkey.port}", str(ca)))
        assert not uvloop.run(is_up(f"valkey://{address}", ""))


def test_a_moment_is_only_for_the_rate_limiter_that_counts_meanwhile(valkey: RunningValkey) -> None:
    async def work() -> list[bool]:
        valkey.kill()
        async with a_rate_limiter(valkey.url) as rate_limiter:
            calls = [(0, 10), (59.9, 1), (60, 10), (60, 1)]
            return [
                all(
                    rate_limiter.spend(QUOTA, ANA, Instant(round(second * TICKS_PER_SECOND))) is None
                    for _ in range(count)
                )
                for second, count in calls
            ]

    assert uvloop.run(work()) == [True, False, True, False]
