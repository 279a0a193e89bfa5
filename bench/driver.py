"""One row after the other: answers compared first, then slices in rotating order."""

import json
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.callers import first_token
from bench.figures import Slice
from bench.processes import BenchError, Server
from bench.programs import Program
from bench.results import Results
from bench.stores import Store
from bench.wrk import HOST, Load, run_slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Who is measured in a row, and what is asked of it.

    `settle` ends what a slice has left to do in the background, before another contender has its turn.
    """

    name: str
    server: Server
    load: Load
    settle: Callable[[Slice], None] | None = None


Turn = Callable[[int], Slice]
"""What a contender does in a round of this number, and what came of it. Round 0 is thrown away."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every row needs: a store and a small one to write to, how long and how much, where results go.

    `older` is the program of another revision, where this one is held against it.
    """

    store: Store
    small_store: Store
    results: Results
    rounds: int
    seconds: int
    reads: int
    imports: int
    older: Program | None = None


def measure(bench: Bench, row: str, contenders: Sequence[Contender]) -> None:
    """The slices of a row of requests."""
    take_turns(bench, row, {each.name: _requests(bench, row, each) for each in contenders})


def take_turns(bench: Bench, row: str, turns: Mapping[str, Turn], *, is_warm: bool = False) -> None:
    """Measure contenders by their names in slices. They take turns, and each round another one begins."""
    print(f"{row}: {'; '.join(turns)}", flush=True)
    if not is_warm:
        # What is loaded or made at the first request is nobody's hot path.
        for turn in turns.values():
            turn(0)
    for number in range(1, bench.rounds + 1):
        for turn in in_turn(list(turns.values()), number):
            bench.results.add(turn(number))


def in_turn(contenders: Sequence[T], number: int) -> list[T]:
    """The contenders in the order of a round: the first of the last one goes to the end."""
    first = (number - 1) % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def _requests(bench: Bench, row: str, contender: Contender) -> Turn:
    def turn(number: int) -> Slice:
        measured = run_slice(
            contender.server,
            contender.load,
            row=row,
            contender=contender.name,
            round_number=number,
            seconds=bench.seconds if number else 1,
        )
        if contender.settle is not None:
            contender.settle(measured)
        return measured

    return turn


def answer_of(server: Server, load: Load) -> bytes:
    """The body of one answer to a load with a fixed target. Raises BenchError unless it is 200."""
    headers = {"Host": HOST, "Authorization": f"Bearer {first_token(load.tokens)}"}
    request = urllib.request.Request(server.url + load.target, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
    except OSError as error:
        raise BenchError(f"{server.name}: {load.target}: {error}") from error
    return body


def require_same_answers(contenders: Sequence[Contender]) -> None:
    """Raise BenchError unless all answer with the same JSON in as many bytes."""
    first, *others = contenders
    expected = answer_of(first.server, first.load)
    for other in others:
        check_same(expected, answer_of(other.server, other.load), names=(first.name, other.name))


def check_same(expected: bytes, answered: bytes, *, names: tuple[str, str]) -> None:
    """Raise BenchError unless two bodies are the same JSON in as many bytes."""
    if json.loads(expected) != json.loads(answered):
        raise BenchError(f"{names[1]} does not answer what {names[0]} answers")
    # Flask ends its JSON with a line end.
    expected, answered = expected.rstrip(), answered.rstrip()
    if len(expected) != len(answered):
        raise BenchError(f"{names[1]} answers {len(answered)} bytes, {names[0]} {len(expected)}")
