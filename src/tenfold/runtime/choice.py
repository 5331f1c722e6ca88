"""Policies chosen by name and setting, as the design file writes them."""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

from tenfold.errors import UsageError
from tenfold.policies.call import CALL_POLICIES_BY_NAME
from tenfold.settings import configured, one_of, refused

__all__ = ["Policies", "Unpack", "chosen"]


class Policies(TypedDict, total=False):
    """The call policies a pipeline can have, each with its settings; None: go without."""

    deadline: Any
    retry: Any
    throttle: Any
    circuit_breaker: Any
    rate_limit: Any
    adaptive_limit: Any
    bulkhead: Any
    timeout: Any
    hedge: Any


def chosen(policies: Mapping[str, Any]) -> Iterator[Any]:
    """The Config of every policy that was chosen.

    Raises:
        UsageError: with everything that is wrong.
    """
    troubles: list[UsageError] = []
    for name, value in policies.items():
        try:
            if name not in CALL_POLICIES_BY_NAME:
                remedy = one_of(name, CALL_POLICIES_BY_NAME, "policies")
                raise refused([(f"there is no policy {name!r}", remedy)])
            if value is not None and value is not False:
                yield configured(CALL_POLICIES_BY_NAME[name].Config, value, name)
        except UsageError as error:
            troubles.append(error)
    if troubles:
        raise UsageError("\n".join(each.message for each in troubles), "; ".join(each.remedy for each in troubles))
