"""How a setting describes itself: one declaration feeds the YAML key, the JSON Schema, the reference page, the check.

A `Config` or `Spec` is a frozen slotted dataclass whose fields are made by `setting(...)`. The YAML key is the field's
name without its unit: `backoff_max_ns` is written `backoff_max: 30 s`. The unit also says how the value is read.
"""

from collections.abc import Mapping
from dataclasses import Field, field
from typing import Any

UNITS = {"_ns": "duration", "_bytes": "size", "_per_s": "rate", "_ratio": "ratio", "_factor": "factor"}
"""Suffix of a field's name -> how its value is written. Without suffix: int = count, bool = switch, str = word."""


def setting(
    default: Any = ...,
    doc: str = "",
    *,
    source: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    main: bool = False,
) -> Any:
    """Declare one setting of a policy's Config or a kind's Spec.

    Args:
        default: value when the file is silent, in the field's unit; `...` makes the setting required.
        doc: one sentence for the reference page and the editor's hover.
        source: where the default comes from; printed by `tenfold explain`.
        low, high: inclusive bounds, in the field's unit.
        choices: allowed words. An int field with choices stores the word's index (kernels know no strings).
        main: the setting a bare scalar fills: `timeout: 2 s` is `timeout: {limit: 2 s}`.
    """
    metadata = {"doc": doc, "source": source, "low": low, "high": high, "choices": choices, "main": main}
    if default is ...:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def key_of(field_name: str) -> str:
    """The YAML key of a field: its name without the unit suffix."""
    for suffix in UNITS:
        if field_name.endswith(suffix):
            return field_name.removesuffix(suffix)
    return field_name


def reads_as(declared: "Field[Any]") -> str:
    """How the value is written: duration, size, rate, ratio, factor, count, number, switch or word."""
    for suffix, written in UNITS.items():
        if declared.name.endswith(suffix):
            return written
    if declared.metadata.get("choices"):
        return "word"
    return {int: "count", float: "number", bool: "switch", str: "word"}[plain_type(declared)]


def plain_type(declared: "Field[Any]") -> type:
    """The field's type as a class, whether it was annotated with a class or with its name."""
    names: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
    return names[declared.type] if isinstance(declared.type, str) else declared.type
