"""`tenfold version`."""

import platform

import click

from tenfold import __version__
from tenfold.cli.terminal import out


@click.command("version")
def command() -> None:
    """Print the versions of Tenfold and Python."""
    out(f"tenfold {__version__}, Python {platform.python_version()}\n")
