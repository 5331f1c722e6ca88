"""`tenfold new NAME`."""

import json
from pathlib import Path

import click

from tenfold import api
from tenfold.cli.output import deliver
from tenfold.cli.terminal import out
from tenfold.errors import UsageError

SCHEMA = Path(".tenfold") / "schema.json"


@click.command("new")
@click.argument("name", metavar="NAME")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(name: str, force: bool) -> None:
    """Write a small commented design file, NAME.yaml, and the schema editors complete it by."""
    if not Path(name.removesuffix(".yaml").removesuffix(".yml")).name.strip(". ") or name.endswith("/"):
        raise UsageError(f"{name!r} is no name for a file", "write a name: tenfold new shop")
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", "choose another name, or replace it with --force")
    title = path.stem.replace("_", " ").replace("-", " ").strip().capitalize() or "A design"
    deliver(api.new(title), str(path))
    schema = path.parent / SCHEMA
    schema.parent.mkdir(exist_ok=True)
    deliver(json.dumps(api.schema(), indent=1) + "\n", str(schema))
    out(f"Next:\n  tenfold size {path}\n  tenfold simulate {path}\n")
