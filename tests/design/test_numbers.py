"""Numbers that are no numbers, or far too large: refused wherever a number can stand, with place and remedy."""

import time
from collections.abc import Iterator

import pytest
from reading import SMALL, changed, mistakes_in

STORM = """\
scenarios:
  storm:
    lasts: 10 min
    warmup: 1 min
    load: {0 min: 1x, 3 min: 2x}
    faults:
      - {at: 1 min, slow: db, by: 10x, for: 30 s}
      - {at: 2 min, drop: db, share: 5%, for: 20 s}
      - {at: 4 min, kill: db, nodes: 1}
    expect: [read.p99 < 1 s]
"""
FULL = (
    SMALL.replace("count: 1M", "count: 1M, keep: 2 years, copies: 2, index: 40%, backups: 1, popularity: zipf 0.9")
    .replace("users: 1M", "users: 1M\n  peak: 2x\n  headroom: 30%")
    .replace("holds: item", "holds: item, nodes: 3, memory: 4 GB, ttl: 5 min, ttl_jitter: 7%")
    .replace("- publish: q", "- publish: q\n        times: 9\n        errors: 6%\n        size: 8 KB")
    + "policies: {api -> db: {timeout: 700 ms, retry: {attempts: 4, backoff: 90 ms, budget: 11%}}}\n"
    + "slo: {read: {p99: 950 ms, availability: 99.5%}}\n"
    + STORM
)
ONE = {  # what stands there: its unit
    "copies: 2": "", "backups: 1": "", "headroom: 30%": "%", "nodes: 3": "", "memory: 4 GB": "GB", "ttl: 5 min": "min",
    "ttl_jitter: 7%": "%", "errors: 6%": "%", "timeout: 700 ms": "ms", "attempts: 4": "", "backoff: 90 ms": "ms",
    "budget: 11%": "%", "p99: 950 ms": "ms", "availability: 99.5%": "%", "lasts: 10 min": "min", "warmup: 1 min": "min",
    "0 min: 1x": "x", "at: 1 min": "min", "by: 10x": "x", "for: 30 s": "s", "share: 5%": "%", "nodes: 1}": "",
    "p99 < 1 s": "s", "zipf 0.9": "",
}  # fmt: skip
RANGES = {
    "users: 1M": "M", "size: 1 KB": "KB", "count: 1M": "M", "keep: 2 years": "years", "index: 40%": "%",
    "peak: 2x": "x", "rate: 10/user/day": "/user/day", "cpu: 1 ms": "ms", "takes: 2 ms": "ms", "times: 9": "",
    "size: 8 KB": "KB",
}  # fmt: skip
NO_NUMBERS = (
    "1e400", "1" + "0" * 30, "9" * 200, "1e99", "nan", ".NaN", "inf", "-.inf", "-1", "+1", "--1", "1e5e5", "0x10", "1_",
    "1 000 000", "five", "9..1", "1..", "..", "1...5...9...12", "~", "''", "[1]", "{a: 1}", "5mm", "1/0",
)  # fmt: skip


def written(place: str, number: str, unit: str) -> str:
    """The design with another number there; values that could be YAML are left to YAML."""
    key, sep, _ = place.partition(" < " if " < " in place else ": " if ": " in place else " ")
    tail = "}" if place.endswith("}") else ""
    value = number if number[:1] in "[{'~" else f"{number} {unit}".rstrip()
    return changed(place, f"{key}{sep}{value}{tail}", FULL)


def everywhere(numbers: tuple[str, ...], places: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for place, unit in places.items():
        for number in numbers:
            yield place, number, unit


def test_the_design_these_are_put_into_is_good() -> None:
    assert mistakes_in(FULL) == ()


@pytest.mark.parametrize("place", [*ONE, *RANGES])
def test_what_is_no_number_is_refused_where_it_stands(place: str) -> None:
    for where, number, unit in everywhere(NO_NUMBERS, {place: (ONE | RANGES)[place]}):
        started = time.perf_counter()
        found = mistakes_in(written(where, number, unit))
        assert time.perf_counter() - started < 1.0
        assert len(found) == 1 or number == "{a: 1}", (where, number, found)
        assert found[0].line == 1 + FULL[: FULL.index(where)].count("\n")
        assert found[0].column > 0
        assert found[0].remedy, (where, number, found[0].message)


def test_a_comma_for_thousands_is_named_also_where_yaml_takes_it_for_the_end_of_the_value() -> None:
    (outside,) = mistakes_in(changed("users: 1M", "users: 1,000,000"))
    assert (outside.line, "has a comma" in outside.message) == (3, True)
    _, inside = mistakes_in(written("memory: 4 GB", "1,000", "GB"))
    assert '"000 GB" is no key' in inside.message
    assert "without separators" in inside.remedy


@pytest.mark.parametrize("place", ONE)
def test_a_range_is_refused_where_one_value_is_meant(place: str) -> None:
    found = mistakes_in(written(place, "1..2", ONE[place]))
    assert len(found) == 1, found
    assert "is a range" in found[0].message or "is no load" in found[0].message
    assert found[0].remedy


@pytest.mark.parametrize("place", RANGES)
def test_a_range_is_fine_where_people_guess(place: str) -> None:
    unit = RANGES[place]
    number = f"1{unit}..2" if unit == "M" else "1..2"
    assert mistakes_in(written(place, number, unit)) == ()


@pytest.mark.parametrize(
    "place", ["nodes: 3", "memory: 4 GB", "ttl: 5 min", "timeout: 700 ms", "attempts: 4", "by: 10x"]
)
def test_nothing_is_refused_where_something_is_needed(place: str) -> None:
    (mistake,) = mistakes_in(written(place, "0", ""))
    assert "0" in mistake.message
    assert mistake.remedy


@pytest.mark.parametrize("kind", ["service", "load_balancer", "redis", "log"])
@pytest.mark.parametrize(("count", "remedy"), [("0", "1 or more"), ("1e6", "100k or less"), ("1e18", "100k or less")])
def test_no_replicas_and_more_than_anyone_has(kind: str, count: str, remedy: str) -> None:
    key = "nodes" if kind in ("redis", "log") else "replicas"
    (mistake,) = mistakes_in(changed("components:\n", f"components:\n  extra: {{kind: {kind}, {key}: {count}}}\n"))
    assert f"{key} of extra" in mistake.message
    assert remedy in mistake.remedy
