"""`tenfold simulate DESIGN`."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tenfold import api
from tenfold.cli import options
from tenfold.cli.output import deliver
from tenfold.cli.progress import Bar, Counter
from tenfold.cli.terminal import style_of
from tenfold.cli.trouble import FINE, MISSED, STOPPED

if TYPE_CHECKING:
    from tenfold.design.schema import Design
    from tenfold.verdict import Replications


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    design: str
    scenarios: tuple[str, ...]
    overrides: tuple[str, ...]
    load: float
    seed: int
    seeds: int | None

    def command(self, scenario: str, seed: int | None = None) -> str:
        """The command that runs one of the scenarios again."""
        return options.command_line(
            "simulate",
            self.design,
            s=scenario,
            load=options.load_text(self.load),
            set=self.overrides,
            seed=None if seed is None else str(seed),
        )


@click.command("simulate")
@options.design_argument
@click.option("-s", "--scenario", "scenarios", multiple=True, metavar="NAME", help="Default: all, one after another.")
@options.load_option
@options.seed_option
@click.option("--seeds", type=click.IntRange(2, 100_000), help="Run so many seeds on all cores: how often is it stuck?")
@options.set_option
@options.format_option
@options.output_option
def command(
    design: str,
    scenarios: tuple[str, ...],
    load: float,
    seed: int,
    seeds: int | None,
    overrides: tuple[str, ...],
    format_: str | None,
    output: str | None,
) -> int:
    """Run the design's scenarios and say whether it recovers.

    The verdict comes first: every `expect` and SLO with what was measured. Exit code 1 when one is missed. Ctrl-C
    reports what was simulated until then.
    """
    loaded = api.load(design, overrides)
    names = scenarios or tuple(loaded.scenarios) or (api.STEADY,)
    for name in names:
        api.scenario_of(loaded, name)
    request = Request(design, names, overrides, load, seed, seeds)
    as_json = options.format_of(format_, output) == "json"
    run = _many if seeds else _each
    return run(loaded, request, as_json, output)


def _each(design: "Design", request: Request, as_json: bool, output: str | None) -> int:
    """One run per scenario."""
    judged: list[api.Judged] = []
    texts: list[str] = []
    for answer, took_s in _runs(design, request):
        judged.append(answer)
        if as_json:
            continue
        text = _text(design, request, answer, took_s)
        texts.append(text)
        if output is None:
            deliver(("\n" if len(texts) > 1 else "") + text, None)
    if as_json:
        from tenfold.report.run_json import runs_json

        deliver(runs_json(judged), output)
    elif output:
        deliver("\n".join(texts), output)
    if not all(answer.run.is_complete for answer in judged):
        return STOPPED
    return MISSED if any(answer.verdict.missed for answer in judged) else FINE


def _runs(design: "Design", request: Request) -> Iterator[tuple[api.Judged, float]]:
    """Simulate the scenarios in turn; the last one when it was stopped."""
    for name in request.scenarios:
        bar = Bar(name, sys.stderr, style_of(sys.stderr))
        begun_s = time.perf_counter()
        try:
            answer = api.simulate(
                design,
                name,
                load_factor=request.load,
                seed=request.seed,
                settings=dict(text.split("=", 1) for text in request.overrides),
                progress=bar,
            )
        finally:
            bar.close()
        yield answer, time.perf_counter() - begun_s
        if not answer.run.is_complete:
            return


def _text(design: "Design", request: Request, answer: api.Judged, took_s: float) -> str:
    from tenfold.report.run_text import Circumstances, run_text

    around = Circumstances(
        command=request.command(answer.run.scenario, request.seed),
        took_s=took_s,
        multiples=api.multiples(design),
    )
    return run_text(answer.run, answer.verdict, style_of(sys.stdout), around)


def _many(design: "Design", request: Request, as_json: bool, output: str | None) -> int:
    """Many runs per scenario."""
    found: dict[str, Replications] = {}
    assert request.seeds
    seeds = range(request.seed, request.seed + request.seeds)
    for name in request.scenarios:
        counter = Counter(name, len(seeds), sys.stderr)
        try:
            found[name] = api.simulate_many(design, name, seeds, load_factor=request.load, ended=counter)
        finally:
            counter.close()
        if len(found[name].states) < len(seeds):
            break
    deliver(_many_json(found) if as_json else _many_text(found, request), output)
    if any(len(each.states) < len(seeds) for each in found.values()):
        return STOPPED
    return MISSED if any(any(each.missed.values()) for each in found.values()) else FINE


def _many_text(found: "dict[str, Replications]", request: Request) -> str:
    from tenfold.report.replications_text import replications_text

    style = style_of(sys.stdout)
    return "\n".join(replications_text(each, name, request.command(name), style) for name, each in found.items())


def _many_json(found: "dict[str, Replications]") -> str:
    import json

    from tenfold.report.plain import to_plain

    plain = {name: to_plain(each) for name, each in found.items()}
    return json.dumps({"tenfold_replications": 1, "scenarios": plain}, sort_keys=True, indent=1) + "\n"
