"""What the shells around call policies have in common, whatever they wait by."""

from collections.abc import Callable
from typing import Any

from tenfold.errors import CallRejected, TenfoldError
from tenfold.policies.call.counts import Counts
from tenfold.runtime.attempt import CURRENT, Attempt, attempts_on, begin
from tenfold.runtime.stages import Draw, Stages, Surroundings


class Shell:
    """A pipeline without a way to wait. Arguments as for `Pipeline`."""

    def __init__(
        self,
        stages: Stages,
        around: Surroundings,
        name: str,
        draw: Draw,
        fallback: Callable[[Exception], Any] | None,
    ) -> None:
        self.name = name
        self._stages = stages
        self._is_traced = around.on_decision is not None
        self._clock_ns = around.clock_ns
        self._is_failure = around.is_failure
        self._draw = draw
        self._fallback = fallback
        self._attempt = attempts_on(around.clock_ns)

    @property
    def order(self) -> tuple[str, ...]:
        """The policies' names, outermost first."""
        return tuple(stage.policy.NAME for stage in self._stages.all)

    @property
    def counts(self) -> Counts:
        """What the policies have done so far, under the names a simulated run uses."""
        return self._stages.counted()

    def state(self, name: str) -> Any:
        """What a policy remembers, for metrics and tests. Not to be written to."""
        return next(stage.state for stage in self._stages.all if name == stage.policy.NAME)

    def config(self, name: str) -> Any:
        """The settings a policy has."""
        return next(stage.config for stage in self._stages.all if name == stage.policy.NAME)

    def _begun(self, deadline_ns: int, *, is_idempotent: bool, is_marked: bool, key: str = "") -> Attempt:
        """The record of a call that begins now."""
        outer = CURRENT.get()
        call = self._attempt()
        begin(call, self._clock_ns(), deadline_ns if outer is None else min(deadline_ns, outer.ends_ns))
        call.is_marked = int(is_marked or (outer is not None and bool(outer.is_marked)))
        call.is_idempotent, call.given_key = int(is_idempotent), key
        return call

    def _falls_back(self, error: Exception) -> bool:
        """Whether the fallback answers for this exception; it does not hide what is no failure of the dependency."""
        if self._fallback is None or isinstance(error, TenfoldError):
            return self._fallback is not None and isinstance(error, CallRejected)
        return self._is_failure(error)
