"""Design -> Plan: what every part needs, with the formula."""

from tenfold.sizing.answer import Plan
from tenfold.sizing.planner import plan

__all__ = ["Plan", "plan"]
