"""The plan as people read it."""

import pytest

from small_designs import component, design, exactly, flow, ms, per_user_day, step, timeline
from tenfold.design.schema import Count, DataSet, Design, Range, Requirements
from tenfold.report import plan_text
from tenfold.sizing import plan

USERS = ("requirements", "users")


def shop() -> Design:
    return design(
        (component("api", "service", workers=8), component("db", "postgres")),
        (flow("buy", per_user_day(10), step("run", "api", cpu=ms(4)), step("insert", "db", takes=ms(5))),),
        Requirements(users=exactly(864_000), data={"order": DataSet("order", exactly(1_000), Count(exactly(4), True))}),
        {USERS: 4, ("flows", "buy", "rate"): 12, ("components", "api"): 8, ("requirements", "peak"): 5},
    )


SHOP = """\
Small: what is declared carries peak with headroom
  saturates first: api (workers) at 4.21x, then db (statements) 16x the peak

component   kind       peak     most used           nodes   needed   at 10x
api         service    200 /s   workers 23.8 %      1       1        4
db          postgres   200 /s   statements 6.25 %   1       1        1

flows
  buy, average         100 /s            864,000 users x 10/user/day / 86,400 s                         design.yaml:4,12
  buy, peak            200 /s            100 /s x 2                                                     design.yaml:5
  buy, with headroom   260 /s            200 /s x (1 + 30 %)
  buy, time            10 ms             mean of one run when nothing queues

edge (clients, at peak)
  in                   160 KB/s          200 /s x 800 B
  out                  160 KB/s          200 /s x 800 B

api (service, design.yaml:8)
  average              100 /s            buy run 100 /s
  peak                 200 /s            100 /s x 2                                                     design.yaml:5
  with headroom        260 /s            200 /s x (1 + 30 %)
  in                   180 KB/s          200 /s x 800 B asked + 200 /s x 100 B answers it gets
  out                  180 KB/s          200 /s x 800 B answered + 200 /s x 100 B asked of others
  needs, cores         0.8 cores         200 /s x 4 ms
  needs, workers       1.9 workers       200 /s x 9.5 ms held
  used, workers        23.8 %            76.2 % left, all used at 4.21x the peak                        design.yaml:8
  used, cpu            20 %              80 % left, all used at 5x the peak                             design.yaml:8
  nodes needed         1 node            peak x (1 + 30 %); declared 1                                  design.yaml:8
  nodes at 10x         4 nodes           ten times the traffic and the data                             design.yaml:8

db (postgres)
  average              100 /s            buy insert 100 /s
  peak                 200 /s            100 /s x 2                                                     design.yaml:5
  with headroom        260 /s            200 /s x (1 + 30 %)
  reads                0 /s
  writes               200 /s            buy insert 200 /s
  in                   20 KB/s           200 /s x 100 B asked
  out                  20 KB/s           200 /s x 100 B answered
  needs, statements    1 statement       200 /s x 5 ms
  needs, connections   1.1 connections   200 /s x 5.5 ms held
  needs, disk          3.46 GB           one copy of order with indexes
  used, statements     6.25 %            93.8 % left, all used at 16x the peak
  used, connections    1.1 %             98.9 % left, all used at 90.9x the peak
  used, disk           0.0216 %          99.978 % left
  nodes needed         1 node            peak x (1 + 30 %); declared 1
  nodes at 10x         1 node            ten times the traffic and the data

order at rest, kept by db
  items                3.456M items      864,000 users x 4/user                                         design.yaml:4
  one copy             3.46 GB           3.456M x 1 KB x (1 + 0 % index)                                design.yaml:4
  all copies           3.46 GB           3.46 GB x (1 copy)                                             design.yaml:4
  growth per year      0 B               a standing number                                              design.yaml:4
"""


def test_a_small_design_from_the_verdict_to_the_assumptions() -> None:
    text = plan_text.render(plan(shop()))
    assert text.split("\nassumed\n")[0] == SHOP
    assert "SPDY" in text


def test_the_line_of_the_documentation() -> None:
    lines = [" ".join(line.split()) for line in plan_text.render(plan(timeline())).splitlines()]
    assert "read_timeline, average 57,870.37 /s 100M users x 50/user/day / 86,400 s design.yaml:9,32" in lines


@pytest.mark.parametrize("built", [timeline(), timeline(Range(5e7, 1e8, 2e8)), shop()], ids=["exact", "wide", "small"])
def test_no_line_is_wider_than_the_page(built: Design) -> None:
    assert max(len(line) for line in plan_text.render(plan(built)).splitlines()) <= plan_text.WIDTH


def test_excuses_come_first_with_what_to_do() -> None:
    lines = plan_text.render(plan(timeline())).splitlines()
    assert lines[0] == "Small: peak with headroom cannot be carried as designed (tweets_db, fanout_q)"
    assert lines[1].startswith("  x tweets_db: data on one server: 39.4 TB")
    assert any(line.startswith("      do: ") for line in lines[2:5])


def test_ranges_are_shown_where_they_differ_and_only_there() -> None:
    assert plan_text.value_text(Range(1e3, 2e3, 3e3), "bytes_per_s") == "1 .. 2 .. 3 KB/s"
    assert plan_text.value_text(Range(1e3, 2e3, 3e6), "bytes") == "1 KB .. 2 KB .. 3 MB"
    assert plan_text.value_text(exactly(0.25), "ratio") == "25 %"
    assert plan_text.value_text(Range(1, 2, float("inf")), "nodes") == "1 node .. 2 nodes .. none is enough"


def test_a_design_that_fits_says_so() -> None:
    built = design((component("api", "service"),), (flow("f", per_user_day(1), step("run", "api", cpu=ms(1))),))
    assert plan_text.render(plan(built)).startswith("Small: what is declared carries peak with headroom\n")


def test_a_design_without_flows_is_no_trouble() -> None:
    assert "what is declared carries" in plan_text.render(plan(design((component("db", "postgres"),), ())))
