"""Fills any dataclass made of `tenfold.fields.setting` from a mapping: a kind's Spec, a policy's Config."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from tenfold.design.mistakes import Spot, meant
from tenfold.design.read import Reader, is_blank
from tenfold.design.tree import Entry, Map, Node
from tenfold.fields import key_of
from tenfold.settings import main_of, parse_setting
from tenfold.units import UnitError


def fill(reader: Reader, cls: type[Any], entries: Mapping[str, Entry], at: Spot, what: str) -> Any:
    """An instance of `cls` from the keys of a mapping.

    Args:
        reader: notes what is wrong.
        cls: dataclass of settings.
        entries: the keys; those unknown to `cls` are mistakes.
        at: where a missing setting is reported.
        what: how messages name it ("tweets_db", "retry").
    """
    declared = {key_of(setting.name): setting for setting in fields(cls)}
    reader.refuse_unknown(entries, declared, what)
    misspelt = meant(entries, list(declared))
    values: dict[str, Any] = {}
    for key, setting in declared.items():
        if key in entries:
            values[setting.name] = read_setting(reader, setting, entries[key].value, f"{key} of {what}")
        elif setting.default is MISSING:
            if key not in misspelt:
                reader.complain(at, f"{what} has no {key}", f"write {key}: ... ({setting.metadata['doc']})")
            values[setting.name] = None
    return cls(**values)


def fill_scalar(reader: Reader, cls: type[Any], node: Node, what: str) -> Any:
    """An instance of `cls` from a single value, which fills its main setting: `timeout: 2 s`."""
    main = main_of(cls)
    if main is None:
        keys = ", ".join(key_of(setting.name) for setting in fields(cls))
        reader.complain(node, f"{what} should have keys", f"write {what}: {{...}} with keys from: {keys}")
        return None
    entries = {key_of(main.name): Entry(_no_key(node), node)}
    return fill(reader, cls, entries, node.spot, what)


def _no_key(node: Node) -> Any:
    """The key a scalar stands for; it is never unknown, so nobody looks at it."""
    return node


def read_setting(reader: Reader, setting: "Field[Any]", node: Node, what: str) -> Any:
    """One setting's value in the field's unit; its default (or None) after a mistake."""
    default = None if setting.default is MISSING else setting.default
    text = reader.text(node, what)
    if not text:
        return default
    try:
        return parse_setting(setting, text)
    except UnitError as error:
        message = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        if setting.metadata.get("choices"):
            reader.mistakes.unknown(node.spot, message, text, setting.metadata["choices"], "words")
        else:
            reader.complain(node, message, error.remedy)
        return default


def fill_node(reader: Reader, cls: type[Any], node: Node, at: Spot, what: str) -> Any:
    """An instance of `cls` from a mapping or a single value; None when neither fits."""
    if isinstance(node, Map):
        return fill(reader, cls, node.entries, at, what)
    if is_blank(node):
        return fill(reader, cls, {}, at, what)
    return fill_scalar(reader, cls, node, what)
