"""Runs of small designs written as YAML, for the tests of the engine."""

from collections.abc import Sequence
from functools import cache

from tenfold.design.load import parse
from tenfold.design.schema import Design
from tenfold.engine.run import simulate
from tenfold.kinds import KINDS
from tenfold.program.lower import lower
from tenfold.program.program import Program
from tenfold.results.run import FlowRun, Run

S = 1_000_000_000
MS = 1_000_000

HEAD = """
tenfold: 1
title: small
"""


def designed(body: str, *, lasts: str = "60 s", scenario: str = "", overrides: tuple[str, ...] = ()) -> Design:
    """A design of a text without head; `requirements` (a peak of 1x) and one scenario `s` are added when not there."""
    text = HEAD + body
    if "requirements:" not in text:
        text += "\nrequirements: {peak: 1x}\n"
    if "scenarios:" not in text:
        text += f"\nscenarios:\n  s: {{lasts: {lasts}{', ' + scenario if scenario else ''}}}\n"
    return parse(text, "small.yaml", KINDS, overrides=overrides)


def program_of(body: str, *, load_factor: float = 1.0, **how: str | tuple[str, ...]) -> Program:
    """The program of a design's scenario `s`."""
    design = designed(body, **how)  # type: ignore[arg-type]
    return lower(design, design.scenarios["s"], load_factor)


@cache
def run_of(body: str, *, seed: int = 1, load_factor: float = 1.0, **how: str | tuple[str, ...]) -> Run:
    """Simulate a design's scenario `s`. Runs are kept: several tests look at one."""
    return simulate(program_of(body, load_factor=load_factor, **how), seed)


def queue_of(kind: str, takes: str, rate_per_s: float) -> str:
    """One flow `f` that works once at one component `x`: `kind` is its settings, `takes` its service time."""
    verb, key = ("call", "takes") if "external" in kind else ("run", "cpu")
    return f"""
components:
  x: {{{kind}}}
flows:
  f: {{rate: {rate_per_s:.9g}/s, steps: [{{{verb}: x, {key}: {takes}}}]}}
"""


def failures(flow: FlowRun, first: int = 0, last: int | None = None) -> int:
    """Requests that failed in bins first..last."""
    return sum(sum(series[first:last]) for series in flow.failed.values())


def mean(series: Sequence[float], first: int = 0, last: int | None = None) -> float:
    """The mean of bins first..last."""
    part = series[first:last]
    return sum(part) / len(part)


def good_share(run: Run, first: int, last: int | None = None, flow: str = "f") -> float:
    """Good answers as a share of what was offered in bins first..last."""
    seen = run.flows[flow]
    return sum(seen.good[first:last]) / max(1, sum(seen.offered[first:last]))


def totals(run: Run) -> dict[str, dict[str, int]]:
    """Sums over the whole run, by flow and component."""
    flows = {
        name: {
            "offered": sum(flow.offered),
            "attempts": sum(flow.attempts),
            "good": sum(flow.good),
            "failed": failures(flow),
            "unfinished": flow.unfinished,
        }
        for name, flow in run.flows.items()
    }
    components = {
        name: {"calls": sum(seen.calls), "hits": sum(seen.hits), "misses": sum(seen.misses), "loads": sum(seen.loads)}
        for name, seen in run.components.items()
    }
    return flows | components
