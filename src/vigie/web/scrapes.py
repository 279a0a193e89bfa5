"""What /metrics answers: rendered once a second at most, for all who ask."""

from asyncio import Lock, to_thread
from collections.abc import Callable
from dataclasses import dataclass

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.web.metrics import Form, Metrics

AGE_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    began_at: Instant
    body: bytes


class Scrapes:
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
        self._metrics = metrics
        self._steady_clock = steady_clock
        self._age_ticks_max = age_seconds_max * TICKS_PER_SECOND
        self._kept: dict[Form, _Rendered] = {}
        self._turn = Lock()

    async def body(self, form: Form) -> bytes:
        """The metrics in a form, as they were a moment ago. One is rendered at a time, whatever its form."""
        found = self._find(form)
        if found is None:
            async with self._turn:
                # Somebody else may have been here meanwhile.
                found = self._find(form) or await self._render(form)
        return found

    def _find(self, form: Form) -> bytes | None:
        kept = self._kept.get(form)
        is_good = kept and self._steady_clock() - kept.began_at < self._age_ticks_max
        return kept.body if kept and is_good else None

    async def _render(self, form: Form) -> bytes:
        began_at = self._steady_clock()
        body = await to_thread(self._metrics.render, form)
        self._kept[form] = _Rendered(began_at=began_at, body=body)
        return body
