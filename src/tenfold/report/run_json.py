"""Runs with their verdicts as JSON, and back. Equal runs give equal bytes: keys are sorted, nothing else is added."""

import json
from collections.abc import Sequence
from typing import Any

from tenfold.errors import UsageError
from tenfold.report.plain import from_plain, to_plain
from tenfold.results.run import Run
from tenfold.verdict.verdict import Verdict

FORMAT = "tenfold_runs"
VERSION = 1


def runs_json(judged: Sequence[tuple[Run, Verdict]]) -> str:
    """All runs with their full series, one run per line."""
    lines = [_dumped({"run": to_plain(run), "verdict": to_plain(verdict)}) for run, verdict in judged]
    return f'{{"{FORMAT}":{VERSION},"runs":[\n' + ",\n".join(lines) + "\n]}\n"


def read_runs(text: str, path: str) -> tuple[tuple[Run, Verdict], ...]:
    """What `runs_json` wrote.

    Raises:
        UsageError: the text is something else, or was written by a version with another schema.
    """
    try:
        document = json.loads(text)
        written = document[FORMAT]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"{path} holds no saved runs", _REMEDY) from error
    if written != VERSION:
        raise UsageError(f"{path} was written in format {written}; this version reads {VERSION}", _REMEDY)
    try:
        return tuple((from_plain(Run, x["run"]), from_plain(Verdict, x["verdict"])) for x in document["runs"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is a damaged file of saved runs: {error}", _REMEDY) from error


_REMEDY = "write one with `tenfold simulate DESIGN --format json --output run.json`"


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
