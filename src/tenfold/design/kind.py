"""What a component kind is: the hook every member of the kinds table implements.

A kind is a module with these names. The loader fills `Spec` by its fields, sizing calls `demand`, lowering calls
`lower` and `visit`. The machinery knows the hook, the members implement it, only `api.py` hands the table over.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tenfold.design.demand import Demand, Excuse, Load
    from tenfold.design.schema import Component, Step


class Kind(Protocol):
    """A member of the kinds table (a module satisfies it)."""

    NAME: str
    """As written in the file: `kind: postgres`."""

    VERBS: tuple[str, ...]
    """Step verbs that may name a component of this kind."""

    TIMING: str
    """The step field that says how long a visit takes: "cpu", "takes" or "" when the kind's own figure is used."""

    Spec: type[Any]
    """Frozen dataclass of settings (`tenfold.fields.setting`), each default with its source."""

    def demand(self, component: "Component", load: "Load") -> "Demand | Excuse":
        """What this load asks of the component, and what the declared component can carry."""
        ...

    def lower(self, build: Any, component: "Component") -> Any:
        """Declare the component's stations and pools in the program; the answer is handed back to `visit`."""
        ...

    def visit(self, build: Any, component: "Component", parts: Any, step: "Step", inside: Any) -> None:
        """Emit the operations of one step towards this component; `inside()` emits the steps of its scope."""
        ...
