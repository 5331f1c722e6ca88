"""`tenfold explain DESIGN`."""

import sys
from collections.abc import Sequence

import click

from tenfold import api
from tenfold.cli.options import design_argument, format_of, format_option, output_option, set_option
from tenfold.cli.output import deliver
from tenfold.cli.terminal import style_of


@click.command("explain")
@design_argument
@set_option
@format_option
@output_option
def command(design: str, overrides: Sequence[str], format_: str | None, output: str | None) -> None:
    """Every setting the file leaves open: the value in force, and where it comes from."""
    found = api.explain(api.load(design, overrides))
    if format_of(format_, output) == "json":
        import json

        from tenfold.report.plain import to_plain

        deliver(json.dumps([to_plain(each) for each in found], indent=1) + "\n", output)
        return
    from tenfold.report.defaults import defaults_text

    deliver(defaults_text(found, style_of(sys.stdout)), output)
