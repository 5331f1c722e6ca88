"""Mistakes in a design file, as people see them."""

from tenfold.errors import Mistake
from tenfold.report.mistakes import render_mistake, render_mistakes


def test_message_place_line_carets_and_remedy() -> None:
    line = "    ttl_jitter: 10        # per key"
    mistake = Mistake("design.yaml", 23, 17, 19, '"10" has no percent sign', "write 10%", line)
    assert render_mistake(mistake).splitlines() == [
        '"10" has no percent sign',
        "  --> design.yaml:23:17",
        "   |",
        "23 |     ttl_jitter: 10        # per key",
        "   |                 ^^",
        "   |",
        " help: write 10%",
    ]


def test_the_whole_file() -> None:
    assert render_mistake(Mistake("a.yaml", 0, 0, 0, "the file is empty", "write one")).splitlines() == [
        "the file is empty",
        " --> a.yaml",
        " help: write one",
    ]


def test_an_override_is_shown_as_it_was_given() -> None:
    mistake = Mistake("--set", 1, 14, 16, '"no" is not a count', "write 3", "components.x=no")
    assert render_mistake(mistake).splitlines()[1:5] == [
        " --> --set",
        "  |",
        "  | components.x=no",
        "  |              ^^",
    ]


def test_all_of_them_and_how_many() -> None:
    one = Mistake("a.yaml", 1, 1, 2, "wrong", "", "x")
    assert render_mistakes([one]).endswith("\n\n1 mistake\n")
    assert render_mistakes([one, one]).endswith("\n\n2 mistakes\n")


def test_a_very_long_line_is_shown_around_the_caret() -> None:
    line = "x" * 5000 + "HERE" + "y" * 5000
    _, _, _, source, carets = render_mistake(Mistake("a.yaml", 1, 5001, 5005, "wrong", "", line)).splitlines()
    assert len(source) < 200
    assert source[carets.index("^") : carets.rindex("^") + 1] == "HERE"


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = render_mistake(Mistake("a.yaml", 1, 1, 2, "wrong", "", "\033[2Jx\x07"))
    assert text.isprintable() or set(text) - {"\n"} == set(filter(str.isprintable, text))
