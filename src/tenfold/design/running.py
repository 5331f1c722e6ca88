"""From the design file to running objects: the service reads its policies from the file that was simulated."""

from typing import TYPE_CHECKING, Any

from tenfold.design.arrows import arrows_of
from tenfold.design.policies import arrow_in
from tenfold.design.schema import Arrow
from tenfold.errors import UsageError, one_of
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.threads import ThreadPipeline

if TYPE_CHECKING:
    from tenfold.design.schema import Design


def pipeline(design: "Design", arrow: str, options: dict[str, Any]) -> Pipeline:
    """See `Design.pipeline`."""
    found = arrow_named(design, arrow)
    return Pipeline(found.policies.values(), **_options(found, options))


def thread_pipeline(design: "Design", arrow: str, options: dict[str, Any]) -> ThreadPipeline:
    """See `Design.thread_pipeline`."""
    found = arrow_named(design, arrow)
    return ThreadPipeline(found.policies.values(), **_options(found, options))


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
