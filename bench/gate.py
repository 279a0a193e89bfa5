"""The gate of CI: the two ratios that are stable on any machine, at half the strength of the goals."""

from dataclasses import dataclass

from bench import reads
from bench.driver import Bench
from bench.figures import Slice, cpu, of_contender, ratio
from bench.results import Results

NGINX_TIMES_MAX = 4.0
"""CPU of Vigie, its request log on, against nginx serving the same bytes. The goal is 2.2."""

PEER_TIMES_MIN = 20.0
"""CPU of the FastAPI peer with a JSON column against Vigie's, logs off on both sides. The goal is 40."""

_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """What the gate looks at: medians of the ratios round by round."""

    of_nginx: float
    of_peer: float

    @property
    def passes(self) -> bool:
        return self.of_nginx <= NGINX_TIMES_MAX and self.of_peer >= PEER_TIMES_MIN

    def __str__(self) -> str:
        return (
            f"CPU against nginx {self.of_nginx:.2f} times, at most {NGINX_TIMES_MAX:g}; "
            f"the FastAPI peer's against ours {self.of_peer:.1f} times, at least {PEER_TIMES_MIN:g}"
        )


def judge(bench: Bench) -> int:
    """0 when the gate is passed, 1 when it is not: the second try, made at another time, is the last."""
    for number in range(1, _TRIES + 1):
        bench.results.records.clear()
        reads.quick(bench)
        found = ratios_of(bench.results)
        print(f"try {number}: {found}: {'passed' if found.passes else 'not passed'}", flush=True)
        if found.passes:
            return 0
    return 1


def ratios_of(results: Results) -> Ratios:
    """The two ratios of a quick run."""
    slices = results.slices
    logged, plain, nginx, peer = (
        of_contender(slices, reads.BY_ID, name)
        for name in ("vigie, request log on", "vigie", "nginx", "fastapi-json")
    )
    return Ratios(of_nginx=_ratio(logged, nginx), of_peer=_ratio(peer, plain))


def _ratio(one: list[Slice], other: list[Slice]) -> float:
    found = ratio(one, other, cpu)
    if found is None:
        raise ValueError("a quick run lacks one of nginx, Vigie and the peer")
    return found
