"""The lines of flows: users x rate / period, peak, headroom, and the time of one run."""

from tenfold.design.schema import Design, Flow, Path, Range
from tenfold.sizing import interval, words
from tenfold.sizing.answer import NS, PER_S, FlowPlan, Line
from tenfold.sizing.places import where
from tenfold.sizing.traffic import Traffic
from tenfold.sizing.walk import all_steps

USERS: Path = ("requirements", "users")
PEAK: Path = ("requirements", "peak")
HEADROOM: Path = ("requirements", "headroom")


def flow_plan(design: Design, flow: Flow, average: Traffic, peak: Traffic) -> FlowPlan:
    """A flow's lines.

    Args:
        design: the whole.
        flow: the operation.
        average, peak: the traffic at the average second and at the busiest.
    """
    rate = average.flow_per_s[flow.name]
    stated = _stated_at(design, flow)
    elapsed = peak.walks[flow.name].elapsed_ns
    return FlowPlan(
        flow.name,
        Line("average", rate, PER_S, rate_text(design, flow), where(design.source, *stated)),
        *peak_lines(design, rate, peak.flow_per_s[flow.name]),
        Line("time", elapsed, NS, "mean of one run when nothing queues", where(design.source, flow.path)),
    )


def peak_lines(design: Design, average: Range, peak: Range) -> tuple[Line, Line]:
    """The peak, and the peak with headroom."""
    spare = design.requirements.headroom_ratio
    factor = peak.likely / average.likely if average.likely else design.requirements.peak_factor.likely
    return (
        Line("peak", peak, PER_S, f"{words.rate(average.likely)} x {words.factor(factor)}", where(design.source, PEAK)),
        Line(
            "with headroom",
            interval.times(peak, 1.0 + spare),
            PER_S,
            f"{words.rate(peak.likely)} x (1 + {words.ratio(spare)})",
            where(design.source, HEADROOM),
        ),
    )


def rate_text(design: Design, flow: Flow) -> str:
    """`100M users x 50/user/day / 86,400 s`, or whose publishes start the flow."""
    if flow.rate is None:
        publishers = [f.name for f in design.flows.values() if _publishes(f, flow.trigger)]
        return f"once per message of {flow.trigger}, from {', '.join(publishers) or 'nobody'}"
    seconds = flow.rate.period_ns / 1e9
    count = words.count(flow.rate.value.likely)
    per = f" / {seconds:,.0f} s" if seconds != 1.0 else ""
    if not flow.rate.is_per_user:
        return f"{count}/{words.period(flow.rate.period_ns)}{per}"
    users = design.requirements.users
    return f"{words.count(users.likely if users else 0)} users x {count}/user/{words.period(flow.rate.period_ns)}{per}"


def _publishes(flow: Flow, log: str) -> bool:
    return any(step.verb == "publish" and step.target == log for step in all_steps(flow.steps))


def _stated_at(design: Design, flow: Flow) -> tuple[Path, ...]:
    """Where the file says how often the flow starts."""
    if flow.rate is None:
        return ((*flow.path, "trigger"),)
    return ((*flow.path, "rate"), *((USERS,) if flow.rate.is_per_user else ()))
