"""Every setting a design file leaves open: the value in force, what it means, where it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from tenfold.design.schema import Design, Path, Source
from tenfold.fields import key_of
from tenfold.report.layout import wrapped
from tenfold.report.style import Style
from tenfold.settings import show_setting


@dataclass(frozen=True, slots=True)
class Default:
    """A setting the file leaves open: where it would stand, the value in force, and where that comes from."""

    at: tuple[str, ...]
    value: str
    doc: str
    source: str


def defaults(design: Design) -> tuple[Default, ...]:
    """All defaults in force, in the order of the file."""
    found: list[Default] = []
    for name, component in design.components.items():
        found += _of(design, ("components", name), component.spec)
    for (caller, callee), arrow in design.policies.items():
        for policy, config in arrow.policies.items():
            found += _of(design, ("policies", f"{caller} -> {callee}", policy), config)
    return tuple(found)


def defaults_text(found: Iterable[Default], style: Style) -> str:
    """One block per component and arrow policy, one line per setting: value, then source."""
    lines: list[str] = []
    block: tuple[str, ...] = ()
    for default in found:
        if default.at[:-1] != block:
            block = default.at[:-1]
            lines += ["", style.paint(".".join(block), "bold")]
        lead = f"  {default.at[-1]}: {default.value}".ljust(34) + "  "
        lines += wrapped(lead, default.source or default.doc, style.width)
    shown = "\n".join(lines).lstrip("\n")
    return (shown or "Every setting is stated in the file.") + "\n"


def _of(design: Design, at: tuple[str, ...], config: Any) -> list[Default]:
    """The settings of one spec or config that the file does not state."""
    return [
        Default(
            at=(*at, key_of(declared.name)),
            value=show_setting(declared, getattr(config, declared.name)),
            doc=declared.metadata.get("doc", ""),
            source=declared.metadata.get("source", ""),
        )
        for declared in fields(config)
        if (*at, key_of(declared.name)) not in design.source.values and not _is_bare(design, at, declared)
    ]


def _is_bare(design: Design, at: Path, declared: Any) -> bool:
    """Whether a bare scalar (`timeout: 2 s`) states this setting."""
    if at not in design.source.values or not declared.metadata.get("main"):
        return False
    if any(len(path) > len(at) and path[: len(at)] == at for path in design.source.values):
        return False
    return _written(design.source, at) not in ("", "{}")


def _written(source: Source, at: Path) -> str:
    """A value of one line as it stands in the file."""
    place = source.values[at]
    lines = source.text.splitlines()[place.line - 1 : place.line]
    return lines[0][place.column - 1 : place.column_end - 1].replace(" ", "") if lines else ""
