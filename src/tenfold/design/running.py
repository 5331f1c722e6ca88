"""From the design file to running objects: the service reads its policies from the file that was simulated."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tenfold.design.arrows import arrows_of
from tenfold.design.policies import arrow_in
from tenfold.design.schema import Arrow
from tenfold.errors import UsageError, one_of
from tenfold.policies.cache import freshness
from tenfold.policies.verbs import NEVER
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.threads import ThreadPipeline
from tenfold.units import format_duration

if TYPE_CHECKING:
    from tenfold.design.schema import Design
    from tenfold.runtime.cache.cache import Cache
    from tenfold.runtime.cache.store import Store


def pipeline(design: "Design", arrow: str, options: dict[str, Any]) -> Pipeline:
    """See `Design.pipeline`."""
    found = arrow_named(design, arrow)
    return Pipeline(found.policies.values(), **_options(found, options))


def thread_pipeline(design: "Design", arrow: str, options: dict[str, Any]) -> ThreadPipeline:
    """See `Design.thread_pipeline`."""
    found = arrow_named(design, arrow)
    return ThreadPipeline(found.policies.values(), **_options(found, options))


def cache(design: "Design", component: str, store: "Store", caller: str, options: dict[str, Any]) -> "Cache":
    """See `Design.cache`."""
    from tenfold.runtime.cache.cache import Cache

    spec = _cache_spec(design, component)
    config = freshness.Config(**{field.name: getattr(spec, field.name) for field in fields(freshness.Config)})
    arrow = _arrow_to(design, component, caller)
    given = {"config": config, "name": component, **options}
    if arrow is not None:
        _check_honoured(arrow, store)
        given.setdefault("on_store_down", "bypass" if arrow.on_failure else "fail")
        given.setdefault("breaker", arrow.policies.get("circuit_breaker"))
    return Cache(store, **given)


def _cache_spec(design: "Design", name: str) -> Any:
    """The settings of the component that is the cache."""
    caches = [each.name for each in design.components.values() if isinstance(each.spec, freshness.Config)]
    if name not in design.components:
        raise UsageError(f"the design has no component {name!r}", one_of(name, caches))
    if name not in caches:
        kind = design.components[name].kind.NAME
        raise UsageError(f"{name} is no cache, its kind is {kind}", f"caches: {', '.join(caches) or 'none'}")
    return design.components[name].spec


def _arrow_to(design: "Design", callee: str, caller: str) -> Arrow | None:
    """The one arrow to the cache that says how it is called."""
    if caller:
        return arrow_named(design, f"{caller} -> {callee}")
    found = [arrow for ends, arrow in design.policies.items() if ends[1] == callee]
    if len(found) > 1:
        names = ", ".join(arrow.caller for arrow in found)
        raise UsageError(f"several components have policies towards {callee}", f"say whose: caller= one of {names}")
    return found[0] if found else None


def _check_honoured(arrow: Arrow, store: "Store") -> None:
    """A policy that the running cache would not keep is an error, not silence."""
    name = f"{arrow.caller} -> {arrow.callee}"
    idle = sorted(set(arrow.policies) - {"timeout", "circuit_breaker"})
    if idle:
        remedy = "leave them out, or call the cache through design.pipeline(...)"
        raise UsageError(f"{name}: a cache does not do {', '.join(idle)}", remedy)
    limit_ns = arrow.policies["timeout"].limit_ns if "timeout" in arrow.policies else NEVER
    waits_ns = getattr(store, "command_timeout_ns", 0)
    if waits_ns > limit_ns:
        limit, waits = format_duration(limit_ns), format_duration(waits_ns)
        raise UsageError(
            f"{name} has a timeout of {limit}, and the store waits {waits} for a command",
            f'make the store with command_timeout="{limit}"',
        )


def arrow_named(design: "Design", text: str) -> Arrow:
    """The arrow `caller -> callee`, with the policies the file gives it, or with none.

    Raises:
        UsageError: the text is no arrow, or no flow of the design uses it.
    """
    ends = arrow_in(text)
    if ends is None:
        raise UsageError(f"{text!r} is no arrow", "write caller -> callee, as in api -> tweets_db")
    used = dict.fromkeys((*design.policies, *arrows_of(design.flows)))
    if ends not in used:
        names = [f"{caller} -> {callee}" for caller, callee in used]
        raise UsageError(f"the design has no arrow {ends[0]} -> {ends[1]}", one_of(text, names))
    return design.policies.get(ends) or Arrow(*ends, {})


def _options(arrow: Arrow, options: dict[str, Any]) -> dict[str, Any]:
    """What the shell is told: the arrow's name, and None as the answer where a failure does not matter."""
    given = {"name": f"{arrow.caller} -> {arrow.callee}", **options}
    if arrow.on_failure and "fallback" not in given:
        given["fallback"] = _no_answer
    return given


def _no_answer(error: Exception) -> None:
    """`on_failure: skip` goes on without an answer; `miss` takes it for a key that is not there: None says both."""
