"""Bytes at rest: size x count x retention x copies x (1 + index), backups besides, and how fast that grows."""

from dataclasses import dataclass

from tenfold.design.schema import DataSet, Range, Requirements
from tenfold.sizing import interval
from tenfold.sizing.cache import keys_of
from tenfold.units import YEAR


@dataclass(frozen=True, slots=True)
class Stored:
    """What a data set takes on disk.

    items: how many there are at once (of data that is never deleted: after a year). copy_bytes: one copy with its
    indexes. total_bytes: all copies and backups. growth_bytes: added to the total per year of 365 days, until what is
    kept for a while starts to be deleted.
    """

    items: Range
    copy_bytes: Range
    total_bytes: Range
    growth_bytes: Range


def stored(data: DataSet, requirements: Requirements) -> Stored:
    """What a data set takes on disk.

    Args:
        data: the data set.
        requirements: for the number of users.
    """
    users = requirements.users or interval.ZERO
    item = interval.times(data.size_bytes, interval.add(interval.ONE, data.index_ratio))
    copies = float(data.copies + data.backups)
    items = keys_of(data, users)
    copy = interval.times(items, item)
    growth = interval.times(_items_per_year(data, users), item, copies)
    return Stored(items, copy, interval.times(copy, copies), growth)


def _items_per_year(data: DataSet, users: Range) -> Range:
    """Items added in a year of 365 days; none to a standing number."""
    if not data.count.period_ns:
        return interval.ZERO
    per_period = interval.times(data.count.value, users) if data.count.is_per_user else data.count.value
    return interval.times(per_period, YEAR / data.count.period_ns)
