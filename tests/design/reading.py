"""Helpers of the loader's tests: read a text, get its mistakes."""

from pathlib import Path

from tenfold.design.load import parse
from tenfold.design.schema import Design
from tenfold.errors import DesignError, Mistake
from tenfold.kinds import KINDS

HERE = Path(__file__).parent
SAMPLE = HERE / "home_timeline.yaml"
TEXT = SAMPLE.read_text()

SMALL = """\
tenfold: 1
requirements:
  users: 1M
  data:
    item: {size: 1 KB, count: 1M}
components:
  api: {kind: service}
  cache: {kind: redis, holds: item}
  db: {kind: postgres}
  q: {kind: log}
  worker: {kind: service}
flows:
  read:
    rate: 10/user/day
    steps:
      - run: api
        cpu: 1 ms
      - get: cache
        on_miss: [{query: db, takes: 2 ms}]
      - publish: q
  work:
    trigger: q
    steps: [{run: worker}]
"""


def read(text: str, *overrides: str) -> Design:
    """The design in a text."""
    return parse(text, "design.yaml", KINDS, overrides=overrides)


def mistakes_in(text: str, *overrides: str) -> tuple[Mistake, ...]:
    """What is wrong with a text; nothing when it is fine."""
    try:
        read(text, *overrides)
    except DesignError as error:
        return error.mistakes
    return ()


def changed(old: str, new: str, text: str = SMALL) -> str:
    """The text with one place changed, which must be there once."""
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)
