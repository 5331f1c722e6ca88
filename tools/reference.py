"""Write docs/reference/ from the code: `uv run python tools/reference.py`. A test fails when a page is stale."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from tenfold import api
from tenfold.cli.group import VERBS, group
from tenfold.design.schema import DataSet, Requirements
from tenfold.design.schema_json import WRITTEN
from tenfold.fields import key_of, reads_as
from tenfold.kinds import KINDS
from tenfold.policies.call import CALL_POLICIES
from tenfold.program import program
from tenfold.settings import main_of, show_setting

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference"
WIDTH = 100
SWITCH = "`true`, `false`"
GENERATED = "<!-- Written by tools/reference.py. -->\n\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [list(head), *(list(row) for row in rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]]) + "\n"


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def settings(cls: type[Any]) -> str:
    """The settings of a Spec or Config: key, way of writing, default, meaning, source."""
    rows = []
    for field in dataclasses.fields(cls):
        is_open = field.default is dataclasses.MISSING
        default = "required" if is_open else f"`{show_setting(field, field.default) or ' '}`"
        rows.append(
            [
                f"`{key_of(field.name)}`",
                written(field),
                default,
                field.metadata["doc"] + bounds(field),
                field.metadata["source"],
            ]
        )
    return table(["key", "written as", "default", "means", "source of the default"], rows)


def written(field: "dataclasses.Field[Any]") -> str:
    """How a setting's value is written."""
    choices = field.metadata["choices"]
    if reads_as(field) == "switch":
        return SWITCH
    return ", ".join(f"`{choice}`" for choice in choices) if choices else reads_as(field)


def bounds(field: "dataclasses.Field[Any]") -> str:
    """The bounds worth saying: that something is above zero, and a highest value people may meet."""
    low, high = field.metadata["low"], field.metadata["high"]
    if field.metadata["choices"] or reads_as(field) in ("switch", "word"):
        return ""
    said = []
    if low and low > 1:
        said.append(f"at least {show_setting(field, low)}")
    if high is not None and reads_as(field) != "duration" and high < 10**6:
        said.append(f"at most {show_setting(field, high)}")
    return f" ({', '.join(said)})" if said else ""


def kind_section(name: str, kind: Any) -> str:
    """One component kind."""
    verbs = ", ".join(f"`{verb}`" for verb in kind.VERBS) or "none"
    timing = f" The time of a visit stands in the step's `{kind.TIMING}`." if kind.TIMING else ""
    return f"### `{name}`\n\n{summary(kind)} Steps that may name it: {verbs}.{timing}\n\n{settings(kind.Spec)}"


def policy_section(policy: Any) -> str:
    """One call policy."""
    main = main_of(policy.Config)
    short = f"\n\nA single value is its `{key_of(main.name)}`." if main else ""
    return f"### `{policy.NAME}`\n\n{summary(policy)}{short}\n\n{settings(policy.Config)}"


def keys_of(schema: Mapping[str, Any]) -> str:
    """The keys of one mapping of the JSON Schema."""
    rows = []
    for key, value in schema["properties"].items():
        how = value.get("patternErrorMessage", "").removeprefix("write ")
        if "enum" in value:
            how = ", ".join(f"`{choice}`" for choice in value["enum"])
        if value.get("type") == "boolean":
            how = SWITCH
        reference = value.get("$ref", "").rpartition("/")[2]
        means = value.get("description", "") or REFERENCES.get(reference, "")
        rows.append([f"`{key}`", how, means])
    return table(["key", "written as", "means"], rows)


REFERENCES = {
    "steps": "A list of steps, one after another.",
    "timing": "How long: a duration is a mean; see [times](#times).",
}


def design_file() -> str:
    """The page of the design file."""
    schema = api.schema()
    properties, definitions = schema["properties"], schema["$defs"]
    requirements = properties["requirements"]
    (data,) = requirements["properties"]["data"]["patternProperties"].values()
    (slo,) = properties["slo"]["patternProperties"].values()
    (scenario,) = properties["scenarios"]["patternProperties"].values()
    fault = scenario["properties"]["faults"]["items"]
    kinds = [kind_section(name, kind) for name, kind in KINDS.items()]
    policies = [policy_section(policy) for policy in CALL_POLICIES]
    parts = [
        "# The design file\n",
        "Every key, how its value is written, its default and where the default comes from. "
        "[Write a design file](../guides/write-a-design-file.md) shows them at work; "
        "`tenfold schema` gives the same to your editor.\n",
        "## How values are written\n",
        table(["a value is", "written as"], [[name, sentence] for name, (_, sentence) in WRITTEN.items()]),
        "Guessed numbers may be ranges: `80..120`, or low, likely and high as `80..100..120`. "
        "Sizing answers with all three, simulation takes the likely one.\n",
        "## Top level\n",
        keys_of(schema),
        "## `requirements`\n",
        keys_of(requirements),
        defaults_of_requirements(),
        "### `requirements.data.NAME`\n",
        keys_of(data),
        "## `components`: kinds\n",
        "A component is `NAME: {kind: KIND, ...}`.\n",
        *kinds,
        "## `flows.NAME`\n",
        keys_of(definitions["flow"]),
        "### A step\n",
        "Exactly one verb, `parallel` or `choose`; the other keys say more about it.\n",
        keys_of(definitions["step"]),
        "### Times\n",
        f"{definitions['timing']['description']}\n",
        keys_of(definitions["timing"]),
        "## `policies`\n",
        "`CALLER -> CALLEE: {POLICY: {...}}`. Every instance of the caller has its own state. "
        "`on_failure: miss` counts a failed cache read as a miss, `on_failure: skip` goes on without the answer.\n",
        *policies,
        "## `slo.FLOW`\n",
        keys_of(slo),
        "## `scenarios.NAME`\n",
        keys_of(scenario),
        "### A fault\n",
        keys_of(fault),
    ]
    return GENERATED + "\n".join(part if part.endswith("\n") else part + "\n" for part in parts)


def defaults_of_requirements() -> str:
    """What counts when the section is silent."""
    open_ones = Requirements()
    copies = next(field.default for field in dataclasses.fields(DataSet) if field.name == "copies")
    return (
        f"When the file is silent: peak {open_ones.peak_factor.likely:g}x, headroom {open_ones.headroom_ratio:.0%}, "
        f"consistency {open_ones.consistency}; of a data set, copies {copies}, popularity uniform.\n"
    )


def help_of(command: click.Command, name: str) -> str:
    """What `--help` prints."""
    settings_of_all = {**group.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(command, info_name=name, **settings_of_all)
    return command.get_help(context)


def commands() -> str:
    """The page of the commands."""
    parts = [
        "# Commands\n",
        f"```text\n{help_of(group, 'tenfold')}\n```\n",
        "Exit codes: 0 fine; 1 an expectation or SLO was missed (`compare`: by B); 2 the request or the design cannot "
        "be used; 3 a fault of Tenfold's own; 130 stopped by Ctrl-C. [More](../explanation/verdict.md#exit-codes).\n",
    ]
    for name in VERBS:
        command = group.get_command(click.Context(group), name)
        if command is not None:
            parts.append(f"## `tenfold {name}`\n\n```text\n{help_of(command, f'tenfold {name}')}\n```\n")
        for below, verb in getattr(command, "commands", {}).items():
            full = f"tenfold {name} {below}"
            parts.append(f"### `{full}`\n\n```text\n{help_of(verb, full)}\n```\n")
    return GENERATED + "\n".join(parts)


def operations() -> str:
    """A table of the engine's operations, from the comments beside their numbers."""
    found = re.findall(r"^([A-Z_]+) = (\d+)  # (.+)$", inspect.getsource(program), re.MULTILINE)
    rows = [[number, f"`{name}`", says] for name, number, says in found if program.CODES[int(number)] == name]
    if [row[1].strip("`") for row in rows] != list(program.CODES):
        raise ValueError("an operation of program.CODES has no line `NAME = number  # what it does`")
    return table(["", "operation", "does"], rows)


def rows_of_program() -> str:
    """The tables a program consists of."""
    shown = (program.Op, program.TimingRow, program.Node, program.Group, program.ArrowRow, program.CacheRow)
    return "\n".join(f"### `{cls.__name__}`\n\n{summary(cls)}\n\n{fields_of(cls)}" for cls in shown)


def fields_of(cls: type[Any]) -> str:
    """The fields of a row with their defaults."""
    rows = []
    for field in dataclasses.fields(cls):
        kind = field.type if isinstance(field.type, str) else field.type.__name__
        default = "" if field.default is dataclasses.MISSING else f"`{field.default}`"
        rows.append([f"`{field.name}`", kind, default])
    return table(["field", "type", "default"], rows)


def program_page() -> str:
    """The page of the engine's program."""
    parts = [
        "# The program\n",
        "A design and a scenario are lowered to flat tables of numbers, which the engine executes. "
        "[The engine](../explanation/engine.md) says how. This page is for those who change it: users never see it.\n",
        "## Operations\n",
        f"{summary_of_tasks()}\n",
        operations(),
        "## Rows\n",
        rows_of_program(),
    ]
    return GENERATED + "\n".join(parts)


def summary_of_tasks() -> str:
    """The second paragraph of the program's docstring: what a task is."""
    return " ".join((program.__doc__ or "").split("\n\n")[1].split())


def reference() -> dict[str, str]:
    """All pages: file name -> text."""
    return {"design-file.md": design_file(), "commands.md": commands(), "program.md": program_page()}


if __name__ == "__main__":
    TARGET.mkdir(parents=True, exist_ok=True)
    for file_name, text in reference().items():
        (TARGET / file_name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {TARGET / file_name}\n")
