"""How fast is partitioning, and does it spread as theory says: every figure against what is required of it.

Run it from a checkout: `uv run --group peers python benchmarks/partition.py` (`--json` for machines). Exits 1 when a
requirement is missed. Times are CPU seconds of this process, the median of several turns, ours and uhashring's in
turns in one run.
"""

import argparse
import bisect
import itertools
import json
import math
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

from uhashring import HashRing

from tenfold.partition import BoundedLoads, Ring, SlotTable, SpaceSaving, plan

TEN = [f"node-{number}" for number in range(10)]
THOUSAND = [f"node-{number}" for number in range(1_000)]
TURNS = 7
SETS = 200
KEYS = [f"user:{number}" for number in range(1_000_000)]


@dataclass(frozen=True)
class Figure:
    """One line of the table. `required` is None for what is only reported; `at_least` says which way it counts."""

    name: str
    measured: float
    unit: str
    required: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        if self.required is None:
            return True
        return self.measured >= self.required if self.at_least else self.measured <= self.required


def off(measured: float, expected: float) -> float:
    """How far a figure is from theory."""
    return abs(measured - expected)


def cpu_s(do: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    do()
    return time.process_time() - begun


def in_turns(*parts: Callable[[], object]) -> list[float]:
    """The median CPU seconds of each part; the parts take turns, so that other work on the machine hits all."""
    rounds = [[cpu_s(part) for part in parts] for _ in range(TURNS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def speed() -> list[Figure]:
    """1,000 nodes of 150 points, beside uhashring's default ring of as many."""
    ring, peer, asked = Ring(THOUSAND), HashRing(THOUSAND, vnodes=150), KEYS[:100_000]

    def one_by_one(node: Callable[[str], object]) -> Callable[[], None]:
        def ask() -> None:
            for key in asked:
                node(key)

        return ask

    def add_and_remove() -> None:
        peer.add_node("added", {"vnodes": 150, "weight": 1})

    def removed() -> None:
        peer.remove_node("added")

    build_s, peer_build_s = in_turns(lambda: Ring(THOUSAND), lambda: HashRing(THOUSAND, vnodes=150))
    add_s, peer_add_s, _ = in_turns(lambda: ring.with_node("added"), add_and_remove, removed)
    lookup_s, peer_s = in_turns(one_by_one(ring.node), one_by_one(peer.get_node))
    ring.many(asked)  # makes the table of cells, once per ring
    (bulk_s,) = in_turns(lambda: ring.many(asked))
    first_s = cpu_s(lambda: ring.with_node("added").many(asked[:1]))
    count = len(asked)
    return [
        Figure("build 1,000 x 150", build_s * 1e3, "ms", 400),
        Figure("build 1,000 x 150, uhashring", peer_build_s * 1e3, "ms"),
        Figure("add a node", add_s * 1e3, "ms", 20),
        Figure("add a node, uhashring", peer_add_s * 1e3, "ms"),
        Figure("lookup", lookup_s / count * 1e9, "ns", 1_200),
        Figure("lookup, uhashring", peer_s / count * 1e9, "ns"),
        Figure("lookup, times faster than uhashring", peer_s / lookup_s, "x", 3.67 / 1.2, at_least=True),
        Figure("bulk, per key", bulk_s / count * 1e9, "ns", 300),
        Figure("bulk, first use of a ring", first_s * 1e3, "ms"),
        Figure("plan of adding a node", cpu_s(lambda: plan(ring, ring.with_node("added"))) * 1e3, "ms"),
    ]


def evenness() -> list[Figure]:
    """200 clusters of 10 nodes, a million keys each way where keys are counted."""
    largest, spreads, moved, between = [], [], [], 0
    for number in range(SETS):
        names = [f"cluster-{number}/node-{each}" for each in range(10)]
        ring = Ring(names)
        shares = list(ring.ranges().shares().values())
        largest.append(max(shares) * 10)
        spreads.append(statistics.pstdev(shares) * 10)
        moves = plan(ring, ring.with_node(f"cluster-{number}/node-10"))
        moved.append(moves.share)
        between += sum(not move.destination.endswith("node-10") for move in moves.moves)
    counts = Counter(Ring(TEN).many(KEYS))
    mean = statistics.fmean(counts.values())
    return [
        Figure("10 x 150, 1 M keys: fullest / mean", max(counts.values()) / mean, "", 1.21),
        Figure("10 x 150, 1 M keys: CV", statistics.pstdev(counts.values()) / mean, "", 0.10),
        Figure("200 sets: mean of fullest / mean", statistics.fmean(largest), ""),
        Figure("  off theory (1.129)", off(statistics.fmean(largest), 1.1294), "", 0.01),
        Figure("200 sets: mean CV (theory 0.0774 is its root mean square)", statistics.fmean(spreads), ""),
        Figure("200 sets: mean part moved to an 11th", statistics.fmean(moved), ""),
        Figure("  off theory (1/11)", off(statistics.fmean(moved), 1 / 11), "", 0.0015),
        Figure("200 sets: moves between old nodes", between, "", 0),
    ]


def tables() -> list[Figure]:
    """Slots, and bounded loads over a hundred thousand keys at every step."""
    counts = Counter(SlotTable(TEN).owners)
    share = plan(SlotTable(TEN), SlotTable(TEN).with_node("x")).share
    figures = [
        Figure("16,384 slots: fullest / mean", max(counts.values()) / statistics.fmean(counts.values()), "", 1.001),
        Figure("16,384 slots: moved to an 11th", share, "", 1 / 11 + 1 / 16_384),
    ]
    for name, weight in (("equal", 1.0), ("one of weight 0.5", 0.5)):
        bounded = BoundedLoads(Ring({**dict.fromkeys(TEN, 1.0), "node-3": weight}), 1.05)
        above, begun = 0, time.process_time()
        for count, key in enumerate(KEYS[:100_000], start=1):
            bounded.place(key)
            most = math.ceil(round(1.05 * count / (9 + weight), 9))
            above += max(bounded.loads.values()) > most
        place_s = (time.process_time() - begun) / 100_000
        figures.append(Figure(f"bound 1.05, {name}: steps above it", above, "", 0))
    return [*figures, Figure("bound 1.05: place a key, with the check", place_s * 1e6, "us")]


def hot_keys() -> list[Figure]:
    """Zipf(1.1) over a million keys, a million hits, five seeds."""
    weights = list(itertools.accumulate(rank**-1.1 for rank in range(1, 1_000_001)))
    missed, spent_s = 0, 0.0
    for seed in range(5):
        dice = random.Random(seed)
        hits = [bisect.bisect(weights, dice.random() * weights[-1]) for _ in range(1_000_000)]
        saving, begun = SpaceSaving(1_000), time.process_time()
        for key in map(str, hits):
            saving.add(key)
        spent_s += time.process_time() - begun
        true = {str(key) for key, _ in Counter(hits).most_common(10)}
        missed += len(true - {hot.key for hot in saving.top(10)})
    return [
        Figure("Zipf(1.1), 1 M hits, 1,000 counters: of 5 top tens missed", missed, "", 0),
        Figure("count a hit", spent_s / 5_000_000 * 1e9, "ns"),
    ]


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':58} {'required':>10} {'measured':>10}  verdict"]
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        required = "" if figure.required is None else f"{sign} {_shown(figure.required)}"
        verdict = "" if figure.required is None else ("ok" if figure.is_met else "MISSED")
        lines.append(f"{figure.name:58} {required:>10} {_shown(figure.measured):>10}  {figure.unit:3} {verdict}")
    return "\n".join(lines)


def _shown(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.4g}"


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    figures = [figure for part in (speed, evenness, tables, hot_keys) for figure in part()]
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
