"""What `tenfold explain` lists: the settings a file leaves open, and none that it states."""

import pytest

from tenfold.design.load import parse
from tenfold.kinds import KINDS
from tenfold.report.defaults import defaults

TEXT = """
tenfold: 1
title: small
components:
  api: {kind: service}
flows:
  f: {rate: 1/s, steps: [{run: api}]}
policies:
  client -> api:
    {policy}
"""


@pytest.mark.parametrize(
    ("policy", "is_open"),
    [
        ("throttle: 3x", False),
        ("throttle: {k: 3x}", False),
        ("throttle: {}", True),
        ("throttle:", True),
        ("throttle: {window: 1 min}", True),
    ],
)
def test_a_single_value_states_the_main_setting_and_an_empty_mapping_does_not(policy: str, is_open: bool) -> None:
    found = defaults(parse(TEXT.replace("{policy}", policy), "small.yaml", KINDS))
    assert (("policies", "client -> api", "throttle", "k") in {default.at for default in found}) == is_open
