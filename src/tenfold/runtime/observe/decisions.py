"""Decisions for people: in words, and told to more than one listener."""

from collections.abc import Callable

from tenfold.runtime.stages import Decision

ANSWERS = ("proceed", "wait", "reject", "queue", "done", "retry", "wake")
OUTCOMES = ("success", "failure", "ignored")
"""Words by number; see `tenfold.policies.verbs`."""

Listener = Callable[[Decision], None]


def said(decision: Decision) -> dict[str, str | int]:
    """A decision in words: `{"policy": "retry", "verb": "record", "outcome": "failure", "answer": "retry", ...}`.

    `outcome` is there when a policy was told one, `wait_ns` when its answer names a time.
    """
    words: dict[str, str | int] = {"policy": decision.policy, "verb": decision.verb}
    if decision.outcome >= 0:
        words["outcome"] = OUTCOMES[decision.outcome]
    words["answer"] = ANSWERS[decision.answer]
    if decision.wait_ns > 0:
        words["wait_ns"] = decision.wait_ns
    return words


def listeners(*told: Listener) -> Listener | None:
    """One `on_decision` for several listeners, told in this order; None for none, which costs a pipeline nothing."""
    if len(told) < 2:
        return told[0] if told else None

    def tell(decision: Decision) -> None:
        for listener in told:
            listener(decision)

    return tell
