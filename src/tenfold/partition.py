"""Which node keeps a key: rings, slot tables, plans of what moves, bounded loads, range partitions, skew, hot keys.

    ring = Ring(["a", "b", "c"])
    ring.node("user:42")                          # 'b'
    plan(ring, ring.with_node("d")).flows()       # what has to move, from whom to whom

Needs the extra `partition` (xxhash), unless the hash is `blake2b`. The guide is docs/guides/partitioning.md.
"""

from tenfold.runtime.partition.bounded import BoundedLoads
from tenfold.runtime.partition.hashing import BLAKE2B, XXH3, Hashing, Key
from tenfold.runtime.partition.hot import HotKey, SpaceSaving
from tenfold.runtime.partition.migration import Migration, Route, Router
from tenfold.runtime.partition.nodes import Node
from tenfold.runtime.partition.plan import Flow, Move, Plan, plan
from tenfold.runtime.partition.range_table import RangeMap, RangePartitions
from tenfold.runtime.partition.ranges import HashRanges, Snapshot
from tenfold.runtime.partition.ring import Ring
from tenfold.runtime.partition.skew import NodeLoad, Skew, skew
from tenfold.runtime.partition.slots import SlotTable
from tenfold.runtime.partition.splits import Advice, Limits, Merge, Split, Unsplittable
from tenfold.runtime.partition.spread import Newcomer, Spread, newcomer, spread

__all__ = [
    "BLAKE2B",
    "XXH3",
    "Advice",
    "BoundedLoads",
    "Flow",
    "HashRanges",
    "Hashing",
    "HotKey",
    "Key",
    "Limits",
    "Merge",
    "Migration",
    "Move",
    "Newcomer",
    "Node",
    "NodeLoad",
    "Plan",
    "RangeMap",
    "RangePartitions",
    "Ring",
    "Route",
    "Router",
    "Skew",
    "SlotTable",
    "Snapshot",
    "SpaceSaving",
    "Split",
    "Spread",
    "Unsplittable",
    "newcomer",
    "plan",
    "skew",
    "spread",
]
