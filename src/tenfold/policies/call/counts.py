"""What the policies of one arrow did, counted under the same names in a service and in the simulator."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Events since the start; all zero is a fresh arrow."""

    calls: int = 0
    attempts: int = 0
    retries: int = 0
    timeouts: int = 0
    rejected_by_breaker: int = 0
    rejected_by_bulkhead: int = 0
    breaker_opened: int = 0
    budget_exhausted: int = 0
    rejected_by_throttle: int = 0
    rejected_by_rate_limit: int = 0
    rejected_by_limit: int = 0
    hedges: int = 0  # extra calls, beside the attempts
    hedges_won: int = 0  # those that answered first
