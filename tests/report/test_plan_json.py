"""The plan as programs read it."""

import json

from small_designs import timeline
from tenfold.report import plan_json
from tenfold.sizing import plan


def test_every_number_is_there_in_base_units() -> None:
    answer = json.loads(plan_json.render(plan(timeline())))
    average = answer["flows"]["read_timeline"]["average"]
    assert round(average["value"]["likely"], 2) == 57_870.37
    assert (average["unit"], average["where"]) == ("per_s", "design.yaml:9,32")
    assert answer["components"]["api"]["nodes_now"]["value"]["likely"] == 47
    assert answer["saturation"][0]["component"] == "tweets_db"


def test_what_is_infinite_is_null() -> None:
    answer = json.loads(plan_json.render(plan(timeline())), parse_constant=lambda name: 1 / 0)
    assert answer["components"]["tweets_db"]["nodes_now"]["value"]["likely"] is None
    assert answer["is_feasible"] is False


def test_excuses_and_shortages_are_listed() -> None:
    answer = json.loads(plan_json.render(plan(timeline())))
    assert [e["component"] for e in answer["excuses"]] == ["tweets_db", "fanout_q"]
    assert answer["short"] == ["api"]


def test_the_same_plan_gives_the_same_bytes() -> None:
    assert plan_json.render(plan(timeline())) == plan_json.render(plan(timeline()))
