"""Dataclasses as plain values for JSON, and back by their annotations."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_SCALARS: tuple[type, ...] = (int, float, str, bool)


def to_plain(value: Any) -> Any:
    """Dataclasses and mappings as dicts; series (tuples of numbers) as they are."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, tuple) and value and not isinstance(value[0], _SCALARS):
        return [to_plain(each) for each in value]
    return value


def from_plain(declared: type[T], plain: Any) -> T:
    """An instance of a dataclass from what `to_plain` made of it.

    Raises:
        TypeError: a value is of another type than declared.
        KeyError: a value without a default is missing.
    """
    return _read(declared, plain)  # type: ignore[no-any-return]


def _read(declared: Any, plain: Any) -> Any:
    origin, inner = get_origin(declared), get_args(declared)
    if is_dataclass(declared):
        return _dataclass(declared, plain)
    if origin in (Union, UnionType):
        chosen = next(each for each in inner if each is not NoneType)
        return None if plain is None else _read(chosen, plain)
    if origin is tuple:
        return _series(inner[0], plain)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _read(inner[1], each) for key, each in _expect(dict, plain).items()}
    return _scalar(declared, plain)


def _dataclass(declared: Any, plain: Any) -> Any:
    """Missing values take their defaults, if they have any: a file of an earlier version knows fewer counters."""
    values = _expect(dict, plain)
    hints = _hints(declared)
    present = {field.name for field in fields(declared) if field.name in values or not _has_default(field)}
    return declared(**{name: _read(hints[name], values[name]) for name in hints if name in present})


def _has_default(field: Field[Any]) -> bool:
    """Whether a file written before the field was there can be read."""
    return field.default is not MISSING or field.default_factory is not MISSING


def _series(each: Any, plain: Any) -> tuple[Any, ...]:
    values = _expect(list, plain)
    return tuple(_read(each, value) for value in values)


def _scalar(declared: Any, plain: Any) -> Any:
    if declared is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    return _expect(declared, plain)


def _expect(declared: type, plain: Any) -> Any:
    if not isinstance(plain, declared) or (isinstance(plain, bool) and declared is not bool):
        raise TypeError(f"{declared.__name__} expected, found {type(plain).__name__}")
    return plain


@cache
def _hints(declared: Any) -> dict[str, Any]:
    hints = get_type_hints(declared)
    return {field.name: hints[field.name] for field in fields(declared)}
