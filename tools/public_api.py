"""Write down the public door: `uv run python tools/public_api.py`. A test fails when it has changed unnoticed.

The file is there to be reviewed: a line that changes is a change for users.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tenfold
from tenfold.runtime import pipeline
from tenfold.runtime.attempt import Attempt

TARGET = Path(__file__).resolve().parent.parent / "tests" / "public_api.txt"


def signature(thing: Any, margin: str = "") -> str:
    """Its arguments, defaults and types, the same on every machine and Python; one to a line when there are many."""
    found = inspect.signature(thing)
    arguments = list(_arguments(found))
    answer = "" if found.return_annotation is found.empty else f" -> {_type(found.return_annotation)}"
    short = f"({', '.join(arguments)}){answer}"
    if len(short) <= 90:
        return short
    return "(\n" + "".join(f"{margin}    {argument},\n" for argument in arguments) + f"{margin}){answer}"


def _arguments(found: inspect.Signature) -> Iterator[str]:
    kinds = [parameter.kind for parameter in found.parameters.values()]
    for number, parameter in enumerate(found.parameters.values()):
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.kind not in kinds[:number]:
            yield "*"
        name = "**" + parameter.name if parameter.kind is parameter.VAR_KEYWORD else parameter.name
        written = name if parameter.annotation is parameter.empty else f"{name}: {_type(parameter.annotation)}"
        default = getattr(parameter.default, "__name__", None) or repr(parameter.default)
        yield written if parameter.default is parameter.empty else f"{written} = {default}"


def _type(annotation: Any) -> str:
    """A type without the modules its parts are defined in."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\*<class '([\w.]+)'>|Unpack\[([\w.]+)\]", r"\1\2", text)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])|[~']", "", text)


def members(cls: type) -> Iterator[str]:
    """Public methods, properties and fields of a class, one line each."""
    fields = (*getattr(cls, "_fields", ()), *getattr(cls, "__dataclass_fields__", ()))
    for name in sorted({name for name in dir(cls) if not name.startswith("_")} | {"__call__"}):
        member = inspect.getattr_static(cls, name, None)
        if name in fields or isinstance(member, property):
            yield f"    {name}"
        elif inspect.isfunction(member):
            yield f"    {name}{signature(member, '    ')}"


def described(name: str, thing: Any) -> Iterator[str]:
    """A public name with everything below it."""
    if isinstance(thing, type):
        is_plain = thing.__init__ in (object.__init__, BaseException.__init__, Exception.__init__)
        yield f"{name}{'' if is_plain else signature(thing)}"
        yield from members(thing)
    elif callable(thing):
        yield f"{name}{signature(thing)}"
    else:
        yield f"{name}: {type(thing).__name__}"


def public_api() -> str:
    """All of it."""
    named = {f"tenfold.{name}": getattr(tenfold, name) for name in sorted(tenfold.__all__)}
    named |= {f"tenfold.runtime.pipeline.{name}": getattr(pipeline, name) for name in sorted(pipeline.__all__)}
    named["tenfold.runtime.attempt.Attempt"] = Attempt
    seen: set[int] = set()
    lines: list[str] = []
    for name, thing in named.items():
        if id(thing) not in seen or not isinstance(thing, type):
            lines += described(name, thing)
        seen.add(id(thing))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the file."""
    TARGET.write_text(public_api(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
