"""One way to write a behaviour down for both pipelines: asyncio's in virtual time, the threads' on a clock set by hand.

A script says what the dependency does at each attempt: an exception is raised, a `Takes` lets time pass, a `Calls`
makes a call through a case, anything else is the answer.
"""

import asyncio
import contextlib
import gc
from dataclasses import dataclass, field
from types import SimpleNamespace

from tenfold.policies.call import bulkhead, circuit_breaker
from tenfold.runtime.attempt import CURRENT
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.threads import ThreadPipeline
from tenfold.testing.world import World

MS = 1_000_000
SECOND = 1_000_000_000
REPEATS = 10


@dataclass
class Takes:
    """An answer, or an exception, after a while."""

    seconds: float
    then: object = "late"


@dataclass
class Calls:
    """A call through a pipeline, in the middle of an attempt."""

    case: "Case"
    options: dict = field(default_factory=dict)


class Blocks(Calls):
    """The same around a block."""


@contextlib.contextmanager
def collecting():
    """Yields a function that says how many objects the block left to the collector."""
    gc.collect()
    gc.disable()
    try:
        yield gc.collect
    finally:
        gc.enable()


class Case:
    """A pipeline, its clock, and a dependency that follows a script."""

    def __init__(self, *configs, script=(), traced=False, world=None, **options):
        self.world = world or World(draws=[0.5] * 1000)
        self.script, self.attempts, self.decisions = list(script), [], []
        self.outer = None  # the scope its calls are made in
        if traced:
            options = {"on_decision": self.decisions.append, **options}
        self.pipeline = self.made(configs, {"clock_ns": self.world.clock_ns, "draw": self.world.draw, **options})

    def told(self, attempt):
        """Notes what an attempt knows; what the script says next."""
        self.attempts.append(SimpleNamespace(number=attempt.number, remaining_ns=attempt.remaining_ns, key=attempt.key))
        return self.script.pop(0) if self.script else "ok"

    def state(self, name):
        return self.pipeline.state(name)

    @property
    def counts(self):
        """What was counted, without zeros."""
        counted = self.pipeline.counts
        return {name: value for name in counted.__slots__ if (value := getattr(counted, name))}


class AsyncCase(Case):
    """A case for asyncio."""

    NAME = "asyncio"

    def made(self, configs, options):
        return Pipeline(configs, **options)

    async def backend(self, attempt):
        return await self._play(self.told(attempt))

    async def _play(self, step):
        if isinstance(step, Takes):
            await asyncio.sleep(step.seconds)
            return await self._play(step.then)
        if isinstance(step, Blocks):
            return await step.case._block(step.options)
        if isinstance(step, Calls):
            return await step.case._call(None, step.options)
        if isinstance(step, BaseException):
            try:
                raise step
            finally:
                del step  # its traceback holds this frame
        return step

    def _call(self, fn, options):
        return self.pipeline.call(fn or self.backend, **{"idempotent": True} | options)

    def run(self, main):
        """Run a coroutine; what it raises is raised here, whatever it is."""

        async def kept():
            try:
                return await main, None
            except BaseException as error:
                return None, error
            finally:
                assert CURRENT.get() is self.outer
                assert asyncio.all_tasks() == {asyncio.current_task()}

        answer, error = self.world.run(kept())
        if error is not None:
            raise error
        return answer

    def call(self, fn=None, **options):
        return self.run(self._call(fn, options))

    def block(self, **options):
        """One attempt around a block that follows the script."""
        return self.run(self._block(options))

    async def _block(self, options):
        async with self.pipeline.once(**options) as attempt:
            return await self.backend(attempt)

    def cycles(self, way, options, steps):
        """Objects that only the collector can free, after some calls in one event loop."""
        return self.run(self._cycles(way, options, steps))

    async def _cycles(self, way, options, steps):
        with collecting() as left:
            for _ in range(REPEATS):
                self.script = steps()
                try:
                    await (self._call(None, options) if way == "call" else self._block(options))
                except BaseException as error:
                    del error
        return left()

    def decorated(self):
        """A function, decorated."""

        @self.pipeline(idempotent=True)
        async def charge(amount: int, *, to: str = "us") -> str:
            """Charge."""
            return await self._play(self.script.pop(0)) or f"{amount} to {to}"

        return charge

    def finish(self, called):
        return self.run(called())

    def wait(self, seconds):
        self.world.now_ns += int(seconds * SECOND)


class ThreadCase(Case):
    """A case for threads: time passes only where the script or a pause lets it."""

    NAME = "threads"

    def made(self, configs, options):
        return ThreadPipeline(configs, **{"sleep_ns": self.sleep_ns, **options})

    def sleep_ns(self, wait_ns):
        self.world.now_ns += wait_ns

    def backend(self, attempt):
        return self._play(self.told(attempt))

    def _play(self, step):
        if isinstance(step, Takes):
            self.wait(step.seconds)
            return self._play(step.then)
        if isinstance(step, Blocks):
            return step.case.block(**step.options)
        if isinstance(step, Calls):
            return step.case._call(None, step.options)
        if isinstance(step, BaseException):
            try:
                raise step
            finally:
                del step  # its traceback holds this frame
        return step

    def _call(self, fn, options):
        return self.pipeline.call(fn or self.backend, **{"idempotent": True} | options)

    def call(self, fn=None, **options):
        try:
            return self._call(fn, options)
        finally:
            assert CURRENT.get() is self.outer

    def block(self, **options):
        """One attempt around a block that follows the script."""
        with self.pipeline.once(**options) as attempt:
            return self.backend(attempt)

    def cycles(self, way, options, steps):
        """Objects that only the collector can free, after some calls."""
        with collecting() as left:
            for _ in range(REPEATS):
                self.script = steps()
                try:
                    getattr(self, way)(**options)
                except BaseException as error:
                    del error
        return left()

    def decorated(self):
        """A function, decorated."""

        @self.pipeline(idempotent=True)
        def charge(amount: int, *, to: str = "us") -> str:
            """Charge."""
            return self._play(self.script.pop(0)) or f"{amount} to {to}"

        return charge

    def finish(self, called):
        return called()

    def wait(self, seconds):
        self.world.now_ns += int(seconds * SECOND)


def at_rest(case):
    """Nothing is held any more."""
    for policy, fresh in ((bulkhead, bulkhead.State()), (circuit_breaker, 0)):
        if policy.NAME in case.pipeline.order:
            state = case.state(policy.NAME)
            assert (state.probe_count if policy is circuit_breaker else state) == fresh
    return True
