"""Reads a design file: text -> tree with places -> overrides -> sections -> checks across sections -> `Design`.

Every mistake is found before any is told: a value that cannot be read is noted and replaced, and reading goes on. What
makes the rest unreadable (syntax, a file of another kind) is told alone.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from tenfold.design import checks
from tenfold.design.components import declared_names, read_components
from tenfold.design.flows import read_flows
from tenfold.design.mistakes import WHOLE_FILE, Mistakes, Spot, meant
from tenfold.design.override import apply_overrides
from tenfold.design.policies import read_policies
from tenfold.design.promises import read_ignores, read_slos
from tenfold.design.read import Reader, child, is_blank
from tenfold.design.requirements import read_requirements
from tenfold.design.scenario import Stage, read_scenarios
from tenfold.design.schema import CLIENT, Design, Path, Source
from tenfold.design.tree import BYTES_MAX, Entry, Items, Map, Node, compose, places_of
from tenfold.errors import DesignError
from tenfold.policies.call import CALL_POLICIES_BY_NAME
from tenfold.units import quoted

FORMAT = "1"
"""The format version this Tenfold reads: `tenfold: 1`."""

SECTIONS = (
    "tenfold",
    "title",
    "requirements",
    "components",
    "flows",
    "policies",
    "slo",
    "scenarios",
    "ignore",
)


def load(
    path: str | FilePath,
    kinds: Mapping[str, Any],
    policies: Mapping[str, Any] = CALL_POLICIES_BY_NAME,
    overrides: tuple[str, ...] = (),
) -> Design:
    """The design in a file.

    Args:
        path: the file.
        kinds: the table of component kinds, by name.
        policies: the table of call policies, by name.
        overrides: `components.api.replicas=3` each, as of `--set`.

    Returns:
        The design.

    Raises:
        DesignError: with every mistake of the file and the overrides.
    """
    mistakes = Mistakes(str(path))
    text = _read_file(FilePath(path), mistakes)
    mistakes.raise_if_any()
    return parse(text, str(path), kinds, policies, overrides)


def parse(
    text: str,
    path: str,
    kinds: Mapping[str, Any],
    policies: Mapping[str, Any] = CALL_POLICIES_BY_NAME,
    overrides: tuple[str, ...] = (),
) -> Design:
    """The design in a text; as `load`, with `path` for messages and for finding files of samples beside it."""
    mistakes = Mistakes(path, tuple(text.splitlines()) if len(text) <= BYTES_MAX else ())
    root = compose(text, mistakes)
    if root is None:
        mistakes.raise_if_any()
        raise DesignError(())  # not reached: no tree without a mistake
    values, keys = places_of(root)
    applied = apply_overrides(root, overrides, mistakes, policies)
    reader = Reader(mistakes, kinds, policies, str(FilePath(path).parent))
    reader.spots, reader.key_spots = _spots(root)
    design = _read_sections(reader, root, Source(path, text, values, keys), applied)
    mistakes.raise_if_any()
    return design


def _read_file(path: FilePath, mistakes: Mistakes) -> str:
    """The text of a file; "" and a mistake when it has none."""
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            mistakes.add(WHOLE_FILE, "this is not a file", "name a design file (YAML)")
            return ""
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        mistakes.add(WHOLE_FILE, "there is no such file", "`tenfold new NAME` writes a design file to start from")
        return ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        mistakes.add(WHOLE_FILE, f"the file cannot be read: {reason}", "check its name and permissions")
        return ""
    return _decode(content, mistakes)


def _decode(content: bytes, mistakes: Mistakes) -> str:
    """The text of the bytes; "" and a mistake when they are no text."""
    if len(content) > BYTES_MAX:
        mistakes.add(
            WHOLE_FILE, f"the file is larger than {BYTES_MAX // 1_000_000} MB", "a design has some hundred lines"
        )
        return ""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        mistakes.add(WHOLE_FILE, "the file is UTF-16", "save it as UTF-8")
        return ""
    if b"\0" in content:
        mistakes.add(WHOLE_FILE, "this is a binary file", "a design is a text file (YAML)")
        return ""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        mistakes.add(WHOLE_FILE, f"the file is not UTF-8 (line {line})", "save it as UTF-8")
        return ""


def _spots(root: Map) -> tuple[dict[Path, Spot], dict[Path, Spot]]:
    """Where every value and key of the tree with its overrides was written."""
    spots: dict[Path, Spot] = {}
    keys: dict[Path, Spot] = {}
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        spots[node.path] = node.spot
        if isinstance(node, Map):
            keys |= {entry.value.path: entry.key.spot for entry in node.entries.values()}
            pending += [entry.value for entry in node.entries.values()]
        elif isinstance(node, Items):
            pending += node.nodes
    return spots, keys


def _read_sections(reader: Reader, root: Map, source: Source, applied: tuple[tuple[Path, str], ...]) -> Design:
    """All sections, and what must fit together."""
    entries = root.entries
    _check_format(reader, entries)
    reader.refuse_unknown(entries, SECTIONS, "a design")
    requirements = read_requirements(reader, child(entries, "requirements"))
    components = read_components(reader, child(entries, "components"), requirements.data)
    declared = declared_names(child(entries, "components")) | {CLIENT}
    flows = read_flows(reader, child(entries, "flows"), components, declared, requirements)
    policies = read_policies(reader, child(entries, "policies"), components, declared)
    slo = read_slos(reader, child(entries, "slo"), flows)
    stage = Stage(components, frozenset(declared), flows, requirements.peak_factor)
    scenarios = read_scenarios(reader, child(entries, "scenarios"), stage)
    ignore = read_ignores(reader, child(entries, "ignore"))
    checks.check_flows(reader, flows)
    checks.check_arrows(reader, flows, policies)
    checks.check_faults(reader, flows, scenarios)
    title = reader.text(child(entries, "title"), "title", FilePath(source.path).stem)
    mark = fingerprint(source.text, applied, reader.samples)
    return Design(title, requirements, components, flows, policies, slo, scenarios, ignore, source, mark)


def _check_format(reader: Reader, entries: Mapping[str, Entry]) -> None:
    """A design file says so, in a version we know, and has components and flows."""
    if "tenfold" not in entries:
        reader.complain(WHOLE_FILE, "the file does not say that it is a design", f"write tenfold: {FORMAT} at the top")
    else:
        version = reader.text(entries["tenfold"].value, "tenfold")
        if version and version != FORMAT:
            message = f"{quoted(version)} is no format this Tenfold reads"
            reader.complain(entries["tenfold"].value, message, f"write tenfold: {FORMAT}, or install a newer Tenfold")
    examples = {
        "components": "components: {api: {kind: service}}",
        "flows": "flows: {read: {rate: 100/s, steps: [...]}}",
    }
    misspelt = meant(entries, SECTIONS)
    for section, example in examples.items():
        if section not in entries and section in misspelt:
            continue
        if section not in entries:
            reader.complain(WHOLE_FILE, f"the design has no {section}", f"write {example}")
        elif is_blank(entries[section].value) or _is_empty(entries[section].value):
            reader.complain(entries[section].key, f"{section} is empty", f"write {example}")


def _is_empty(node: Node) -> bool:
    """Whether a mapping has no keys."""
    return isinstance(node, Map) and not node.entries


def fingerprint(
    text: str, applied: tuple[tuple[Path, str], ...] = (), samples: Mapping[str, tuple[float, ...]] | None = None
) -> str:
    """16 hex digits that change with the text, the overrides in force and the samples, and with nothing else.

    Line ends do not count: the same file checked out on another system is the same design.
    """
    mark = hashlib.blake2b(digest_size=8)
    for part in (text.replace("\r\n", "\n"), repr(applied), repr(sorted((samples or {}).items()))):
        encoded = part.encode("utf-8", "surrogatepass")
        mark.update(len(encoded).to_bytes(8, "little") + encoded)
    return mark.hexdigest()
