"""`tenfold schema`."""

import json

import click

from tenfold import api
from tenfold.cli.options import output_option
from tenfold.cli.output import deliver


@click.command("schema")
@output_option
def command(output: str | None) -> None:
    """Write the JSON Schema of design files.

    Editors that speak yaml-language-server complete and check a file whose first line names it:

        # yaml-language-server: $schema=.tenfold/schema.json
    """
    deliver(json.dumps(api.schema(), indent=1) + "\n", output)
