"""Fills any dataclass made of `tenfold.fields.setting` from a mapping: a kind's Spec, a policy's Config."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from tenfold.design.mistakes import Spot, meant
from tenfold.design.read import SWITCHES, Reader, is_blank
from tenfold.design.tree import Entry, Map, Node
from tenfold.fields import key_of, reads_as
from tenfold.units import (
    UnitError,
    format_count,
    format_duration,
    format_factor,
    format_ratio,
    format_size,
    parse_count,
    parse_duration,
    parse_factor,
    parse_number,
    parse_rate_per_s,
    parse_ratio,
    parse_size,
    quoted,
)

NO_LIMIT = "no limit"
"""Written for -1 where a count may be -1."""

OFF = ("none", "off")
"""Written for a default outside the bounds: a budget that is not there."""


def _short_count(value: float) -> str:
    """`250k`, `1M`, `4096`: a count as people write it."""
    for scale, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= 10_000 and value % scale == 0:
            return f"{value // scale:.0f}{letter}"
    return format_count(value).replace(",", "")


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "duration": parse_duration,
    "size": parse_size,
    "rate": parse_rate_per_s,
    "ratio": parse_ratio,
    "factor": parse_factor,
    "count": parse_count,
    "number": parse_number,
}

_FORMATS: Mapping[str, Callable[[float], str]] = {
    "duration": format_duration,
    "size": format_size,
    "rate": lambda value: f"{format_count(value).replace(',', '')}/s",
    "ratio": lambda value: format_ratio(value).replace(" ", ""),
    "factor": lambda value: format_factor(value).replace(",", ""),
    "count": _short_count,
    "number": lambda value: format_count(value).replace(",", ""),
}


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


def main_of(cls: type[Any]) -> "Field[Any] | None":
    """The setting a bare scalar fills."""
    return next((setting for setting in fields(cls) if setting.metadata.get("main")), None)


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


def parse_setting(setting: "Field[Any]", text: str) -> Any:
    """The value of a setting from its text.

    Raises:
        UnitError: when it cannot be read or is out of bounds.
    """
    written, choices = reads_as(setting), setting.metadata.get("choices", ())
    if choices:
        if text not in choices:
            raise UnitError(f"unknown word {quoted(text)}", f"one of {', '.join(choices)}")
        return choices.index(text) if isinstance(setting.default, int) else text
    if written == "word":
        return text
    if written == "switch":
        if text.lower() not in SWITCHES:
            raise UnitError(f"{quoted(text)} is neither true nor false", "write true or false")
        return SWITCHES[text.lower()]
    low = setting.metadata.get("low")
    if low == -1 and text in ("-1", NO_LIMIT):
        return -1
    if has_off(setting) and text.lower() in OFF:
        return setting.default
    return _bounded(setting, _PARSERS[written](text), text)


def _bounded(setting: "Field[Any]", value: Any, text: str) -> Any:
    """The value, when it lies within the setting's bounds."""
    low, high = setting.metadata.get("low"), setting.metadata.get("high")
    if low is not None and value < low:
        raise UnitError(f"{quoted(text)} is too small", f"write {show_setting(setting, low)} or more")
    if high is not None and value > high:
        raise UnitError(f"{quoted(text)} is too large", f"write {show_setting(setting, high)} or less")
    return value


def has_off(setting: "Field[Any]") -> bool:
    """Whether the setting's default is outside its bounds, so that it can only be written as `none`."""
    low = setting.metadata.get("low")
    return setting.default is not MISSING and low is not None and setting.default < low


def show_setting(setting: "Field[Any]", value: Any) -> str:
    """A setting's value as the design file writes it; long durations and sizes to three digits."""
    choices = setting.metadata.get("choices", ())
    written = reads_as(setting)
    if choices:
        return str(choices[value]) if isinstance(value, int) else str(value)
    if written == "switch":
        return "true" if value else "false"
    if written == "word":
        return str(value)
    if has_off(setting) and value == setting.default:
        return OFF[0]
    if written == "count" and value == -1:
        return NO_LIMIT
    if value == 0 and written != "rate":
        return "0"
    return _FORMATS[written](value)


def fill_node(reader: Reader, cls: type[Any], node: Node, at: Spot, what: str) -> Any:
    """An instance of `cls` from a mapping or a single value; None when neither fits."""
    if isinstance(node, Map):
        return fill(reader, cls, node.entries, at, what)
    if is_blank(node):
        return fill(reader, cls, {}, at, what)
    return fill_scalar(reader, cls, node, what)
