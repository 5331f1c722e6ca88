"""When the trouble was there: faults and raised load, from the run's own record and the scenario's load."""

from dataclasses import dataclass

from tenfold.design.schema import Scenario
from tenfold.results.run import Run

_RAISED = 1.001
"""A load this much above the first step's is a trigger; below is rounding."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The stretch from the first trigger to the end of the last.

    reference_ns: recovery is counted from here: the end of the last trigger, or the start of one that stays.
    text: the triggers in the scenario's words.
    """

    first_ns: int
    reference_ns: int
    is_gone: bool
    text: str


def trouble(scenario: Scenario, run: Run) -> Trouble | None:
    """All triggers of a run taken together; None when it has none.

    The load counts as back when it is not above what it was at the start of the scenario.
    """
    spans = [(t.from_ns, t.to_ns, t.text) for t in run.triggers] + _raised_load(scenario, run)
    spans = [span for span in spans if span[0] < run.asked_ns]
    if not spans:
        return None
    staying = [start for start, end, _ in spans if end >= run.asked_ns]
    ended = [end for _, end, _ in spans if end < run.asked_ns]
    named = dict.fromkeys(text for _, _, text in spans if text)
    return Trouble(
        first_ns=min(start for start, _, _ in spans),
        reference_ns=max(staying + ended),
        is_gone=not staying,
        text=", ".join(named) or "raised load",
    )


def _raised_load(scenario: Scenario, run: Run) -> list[tuple[int, int, str]]:
    """Stretches with more load than at the start; a run that lists its load steps as triggers loses nothing."""
    if not scenario.load:
        return []
    base = scenario.load[0][1] * _RAISED
    ends = [start for start, _ in scenario.load[1:]] + [run.asked_ns]
    return [(start, end, "") for (start, factor), end in zip(scenario.load, ends, strict=True) if factor > base]
