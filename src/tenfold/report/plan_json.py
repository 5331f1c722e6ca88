"""A Plan as JSON: every number, in base units (per s, bytes, ns, ratios 0..1). What is infinite is null."""

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

from tenfold.sizing.answer import Plan

FORMAT = 1
"""Version of the shape; a change that breaks readers raises it."""


def render(plan: Plan) -> str:
    """The whole plan as one JSON object, with a newline at the end.

    Args:
        plan: what sizing answered.
    """
    answer = {"format": FORMAT, **_plain(plan), "is_feasible": plan.is_feasible, "short": [c.name for c in plan.short]}
    return json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as JSON knows them."""
    if is_dataclass(value):
        return {declared.name: _plain(getattr(value, declared.name)) for declared in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return {str(key): _plain(item) for key, item in value.items()} if hasattr(value, "items") else value
