"""The group of verbs. It knows their names and one line each, so that `tenfold --help` imports none of them."""

import difflib
from importlib import import_module

import click

from tenfold.errors import UsageError

VERBS = {
    "tour": "Start here: a shipped design, an incident, its fix.",
    "size": "What the design needs, each number with its formula.",
    "simulate": "Run the design's scenarios; say whether it recovers.",
    "compare": "Two designs, or one with and without a change, side by side.",
    "partition": "Which node keeps which keys: what moves, what is uneven.",
    "new": "Write a small commented design file to start from.",
    "explain": "Every default in force for a design, with its source.",
    "schema": "Write the JSON Schema of design files, for editors.",
    "id": "Make unique ids, or say what one contains.",
    "version": "Print the version.",
}


class Verbs(click.Group):
    """Finds a verb in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"tenfold.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb named by the first argument, or what to type instead."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            listed = f"the commands are: {', '.join(VERBS)}"
            raise UsageError(f"there is no command {args[0]!r}", f"did you mean {near[0]!r}?" if near else listed)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from tenfold import __version__

        click.echo(f"tenfold {__version__}")
        ctx.exit()


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="DESIGN is a path, or the name of a shipped system: timeline.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Version.")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Describe a backend in one file: size it, break it in simulation, ship the same policies."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
