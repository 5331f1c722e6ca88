"""What a call through a pipeline costs, beside other libraries in the same process: each figure and its requirement.

Run it from a checkout: `uv run --group peers python benchmarks/pipeline.py` (`--json` for machines, `--rounds 9` for a
quick look). Exits 1 when a requirement is missed. Costs are CPU time over a bare await (or call), success path, the
median of interleaved rounds. The event loop is given a turn every hundred calls, so that its timers are paid for.
"""

import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from pipeline_peers import AWAITED, CALLED, with_timeout
from tenfold.errors import CallRejected
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.threads import ThreadPipeline

CALLS = 300
TICK = 100
ROUNDS = 151
RETRY, BREAKER, BULKHEAD = {"attempts": 3}, {"failures": 5}, {"in_flight": 100}
UNTIMED: dict[str, Any] = {"retry": RETRY, "circuit_breaker": BREAKER, "bulkhead": BULKHEAD}
TIMED: dict[str, Any] = {"deadline": "5 s", **UNTIMED, "timeout": "1 s"}
FULL: dict[str, Any] = {
    **TIMED,
    "retry": {**RETRY, "budget": "20%"},
    "circuit_breaker": {**BREAKER, "failure_share": "50%"},
}
STACK = "asyncio.timeout > backoff > circuitbreaker > Semaphore"
NO_TIMER, FIVE = "retry, breaker, bulkhead", "all five policies"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `required` is None for what is only reported; less is better."""

    name: str
    measured: float
    unit: str = "us"
    required: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        return self.required is None or self.measured <= self.required


# What is called.


async def answered(attempt: object = None) -> int:
    """Answers at once."""
    return 1


async def suspended(attempt: object = None) -> int:
    """Lets the event loop turn once, as every real call does at least."""
    await asyncio.sleep(0)
    return 1


def returned(attempt: object = None) -> int:
    """Answers at once."""
    return 1


@dataclass(frozen=True)
class Through:
    """A call of `fn` through a pipeline, written as its users write it."""

    pipeline: Any
    fn: Callable[..., Any]


def through(fn: Callable[..., Awaitable[int]], **policies: Any) -> Through:
    """A call of `fn` through a pipeline of its own."""
    return Through(Pipeline(**policies), fn)


# How it is measured.

Case = Through | Callable[[], Any]


async def cpu_of(case: Case) -> float:
    """CPU us of one call."""
    begun = time.process_time_ns()
    for _ in range(CALLS // TICK):
        if isinstance(case, Through):
            pipeline, fn = case.pipeline, case.fn
            for _ in range(TICK):
                await pipeline.call(fn, idempotent=True)
        else:
            for _ in range(TICK):
                await case()
        await asyncio.sleep(0)
    return (time.process_time_ns() - begun) / CALLS / 1000


def cpu_of_sync(case: Case) -> float:
    """CPU us of one call without an event loop."""
    begun = time.process_time_ns()
    if isinstance(case, Through):
        pipeline, fn = case.pipeline, case.fn
        for _ in range(CALLS):
            pipeline.call(fn, idempotent=True)
    else:
        for _ in range(CALLS):
            case()
    return (time.process_time_ns() - begun) / CALLS / 1000


async def cpu_of_refusal(pipeline: Pipeline) -> float:
    """CPU us of one refused call, raised and caught."""
    begun = time.process_time_ns()
    for _ in range(CALLS):
        try:
            await pipeline.call(answered, idempotent=True)
        except CallRejected:
            pass
    return (time.process_time_ns() - begun) / CALLS / 1000


async def cpu_of_raising(raising: Callable[[], Awaitable[None]]) -> float:
    """CPU us of awaiting what raises, and catching it."""
    begun = time.process_time_ns()
    for _ in range(CALLS):
        try:
            await raising()
        except ConnectionError:
            pass
    return (time.process_time_ns() - begun) / CALLS / 1000


async def medians(cases: dict[str, Case], rounds: int) -> dict[str, float]:
    """CPU us of each case, in interleaved rounds: what disturbs the machine disturbs all alike."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):  # the first warms up
        for name, case in cases.items():
            taken[name].append(await cpu_of(case))
    return {name: statistics.median(each[1:]) for name, each in taken.items()}


def sync_medians(cases: dict[str, Case], rounds: int) -> dict[str, float]:
    """The same without an event loop."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            taken[name].append(cpu_of_sync(case))
    return {name: statistics.median(each[1:]) for name, each in taken.items()}


def over(costs: dict[str, float], bare: str) -> dict[str, float]:
    """Costs over the bare one."""
    return {name: cost - costs[bare] for name, cost in costs.items() if name != bare}


# The parts of the table.


def composed(rounds: int) -> Iterator[Figure]:
    """The whole stack, beside the stacks of others."""
    decorated = Pipeline(**TIMED)(idempotent=True)(answered)
    cases: dict[str, Case] = {
        "bare": answered,
        NO_TIMER: through(answered, **UNTIMED),
        FIVE: through(answered, **TIMED),
        f"{FIVE}, as a decorator": decorated,
        f"{FIVE}, with budget and share": through(answered, **FULL),
        f"{FIVE}, with a fallback": through(answered, **TIMED, fallback=lambda error: 0),
        f"{FIVE}, every decision told": through(answered, **TIMED, on_decision=lambda decision: None),
    }

    async def measured() -> dict[str, float]:
        peers = {name: make(answered) for name, make in AWAITED.items()}  # some ask for a running event loop
        return await medians(cases | peers, rounds)

    costs = over(asyncio.run(measured()), "bare")
    yield Figure(NO_TIMER, costs[NO_TIMER], required=2.5)
    yield Figure(FIVE, costs[FIVE])
    yield Figure(f"{FIVE} / first stack below", 100 * costs[FIVE] / costs[STACK], "%", 30)
    yield from (Figure(name, costs[name]) for name in (*list(cases)[3:], *AWAITED))


def alone(rounds: int) -> Iterator[Figure]:
    """Each policy by itself."""
    chosen: dict[str, dict[str, Any]] = {"no policy": {}, **{name: {name: TIMED[name]} for name in TIMED}}
    chosen["retry with budget"] = {"retry": FULL["retry"]}
    chosen["circuit_breaker with share"] = {"circuit_breaker": FULL["circuit_breaker"]}
    cases: dict[str, Case] = {"bare": answered}
    cases |= {f"  {name}": through(answered, **policies) for name, policies in chosen.items()}
    cases["  asyncio.timeout"] = with_timeout(answered)
    costs = over(asyncio.run(medians(cases, rounds)), "bare")
    yield from (Figure(name, cost) for name, cost in costs.items())


def suspending(rounds: int) -> Iterator[Figure]:
    """With a turn of the event loop in every call."""
    cases: dict[str, Case] = {"bare": suspended, FIVE: through(suspended, **TIMED)}
    cases[STACK] = AWAITED[STACK](suspended)
    costs = asyncio.run(medians(cases, rounds))
    yield Figure("one turn of the loop, bare", costs["bare"])
    yield from (Figure(f"{name}, one turn of the loop", cost) for name, cost in over(costs, "bare").items())


def refused(rounds: int) -> Iterator[Figure]:
    """An open circuit, beside a function that raises and nothing else. Both are awaited and caught."""
    pipeline = Pipeline(retry=RETRY, circuit_breaker={"failures": 1, "open": "1 h"}, bulkhead=BULKHEAD)

    async def raising(attempt: object = None) -> None:
        raise ConnectionError

    async def measured() -> tuple[float, float]:
        with contextlib.suppress(ConnectionError):
            await pipeline.call(raising, idempotent=False)
        taken = [
            (await cpu_of(answered), await cpu_of_raising(raising), await cpu_of_refusal(pipeline))
            for _ in range(rounds + 1)
        ]
        bare, raised, rejected = (statistics.median(each) for each in zip(*taken[1:], strict=True))
        return raised - bare, rejected - bare

    raised, rejected = asyncio.run(measured())
    yield Figure("raise and except", raised)
    yield Figure("open circuit, refused", rejected, required=2 * raised + 1)


def windows(rounds: int) -> Iterator[Figure]:
    """The breaker's share and the retry's budget with few and with many calls in their windows."""

    def with_calls(calls: int) -> Through:
        step_ns, now = 10_000_000_000 // calls, [0]

        def clock_ns() -> int:
            now[0] += step_ns // 2  # it is read twice for a call
            return now[0]

        policies = {"retry": FULL["retry"], "circuit_breaker": FULL["circuit_breaker"]}
        return through(answered, **policies, clock_ns=clock_ns)

    costs = asyncio.run(medians({"bare": answered, "10": with_calls(10), "10000": with_calls(10_000)}, rounds))
    few, many = (costs[name] - costs["bare"] for name in ("10", "10000"))
    yield Figure("budget and share, 10 calls in the window", few)
    yield Figure("budget and share, 10,000 calls / 10 calls", many / few, "x", 1.1)


def threads(rounds: int) -> Iterator[Figure]:
    """The pipeline for threads."""

    def sync_through(**policies: Any) -> Through:
        return Through(ThreadPipeline(**policies), returned)

    cases: dict[str, Case] = {
        "bare": returned,
        f"threads: {NO_TIMER}": sync_through(**UNTIMED),
        f"threads: {FIVE}": sync_through(**TIMED),
    }
    cases |= {f"threads: {name}": make(returned) for name, make in CALLED.items()}
    with ThreadPoolExecutor(1) as executor:
        cases[f"threads: {FIVE}, in an executor"] = sync_through(**TIMED, executor=executor)
        costs = over(sync_medians(cases, rounds), "bare")
    yield from (Figure(name, cost) for name, cost in costs.items())


def memory() -> Iterator[Figure]:
    """What a pipeline with nothing but a breaker keeps, and what the breaker is of it."""
    for name, make in (
        ("a breaker: settings and state", lambda: (circuit_breaker.Config(), circuit_breaker.State())),
        ("a pipeline with a breaker", lambda: Pipeline([circuit_breaker.Config()])),
    ):
        kept = [make() for _ in range(10)]
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = [make() for _ in range(1000)]
        size = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
        tracemalloc.stop()
        yield Figure(name, size, "B", 2048)


def measured(rounds: int) -> list[Figure]:
    """Every figure, in the order of the table."""
    parts = (composed, alone, suspending, refused, windows, threads)
    return [*(figure for part in parts for figure in part(rounds)), *memory()]


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':72} {'required':>10} {'measured':>10}  verdict"]
    for figure in figures:
        required = "" if figure.required is None else f"<= {_shown(figure.required)}"
        verdict = "" if figure.required is None else ("ok" if figure.is_met else "MISSED")
        lines.append(f"{figure.name:72} {required:>10} {_shown(figure.measured):>10}  {figure.unit:4} {verdict}")
    return "\n".join(line.rstrip() for line in lines)


def _shown(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="interleaved repeats of every case")
    options = parser.parse_args()
    figures = measured(options.rounds)
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
        names = ("aiobreaker", "backoff", "circuitbreaker", "hyx", "purgatory", "pybreaker", "pyresilience", "stamina")
        versions = (f"{name} {importlib.metadata.version(name)}" for name in (*names, "tenacity"))
        print(f"\nCPython {sys.version.split()[0]}; {', '.join(versions)}")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
