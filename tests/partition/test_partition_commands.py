"""`tenfold partition`: what it says, what it draws, and what it refuses."""

import contextlib
import json
import random
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from clusters import keys

from tenfold.cli import main
from tenfold.errors import DesignError, UsageError
from tenfold.partition import Ring, plan
from tenfold.runtime.partition.loads import Columns, read_loads


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `tenfold partition`."""
    with pytest.raises(SystemExit) as ended:
        main(["partition", *arguments])
    seen = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    assert "Traceback" not in seen.err
    return ended.value.code, seen.out, seen.err


def written(folder: Path, text: str | bytes, name: str = "loads.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


@pytest.fixture
def flat(tmp_path: Path) -> str:
    return written(tmp_path, "key\n" + "".join(f"{key}\n" for key in keys(20_000)))


@pytest.fixture
def celebrity(tmp_path: Path) -> str:
    rows = [f"user:{number},{1 + 9_000 * (number == 7)}\n" for number in range(20_000)]
    return written(tmp_path, "user,visits\n" + "".join(rows))


# Plans.


def test_a_plan_says_what_moves_and_what_chance_would_move(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = called(capsys, "plan", "--from", "a,b,c", "--to", "a,b,c,d")
    moves = plan(Ring("abc"), Ring("abcd"))
    assert code == 0
    assert f"{moves.share:.2%} of all keys move, in {len(moves.moves)} ranges" in text
    assert "by chance 25.00%, 19 of 20 times 21.6" in text
    assert [line.split()[:2] for line in text.splitlines()[-3:]] == [["a", "d"], ["b", "d"], ["c", "d"]]


def test_a_plan_as_json_has_every_range(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = called(capsys, "plan", "--from", "a,b,c", "--to", "a,b", "--format", "json")
    shown = json.loads(text)
    moves = plan(Ring("abc"), Ring("ab"))
    assert shown["share"] == moves.share
    assert [(int(m["first"], 16), int(m["last"], 16), m["source"], m["destination"]) for m in shown["moves"]] == [
        (m.first, m.last, m.source, m.destination) for m in moves.moves
    ]
    assert shown["old"]["digest"] == Ring("abc").digest
    assert shown["expected"]["mean"] == pytest.approx(1 / 3)


def test_a_plan_of_slots_moves_as_little_as_weights_need(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = called(capsys, "plan", "--from", "a,b,c=2", "--to", "a,b,c", "--slots", "1000")
    assert "16.60% of all keys move" in text
    assert "by chance" not in text


def test_a_plan_of_nothing_moves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = called(capsys, "plan", "--from", "3", "--to", "3")
    assert (code, text.splitlines()[-1]) == (0, "0.00% of all keys move, in 0 ranges")


def test_all_that_is_wrong_with_both_lists_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, trouble = called(capsys, "plan", "--from", "a,b=x,,c=0", "--to", "d,d")
    assert code == 2
    for part in ("'x' of 'b'", "a node without a name", "'0' of 'c'", "--to: 'd' twice", "help: write names"):
        assert part in trouble


@pytest.mark.parametrize("words", [["--from", "0", "--to", "3"], ["--from", "a", "--to", "a", "--points", "0"], []])
def test_a_request_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert called(capsys, "plan", *words)[0] == 2


# Skew.


def test_an_even_file_on_a_ring_is_as_uneven_as_chance(capsys: pytest.CaptureFixture[str], flat: str) -> None:
    code, text, _ = called(capsys, "skew", flat, "--nodes", "10")
    assert code == 0
    assert text.startswith("10 nodes x 150 points, 20,000 keys, load 20,000\n\nas uneven as chance makes it\n")
    assert text.count("█") > 100
    assert "no key stands out" in text


def test_one_heavy_key_is_called_so(capsys: pytest.CaptureFixture[str], celebrity: str) -> None:
    words = ["--nodes", "10", "--slots", "16384", "--key", "user", "--load", "visits"]
    code, text, _ = called(capsys, "skew", celebrity, *words)
    assert code == 0
    assert "single key\n  cannot split: a single key, 'user:7', has 31.0% of the load" in text


def test_the_report_as_json_has_every_node(capsys: pytest.CaptureFixture[str], flat: str) -> None:
    _, text, _ = called(capsys, "skew", flat, "--nodes", "a,b=2,c", "--format", "json")
    shown = json.loads(text)
    assert [node["name"] for node in shown["nodes"]] == ["a", "b", "c"]
    assert sum(node["key_count"] for node in shown["nodes"]) == 20_000
    assert shown["map"]["digest"] == Ring({"a": 1, "b": 2, "c": 1}).digest


@pytest.mark.parametrize("nodes", ["1", "10", "60", "a,<b>&=0.5"])
@pytest.mark.parametrize("size", [[], ["--slots", "256"]])
def test_the_picture_has_a_bar_per_node_shown_and_arcs_that_close_the_circle(
    capsys: pytest.CaptureFixture[str], flat: str, tmp_path: Path, nodes: str, size: list[str]
) -> None:
    target = tmp_path / "shares.svg"
    code, _, _ = called(capsys, "skew", flat, "--nodes", nodes, "--svg", str(target), *size)
    assert code == 0
    picture = ET.fromstring(target.read_text(encoding="utf-8"))  # noqa: S314 - our own picture
    tags = [each.tag.rpartition("}")[2] for each in picture.iter()]
    assert tags.count("rect") == {"1": 1, "10": 10, "60": 17}.get(nodes, 2)
    arcs = [each.get("d", "") for each in picture.iter() if each.tag.endswith("path")]
    starts = [arc[1:].split("A")[0] for arc in arcs]
    ends = [arc.split("A")[1].split("L")[0].split()[-2:] for arc in arcs]
    assert arcs
    assert all(" ".join(end) == start for end, start in zip(ends[:-1], starts[1:], strict=True))


def test_without_unicode_the_bars_are_plain(flat: str) -> None:
    from tenfold.report.partition_text import skew_text
    from tenfold.report.style import Style
    from tenfold.runtime.partition.skew import skew

    ring = Ring("abc")
    text = skew_text(skew(read_loads(flat), ring), ring, Style(unicode=False, width=80))
    assert text.isascii()
    assert "####" in text
    assert max(map(len, text.splitlines())) <= 80


def test_many_nodes_show_the_fullest_and_the_emptiest(capsys: pytest.CaptureFixture[str], flat: str) -> None:
    _, text, _ = called(capsys, "skew", flat, "--nodes", "200")
    assert "... 183 nodes between" in text
    assert text.count("node-") == 18  # 17 lines and the verdict


# Files.


BAD = """key,load
a,1
b,-2
c,many
,4
e,5,6
f,inf
g,7
"""


def test_every_mistake_of_a_file_is_told_at_once_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = written(tmp_path, BAD)
    code, text, trouble = called(capsys, "skew", path, "--nodes", "3")
    assert (code, text) == (2, "")
    for line, message in (
        (3, "the load -2 is none"),
        (4, "the load 'many' is no number"),
        (5, "the row has no key"),
        (6, "3 values, where the header has 2"),
        (7, "the load inf is none"),
    ):
        assert message in trouble
        assert f"{path}:{line}:" in trouble
    assert "c,many" in trouble
    assert trouble.count("help:") == 5
    assert trouble.rstrip().endswith("5 mistakes")


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "the file is empty", "a header"),
        ("\n\n", "the file is empty", "a header"),
        ("key,load\n", "there is no key in the file", "below the header"),
        ("key,load\na,0\n", "there is no load in the file", "above 0"),
        ("id,load\na,1\n", "there is no column 'key'", "name it with --key; the columns are: id, load"),
        ("key,hits\na,1\n", "there is no column 'load'", "or --load none; the columns are: key, hits"),
        (b"key,load\n\xff\xfe,1\n", "the file is no CSV: bytes that are no text", "UTF-8"),
        (b"\x89PNG\x00\x00,\n", "the file is no CSV", "UTF-8"),
        (b"key,load\na\x00,1\n", "loads.csv:2:1", "UTF-8"),
        ('key,load\n"a,1\n', "the file is no CSV", "UTF-8"),
    ],
)
def test_what_is_no_file_of_loads_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | bytes, message: str, remedy: str
) -> None:
    code, _, trouble = called(capsys, "skew", written(tmp_path, text), "--nodes", "3")
    assert code == 2
    assert message in trouble
    assert remedy in trouble


def test_a_file_that_is_not_there_and_a_folder_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        code, _, trouble = called(capsys, "skew", str(path), "--nodes", "3")
        assert code == 2
        assert "cannot be read" in trouble


def test_a_thousand_mistakes_are_counted_and_not_all_shown(tmp_path: Path) -> None:
    path = written(tmp_path, "key,load\n" + "a,-1\n" * 1_000)
    with pytest.raises(DesignError) as raised:
        read_loads(path)
    assert len(raised.value.mistakes) == 21
    assert raised.value.mistakes[-1].message == "980 more mistakes are not shown"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_quotes_and_marks_of_spreadsheets_are_read(tmp_path: Path, separator: str) -> None:
    rows = [["key", "load"], [f'"a{separator}1"', "2"], ["b", "1.5"], ["b", "1e1"]]
    path = written(tmp_path, "\ufeff" + "\r\n".join(separator.join(row) for row in rows))
    assert read_loads(path) == {f"a{separator}1": 2.0, "b": 11.5}


def test_rows_are_counted_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path, "key,load\na,7\nb,7\na,7\n")
    assert read_loads(path, Columns(load="none")) == {"a": 2.0, "b": 1.0}


def test_any_bytes_are_read_or_refused_with_mistakes(tmp_path: Path) -> None:
    dice = random.Random(1)
    for number in range(300):
        noise = bytes(dice.choice(b'key,load\n\r"a1-.;\t\x00\xff') for _ in range(dice.randrange(60)))
        path = written(tmp_path, dice.choice([b"", b"key,load\n"]) + noise, f"{number}.csv")
        with contextlib.suppress(DesignError):
            assert sum(read_loads(path).values()) > 0


def test_parquet_without_pyarrow_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.lib", None)
    with pytest.raises(UsageError, match="needs pyarrow") as raised:
        read_loads(written(tmp_path, b"PAR1....PAR1", "loads.parquet"))
    assert "pip install pyarrow" in raised.value.remedy


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: Parquet files are not tried")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "loads.parquet")
    parquet.write_table(pyarrow.table({"load": [1, 2, 3], "key": ["a", "b", "a"]}), path)
    assert read_loads(path) == {"a": 4.0, "b": 2.0}
    parquet.write_table(pyarrow.table({"load": [-1.0, None], "key": ["a", None]}), path)
    with pytest.raises(DesignError) as raised:
        read_loads(path)
    assert [mistake.line for mistake in raised.value.mistakes] == [1, 2]


def test_a_table_and_a_ring_differ_in_what_they_are_called(capsys: pytest.CaptureFixture[str], flat: str) -> None:
    _, text, _ = called(capsys, "skew", flat, "--nodes", "4", "--slots", "64")
    assert text.startswith("4 nodes, 64 slots")
    code, _, trouble = called(capsys, "skew", flat, "--nodes", "4", "--slots", "64", "--points", "9")
    assert (code, "not both" in trouble) == (2, True)
