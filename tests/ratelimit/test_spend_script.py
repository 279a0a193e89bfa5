"""The script that counts in Valkey: the core's arithmetic, to the microsecond, in bounded memory."""

from itertools import accumulate, count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess, Window, minute_and_hour, quota_excess
from vigie.ratelimit.memory import MemoryRateLimiter
from vigie.ratelimit.valkey import SPEND, TICKS_PER_MICROSECOND

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
ANY_DAY = 1_790_000_000 * SECOND

quotas = st.lists(
    st.builds(
        lambda calls, seconds: Window(calls=calls, seconds=seconds), st.integers(1, 6), st.integers(1, 9)
    ),
    min_size=1,
    max_size=3,
).map(lambda windows: Quota(name="any", windows=tuple(windows)))

# Steps that often land on the border of a window, and one microsecond beside it.
steps = st.builds(
    lambda seconds, beside: max(0, seconds * SECOND + beside), st.integers(0, 4), st.integers(-1, 1)
)
knocks = st.lists(steps, max_size=60).map(lambda each: list(accumulate(each, initial=ANY_DAY)))

_keys = count(1)


def a_log() -> str:
    """The name of a log that nobody has called before."""
    return f"vigie:{{1:app-{next(_keys)}}}:get"


def spend(client: Redis, log: str, quota: Quota, *now: int) -> QuotaExcess | None:
    """Ask the script, at a moment in microseconds or, without one, by the server's clock."""
    windows = [
        number for window in quota.windows for number in (window.calls, window.ticks // TICKS_PER_MICROSECOND)
    ]
    answer = client.eval(SPEND.text.decode(), 1, log, *windows, *now)
    if not answer:
        return None
    number, wait = answer
    return QuotaExcess(window=quota.windows[number - 1], wait_ticks=wait * TICKS_PER_MICROSECOND)


@given(quotas, knocks)
def test_the_script_agrees_with_the_core_over_a_log_that_is_kept_for_ever(
    client: Redis, quota: Quota, moments: list[int]
) -> None:
    name, log, memory = a_log(), list[Instant](), MemoryRateLimiter()

    for now in moments:
        at = Instant(now * TICKS_PER_MICROSECOND)
        expected = quota_excess(quota, log, at)
        assert spend(client, name, quota, now) == expected
        assert memory.spend(quota, (1, "app"), at) == expected
        if expected is None:
            log.append(at)


def test_the_hour_s_stamps_are_all_that_is_kept_of_a_caller(client: Redis) -> None:
    quota, log = minute_and_hour("get", per_minute=100, per_hour=1500), a_log()

    for number in range(4000):
        spend(client, log, quota, ANY_DAY + number * SECOND)

    assert client.llen(log) == 1500
    assert (client.memory_usage(log, samples=0) or 0) < 17_000


def test_a_caller_who_has_gone_is_forgotten_a_second_after_the_longest_window(client: Redis) -> None:
    minute, hour = minute_and_hour("get", per_minute=1, per_hour=1).windows

    for windows in ((minute, hour), (hour, minute)):
        log = a_log()
        spend(client, log, Quota(name="get", windows=windows))

        assert 3600_000 < int(client.pttl(log)) <= 3601_000


def test_a_refused_call_leaves_the_log_as_it_was(client: Redis) -> None:
    quota, log = minute_and_hour("get", per_minute=1, per_hour=10), a_log()
    spend(client, log, quota, ANY_DAY)
    before = client.dump(log)

    refused = spend(client, log, quota, ANY_DAY + SECOND)

    assert refused == QuotaExcess(
        window=quota.windows[0], wait_ticks=(MINUTE - SECOND) * TICKS_PER_MICROSECOND
    )
    assert client.dump(log) == before


def stamp_of(client: Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds * SECOND + microseconds)


def test_the_clock_is_the_server_s_when_none_is_handed_in(client: Redis) -> None:
    quota, log = minute_and_hour("get", per_minute=1, per_hour=10), a_log()

    before = stamp_of(client)
    assert spend(client, log, quota) is None
    assert before <= int(client.lrange(log, 0, -1)[0]) <= stamp_of(client)

    refused = spend(client, log, quota)
    assert refused is not None
    assert refused.retry_after_seconds == 60


def test_a_clock_that_was_set_back_stands_still_until_it_has_caught_up(client: Redis) -> None:
    quota, log = Quota(name="any", windows=(Window(calls=2, seconds=60),)), a_log()
    spend(client, log, quota, ANY_DAY)

    assert spend(client, log, quota, ANY_DAY - 30 * SECOND) is None

    refused = spend(client, log, quota, ANY_DAY - 20 * SECOND)
    assert refused is not None
    assert refused.retry_after_seconds == 60


def test_a_clock_that_was_set_back_by_hours_does_not_lock_a_caller_out(client: Redis) -> None:
    quota, log = minute_and_hour("get", per_minute=1, per_hour=1), a_log()
    spend(client, log, quota, ANY_DAY)

    assert spend(client, log, quota, ANY_DAY - HOUR) is not None
    assert spend(client, log, quota, ANY_DAY - HOUR - 1) is None
    assert spend(client, log, quota, ANY_DAY - HOUR - 1) is not None


@pytest.mark.parametrize("command", [("SET", "hello"), ("SADD", "a"), ("RPUSH", "hello"), ("RPUSH", "nan")])
def test_what_is_no_log_is_replaced_by_one(client: Redis, command: tuple[str, str]) -> None:
    quota, log = minute_and_hour("get", per_minute=1, per_hour=10), a_log()
    client.execute_command(command[0], log, command[1])  # type: ignore[no-untyped-call]

    assert spend(client, log, quota, ANY_DAY) is None
    assert spend(client, log, quota, ANY_DAY) is not None


def test_words_deep_in_a_log_do_no_harm(client: Redis) -> None:
    quota, log = minute_and_hour("get", per_minute=2, per_hour=10), a_log()
    client.rpush(log, "hello", ANY_DAY)

    assert spend(client, log, quota, ANY_DAY) is None
    assert spend(client, log, quota, ANY_DAY) is not None


def test_a_raised_limit_counts_from_the_next_call(client: Redis) -> None:
    log = a_log()
    spend(client, log, minute_and_hour("get", per_minute=1, per_hour=1), ANY_DAY)

    raised = minute_and_hour("get", per_minute=2, per_hour=2)

    assert [spend(client, log, raised, ANY_DAY + 1) is None for _ in range(2)] == [True, False]
