"""The simulator's own code, interpreted: every decision of its policies, every arrival and every call, as JSON.

Run in a process of its own with NUMBA_DISABLE_JIT=1. The parity tests show that compiled kernels answer as interpreted
ones; this shows what the engine asks them, in which order, at what time, and what it does about the answers.
"""

import json
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np

from tenfold.policies.call import CALL_POLICIES

VERBS = ("acquire", "record", "leave", "extra")
FAILURE = 1


@dataclass
class Trace:
    """What happened, in order; times in ns."""

    decisions: list = field(default_factory=list)  # now, policy, verb, outcome, answer, wait
    draws: list = field(default_factory=list)  # the dice policies have looked at
    arrivals: list = field(default_factory=list)
    made: list = field(default_factory=list)  # calls: begun, ended, outcome; -1: nobody waited for the end
    numbers: dict = field(default_factory=dict)  # task -> its call


def listen(trace, policy, verb):
    """Let every call of a kernel be written down."""
    kernel = getattr(policy, verb)

    def told(config, state, call, now_ns, *rest):
        answer, wait_ns = kernel(config, state, call, now_ns, *rest)
        outcome = int(rest[0]) if verb == "record" else -1
        if verb in policy.DICE and (verb == "acquire" or outcome == FAILURE):
            trace.draws.append(float(rest[-1]))
        trace.decisions.append([int(now_ns), policy.NAME, verb, outcome, int(answer), int(wait_ns)])
        return answer, wait_ns

    setattr(policy, verb, told)


class Row(np.record):
    """A row whose fields come before what NumPy knows of it: a timing's `shape` is a field."""

    def __getattribute__(self, name):
        fields = np.record.__getattribute__(self, "dtype").fields
        return self[name] if fields and name in fields else np.record.__getattribute__(self, name)


def interpret():
    """Let the engine run without a compiler: rows have attributes, and nothing is fetched ahead."""
    from tenfold.engine.arena import Arena

    plain = Arena.__getattr__

    def with_fields(self, name):
        array = plain(self, name)
        return array.view(np.dtype((Row, array.dtype))) if array.dtype.names else array

    Arena.__getattr__ = with_fields
    for module in [each for name, each in sys.modules.items() if name.startswith("tenfold.engine.")]:
        for name in [name for name in vars(module) if name.startswith("prefetch") and callable(vars(module)[name])]:
            setattr(module, name, lambda *args: None)


def watch(trace):
    """Write down what the engine's calls and arrivals do."""
    from tenfold.engine import calls, flows

    invoke, ended, arrive = calls._invoke, calls.child_ended, flows.arrive

    def invoked(w, t, op, *rest):
        number = invoke(w, t, op, *rest)
        trace.numbers[int(number)] = len(trace.made)
        trace.made.append([int(w.clock[0].now_ns), -1, -1])
        return number

    def child_ended(w, number, outcome, cause):
        trace.made[trace.numbers[int(number)]][1:] = [int(w.clock[0].now_ns), int(outcome)]
        return ended(w, number, outcome, cause)

    def arrived(w, number):
        trace.arrivals.append(int(w.clock[0].now_ns))
        return arrive(w, number)

    calls._invoke, calls.child_ended, flows.arrive = invoked, child_ended, arrived


def main(path):
    trace = Trace()
    for policy in CALL_POLICIES:
        for verb in VERBS:
            if hasattr(policy, verb):
                listen(trace, policy, verb)
    from tenfold import api
    from tenfold.engine import loop, state, world
    from tenfold.program.lower import lower

    interpret()
    watch(trace)
    design = api.load(path)
    built = world.build(lower(design, api.scenario_of(design, "trace")), 1)
    loop.begin(built)
    while loop.advance(built) == state.NEEDS_ROOM:
        world.grow(built)
    keys = ("decisions", "draws", "arrivals", "made")
    sys.stdout.write(json.dumps({key: getattr(trace, key) for key in keys}))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the dice wrap around on purpose
        main(sys.argv[1])
