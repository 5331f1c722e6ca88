"""Malformed designs: each is answered with place, reason and remedy, within a second, and with no other exception."""

# ruff: noqa: E501 -- a case is one line, so that the table can be read

import time
from pathlib import Path

import pytest
from reading import SMALL, TEXT, changed, mistakes_in, read

from tenfold.design.load import load
from tenfold.errors import DesignError
from tenfold.kinds import KINDS

POLICIES = SMALL + "policies:\n  api -> db: {timeout: 1 s}\n"
STORM = SMALL + "scenarios:\n  storm:\n    lasts: 10 min\n    faults: [{at: 1 min, slow: db, by: 10x, for: 30 s}]\n"
EXPECT = SMALL + "scenarios: {storm: {lasts: 10 min, expect: [read.p99 < 1 s]}}\n"
CHOICE = "- choose: [{weight: 30%, steps: []}, {weight: 70%, steps: []}]"
CHOOSE = changed("- publish: q", f"- publish: q\n      {CHOICE}")

# (what is wrong, text, marked part of the source line, reason, remedy)
CASES: list[tuple[str, str, str, str, str]] = [
    # YAML itself
    ("tab", changed("  users: 1M", "\tusers: 1M"), "\t", "a tab indents this line", "spaces"),
    ("open bracket", changed("kind: log}", "kind: log"), "{kind: log", "not YAML", "bracket is not closed"),
    ("wrong bracket", changed("kind: log}", "kind: log]"), "]", "not YAML", "bracket is not closed"),
    ("bracket too many", changed("kind: log}", "kind: log}}"), "}", "not YAML", "remove this }"),
    ("no comma", changed('size: 1 KB, count', 'size: "1 KB" count'), "count", "not YAML", "a comma is missing"),
    ("open quote", changed("rate: 10/user/day", 'rate: "10/user/day'), '"10/user', "not YAML", "quote is not closed"),
    ("glued colon", changed("users: 1M", "users:1M"), ":1M", "no space after this colon", "write key: value"),
    ("indented too far", changed("  users: 1M", "   users: 1M"), "data", "not YAML", "check the indentation"),
    ("glued dash", changed("      - publish", "      -publish"), "-publish", "not YAML", "- and a space"),
    ("reserved sign", changed("users: 1M", "users: @1M"), "@1M", "not YAML", "in quotes"),
    ("escape", changed("users: 1M", 'users: "\\q"'), "\\q", "not YAML", "single quotes"),
    ("end mark", SMALL + "...\nfoo: 1\n", "foo", "not YAML", "remove the line ..."),
    ("two documents", SMALL + "---\ntenfold: 1\n", "---", "second document", "one design per file"),
    ("twice", changed("  q: {kind: log}", "  q: {kind: log}\n  q: {kind: log}"), "q", "is there twice", "keep one"),
    ("anchor", changed("users: 1M", "users: &many 1M"), "&many 1M", "is an anchor", "no anchors"),
    ("alias", changed("users: 1M", "users: *many"), "*many", "repeats another part", "write the value out"),
    ("unknown step", changed("- publish: q", "- pblish: q"), "pblish", 'no "pblish"', 'mean "publish"?'),
    ("tag", changed("users: 1M", "users: !!python/object:os.system 1M"), "!!python", "is a YAML tag", "reads every value"),
    ("merge key", changed("q: {kind: log}", "q: {<<: {a: b}, kind: log}"), "<<", "merges another part", "keys out"),
    ("key is a list", changed("users: 1M", "[a, b]: 1M"), "[", "key is not a word", "plain words"),
    ("colon too many", changed("kind: log}", "kind: log: x}"), "", "not YAML", ""),
    ("control character", changed("users: 1M", "users: \x071M"), "\x07", "unprintable character", "UTF-8 text"),
    ("a list", "- tenfold: 1\n", "-", "not a design", "starts with keys"),
    ("a sentence", "hello\n", "hello", "not a design", "starts with keys"),
    # top
    ("unknown section", changed("flows:", "flow:"), "flow", 'no "flow"', 'did you mean "flows"?'),
    ("another format", changed("tenfold: 1", "tenfold: 2"), "2", '"2" is no format', "newer Tenfold"),
    # requirements
    ("ambiguous 5m", changed("users: 1M", "users: 5m"), "5m", "5m is ambiguous", "write 5 min or 5M"),
    ("negative users", changed("users: 1M", "users: -1M"), "-1M", "negative", "0 or more"),
    ("range downward", changed("users: 1M", "users: 9..5"), "9..5", "does not go up", "5..9"),
    ("peak below one", changed("users: 1M", "peak: 0.5x\n  users: 1M"), "0.5x", "less than 1x", "busiest second"),
    ("headroom", changed("users: 1M", "headroom: 0.3\n  users: 1M"), "0.3", "no percent sign", "write 30%"),
    ("consistency", changed("users: 1M", "consistency: evental\n  users: 1M"), "evental", "unknown word", '"eventual"?'),
    ("no size", changed("{size: 1 KB, count: 1M}", "{count: 1M}"), "item", "has no size", "size: 1 KB"),
    ("size in bits", changed("size: 1 KB", "size: 1 Kb"), "1 Kb", "may be bits", "write 1 KB"),
    ("no such popularity", changed("count: 1M", "count: 1M, popularity: pareto"), "pareto", "no popularity", "zipf 0.9"),
    ("no copies", changed("count: 1M", "count: 1M, copies: 0"), "0", "copies", "write 1"),
    ("rate per nobody", changed("  users: 1M\n", ""), "10/user/day", "how many users", "users: 1M"),
    # components
    ("no kind", changed("worker: {kind: service}", "worker: {replicas: 2}"), "worker", "has no kind", "one of"),
    ("unknown kind", changed("kind: postgres", "kind: postgre"), "postgre", "unknown kind", 'mean "postgres"?'),
    ("unknown setting", changed("db: {kind: postgres}", "db: {kind: postgres, pol: 4}"), "pol", 'no "pol"', '"pool"?'),
    ("too small", changed("db: {kind: postgres}", "db: {kind: postgres, pool: 0}"), "0", "too small", "1 or more"),
    ("too large", changed("holds: item", "holds: item, ttl_jitter: 101%"), "101%", "too large", "100% or less"),
    ("word of choice", changed("api: {kind: service}", "api: {kind: service, balance: rnd}"), "rnd", "word", "random"),
    ("switch", changed("holds: item", "holds: item, lock: maybe"), "maybe", "neither true nor false", "true or false"),
    ("holds nothing", changed("holds: item", "holds: itm"), "itm", "unknown data set", 'did you mean "item"?'),
    ("bare kind", changed("db: {kind: postgres}", "db: postgres"), "postgres", "should have keys", "{kind: postgres}"),
    ("bad name", changed("  db: {", "  my db: {kind: log}\n  db: {"), "my db", "cannot name a component", "letters, digits"),
    ("client's kind", changed("  q: {", "  client: {kind: service}\n  q: {"), "service", "client is of kind", "belong"),
    ("second client", changed("  q: {", "  phone: {kind: client}\n  q: {"), "client", "phone is of kind client", "belong"),
    # flows
    ("no start", changed("    rate: 10/user/day\n", ""), "read", "how often it starts", "rate: 50/user/day"),
    ("two starts", changed("trigger: q", "trigger: q\n    rate: 1/s"), "trigger", "both a rate and a trigger", "keep one"),
    ("rate without time", changed("10/user/day", "10/user"), "10/user", "per what time", "10/user/day"),
    ("negative rate", changed("10/user/day", "-10/s"), "-10/s", "negative", "0 or more"),
    ("no steps", changed("    steps: [{run: worker}]\n", ""), "work", "has no steps", "a list of calls"),
    ("empty steps", changed("[{run: worker}]", "[]"), "work", "has no steps", "a list of calls"),
    ("trigger is no log", changed("trigger: q", "trigger: db"), "db", "nothing can be published", "kind log"),
    ("unknown trigger", changed("trigger: q", "trigger: qq"), "qq", "unknown trigger", 'did you mean "q"?'),
    ("trigger of nobody", changed("      - publish: q\n", ""), "q", "nothing publishes to q", "publish: q"),
    ("only triggers", changed("rate: 10/user/day", "trigger: q"), "q", "no flow starts at a client", "rate"),
    ("endless loop", changed("[{run: worker}]", "[{run: worker}, {publish: q}]"), "q", "without end: q -> q", "less than"),
    ("no verb", changed("{query: db, takes: 2 ms}", "{takes: 2 ms}"), "{takes: 2 ms}", "has no verb", "write one of"),
    ("two verbs", changed("{query: db,", "{query: db, set: cache,"), "set", "query and set", "two steps"),
    ("misspelt verb", changed("query: db", "qery: db"), "qery", 'no "qery"', 'did you mean "query"?'),
    ("step is a word", changed("[{run: worker}]", "[worker]"), "worker", "a verb and a component", "- run"),
    ("unknown component", changed("query: db", "query: dbb"), "dbb", "unknown component", 'did you mean "db"?'),
    ("verb of another kind", changed("query: db", "query: cache"), "cache", "cache is a redis", "get or set it"),
    ("client as callee", changed("query: db", "query: client"), "client", "only sends requests", "component"),
    ("cpu of a database", changed("db, takes: 2 ms", "db, cpu: 2 ms"), "cpu", "have no cpu", "write takes"),
    ("on_miss of a run", changed("cpu: 1 ms", "on_miss: []"), "on_miss", "nothing under run", "under get"),
    ("hits of nothing", changed("cache: {kind: redis, holds: item}", "cache: {kind: redis}"), "cache", "how often", "hit_ratio"),
    ("hit ratio over 1", changed("- get: cache", "- get: cache\n        hit_ratio: 101%"), "101%", "everything", "100%"),
    ("times zero", changed("- publish: q", "- publish: q\n        times: 0"), "0", "times", "write 1 to"),
    ("p50 over p99", changed("takes: 2 ms", "takes: {p50: 3 ms, p99: 2 ms}"), "{p50", "p50 is more than p99", "swap"),
    ("p50 alone", changed("takes: 2 ms", "takes: {p50: 3 ms}"), "{p50: 3 ms}", "no distribution", "p99"),
    ("alpha", changed("takes: 2 ms", "takes: {pareto: {mean: 1 s, alpha: 1}}"), "1", "between 1.01", "2.1"),
    ("uniform of one", changed("takes: 2 ms", "takes: {uniform: 3 ms}"), "3 ms", "is no range", "1 ms..5 ms"),
    ("weights", CHOOSE.replace("70%", "60%"), "choose", "make 90 %", "a branch with the rest"),
    ("no weight", CHOOSE.replace("weight: 30%, ", ""), "{steps: []}", "no weight", "weight: 30%"),
    ("parallel of steps", CHOOSE.replace(CHOICE, "- parallel: [{run: api}]"), "{run: api}", "a list", "each branch"),
    ("data of nobody", changed("db, takes: 2 ms", "db, data: itm"), "itm", "unknown data set", 'mean "item"?'),
    # policies
    ("no arrow", POLICIES.replace("api -> db", "api to db"), "api to db", "is no arrow", "caller -> callee"),
    ("unknown end", POLICIES.replace("api -> db", "api -> dbb"), "api -> dbb", "unknown component", 'mean "db"?'),
    ("unused arrow", POLICIES.replace("api -> db", "cache -> db"), "cache -> db", "no flow goes along", "called by api"),
    ("unknown policy", POLICIES.replace("timeout:", "timeuot:"), "timeuot", 'no "timeuot"', 'mean "timeout"?'),
    ("twice, spaced", POLICIES + "  api  ->  db: {timeout: 1 s}\n", "api  ->  db", "are there twice", "together"),
    ("policy has no main", POLICIES.replace("timeout: 1 s", "retry: 3"), "3", "should have keys", "attempts"),
    ("required setting", POLICIES.replace("timeout: 1 s", "bulkhead: {queue: 3}"), "bulkhead", "no in_flight", "write"),
    ("required, misspelt", POLICIES.replace("1 s", "{limt: 1 s}"), "limt", 'no "limt"', 'did you mean "limit"?'),
    ("kind, misspelt", changed("db: {kind", "db: {knid"), "knid", 'no "knid"', 'did you mean "kind"?'),
    ("size, misspelt", changed("size: 1 KB", "sise: 1 KB"), "sise", 'no "sise"', 'did you mean "size"?'),
    ("rate, misspelt", changed("rate: 10", "rates: 10"), "rates", 'no "rates"', 'did you mean "rate"?'),
    ("steps, misspelt", changed("    steps: [{run", "    step: [{run"), "step", 'no "step"', 'did you mean "steps"?'),
    ("lasts, misspelt", STORM.replace("lasts", "last"), "last", 'no "last"', 'did you mean "lasts"?'),
    ("fault, misspelt", STORM.replace("slow:", "slwo:"), "slwo", 'no "slwo"', 'did you mean "slow"?'),
    ("weight, misspelt", CHOOSE.replace("weight: 30%", "wait: 30%"), "wait", 'no "wait"', 'did you mean "weight"?'),
    ("miss of a database", POLICIES.replace("timeout: 1 s", "on_failure: miss"), "miss", "cannot count as a miss", "skip"),
    # slo, ignore
    ("SLO of nobody", SMALL + "slo: {raed: {p99: 1 s}}\n", "raed", "unknown flow", 'mean "read"?'),
    ("percentile", SMALL + "slo: {read: {p98: 1 s}}\n", "p98", 'no "p98"', "did you mean"),
    ("SLO falls", SMALL + "slo: {read: {p50: 1 s, p99: 1 ms}}\n", "1 ms", "less than a lower", "grow"),
    ("availability", SMALL + "slo: {read: {availability: 0.999}}\n", "0.999", "no percent sign", "99.9%"),
    ("no reason", SMALL + "ignore: [{rule: CAP004, at: lb}]\n", "{rule", "does not say because", "because:"),
    ("empty reason", SMALL + 'ignore: [{rule: CAP004, at: lb, because: ""}]\n', '""', "because is empty", "write"),
    ("no code", SMALL + "ignore: [{rule: cap, at: lb, because: x}]\n", "cap", "no rule's code", "CAP004"),
    # scenarios
    ("no end", STORM.replace("    lasts: 10 min\n", ""), "storm", "how long it lasts", "lasts: 15 min"),
    ("fault after the end", STORM.replace("at: 1 min", "at: 10 min"), "10 min", "scenario lasts 10 min", "earlier"),
    ("fault does nothing", STORM.replace("slow: db, ", ""), "{at", "does nothing", "expire, kill"),
    ("two faults in one", STORM.replace("slow: db", "slow: db, kill: db"), "kill", "slow and kill", "write one"),
    ("expire a database", STORM.replace("slow: db, by: 10x, for: 30 s", "expire: db"), "db", "nothing that expires", "cache"),
    ("slow how much", STORM.replace("by: 10x, ", ""), "slow", "does not say by", "by: 10x"),
    ("slow by per cent", STORM.replace("10x", "10%"), "10%", "not a factor", "1.5x"),
    ("share of slow", STORM.replace("by: 10x", "by: 10x, share: 5%"), "share", "nothing for slow", "by, for"),
    ("kill too many", STORM.replace("slow: db, by: 10x", "kill: db, nodes: 5"), "5", "has 1 nodes", "1 or less"),
    ("partition a box", STORM.replace("slow: db, by: 10x", "partition: db"), "db", "is no arrow", "a -> b"),
    ("partition unused", STORM.replace("slow: db, by: 10x", "partition: q -> db"), "q -> db", "no flow goes", "api -> db"),
    ("slow client", STORM.replace("slow: db", "slow: client"), "client", "cannot strike", "name a component"),
    ("unknown load", EXPECT.replace("lasts: 10 min", "lasts: 10 min, load: pek"), "pek", "is no load", "peak"),
    ("load in disorder", EXPECT.replace("lasts: 10 min", "lasts: 10 min, load: {0: 1x, 2 min: 2x, 1 min: 1x}"), "1 min",
     "not later", "in order"),
    ("load starts late", EXPECT.replace("lasts: 10 min", "lasts: 10 min, load: {1 min: 1x}"), "1 min", "from the start",
     "0 min: 1x"),
    ("load after the end", EXPECT.replace("lasts: 10 min", "lasts: 10 min, load: {0: 1x, 1 h: 2x}"), "1 h",
     "scenario lasts", "earlier"),
    ("warm-up too long", EXPECT.replace("lasts: 10 min", "lasts: 10 min, warmup: 1 h"), "1 h", "warm-up", "shorter"),
    ("expect a wish", EXPECT.replace("read.p99 < 1 s", "it works"), "it works", "no expectation", "recovers within"),
    ("recovers when", EXPECT.replace("read.p99 < 1 s", "recovers in 5 s"), "recovers in 5 s", "no expectation", "within"),
    ("expect of nobody", EXPECT.replace("read.p99", "raed.p99"), "raed.p99", "unknown flow or component", 'mean "read"?'),
    ("unknown metric", EXPECT.replace("read.p99", "read.p98"), "read.p98", 'no "p98"', "did you mean"),
    ("hits of a database", EXPECT.replace("read.p99 < 1 s", "db.hit_ratio > 5%"), "db.hit", "no", "metrics"),
    ("of what", EXPECT.replace("read.p99 < 1 s", "availability > 99%"), "avail", "does not say of what", "read.avail"),
    ("limit's unit", EXPECT.replace("< 1 s", "< 1m"), "read.p99 < 1m", "1m is ambiguous", "1 min"),
    ("metric's kind", EXPECT.replace("read.p99 < 1 s", "read.errors < 1 s"), "read.errors", "percent sign", "%"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "marked", "reason", "remedy"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_one_mistake_with_place_reason_and_remedy(text: str, marked: str, reason: str, remedy: str) -> None:
    started = time.perf_counter()
    found = mistakes_in(text)
    assert time.perf_counter() - started < 1.0
    assert len(found) == 1, [mistake.message for mistake in found]
    mistake = found[0]
    assert reason in mistake.message
    assert remedy in mistake.remedy
    assert mistake.path == "design.yaml"
    assert mistake.source_line == text.splitlines()[mistake.line - 1]
    assert mistake.source_line[mistake.column - 1 :].startswith(marked)
    assert mistake.column < mistake.column_end


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~"])
def test_files_with_nothing_in_them(text: str) -> None:
    mistake = mistakes_in(text)[0]
    assert ("empty" in mistake.message) or ("not a design" in mistake.message)
    assert mistake.remedy


def test_a_file_without_sections_hears_of_each() -> None:
    messages = " ".join(mistake.message for mistake in mistakes_in("title: x\n"))
    assert "does not say that it is a design" in messages
    assert "no components" in messages
    assert "no flows" in messages


def test_empty_sections_hear_of_each() -> None:
    messages = [mistake.message for mistake in mistakes_in("tenfold: 1\ncomponents:\nflows: {}\n")]
    assert messages == ["components is empty", "flows is empty"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = SMALL
    for old, new in (
        ("users: 1M", "users: 5m"),
        ("kind: log", "kind: lag"),
        ("cpu: 1 ms", "cpu: 1"),
        ("query: db", "query: d"),
    ):
        text = changed(old, new, text)
    found = mistakes_in(text + "slo: {reed: {p99: 1 s}}\n")
    assert [mistake.line for mistake in found] == sorted(mistake.line for mistake in found)
    assert [mistake.message.split(":")[0] for mistake in found] == [
        "users",
        "q",
        "cpu of run api",
        'unknown component "d"',
        'unknown flow "reed"',
    ]


def test_an_unreadable_component_is_not_also_unknown() -> None:
    text = changed("db: {kind: postgres}", "db: {kind: postgre}", POLICIES)
    assert len(mistakes_in(text)) == 1


BOMBS = {
    "brackets": "tenfold: " + "[" * 100_000,
    "braces": "{a: " * 50_000,
    "dashes": "- " * 100_000,
    "laughs": "a: &a [x,x]\n"
    + "".join(f"{c}: &{c} [*{p},*{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
    "many unknown keys": "tenfold: 1\n" + "".join(f"key{i}: x\n" for i in range(15_000)),
    "many values": "tenfold: 1\nflows: {" + "".join(f"k{i}: x, " for i in range(200_000)) + "}",
    "many components": "tenfold: 1\ncomponents:\n" + "".join(f"  c{i}: {{kind: servic}}\n" for i in range(6_000)),
    "many steps": SMALL
    + "".join(f"      - query: d{i}\n" for i in range(5_000)).join(["  f:\n    rate: 1/s\n    steps:\n", ""]),
    "many arrows": SMALL + "policies:\n" + "".join(f"  api -> x{i}: {{timeout: 1 s}}\n" for i in range(4_000)),
    "long word": changed("kind: log", "kind: " + "l" * 1_500_000),
    "long arrow": SMALL + "policies: {? '" + "a -" * 300_000 + "' : {}}\n",
    "long expectation": EXPECT.replace("read.p99", "r" * 500_000),
    "too large": SMALL + "#" * 2_000_000,
    "many tabs": "\tx: 1\n" * 100_000,
    "long number": changed("users: 1M", "users: " + "9" * 1_000_000),
    "large exponent": changed("users: 1M", "users: 1e999999999"),
    "deep steps": "tenfold: 1\nflows: {a: {steps: " + "[{parallel: [" * 5_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_within_a_second(bomb: str) -> None:
    started = time.perf_counter()
    found = mistakes_in(bomb)
    assert time.perf_counter() - started < 1.0
    assert 0 < len(found) <= 101
    for mistake in found:
        assert mistake.remedy
        assert len(mistake.message) <= 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\0\0\0", "binary file"),
        (SMALL.encode("utf-16"), "UTF-16"),
        (SMALL.encode("utf-16-le"), "binary file"),
        (b"tenfold: 1\ntitle: caf\xe9\n", "not UTF-8 (line 2)"),
        (b"x" * 3_000_000, "larger than 2 MB"),
        (b"", "empty"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "design.yaml"
    path.write_bytes(content)
    with pytest.raises(DesignError) as refused:
        load(path, KINDS)
    (mistake,) = refused.value.mistakes
    assert message in mistake.message
    assert (mistake.path, mistake.line) == (str(path), 0)
    assert mistake.remedy


@pytest.mark.parametrize(
    ("name", "message"), [("missing.yaml", "no such file"), (".", "not a file"), ("a\0b", "cannot be read")]
)
def test_files_that_are_not_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        load(tmp_path / name, KINDS)


def test_the_good_designs_are_good() -> None:
    for text in (SMALL, POLICIES, STORM, EXPECT, CHOOSE, TEXT):
        read(text)


def test_a_loop_that_dies_out_is_fine() -> None:
    again = "{choose: [{weight: 10%, steps: [{publish: q}]}, {weight: 90%, steps: []}]}"
    read(changed("[{run: worker}]", f"[{{run: worker}}, {again}]"))
