"""Call policies, outermost first: one module each, with NAME, Config, State, acquire, record, KERNELS.

How a shell walks the table, whether it is asyncio's or the simulator's:

1. For every attempt it asks the call's policies in this order: `acquire`. All that answered PROCEED are told the
   attempt's outcome in the opposite order: `record`, each exactly once.
2. When one answers REJECT, those before it are told IGNORED, and the call ends: a refusal is no outcome of the
   dependency, and retrying what a breaker has just refused would defeat it.
3. QUEUE: the shell keeps the waiter in order. WAKE hands the slot to the first, who goes on with the policies further
   in without asking again; a waiter that gives up before that tells `leave`.
4. `retry` decides in `record` whether a new round starts: RETRY after wait_ns.
5. An attempt ends at `min(call.attempt_deadline_ns, call.deadline_ns)` at the latest, as a FAILURE when the time ran
   out; a call cancelled from outside is IGNORED.

REFUSAL is the word for a REJECT in results and errors, COUNTER the name its count goes by. DICE names the verbs that
look at `draw`, `record` only at that of a FAILURE: for the others a shell may pass any number, and must throw no dice,
or the same seed would not give the same run in both worlds. LEARNS is False when `record` moves nothing, HEEDS_ALL
when it moves nothing at a first attempt that does not fail: shells may leave out what is not heard.

A State all zero is a fresh State. `Call` is not: see its defaults.
"""

from types import ModuleType

from tenfold.policies.call import bulkhead, circuit_breaker, deadline, retry, timeout
from tenfold.policies.call.call import Call

CALL_POLICIES: tuple[ModuleType, ...] = (deadline, retry, circuit_breaker, bulkhead, timeout)
"""Outermost first: a deadline spans retries; each attempt passes the breaker, then waits for a slot, then is timed."""

CALL_POLICIES_BY_NAME: dict[str, ModuleType] = {policy.NAME: policy for policy in CALL_POLICIES}

__all__ = ["CALL_POLICIES", "CALL_POLICIES_BY_NAME", "Call"]
