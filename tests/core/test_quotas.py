"""Quotas as arithmetic: never more than allowed in any window, and a wait that is true to the tick."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.quotas import Quota, QuotaExcess, Window, minute_and_hour, quota_excess

quotas = st.builds(
    lambda windows: Quota(name="any", windows=tuple(windows)),
    st.lists(
        st.builds(
            lambda calls, seconds: Window(calls=calls, seconds=seconds), st.integers(1, 6), st.integers(1, 9)
        ),
        min_size=1,
        max_size=3,
    ),
)

# Steps that often land on the border of a window, and one tick beside it.
steps = st.builds(
    lambda seconds, ticks: max(0, seconds * TICKS_PER_SECOND + ticks), st.integers(0, 4), st.integers(-1, 1)
)
knocks = st.lists(steps, max_size=60).map(lambda each: [Instant(moment) for moment in accumulate(each)])


def admitted(quota: Quota, moments: list[Instant]) -> list[Instant]:
    log: list[Instant] = []
    for now in moments:
        if quota_excess(quota, log, now) is None:
            log.append(now)
    return log


@given(quotas, knocks)
def test_no_window_wherever_it_starts_holds_more_calls_than_allowed(
    quota: Quota, moments: list[Instant]
) -> None:
    log = admitted(quota, moments)

    for window in quota.windows:
        for start in log:
            assert sum(start <= moment < start + window.ticks for moment in log) <= window.calls


@given(quotas, knocks)
def test_a_call_is_admitted_exactly_when_a_naive_log_has_room(quota: Quota, moments: list[Instant]) -> None:
    log: list[Instant] = []

    for now in moments:
        has_room = all(
            sum(now - window.ticks < earlier <= now for earlier in log) < window.calls
            for window in quota.windows
        )
        assert (quota_excess(quota, log, now) is None) == has_room
        if has_room:
            log.append(now)


@given(quotas, knocks)
def test_the_stated_wait_is_enough_and_not_a_tick_too_long(quota: Quota, moments: list[Instant]) -> None:
    log = admitted(quota, moments)
    now = Instant(moments[-1] if moments else 0)

    refused = quota_excess(quota, log, now)

    if refused is not None:
        assert quota_excess(quota, log, Instant(now + refused.wait_ticks)) is None
        assert quota_excess(quota, log, Instant(now + refused.wait_ticks - 1)) is not None


@given(st.integers(1, 3600 * TICKS_PER_SECOND))
def test_the_wait_in_seconds_is_enough_and_less_than_one_second_too_long(wait_ticks: int) -> None:
    seconds = QuotaExcess(window=Window(calls=1, seconds=60), wait_ticks=wait_ticks).retry_after_seconds

    assert wait_ticks <= seconds * TICKS_PER_SECOND < wait_ticks + TICKS_PER_SECOND


@given(quotas, knocks)
def test_what_no_window_reaches_may_be_forgotten(quota: Quota, moments: list[Instant]) -> None:
    log = admitted(quota, moments)
    now = Instant(moments[-1] if moments else 0)

    remembered = [moment for moment in log if moment > now - quota.longest_ticks][-quota.calls_max :]

    assert quota_excess(quota, remembered, now) == quota_excess(quota, log, now)


def test_knocking_does_not_lengthen_the_wait() -> None:
    quota = minute_and_hour("any", per_minute=1, per_hour=10)
    log = [Instant(0)]

    waits = [quota_excess(quota, log, Instant(second * TICKS_PER_SECOND)) for second in (10, 20, 30)]

    assert [wait and wait.retry_after_seconds for wait in waits] == [50, 40, 30]


def test_of_several_spent_windows_the_one_that_lets_in_last_is_named() -> None:
    quota = minute_and_hour("any", per_minute=2, per_hour=2)

    refused = quota_excess(quota, [Instant(0), Instant(0)], Instant(TICKS_PER_SECOND))

    assert refused == QuotaExcess(window=quota.windows[1], wait_ticks=3599 * TICKS_PER_SECOND)


def test_neither_does_it_matter_which_of_them_is_the_longer() -> None:
    quota = minute_and_hour("any", per_minute=2, per_hour=3)
    earlier = [Instant(second * TICKS_PER_SECOND) for second in (0, 3590, 3595)]

    refused = quota_excess(quota, earlier, Instant(3598 * TICKS_PER_SECOND))

    assert refused == QuotaExcess(window=quota.windows[0], wait_ticks=52 * TICKS_PER_SECOND)


def test_a_quota_has_a_window_of_a_minute_and_one_of_an_hour() -> None:
    quota = minute_and_hour("any", per_minute=100, per_hour=1500)

    assert quota.name == "any"
    assert [(window.calls, window.seconds) for window in quota.windows] == [(100, 60), (1500, 3600)]
