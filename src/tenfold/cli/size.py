"""`tenfold size DESIGN`."""

import sys
from collections.abc import Sequence

import click

from tenfold import api
from tenfold.cli.options import design_argument, format_of, format_option, output_option, set_option
from tenfold.cli.output import deliver
from tenfold.cli.terminal import style_of


@click.command("size")
@design_argument
@set_option
@format_option
@output_option
def command(design: str, overrides: Sequence[str], format_: str | None, output: str | None) -> None:
    """What the design needs: rates, storage, memory, nodes.

    Every number comes with its formula and its place in the file.
    """
    plan = api.size(api.load(design, overrides))
    if format_of(format_, output) == "json":
        from tenfold.report import plan_json

        deliver(plan_json.render(plan), output)
        return
    from tenfold.report import plan_text

    deliver(plan_text.render(plan, style_of(sys.stdout).width), output)
