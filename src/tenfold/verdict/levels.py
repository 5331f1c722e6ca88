"""How well a flow does over a stretch of bins, and whether that is its baseline."""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from statistics import median

from tenfold.results.run import NO_SAMPLE, FlowRun, Run
from tenfold.verdict.verdict import Level, Tolerances


def bin_count(run: Run) -> int:
    """Bins the run has filled: an interrupted run ends inside one, which tells nothing."""
    longest = max((len(flow.offered) for flow in run.flows.values()), default=0)
    return int(min(longest, run.lasts_ns // run.bin_ns))


def bins_between(run: Run, from_ns: int, to_ns: int) -> range:
    """The bins that lie wholly between two moments."""
    first = -(-from_ns // run.bin_ns)
    return range(first, max(first, min(to_ns // run.bin_ns, bin_count(run))))


def failures(flow: FlowRun, number: int) -> int:
    """Requests that ended in failure in one bin, whatever the cause."""
    return sum(series[number] for series in flow.failed.values())


class Levels:
    """One flow's levels over any stretch, from running sums."""

    def __init__(self, flow: FlowRun, bins: int, bin_ns: int) -> None:
        self.bins = bins
        self.bin_ns = bin_ns
        self.p95_ns = flow.p95_ns
        self._offered = _running(flow.offered[:bins])
        self._good = _running(flow.good[:bins])
        self._failed = _running(failures(flow, number) for number in range(bins))

    def over(self, first: int, end: int) -> Level:
        """The level of bins first <= i < end."""
        offered = self._offered[end] - self._offered[first]
        good = self._good[end] - self._good[first]
        ended = good + self._failed[end] - self._failed[first]
        return Level(
            success_ratio=good / ended if ended else float(offered == 0),
            goodput_ratio=good / offered if offered else 1.0,
            p95_ns=_median(self.p95_ns[first:end]),
            offered_per_s=offered / max(1, end - first) / self.bin_ns * 1e9,
        )

    def window(self, baseline: Level, allowed: Tolerances) -> int:
        """Bins a window needs to hold enough requests at the baseline's rate, at most a minute."""
        enough_s = allowed.requests_min / max(baseline.offered_per_s, 1e-9)
        window_ns = max(float(allowed.window_ns), min(enough_s, 60.0) * 1e9)
        return max(1, min(self.bins, math.ceil(window_ns / self.bin_ns)))

    def at_baseline(self, baseline: Level, allowed: Tolerances) -> list[bool]:
        """For each bin: does the window that starts there stand at the baseline? The last window serves to the end."""
        size = self.window(baseline, allowed)
        last = self.bins - size
        starts = [is_back(self.over(start, start + size), baseline, allowed) for start in range(last + 1)]
        return starts + [starts[-1]] * (self.bins - len(starts)) if starts else []


def is_back(level: Level, baseline: Level, allowed: Tolerances) -> bool:
    """Whether success ratio, goodput and p95 are all within the tolerances of the baseline."""
    if level.offered_per_s == 0:
        return True
    p95_limit = max(baseline.p95_ns * allowed.p95_factor, baseline.p95_ns + allowed.p95_slack_ns)
    return (
        level.success_ratio >= baseline.success_ratio - allowed.success_drop
        and level.goodput_ratio >= baseline.goodput_ratio * (1 - allowed.goodput_drop)
        and NO_SAMPLE < level.p95_ns <= p95_limit
    )


def _running(values: Iterable[int]) -> list[int]:
    return list(accumulate(values, initial=0))


def _median(values: Sequence[int]) -> float:
    present = [value for value in values if value != NO_SAMPLE]
    return float(median(present)) if present else float(NO_SAMPLE)
