"""Options several verbs share, and how their values are read."""

import shlex
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
SEED_MAX = 2**62
FACTOR_MAX = 1_000_000


def _read_factor(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """`10x`, `0.5`, `2x`: above zero."""
    from tenfold.units import UnitError, parse_factor

    try:
        factor = parse_factor(text)
    except UnitError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if not 0 < factor <= FACTOR_MAX:
        raise click.BadParameter(f"{text} is not above 0 and at most {FACTOR_MAX:,}x", ctx, param)
    return factor


design_argument = click.argument("design", metavar="DESIGN")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override one value, e.g. components.timeline_cache.ttl_jitter=10%. Repeatable.",
)
load_option = click.option(
    "--load", "load", callback=_read_factor, default="1x", help="Multiply the whole load, e.g. 10x."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, SEED_MAX),
    default=1,
    show_default=True,
    help="Chooses the random numbers; equal seeds give equal runs.",
)
format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default=None,
    help="text (default), or json with everything that was measured; follows from the name given to --output.",
)
output_option = click.option(
    "-o", "--output", type=click.Path(dir_okay=False), default=None, help="Write there instead of the screen."
)


def format_of(format_: str | None, output: str | None) -> str:
    """The stated format; else json for an output named .json."""
    return format_ or ("json" if output and output.endswith(".json") else "text")


def command_line(verb: str, *arguments: str, **options: Sequence[str] | str | None) -> str:
    """The command that does the same again, quoted for a shell. Options that are None or empty are left out."""
    words = ["tenfold", verb, *arguments]
    for name, value in options.items():
        flag = f"-{name}" if len(name) == 1 else "--" + name.replace("_", "-")
        for each in [value] if isinstance(value, str) else value or ():
            words += [flag, each]
    return shlex.join(words)


def load_text(load: float) -> str | None:
    """The load as an option's value; None for the one that need not be said."""
    return None if load == 1 else f"{load:g}x"
