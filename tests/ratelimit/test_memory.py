"""The rate limiter of one process: each caller is counted alone, and those who have gone are forgotten."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.quotas import Quota, Window, quota_excess
from vigie.ratelimit.memory import MemoryRateLimiter

QUOTA = Quota(name="get", windows=(Window(calls=2, seconds=3), Window(calls=4, seconds=10)))
ANA, BEN = (1, "ana"), (1, "ben")

calls = st.lists(st.tuples(st.sampled_from([ANA, BEN, (2, "ana")]), st.integers(0, 4)), max_size=80)


def at(second: float) -> Instant:
    return Instant(round(second * TICKS_PER_SECOND))


@given(calls)
def test_the_rate_limiter_agrees_with_a_log_that_is_kept_for_ever(
    steps: list[tuple[tuple[int, str], int]],
) -> None:
    rate_limiter = MemoryRateLimiter()
    logs: dict[tuple[int, str], list[Instant]] = {}
    seconds = accumulate(step for _, step in steps)

    for (caller, _), second in zip(steps, seconds, strict=True):
        log, now = logs.setdefault(caller, []), at(second)
        expected = quota_excess(QUOTA, log, now)
        assert rate_limiter.spend(QUOTA, caller, now) == expected
        if expected is None:
            log.append(now)


def test_a_caller_does_not_spend_what_belongs_to_another() -> None:
    rate_limiter = MemoryRateLimiter()
    for _ in range(2):
        rate_limiter.spend(QUOTA, ANA, at(0))

    assert rate_limiter.spend(QUOTA, ANA, at(0)) is not None
    assert rate_limiter.spend(QUOTA, BEN, at(0)) is None
    assert rate_limiter.spend(QUOTA, (2, "ana"), at(0)) is None


def test_a_quota_does_not_spend_what_belongs_to_another() -> None:
    rate_limiter = MemoryRateLimiter()
    other = Quota(name="list", windows=QUOTA.windows)
    for _ in range(2):
        rate_limiter.spend(QUOTA, ANA, at(0))

    assert rate_limiter.spend(other, ANA, at(0)) is None


def test_refused_calls_are_not_counted() -> None:
    rate_limiter = MemoryRateLimiter()

    admitted = [rate_limiter.spend(QUOTA, ANA, at(second / 10)) is None for second in range(31)]

    assert admitted == [True, True, *[False] * 28, True]


def test_a_hundred_thousand_callers_who_came_once_are_not_kept() -> None:
    rate_limiter = MemoryRateLimiter()

    for number in range(100_000):
        rate_limiter.spend(QUOTA, (1, f"app-{number}"), at(number / 10))

    assert rate_limiter.caller_count() < 3000


def test_a_caller_is_not_forgotten_while_a_window_reaches_it() -> None:
    rate_limiter = MemoryRateLimiter()
    for _ in range(2):
        rate_limiter.spend(QUOTA, ANA, at(0))
    for number in range(5000):
        rate_limiter.spend(QUOTA, (1, f"app-{number}"), at(2.9))

    assert rate_limiter.spend(QUOTA, ANA, at(2.9)) is not None
