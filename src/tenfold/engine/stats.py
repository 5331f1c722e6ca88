"""Counting: series per bin, integrals of levels, latency histograms with at most 1 % relative error."""

import math

import numpy as np
from numba import njit

from tenfold.engine.state import (
    BUSY_NS,
    COUNT,
    HELD_NS,
    LARGEST_NS,
    LINE_NS,
    P50,
    P95,
    P99,
    QUEUED_NS,
    SHARES,
    SQUARES,
    SUM_NS,
)
from tenfold.engine.world import BUCKET_BITS

_ONE = 1 << BUCKET_BITS


@njit(forceinline=True)
def bucket_of(value_ns):
    """The histogram bucket of a latency: 64 per power of two (the layout of HdrHistogram)."""
    if value_ns < 2 * _ONE:
        return max(0, value_ns)
    shift = math.frexp(float(value_ns))[1] - (BUCKET_BITS + 1)
    return (shift << BUCKET_BITS) + (value_ns >> shift)


@njit
def middle_of(bucket):
    """The latency in the middle of a bucket, ns."""
    if bucket < 2 * _ONE:
        return bucket
    shift = (bucket >> BUCKET_BITS) - 1
    low = (bucket - (shift << BUCKET_BITS)) << shift
    return low + ((1 << shift) >> 1)


@njit
def percentile(buckets, count, share):
    """The latency below which `share` of `count` values lie (nearest rank), ns; -1 without values."""
    if count == 0:
        return -1
    rank = max(1, math.ceil(share * count))
    seen = 0
    for bucket in range(len(buckets)):
        seen += buckets[bucket]
        if seen >= rank:
            return middle_of(bucket)
    return -1


@njit
def latency(w, flow, value_ns):
    """One successful request."""
    clock = w.clock[0]
    bucket = bucket_of(value_ns)
    w.recent[flow, bucket] += 1
    if clock.now_ns >= clock.warmup_ns:
        w.whole[flow, bucket] += 1
        w.totals[flow, COUNT] += 1.0
        w.totals[flow, SUM_NS] += value_ns
        w.totals[flow, SQUARES] += float(value_ns) * value_ns
        w.totals[flow, LARGEST_NS] = max(w.totals[flow, LARGEST_NS], float(value_ns))


@njit
def close_bin(w):
    """End the current bin: percentiles of its latencies, levels up to its end."""
    clock = w.clock[0]
    for flow in range(w.recent.shape[0]):
        count = w.recent[flow].sum()
        w.flow_series[flow, P50, clock.bin] = percentile(w.recent[flow], count, 0.50)
        w.flow_series[flow, P95, clock.bin] = percentile(w.recent[flow], count, 0.95)
        w.flow_series[flow, P99, clock.bin] = percentile(w.recent[flow], count, 0.99)
        w.recent[flow, :] = 0
    for component in range(w.component_series.shape[0]):
        settle(w, component)
        w.component_series[component, LINE_NS, clock.bin + 1] += w.component_series[component, LINE_NS, clock.bin]
    clock.bin += 1
    clock.bin_start_ns = clock.bin_end_ns
    clock.bin_end_ns += clock.bin_ns


@njit
def summarise(w):
    """The percentiles of the whole run after warm-up."""
    for flow in range(w.whole.shape[0]):
        count = np.int64(w.totals[flow, COUNT])
        for number in range(len(SHARES)):
            w.percentiles[flow, number] = percentile(w.whole[flow], count, SHARES[number])


@njit
def settle(w, component):
    """Add a component's levels since their last change to the current bin."""
    level = w.levels[component]
    clock = w.clock[0]
    passed_ns = clock.now_ns - level.since_ns
    level.since_ns = clock.now_ns
    if passed_ns > 0 and clock.bin < clock.bin_count:
        w.component_series[component, HELD_NS, clock.bin] += passed_ns * level.in_use
        w.component_series[component, QUEUED_NS, clock.bin] += passed_ns * level.waiting


@njit
def _add_busy(w, component, start_ns, end_ns, sign):
    """Busy time over several bins."""
    clock = w.clock[0]
    first = start_ns // clock.bin_ns
    last = min((end_ns - 1) // clock.bin_ns, clock.bin_count - 1)
    for number in range(first, last + 1):
        low = max(start_ns, number * clock.bin_ns)
        high = min(end_ns, (number + 1) * clock.bin_ns)
        w.component_series[component, BUSY_NS, number] += sign * (high - low)


@njit
def busy(w, component, start_ns, end_ns):
    """A server of the component works from start to end."""
    clock = w.clock[0]
    if end_ns <= clock.bin_end_ns:
        w.component_series[component, BUSY_NS, clock.bin] += end_ns - start_ns
    else:
        _add_busy(w, component, start_ns, end_ns, 1)


@njit
def _line_from(w, component, at_ns, count):
    """From a moment of this bin or a later one, so many more wait for the component's servers."""
    clock = w.clock[0]
    number = at_ns // clock.bin_ns
    if number < clock.bin_count:
        passed_ns = at_ns - number * clock.bin_ns
        w.component_series[component, LINE_NS, number] += count * (clock.bin_ns - passed_ns)
        w.component_series[component, LINE_NS, number + 1] += count * passed_ns


@njit
def in_line(w, component, until_ns):
    """From now until then, one more waits for the component's servers."""
    clock = w.clock[0]
    if until_ns <= clock.bin_end_ns:
        series = w.component_series[component, LINE_NS]
        series[clock.bin] += until_ns - clock.now_ns
        series[clock.bin + 1] -= until_ns - clock.now_ns
    else:
        _line_from(w, component, clock.now_ns, 1)
        _line_from(w, component, until_ns, -1)


@njit
def leaves_line(w, component, planned_ns, at_ns):
    """One of those who wait leaves the line at another moment than planned; both are not before now."""
    _line_from(w, component, planned_ns, 1)
    _line_from(w, component, at_ns, -1)


@njit
def idle(w, component, start_ns, end_ns):
    """Take back busy time: the server died."""
    _add_busy(w, component, start_ns, end_ns, -1)
