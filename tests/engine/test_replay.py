"""The same seed gives the same run, in every process; designs that share flows see the same arrivals."""

from apart import totals_of
from small_runs import queue_of, run_of, totals

BODY = queue_of("kind: service, cores: 2", "1 ms", 500)


def test_the_same_seed_gives_the_same_sums_in_another_process() -> None:
    assert totals_of(BODY, lasts="10 s") == totals(run_of(BODY, lasts="10 s"))


def test_another_seed_gives_another_run() -> None:
    assert run_of(BODY, lasts="10 s", seed=2).flows["f"].offered != run_of(BODY, lasts="10 s").flows["f"].offered


def test_designs_that_differ_in_one_setting_see_the_same_arrivals() -> None:
    other = queue_of("kind: service, cores: 1", "1 ms", 500)
    assert run_of(other, lasts="10 s").flows["f"].offered == run_of(BODY, lasts="10 s").flows["f"].offered
