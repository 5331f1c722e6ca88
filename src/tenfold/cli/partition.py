"""`tenfold partition plan` and `tenfold partition skew`."""

import sys

import click

from tenfold import api
from tenfold.cli.options import format_of, format_option, output_option
from tenfold.cli.output import deliver
from tenfold.cli.terminal import style_of

points_option = click.option(
    "--points", type=click.IntRange(1, 100_000), help="Points of a node of weight 1 on a ring.  [default: 150]"
)
slots_option = click.option(
    "--slots", type=click.IntRange(1, 4_194_304), help="A table of so many slots instead of a ring, e.g. 16384."
)


@click.command("plan", short_help="What has to move between two sets of nodes.")
@click.option("--from", "old", required=True, metavar="NODES", help="The nodes there are: a,b=2,c (weights), or 12.")
@click.option("--to", "new", required=True, metavar="NODES", help="The nodes there will be.")
@points_option
@slots_option
@format_option
@output_option
def plan_command(
    old: str, new: str, points: int | None, slots: int | None, format_: str | None, output: str | None
) -> None:
    """What has to move when nodes come, go or change their weight: from whom, to whom, how much.

    JSON has every range of hashes, to be copied one by one.
    """
    planned = api.partition_plan(old, new, points=points, slots=slots)
    if format_of(format_, output) == "json":
        from tenfold.report.partition_json import plan_json

        deliver(plan_json(*planned), output)
        return
    from tenfold.report.partition_text import plan_text

    deliver(plan_text(*planned, style_of(sys.stdout)), output)


@click.command("skew", short_help="How evenly nodes would share the keys of a file.")
@click.argument("file", metavar="FILE")
@click.option("--nodes", required=True, metavar="NODES", help="The nodes: a,b=2,c (weights), or 12.")
@click.option("--key", metavar="COLUMN", help="The column of the keys.  [default: key, or the only one]")
@click.option("--load", metavar="COLUMN", help="The column of the loads; none counts rows.  [default: load]")
@click.option("--top", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Hottest keys to name.")
@points_option
@slots_option
@click.option("--svg", type=click.Path(dir_okay=False), default=None, help="Draw the shares there, too.")
@format_option
@output_option
def skew_command(
    file: str,
    nodes: str,
    key: str | None,
    load: str | None,
    top: int,
    points: int | None,
    slots: int | None,
    svg: str | None,
    format_: str | None,
    output: str | None,
) -> None:
    """How evenly nodes would share the keys of FILE, against what chance does.

    FILE is a CSV with a header, or a Parquet file: a key and its load (requests, bytes, rows) per line.
    """
    found, spread_over = api.partition_skew(file, nodes, key=key, load=load, points=points, slots=slots, top=top)
    if svg is not None:
        from tenfold.report.partition_svg import shares_svg

        deliver(shares_svg(found, spread_over), svg)
    if format_of(format_, output) == "json":
        from tenfold.report.partition_json import skew_json

        deliver(skew_json(found, spread_over), output)
        return
    from tenfold.report.partition_text import skew_text

    deliver(skew_text(found, spread_over, style_of(sys.stdout)), output)


@click.group("partition")
def command() -> None:
    """Which node keeps which keys: what moves, and what is uneven."""


command.add_command(plan_command)
command.add_command(skew_command)
