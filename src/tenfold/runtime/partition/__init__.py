"""Which node keeps a key: rings, slot tables, plans of what moves, range partitions, skew and hot keys.

Snapshots (`Ring`, `SlotTable`, `HashRanges`) never change: a change makes the next one, and a reader that holds one is
answered from it alone. What changes (`Router`, `Migration`, `BoundedLoads`, `RangePartitions`, `SpaceSaving`) has one
owner. The public door is `tenfold.partition`.
"""
