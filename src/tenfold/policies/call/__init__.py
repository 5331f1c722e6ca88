"""Call policies, outermost first: one module each, with NAME, Config, State, acquire, record, KERNELS.

How a shell walks the table, whether it is asyncio's or the simulator's:

1. For every attempt it asks the call's policies in this order: `acquire`. All that answered PROCEED are told the
   attempt's outcome in the opposite order: `record`, each exactly once.
2. When one answers REJECT, those before it are told IGNORED, and the call ends: a refusal is no outcome of the
   dependency, and retrying what a breaker has just refused would defeat it.
3. QUEUE: the shell keeps the waiter in order. WAKE hands the slot to the first, who goes on with the policies further
   in without asking again; a waiter that gives up before that tells `leave`.
4. WAIT: the call has been given a place; the shell lets wait_ns pass and asks again, which is then answered PROCEED (or
   WAIT once more, when it comes early). WAIT is never answered when the place comes at or after the deadline. A waiter
   that gives up tells `leave`; one that does not wastes its place, no more.
5. `retry` decides in `record` whether a new round starts: RETRY after wait_ns.
6. An attempt ends at `min(call.attempt_deadline_ns, call.deadline_ns)` at the latest, as a FAILURE when the time ran
   out; a call cancelled from outside is IGNORED.
7. `hedge` sets `call.hedge_at_ns`. An attempt without an answer then asks `extra`, and on PROCEED makes the call once
   more beside the one under way; `call.hedge_at_ns` may then hold another time. The first success is the attempt's; a
   failure is only when no other call is in flight.

REFUSAL is the word for a REJECT in results and errors, COUNTER the name its count goes by. DICE names the verbs that
look at `draw`, `record` only at that of a FAILURE: for the others a shell may pass any number, and must throw no dice,
or the same seed would not give the same run in both worlds. LEARNS is False when `record` moves nothing, HEEDS_ALL
when it moves nothing at a first attempt that does not fail: shells may leave out what is not heard.

A State all zero is a fresh State. `Call` is not: see its defaults.
"""

from types import ModuleType

from tenfold.policies.call import (
    adaptive_limit,
    bulkhead,
    circuit_breaker,
    deadline,
    hedge,
    rate_limit,
    retry,
    throttle,
    timeout,
)
from tenfold.policies.call.call import Call

CALL_POLICIES: tuple[ModuleType, ...] = (
    deadline,
    retry,
    throttle,
    circuit_breaker,
    rate_limit,
    adaptive_limit,
    bulkhead,
    timeout,
    hedge,
)
"""Outermost first. A deadline spans retries. Each attempt passes what may refuse it for the callee's sake (throttle,
breaker), then waits for its turn (rate) and for room (limit, slot), then is timed; the calls of a hedged attempt share
that time. The limit stands outside the bulkhead: waiting there shows that the callee is slow."""

CALL_POLICIES_BY_NAME: dict[str, ModuleType] = {policy.NAME: policy for policy in CALL_POLICIES}

__all__ = ["CALL_POLICIES", "CALL_POLICIES_BY_NAME", "Call"]
