"""Damaged designs: the answer is a design or mistakes with remedies, never another exception."""

import contextlib
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import SMALL, TEXT, mistakes_in, read

from tenfold import api
from tenfold.design.load import load
from tenfold.design.schema import Design, Scenario
from tenfold.design.template import template
from tenfold.errors import DesignError, UsageError
from tenfold.kinds import KINDS

LINES = TEXT.splitlines()
WORDS = sorted(set(TEXT.split()))
SIGNS = " \n:{}[]-,>&*!#%@'\"0m"
VALUES = [
    "0", "1", "-1", "1e18", "1e400", "1 ns", "100 years", "8 EB", "1/user", "1/s", "0%", "100%", "0x", "1000000x",
    "1..2", "none", "no limit", "~", "''", "{}", "[]", "[x]", "{x: y}", "true", "client", "api", "tweets_db",
    "fanout_q", "timeline_cache", "timeline", "zipf 5", "uniform", "publish", "expire",
]  # fmt: skip
NUMBERS = ["0", "1", "2", "3", "0.001", "99", "100", "1000", "1e6", "1e9", "1e12", "1..2", "-1", "1e400"]
repeatable = settings(derandomize=True, max_examples=150, deadline=1000)


def is_answered(text: str) -> Design | None:
    """The design, when it is one; else every mistake has a reason, a remedy and a place in the text."""
    try:
        return read(text)
    except DesignError as error:
        for mistake in error.mistakes:
            assert mistake.message
            assert mistake.remedy
            assert 0 <= mistake.line <= len(text.splitlines()) + 1
        return None


@repeatable
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    assert mistakes_in(text)


@repeatable
@given(st.text(SIGNS + "ab\n  - ", max_size=120))
def test_any_signs(text: str) -> None:
    is_answered(text)
    is_answered(SMALL + text)


@repeatable
@given(st.binary(max_size=200), st.integers(0, len(SMALL)))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int) -> None:
    path = tmp_path_factory.getbasetemp() / "design.yaml"
    good = SMALL.encode()
    for damaged in (content, good[:at] + content + good[at:]):
        path.write_bytes(damaged)
        try:
            load(path, KINDS)
        except DesignError as error:
            refused = error.mistakes
        else:
            refused = ()
        assert all(mistake.message and mistake.remedy for mistake in refused)


@repeatable
@given(st.data())
def test_any_splice(data: st.DataObject) -> None:
    text = TEXT
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 30))
        splice = data.draw(st.text(max_size=8) | st.text(SIGNS, max_size=6) | st.sampled_from(WORDS))
        text = text[:start] + splice + text[start + length :]
    is_answered(text)


@repeatable
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(LINES) - 1),
            st.sampled_from(["drop", "twice", "indent", "outdent", "swap", "tab"]),
            st.integers(0, len(LINES) - 1),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_lines_dropped_doubled_moved_and_indented(edits: list[tuple[int, str, int]]) -> None:
    lines = list(LINES)
    for number, edit, other in edits:
        line = lines[number]
        changes = {"drop": "", "twice": f"{line}\n{line}", "indent": f"  {line}", "outdent": line.removeprefix("  "),
                   "swap": lines[other], "tab": f"\t{line}"}  # fmt: skip
        lines[number] = changes[edit]
    is_answered("\n".join(lines))


def with_other_values(dice: random.Random) -> str:
    """A good design with one or two of its numbers, and sometimes a word, exchanged for others."""
    text = dice.choice([TEXT, SMALL, template("x")])
    for _ in range(dice.randint(1, 2)):
        is_word = dice.random() < 0.3
        found = dice.choice(list(re.finditer(r"(?<=[ {>])[a-z_]+(?=[,} \n])" if is_word else r"\b[0-9.]+", text)))
        other = dice.choice([*VALUES, *WORDS] if is_word else NUMBERS)
        text = text[: found.start()] + other + text[found.end() :]
    return text


@pytest.mark.parametrize("seed", range(8))
def test_what_loads_with_other_values_can_be_sized_and_lowered(seed: int) -> None:
    from tenfold.program.lower import lower

    dice = random.Random(seed)
    for _ in range(60):
        design = is_answered(with_other_values(dice))
        if design is None:
            continue
        api.size(design)
        for scenario in (*design.scenarios.values(), Scenario("steady", 60 * 10**9)):
            with contextlib.suppress(UsageError):  # more entries or nesting than the engine has room for
                lower(design, scenario)
