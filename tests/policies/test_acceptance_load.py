"""The acceptance rows of the policies that shed, pace and hedge (A15 to A17), in virtual time."""

import asyncio
import heapq
import random
from dataclasses import dataclass, field

import pytest

from tenfold.errors import CallRejected
from tenfold.policies.call import adaptive_limit, hedge, throttle
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import NEVER, PROCEED, SUCCESS
from tenfold.runtime.pipeline import Pipeline
from tenfold.testing.world import World

MS = 1_000_000
SECOND = 1_000_000_000


@dataclass
class Ends:
    """How every call of a run ended, by the second it began (or was answered) in."""

    offered: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    good: dict[int, int] = field(default_factory=dict)
    latencies_ns: dict[int, list[int]] = field(default_factory=dict)

    def note(self, what, at_ns):
        second = at_ns // SECOND
        what[second] = what.get(second, 0) + 1

    def total(self, what, first, last):
        return sum(what.get(second, 0) for second in range(first, last))

    def refused_ratio(self, first, last):
        return self.total(self.refused, first, last) / self.total(self.offered, first, last)

    def goodput(self, first, last):
        return self.total(self.good, first, last) / (last - first)

    def p99_ms(self, first, last):
        accepted = sorted(x for second in range(first, last) for x in self.latencies_ns.get(second, ()))
        return accepted[int(0.99 * len(accepted))] / MS


def offer(config, serve, rates_per_s, seed=1):
    """An open loop of calls through a pipeline with one policy. `rates_per_s`: (seconds, rate) one after another."""
    world, ends = World(seed), Ends()
    pipeline = Pipeline([config], clock_ns=world.clock_ns, draw=world.draw)

    async def fn(attempt):
        await serve(world)

    async def one():
        begun_ns = world.now_ns
        ends.note(ends.offered, begun_ns)
        try:
            await pipeline.call(fn, idempotent=True)
        except CallRejected:
            ends.note(ends.refused, begun_ns)
        except ConnectionError:
            ends.note(ends.failed, begun_ns)
        else:
            ends.note(ends.good, world.now_ns)
            ends.latencies_ns.setdefault(begun_ns // SECOND, []).append(world.now_ns - begun_ns)

    async def scenario():
        tasks, end_s = set(), 0
        for seconds, rate in rates_per_s:
            end_s += seconds
            while world.now_ns < end_s * SECOND:
                await asyncio.sleep(world.dice.expovariate(rate))
                task = asyncio.create_task(one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    world.run(scenario())
    return ends, pipeline.state(type(config).__module__.rpartition(".")[2])


class Workers:
    """Ten workers, first come first served, 100 ms each; from `slower_s` on it takes twice as long."""

    def __init__(self, slower_s=10**9):
        self.free_ns, self.slower_ns = [0] * 10, slower_s * SECOND

    async def __call__(self, world):
        takes_ns = 100 * MS * (2 if world.now_ns >= self.slower_ns else 1)
        end_ns = max(heapq.heappop(self.free_ns), world.now_ns) + takes_ns
        heapq.heappush(self.free_ns, end_ns)
        await asyncio.sleep((end_ns - world.now_ns) / 1e9)


def test_a15_the_limit_keeps_goodput_and_latency_through_an_overload_and_twenty_minutes_of_it():
    """80 -> 300 -> 80 calls/s towards a capacity of 100, two minutes each, then 20 minutes of 300."""
    ends, state = offer(adaptive_limit.Config(), Workers(), [(120, 80), (120, 300), (120, 80), (1200, 300)])
    assert ends.refused_ratio(20, 120) <= 0.01
    assert ends.goodput(120, 240) >= 95
    assert ends.p99_ms(120, 240) <= 300
    assert ends.refused_ratio(260, 360) <= 0.01
    for first in range(360, 1560, 120):
        assert ends.goodput(first, first + 120) >= 95
        assert ends.p99_ms(first, first + 120) <= 300
    assert state.baseline_ns == pytest.approx(100 * MS, rel=0.05)


def test_a15_a_limit_that_begins_in_an_overload_finds_the_baseline():
    ends, state = offer(adaptive_limit.Config(), Workers(), [(120, 300)], seed=2)
    assert state.baseline_ns == pytest.approx(100 * MS, rel=0.05)
    assert ends.goodput(1, 120) >= 95
    assert ends.p99_ms(30, 120) <= 300


@pytest.mark.parametrize("rate", [80, 300])
def test_a15_a_service_time_that_doubles_is_found_within_a_minute(rate):
    ends, state = offer(adaptive_limit.Config(), Workers(slower_s=60), [(180, rate)])
    assert state.baseline_ns == pytest.approx(200 * MS, rel=0.05)
    assert ends.goodput(120, 180) >= 0.95 * 50
    assert ends.p99_ms(120, 180) <= 600


class Callee:
    """Accepts 30 calls a second until 300 s, any number until 420 s, none from then on."""

    def __init__(self):
        self.second, self.accepted = 0, 0

    async def __call__(self, world):
        second = world.now_ns // SECOND
        if second != self.second:
            self.second, self.accepted = second, 0
        self.accepted += 1
        await asyncio.sleep(0.01)
        if second >= 420 or (second < 300 and self.accepted > 30):
            raise ConnectionError


def test_a16_the_throttle_sheds_what_would_be_refused_lets_go_soon_and_keeps_probing():
    config = throttle.Config(k_factor=2.0, window_ns=120 * SECOND)
    ends, state = offer(config, Callee(), [(900, 100)], seed=16)
    assert 0.38 <= ends.refused_ratio(120, 300) <= 0.42
    assert ends.total(ends.refused, 360, 420) == 0
    assert throttle.refused_share(config, state) == 0.9
    let_through = 1 - ends.refused_ratio(560, 900)
    assert let_through == pytest.approx(0.1, abs=0.005)  # 34,000 throws: three standard deviations


@dataclass
class Hedged:
    """What became of calls through a hedge: how long each took, and how many extra calls were made."""

    latencies_ns: list[int] = field(default_factory=list)
    extra_count: int = 0

    def p99_ms(self):
        return sorted(self.latencies_ns)[int(0.99 * len(self.latencies_ns))] / MS

    @property
    def load(self):
        return 1 + self.extra_count / len(self.latencies_ns)


def hedged(config, latency_ns, calls=40_000, rate_per_s=200, safe=True, seed=17):
    """Calls at random instants; each takes the answer of whichever of its calls is first, the others are cancelled.

    The smallest shell a hedge can have: a heap of instants at which a call begins (0), asks for an extra (1) or is
    answered (2).
    """
    dice, state, ends, at_ns, heap = random.Random(seed), hedge.State(), Hedged(), 0, []
    for number in range(calls):
        at_ns += int(dice.expovariate(rate_per_s) * SECOND)
        heapq.heappush(heap, (at_ns, number, 0, Call(is_idempotent=int(safe))))
    while heap:
        now_ns, number, what, call = heapq.heappop(heap)
        if what == 0:
            hedge.acquire(config, state, call, now_ns, 0.0)
        elif call.hedge_started_ns < 0:
            continue  # it has been answered: this one is the loser, or its extra is no longer wanted
        elif what == 1:
            if hedge.extra(config, state, call, now_ns, 0.0)[0] != PROCEED:
                continue
            ends.extra_count += 1
        else:
            ends.latencies_ns.append(now_ns - call.hedge_started_ns)
            hedge.record(config, state, call, now_ns, SUCCESS, 0.0)
            call.hedge_started_ns = -1
            continue
        heapq.heappush(heap, (now_ns + latency_ns(dice), number, 2, call))
        if call.hedge_at_ns < NEVER:
            heapq.heappush(heap, (call.hedge_at_ns, number, 1, call))
    return ends


def mostly_quick(dice):
    """97 % take 10 +- 1 ms, 3 % take a second."""
    return SECOND if dice.random() < 0.03 else int(dice.uniform(9, 11) * MS)


def slow(dice):
    return int(dice.uniform(0.9, 1.1) * SECOND)


def test_a17_hedging_cuts_the_tail_for_one_call_in_twenty():
    assert hedged(hedge.Config(delay_ns=10 * SECOND), mostly_quick).p99_ms() == 1000
    ends = hedged(hedge.Config(), mostly_quick)
    assert ends.p99_ms() <= 30
    assert ends.load <= 1.06


def test_a17_an_unsafe_call_is_never_made_twice():
    assert hedged(hedge.Config(), mostly_quick, safe=False).extra_count == 0


@pytest.mark.parametrize("delay_ns", [-1, 10 * MS], ids=["estimated", "fixed"])
def test_a17_when_everything_is_slow_the_budget_bounds_the_load(delay_ns):
    ends = hedged(hedge.Config(delay_ns=delay_ns), slow)
    assert ends.load <= 1.20
    assert ends.extra_count > 0


def test_a17_a_callee_that_becomes_slow_for_all_is_not_asked_twice_for_long():
    answers = iter(range(10**6))
    ends = hedged(hedge.Config(), lambda dice: (mostly_quick if next(answers) < 20_000 else slow)(dice))
    assert ends.load <= 1.08
