"""Arrow rows: which policies a call goes through, and whose state it uses."""

from typing import TYPE_CHECKING, Any

from tenfold.design.schema import Arrow, Design
from tenfold.policies.cache import freshness
from tenfold.policies.call import CALL_POLICIES
from tenfold.program.program import ArrowRow

if TYPE_CHECKING:
    from tenfold.program.build import Builder


class Arrows:
    """The rows of all arrows used so far. Every instance of a service has its own policy states, as in production."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self.rows: list[ArrowRow] = []
        self.names: list[str] = []
        self.configs: dict[str, tuple[Any, ...]] = {policy.NAME: () for policy in CALL_POLICIES}
        self.instances = 0
        self._states: dict[tuple[str, str], tuple[int, int, dict[str, int]]] = {}
        self._numbers: dict[tuple[str, str, int, int], int] = {}

    def row(self, build: "Builder", callee: str, arrow: Arrow) -> int:
        """The number of the row for a call from where the builder stands."""
        where = build.where
        key = (where.caller, callee, where.caller_register, where.loading)
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.names.append(f"{where.caller} -> {callee}")
            self.rows.append(self._new_row(build, callee, arrow))
        return self._numbers[key]

    def _new_row(self, build: "Builder", callee: str, arrow: Arrow) -> ArrowRow:
        where = build.where
        state_first, instances, numbers = self._shared(build, callee, arrow)
        return ArrowRow(
            **numbers,
            state_first=state_first,
            instances=instances,
            caller_register=where.caller_register if instances > 1 else -1,
            caller_first=self._first_node(build, where.caller),
            late_fill_cache=self._late_fill(build),
            stream=build.stream(f"{where.caller} -> {callee}/policies"),
        )

    def _shared(self, build: "Builder", callee: str, arrow: Arrow) -> tuple[int, int, dict[str, int]]:
        """States and configs are one per arrow, however many places call through it."""
        key = (build.where.caller, callee)
        if key not in self._states:
            instances = self._instances(build)
            numbers = {name: self._config(name, config) for name, config in arrow.policies.items()}
            self._states[key] = (self.instances, instances, numbers)
            self.instances += instances
        return self._states[key]

    def _config(self, name: str, config: Any) -> int:
        self.configs[name] = (*self.configs[name], config)
        return len(self.configs[name]) - 1

    def _instances(self, build: "Builder") -> int:
        """The replicas of a service or balancer each have their own; clients and consumers of a log share one."""
        caller = self._design.components.get(build.where.caller)
        if caller is None or build.where.caller_register < 0:
            return 1
        return int(getattr(caller.spec, "replicas", 1))

    @staticmethod
    def _first_node(build: "Builder", caller: str) -> int:
        number = build.component_numbers.get(caller, -1)
        return next((group.first for group in build.tables.groups if group.component == number), 0)

    def _late_fill(self, build: "Builder") -> int:
        """The cache a late answer still fills, inside the miss branch of one whose policy says so."""
        loading = build.where.loading
        if loading < 0:
            return -1
        name = next(name for name, number in build.caches.items() if number == loading)
        return loading if freshness.fills_late(self._design.components[name].spec) else -1
