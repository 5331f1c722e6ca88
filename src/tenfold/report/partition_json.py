"""Partitioning as JSON. Hashes are hexadecimal text: JavaScript's numbers end at 2^53."""

import json
from typing import Any

from tenfold.report.plain import to_plain
from tenfold.runtime.partition.plan import Plan
from tenfold.runtime.partition.ring import Ring
from tenfold.runtime.partition.skew import Skew
from tenfold.runtime.partition.slots import SlotTable
from tenfold.runtime.partition.spread import Newcomer


def skew_json(found: Skew, of: Ring | SlotTable) -> str:
    """The report with every node."""
    plain = {"map": _map(of), **to_plain(found)}
    for hot in plain["hottest"]:
        hot["key"] = hot["key"] if isinstance(hot["key"], str) else hot["key"].hex()
    return json.dumps(plain, indent=1) + "\n"


def plan_json(moves: Plan, old: Ring | SlotTable, new: Ring | SlotTable, expected: Newcomer | None) -> str:
    """The plan with every range: `first` and `last` are included."""
    listed = [
        {
            "first": f"{move.first:016x}",
            "last": f"{move.last:016x}",
            "source": move.source,
            "destination": move.destination,
            "share": move.share,
        }
        for move in moves.moves
    ]
    plain = {
        "old": _map(old),
        "new": _map(new),
        "share": moves.share,
        "expected": to_plain(expected),
        "flows": [to_plain(flow) for flow in moves.flows()],
        "moves": listed,
    }
    return json.dumps(plain, indent=1) + "\n"


def _map(of: Ring | SlotTable) -> dict[str, Any]:
    size = {"slots": of.slots} if isinstance(of, SlotTable) else {"points": of.points}
    nodes = [to_plain(node) for node in of.nodes]
    return {"kind": "slots" if isinstance(of, SlotTable) else "ring", **size, "digest": of.digest, "nodes": nodes}
