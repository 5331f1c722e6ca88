"""Settings written as people write them: text to value and back, and a whole Config from a mapping.

One reader for the design file and for Python: `Pipeline(retry={"attempts": 3, "backoff": "1 s"})` takes the keys, units
and bounds of the YAML block, and complains in the same words.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from tenfold.errors import UsageError
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

SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""Words for a switch."""

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


def main_of(cls: type[Any]) -> "Field[Any] | None":
    """The setting a bare scalar fills."""
    return next((setting for setting in fields(cls) if setting.metadata.get("main")), None)


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


def configured(cls: type[Any], value: Any, what: str) -> Any:
    """A Config from what a user of the library wrote.

    Args:
        cls: dataclass of settings.
        value: an instance of it; a mapping of YAML keys to values (text with units, numbers, switches); or a single
            value for the main setting, as in `timeout="2 s"`.
        what: how messages name it ("retry").

    Raises:
        UsageError: with every mistake, one per line, each with its remedy.
    """
    if isinstance(value, cls):
        return value
    if is_dataclass(value):
        raise refused([(f"{what}: not its settings: {value}", f"give a mapping, or the Config of {what}")])
    return _filled(cls, value if isinstance(value, Mapping) else _main_only(cls, value, what), what)


def _main_only(cls: type[Any], value: Any, what: str) -> dict[str, Any]:
    """The mapping a single value stands for; True stands for every default."""
    main = main_of(cls)
    if value is True:
        return {}
    if main is None:
        keys = ", ".join(key_of(setting.name) for setting in fields(cls))
        raise refused([(f"{what} should have keys", f"give a mapping with keys from: {keys}")])
    return {key_of(main.name): value}


def _filled(cls: type[Any], given: Mapping[str, Any], what: str) -> Any:
    """An instance of `cls`; complains about every key at once."""
    declared = {key_of(setting.name): setting for setting in fields(cls)}
    troubles = [_unknown(key, list(declared), what) for key in given if key not in declared]
    values: dict[str, Any] = {}
    for key, setting in declared.items():
        if key not in given:
            if setting.default is MISSING:
                troubles.append((f"{what} has no {key}", f"give {key} ({setting.metadata['doc']})"))
            continue
        try:
            values[setting.name] = parse_setting(setting, _as_text(given[key]))
        except UnitError as error:
            troubles.append((f"{key} of {what}: {error.message}", error.remedy))
    if troubles:
        raise refused(troubles)
    return cls(**values)


def refused(troubles: list[tuple[str, str]]) -> UsageError:
    """What is raised for mistakes, each with its remedy: one line for each, because a traceback shows only the text."""
    lines = [f"{text}: {remedy}" if remedy else text for text, remedy in troubles]
    return UsageError("\n".join(lines), "; ".join(remedy for _, remedy in troubles if remedy))


def one_of(word: str, known: Iterable[str], what: str) -> str:
    """A remedy for a word that is not known: `did you mean retry? policies: deadline, retry, timeout`."""
    import difflib

    words = list(known)
    near = difflib.get_close_matches(word, words, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"{what}: {', '.join(words)}"


def _unknown(key: object, known: list[str], what: str) -> tuple[str, str]:
    return f"{what} has no key {quoted(str(key))}", one_of(str(key), known, "keys")


def _as_text(value: Any) -> str:
    """Python's own values as the file would write them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
