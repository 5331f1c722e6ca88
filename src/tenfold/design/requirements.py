"""Reads `requirements`: users, peak, headroom, consistency, and what is stored."""

from collections.abc import Callable
from typing import TypeVar

from tenfold.design.read import Reader, child, lacks
from tenfold.design.schema import Count, DataSet, Popularity, Range, Requirements
from tenfold.design.tree import Entry, Map, Node
from tenfold.units import (
    UnitError,
    parse_amount,
    parse_count,
    parse_duration,
    parse_factor,
    parse_number,
    parse_ratio,
    parse_size,
    quoted,
)

N = TypeVar("N", int, float)

KEYS = ("users", "peak", "headroom", "consistency", "data")
DATA_KEYS = ("size", "count", "keep", "copies", "index", "backups", "popularity")
CONSISTENCIES = ("eventual", "strong")

HEADROOM_MAX = 10.0
COPIES_MAX = 100
EXPONENT_MAX = 5.0  # the first of a million items would get 96 % of the requests at 5


def read_requirements(reader: Reader, node: Node | None) -> Requirements:
    """The section `requirements`; all of it may be left out."""
    entries = reader.entries(node, "requirements", "requirements: {users: 1M, peak: 2x}")
    reader.refuse_unknown(entries, KEYS, "requirements")
    data = reader.entries(child(entries, "data"), "data", "data: {order: {size: 1 KB, count: 1M}}")
    default = Requirements()
    users = reader.range(child(entries, "users"), "users", parse_number)
    if users is None and "users" in entries:
        users = Range.exactly(1.0)  # unreadable is not the same as unknown
    return Requirements(
        users=users,
        peak_factor=reader.range(child(entries, "peak"), "peak", _peak) or default.peak_factor,
        headroom_ratio=reader.value(child(entries, "headroom"), "headroom", _headroom, default.headroom_ratio),
        consistency=reader.word(child(entries, "consistency"), "consistency", CONSISTENCIES, default.consistency),
        data={
            name: _read_data_set(reader, name, entry)
            for name, entry in data.items()
            if reader.name(entry.key, "data set")
        },
    )


def _read_data_set(reader: Reader, name: str, entry: Entry) -> DataSet:
    """One data set."""
    entries = reader.entries(entry.value, name, f"{name}: {{size: 1 KB, count: 1/user}}")
    if isinstance(entry.value, Map):
        reader.refuse_unknown(entries, DATA_KEYS, name)
    for key, example in (("size", "size: 1 KB"), ("count", "count: 1M, or 1/user/day")):
        if lacks(entries, key, DATA_KEYS):
            reader.complain(entry.key, f"data set {name} has no {key}", f"write {example}")
    nothing = Range.exactly(1.0)
    return DataSet(
        name=name,
        size_bytes=reader.range(child(entries, "size"), f"size of {name}", positive(parse_size, "size")) or nothing,
        count=reader.value(child(entries, "count"), f"count of {name}", _count, Count(nothing)),
        keep_ns=reader.range(child(entries, "keep"), f"keep of {name}", positive(parse_duration, "time")),
        copies=reader.value(child(entries, "copies"), f"copies of {name}", _copies, 1),
        index_ratio=reader.range(child(entries, "index"), f"index of {name}", parse_ratio) or Range.exactly(0.0),
        backups=reader.value(child(entries, "backups"), f"backups of {name}", _backups, 0),
        popularity=reader.value(child(entries, "popularity"), f"popularity of {name}", parse_popularity, Popularity()),
        path=entry.value.path,
    )


def positive(parse: Callable[[str], N], what: str) -> Callable[[str], N]:
    """A parser that refuses 0 as well."""

    def parse_positive(text: str) -> N:
        value = parse(text)
        if value <= 0:
            raise UnitError(f"{quoted(text)} is nothing", f"write a {what} above 0")
        return value

    return parse_positive


def _peak(text: str) -> float:
    """The peak factor: the busiest second is not quieter than the average."""
    value = parse_factor(text)
    if value < 1:
        raise UnitError(f"{quoted(text)} is less than 1x", "write busiest second / average second, such as 2x")
    return value


def _headroom(text: str) -> float:
    """The spare."""
    value = parse_ratio(text)
    if value > HEADROOM_MAX:
        raise UnitError(f"{quoted(text)} is more than {HEADROOM_MAX:.0%}", "write a spare such as 30%")
    return value


def _copies(text: str) -> int:
    """Copies: the original counts."""
    value = parse_count(text)
    if not 1 <= value <= COPIES_MAX:
        raise UnitError(f"{quoted(text)} copies", f"write 1 (the original alone) to {COPIES_MAX}")
    return value


def _backups(text: str) -> int:
    """Backups besides the copies."""
    value = parse_count(text)
    if value > COPIES_MAX:
        raise UnitError(f"{quoted(text)} backups", f"write 0 to {COPIES_MAX}")
    return value


def _count(text: str) -> Count:
    """How many items there are or come."""
    value, period_ns, is_per_user = parse_amount(text)
    return Count(Range(*value), is_per_user, period_ns)


def parse_popularity(text: str) -> Popularity:
    """`uniform`, or `zipf 0.9`.

    Raises:
        UnitError: when it is neither.
    """
    name, _, exponent = text.partition(" ")
    if text == "uniform":
        return Popularity()
    if name != "zipf":
        raise UnitError(f"{quoted(text)} is no popularity", "write uniform, or zipf with its exponent: zipf 0.9")
    if not exponent:
        raise UnitError("zipf has no exponent", "write zipf 0.9 (0.6 to 1.1 in most measurements)")
    value = parse_number(exponent)
    if value > EXPONENT_MAX:
        raise UnitError(f"{quoted(text)} has an exponent above {EXPONENT_MAX:g}", "write an exponent such as 0.9")
    return Popularity(value)
