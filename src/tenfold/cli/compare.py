"""`tenfold compare A B`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from tenfold import api
from tenfold.cli import options
from tenfold.cli.output import deliver
from tenfold.cli.progress import Bar
from tenfold.cli.terminal import note, style_of
from tenfold.cli.trouble import FINE, MISSED, STOPPED
from tenfold.errors import UsageError, one_of


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison: a design with its overrides, or a file of saved runs."""

    name: str
    overrides: tuple[str, ...]

    @property
    def is_saved(self) -> bool:
        """Whether it is a file of runs rather than a design."""
        return self.name.endswith(".json")

    @property
    def label(self) -> str:
        """How the report calls it."""
        return f"{self.name} with {', '.join(self.overrides)}" if self.overrides else self.name


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("-s", "--scenario", "scenarios", multiple=True, metavar="NAME", help="Default: all both sides have.")
@options.load_option
@options.seed_option
@click.option("--set", "both", multiple=True, metavar="PATH=VALUE", help="Override one value on both sides.")
@click.option("--set-a", multiple=True, metavar="PATH=VALUE", help="Override one value of A only.")
@click.option("--set-b", multiple=True, metavar="PATH=VALUE", help="Override one value of B only.")
@options.format_option
@options.output_option
def command(
    a: str,
    b: str,
    scenarios: tuple[str, ...],
    load: float,
    seed: int,
    both: tuple[str, ...],
    set_a: tuple[str, ...],
    set_b: tuple[str, ...],
    format_: str | None,
    output: str | None,
) -> int:
    """Two designs side by side, under the same arrivals.

    A and B are design files, shipped names, or runs saved by `tenfold simulate --format json`. A change is compared by
    naming the design twice:

        tenfold compare timeline timeline -s stampede --set-b components.timeline_cache.lock=true

    Exit code 1 when B misses an expectation or SLO; what A misses is shown only.
    """
    sides = Side(a, (*both, *set_a)), Side(b, (*both, *set_b))
    if not any(side.is_saved for side in sides) and sides[0] == sides[1]:
        raise UsageError("A and B are the same", "change one of them: --set-b components.NAME.SETTING=VALUE")
    pairs, alone = _pairs(sides, scenarios, load, seed)
    as_json = options.format_of(format_, output) == "json"
    if as_json or pairs:
        deliver(_json(pairs) if as_json else _text(pairs, sides), output)
    if alone:
        note("\n".join(_alone(*alone)))
    if alone or not all(each.run.is_complete for pair in pairs for each in pair):
        return STOPPED
    return MISSED if any(b.verdict.missed for _, b in pairs) else FINE


Pairs = list[tuple[api.Judged, api.Judged]]
Alone = tuple[str, api.Judged]
"""The label of one side and its run, which was stopped before the other side began."""


def _pairs(sides: tuple[Side, Side], scenarios: Sequence[str], load: float, seed: int) -> tuple[Pairs, Alone | None]:
    """Both sides of every scenario, until one is stopped. Saved runs say which scenarios, seeds and loads there are."""
    for side in sides:
        if side.is_saved and side.overrides:
            raise UsageError(f"{side.name} is a saved run; nothing of it can be set", "name the design instead")
    runs = [_Runs(side, load, seed) for side in sides]
    names = _names(runs, scenarios)
    pairs: Pairs = []
    for name in names:
        first, second = (runs[0], runs[1]) if runs[0].saved else (runs[1], runs[0])
        one = first.judged(name, None)
        if not (first.saved or one.run.is_complete):
            return pairs, (first.label, one)
        other = second.judged(name, one if first.saved else None)
        pairs.append((one, other) if first is runs[0] else (other, one))
        if not (one.run.is_complete and other.run.is_complete):
            break
    return pairs, None


def _alone(label: str, judged: api.Judged) -> list[str]:
    """What there is of a comparison that was stopped during its first side."""
    from tenfold.report.run_text import header, verdict_lines

    style = style_of(sys.stderr)
    first = f"stopped: there is nothing to compare {label} with"
    return [first, header(judged.run, None, style), *verdict_lines(judged.verdict, judged.run, style)]


def _names(runs: "Sequence[_Runs]", asked: Sequence[str]) -> list[str]:
    """The scenarios to compare: those asked for, else those of both sides."""
    shared = [name for name in runs[0].names if name in runs[1].names]
    for name in asked:
        for side in runs:
            if name not in side.names and name != api.STEADY:
                raise UsageError(f"{side.label} has no scenario {name!r}", one_of(name, side.names))
    if not asked and not shared:
        raise UsageError(
            "the two sides have no scenario in common",
            f"A has {_listed(runs[0].names)}, B has {_listed(runs[1].names)}",
        )
    return list(asked) or shared


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


class _Runs:
    """One side's runs: saved ones, or simulated when they are asked for."""

    def __init__(self, side: Side, load: float, seed: int) -> None:
        self.label = side.label
        self.saved = {judged.run.scenario: judged for judged in api.saved(side.name)} if side.is_saved else {}
        self.design = None if side.is_saved else api.load(side.name, side.overrides)
        self.names = list(self.saved) or list(self.design.scenarios if self.design else ()) or [api.STEADY]
        self._overrides = side.overrides
        self._load = load
        self._seed = seed

    def judged(self, name: str, partner: api.Judged | None) -> api.Judged:
        """The run of one scenario, under the seed and load of a saved partner."""
        if self.design is None:
            return self.saved[name]
        bar = Bar(f"{name}  {self.label}", sys.stderr, style_of(sys.stderr))
        try:
            return api.simulate(
                self.design,
                name,
                load_factor=partner.run.load_factor if partner else self._load,
                seed=partner.run.seed if partner else self._seed,
                settings=dict(text.split("=", 1) for text in self._overrides),
                progress=bar,
            )
        finally:
            bar.close()


def _text(pairs: Pairs, sides: tuple[Side, Side]) -> str:
    from tenfold.report.compare_text import compare_text

    style = style_of(sys.stdout)
    return "\n".join(compare_text(api.compare(a, b), sides[0].label, sides[1].label, style) for a, b in pairs)


def _json(pairs: Pairs) -> str:
    import json

    from tenfold.report.plain import to_plain

    plain = [to_plain(api.compare(a, b)) for a, b in pairs]
    return json.dumps({"tenfold_comparisons": 1, "comparisons": plain}, sort_keys=True, separators=(",", ":")) + "\n"
