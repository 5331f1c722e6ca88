"""`tenfold id`."""

from pathlib import Path

import pytest

from tenfold import ids
from tenfold.cli import main


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["id", *arguments])
    seen = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, seen.out, seen.err


def test_it_makes_ids_of_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys, "--count", "5000", "--worker", "4", "--datacenter", "2")
    made = [int(line) for line in out.splitlines()]
    assert (code, err, len(made), sorted(set(made)) == made) == (0, "", 5000, True)
    assert {(ids.decode(id_).datacenter, ids.decode(id_).worker) for id_ in made} == {(2, 4)}


def test_it_writes_base62(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = called(capsys, "--count", "3", "--format", "base62")
    assert [len(text) for text in out.split()] == [11] * 3
    assert [ids.decode(ids.from_base62(text)).worker for text in out.split()] == [0] * 3


def test_it_leases_a_worker_and_gives_it_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/workers.db"
    first, second = (int(called(capsys, "--leases", url, "--datacenter", "3", "--worker", "7")[1]) for _ in range(2))
    assert first < second
    assert [(ids.decode(id_).datacenter, ids.decode(id_).worker) for id_ in (first, second)] == [(3, 7)] * 2


@pytest.mark.parametrize("value", ["251009361462177796", "0IXcmZLG5xs"])
def test_it_says_what_an_id_contains(capsys: pytest.CaptureFixture[str], value: str) -> None:
    code, out, _ = called(capsys, "--decode", value)
    assert code == 0
    assert out.splitlines() == [
        "id          251009361462177796",
        "base62      0IXcmZLG5xs",
        "time        2026-11-24 15:41:35.301 UTC",
        "datacenter  0",
        "worker      3",
        "sequence    4",
    ]


@pytest.mark.parametrize("epoch", ["1420070400000", "2015-01-01", "2015-01-01T02:00:00+02:00"])
def test_it_reads_ids_of_others_by_their_epoch(capsys: pytest.CaptureFixture[str], epoch: str) -> None:
    _, out, _ = called(capsys, "--decode", "175928847299117063", "--epoch", epoch)
    assert "time        2016-04-30 11:18:25.796 UTC" in out  # the example in Discord's reference


@pytest.mark.parametrize(
    ("arguments", "reason", "remedy"),
    [
        (["--decode", "0IXcm"], "'0IXcm' is no id", "11 characters"),
        (["--decode", "zzzzzzzzzzz"], "more than 63 bits", "AzL8n0Y58m7"),
        (["--decode", "9223372036854775808"], "is no id", "63 bits"),
        (["--decode", "123", "--format", "base62"], "has 3 characters", "exactly 11"),
        (["--worker", "32"], "worker 32 does not fit 5 bits", "0 to 31"),
        (["--bits", "41/5/5"], "is not timestamp/datacenter/worker/sequence", "--help"),
        (["--bits", "42/5/5/12"], "are 64 bits", "take some away"),
        (["--epoch", "soon"], "neither a date nor Unix milliseconds", "--help"),
        (["--epoch", "2080-01-01"], "outside of the layout", "another epoch"),
        (["--count", "0"], "--count", "--help"),
        (["--leases", "carrier-pigeon:x"], "no lease store 'carrier-pigeon'", "sqlite:"),
        (["--leases", "redis://127.0.0.1:1"], "Redis does not work", "check the URL"),
    ],
)
def test_bad_usage_is_answered_by_reason_and_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str, remedy: str
) -> None:
    code, out, err = called(capsys, *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert remedy in err


def test_a_worker_somebody_has_is_answered_by_reason_and_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url = f"sqlite:{tmp_path}/workers.db"
    with ids.generator(url, worker=3) as ours:
        ours.next()
        code, out, err = called(capsys, "--leases", url, "--worker", "3")
    assert (code, out) == (2, "")
    assert "worker (node 3) of 'ids' is leased" in err
    assert "the first lease ends in" in err
