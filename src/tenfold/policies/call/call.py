"""What one call carries through its policies. Shared state lives with the policy, everything else here.

A policy object is shared by every call of a caller, so a number that belongs to one call (its attempts so far, the
generation of the breaker that admitted it) must not live in it: two tasks would overwrite each other's.
"""

from dataclasses import dataclass

from tenfold.policies.verbs import NEVER

# Why retrying stopped: Call.stop_reason.
GOES_ON = 0  # the call succeeded, was cancelled, or is retried
ATTEMPTS = 1  # all attempts are used up
DEADLINE = 2  # the next attempt could not start before the deadline
BUDGET = 3  # the caller's retries have reached their share of its requests
MARKED = 4  # somebody below has already given up on it
UNSAFE = 5  # the call is not idempotent

STOP_REASONS = ("", "attempts", "deadline", "budget", "marked", "unsafe")
"""Words for people, by number."""


@dataclass(slots=True)
class Call:
    """One call: times in ns of the caller's monotonic clock, switches as 0 or 1."""

    started_ns: int = 0  # set by the shell
    deadline_ns: int = NEVER  # set by the shell to what is left of the caller's own; `deadline` may lower it
    attempt_count: int = 0  # attempts started, counted by `retry`
    attempt_started_ns: int = 0  # set by `retry`, then by `adaptive_limit`, when the wait for its turn is over
    attempt_deadline_ns: int = NEVER  # set by `timeout` for every attempt
    backoff_ns: int = 0  # previous computed back-off
    retry_after_ns: int = 0  # set by the shell before record: what the last failure asked for, 0: nothing
    is_marked: int = 0  # 1: do not retry; set by the shell when the answer says so, by `retry` when it gives up
    is_idempotent: int = 1
    ticket_generation: int = 0  # the breaker's generation that admitted the attempt
    stop_reason: int = GOES_ON
    turn_ns: int = NEVER  # when the place `rate_limit` has given it comes; NEVER: it holds none
    hedge_started_ns: int = 0  # when `hedge` did
    hedge_delay_ns: int = -1  # the delay in force then; -1: none known
    hedge_at_ns: int = NEVER  # when the shell asks `hedge` for an extra call, unless the answer is there
    hedge_count: int = 0  # extra calls of this attempt
