"""The answer to /metrics, rendered once a second at most for all who ask."""

from asyncio import Lock, to_thread
from collections.abc import Callable
from functools import partial

from vigie.core.instants import Instant
from vigie.observability.cached_result import AGE_SECONDS_MAX, RecentResult
from vigie.observability.metrics import Form, Metrics


class MetricsCache:
    """Shares what is rendered: it takes tens of milliseconds of the core, and anybody may ask.

    `age_seconds_max` of 0 shares nothing.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        steady_clock: Callable[[], Instant],
        age_seconds_max: float = AGE_SECONDS_MAX,
    ) -> None:
        turn = Lock()
        self._bodies = {
            form: RecentResult(
                partial(to_thread, metrics.render, form),
                steady_clock=steady_clock,
                turn=turn,
                age_seconds_max=age_seconds_max,
            )
            for form in Form
        }

    async def body(self, form: Form) -> bytes:
        """The metrics in a form, as they were a moment ago. One is rendered at a time, whatever its form."""
        return await self._bodies[form].get()
