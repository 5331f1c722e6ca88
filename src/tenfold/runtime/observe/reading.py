"""What there is to read of pipelines, caches and whatever else counts: totals that grow, levels, a breaker's phase.

Reading takes no lock and asks no policy: numbers of one moment may be an event apart. An open breaker turns half-open
when it is next asked, so its phase is read as open until then.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Protocol

from tenfold.errors import UsageError
from tenfold.policies.call.circuit_breaker import PHASES
from tenfold.runtime.shell import Shell


class Counted(Protocol):
    """Something with a name of its own and a dataclass of integers that only grow."""

    @property
    def name(self) -> str:
        """Tells it from others of its kind."""

    @property
    def counts(self) -> Any:
        """The totals."""


LEVELS: Mapping[str, Mapping[str, str]] = {
    "bulkhead": {"in_flight_count": "bulkhead.in_flight", "queue_count": "bulkhead.queue"},
}
"""Policy -> field of its State -> name of the level."""

BREAKER = "circuit_breaker"


def totals(source: Counted) -> Iterator[tuple[str, int]]:
    """The counters and their values, under the names the source gives them."""
    counts = source.counts
    for field in fields(counts):
        value = getattr(counts, field.name)
        if isinstance(value, int):
            yield field.name, value


def levels(pipeline: Shell) -> Iterator[tuple[str, int]]:
    """What goes up and down in a pipeline."""
    for policy in pipeline.order:
        for field, name in LEVELS.get(policy, {}).items():
            yield name, getattr(pipeline.state(policy), field)


def phases(pipeline: Shell) -> Iterator[tuple[str, int]]:
    """Each phase of the circuit breaker, 1 for the one it is in; nothing without a breaker."""
    if BREAKER in pipeline.order:
        now = PHASES[pipeline.state(BREAKER).phase]
        for phase in PHASES:
            yield phase, int(phase == now)


def by_name(kind: str, sources: Iterable[Counted]) -> dict[str, Counted]:
    """The sources of one kind by their names.

    Raises:
        UsageError: one has no name, or two have the same: their numbers could not be told apart.
    """
    named: dict[str, Counted] = {}
    for source in sources:
        if not source.name:
            raise UsageError(f"a {kind} without a name cannot be watched", f'give it one: name="api -> {kind}"')
        if named.setdefault(source.name, source) is not source:
            raise UsageError(f"two of kind {kind} are called {source.name}", "give each a name of its own")
    return named
