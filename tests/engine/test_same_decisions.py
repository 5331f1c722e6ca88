"""One trace through the simulator and through the asyncio pipeline: the same decisions, byte for byte (A19).

The simulator runs a design and writes down arrivals, how its calls went, the dice, and every decision of every policy.
The pipeline of the same arrow, in a world of its own, is given the same arrivals, calls and dice. Left out on both
sides is what the protocol says moves nothing: `record` of policies that do not learn, or not from this outcome.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold import CallRejected, api
from tenfold.policies.call import CALL_POLICIES_BY_NAME
from tenfold.policies.verbs import FAILURE
from tenfold.testing import World

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "src"
DESIGN = """\
tenfold: 1
title: One arrow
requirements: {peak: 1x}
components:
  dep: {kind: external, in_flight: 4}
flows:
  visit: {rate: RATE, steps: [{call: dep, takes: 10 ms, errors: 10%}]}
policies:
  client -> dep: POLICIES
scenarios:
  trace: {lasts: LASTS, faults: [{at: 1 s, slow: dep, by: 10x, for: 2 s}]}
"""
PATIENT = """{deadline: 200 ms, timeout: 50 ms, retry: {attempts: 3, backoff: 10 ms, budget: 20%},
    circuit_breaker: {failures: 5, open: 300 ms}, bulkhead: {in_flight: 5, queue: 5}}"""
CAREFUL = """{deadline: 301 ms, timeout: 97310 us, retry: {attempts: 2, backoff: 20 ms}, throttle: {window: 2 s},
    circuit_breaker: {failures: 0, failure_share: 80%, window: 1 s, open: 100 ms},
    rate_limit: {rate: 251/s, burst: 5, wait: 30 ms}, adaptive_limit: {}, bulkhead: {in_flight: 6, queue: 3},
    hedge: {delay: 15170 us, budget: 50%}}"""
"""Odd numbers on purpose: two things in the same nanosecond may be taken in either order, in both worlds."""
CASES = {"retry, breaker, bulkhead": ("300/s", PATIENT, "7 s"), "all nine policies": ("260/s", CAREFUL, "6 s")}


def simulated(path: Path) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, str(HERE / "interpreted.py"), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def replayed(path: Path, trace: dict) -> list:
    """The decisions of the arrow's pipeline, for the same arrivals, calls and dice."""
    world, told = World(), []
    draws, made = iter(trace["draws"]), iter(trace["made"])
    pipeline = api.load(path).pipeline(
        "client -> dep",
        clock_ns=world.clock_ns,
        draw=lambda: next(draws, 0.5),
        on_decision=lambda each: told.append(list(each)),
    )

    async def call(attempt: object) -> None:
        begun_ns, ended_ns, outcome = next(made, (world.now_ns, -1, -1))
        assert begun_ns == world.now_ns
        if ended_ns < 0:  # its caller gave up on it, or the run was over
            await asyncio.sleep(1e6)
        await world.sleep_ns(ended_ns - world.now_ns)
        if outcome == FAILURE:
            raise ConnectionError

    async def request() -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, CallRejected):
            await pipeline.call(call, idempotent=True)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for arrival_ns in trace["arrivals"]:
                await world.sleep_ns(arrival_ns - world.now_ns)
                group.create_task(request())

    world.run(scenario())
    return told


def heard(decisions: list) -> list:
    """Without what moves nothing."""
    return [each for each in decisions if each[2] != "record" or is_heard(CALL_POLICIES_BY_NAME[each[1]], each[3])]


def is_heard(policy: object, outcome: int) -> bool:
    return getattr(policy, "LEARNS", True) and (getattr(policy, "HEEDS_ALL", True) or outcome == FAILURE)


@pytest.mark.parametrize("case", CASES)
def test_a19_the_simulator_and_asyncio_decide_the_same_byte_for_byte(case: str, tmp_path: Path) -> None:
    rate, policies, lasts = CASES[case]
    path = tmp_path / "arrow.yaml"
    path.write_text(DESIGN.replace("RATE", rate).replace("POLICIES", policies).replace("LASTS", lasts))
    trace = simulated(path)
    ours, theirs = heard(replayed(path, trace)), heard(trace["decisions"])
    assert len(theirs) >= 10_000
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        assert mine == other, f"decision {number}"
    assert json.dumps(ours[: len(theirs)]).encode() == json.dumps(theirs).encode()
    refused = {each[1] for each in theirs if each[2] == "acquire" and each[4] == 2}
    assert {"circuit_breaker", "bulkhead"} & refused
