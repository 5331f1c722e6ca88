"""Many runs of one scenario, as text: how often it gets stuck."""

from tenfold.report.layout import wrapped
from tenfold.report.style import Style
from tenfold.verdict.replications import Replications
from tenfold.verdict.verdict import METASTABLE, UNDECIDED
from tenfold.verdict.words import duration, share


def replications_text(found: Replications, title: str, command: str, style: Style) -> str:
    """P(stuck) first, then the states, the expectations, and the seeds that got stuck."""
    lines = [f"{style.paint(title, 'bold')}   {_runs(found)}"]
    lines.append(f"  P(stuck)  {_stuck(found, style)}")
    lines.append(f"  states    {_states(found, style)}")
    if found.fastest_ns is not None and found.slowest_ns is not None:
        spread = f"{duration(found.fastest_ns)} to {duration(found.slowest_ns)}"
        lines.append(f"  back      after {spread}, in the runs that got back and stayed")
    lines += _missed_lines(found, style)
    lines += _stuck_seed_lines(found, command, style)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _runs(found: Replications) -> str:
    done = len(found.states)
    if not done:
        return f"none of {found.planned} runs ended"
    seeds = f"seeds {found.states[0][0]}..{found.states[-1][0]}"
    return (
        f"{done} runs, {seeds}" if done >= found.planned else f"{done} of {found.planned} runs, {seeds}, stopped early"
    )


def _stuck(found: Replications, style: Style) -> str:
    if found.stuck is None:
        return style.paint("unknown: no run went on long enough to tell", "yellow")
    stuck = found.stuck
    look = "red" if found.count(METASTABLE) else "green"
    interval = f"95 % interval {share(stuck.low)} to {share(stuck.high)} (Wilson)"
    counted = f"{found.count(METASTABLE)} of {found.decided} runs stayed down after the trigger was gone"
    return f"{style.paint(share(stuck.share), 'bold', look)}   {interval}: {counted}"


def _states(found: Replications, style: Style) -> str:
    names = dict.fromkeys(state for _, state in found.states)
    return ", ".join(f"{style.state(name)} {found.count(name)}" for name in names) or "none"


def _missed_lines(found: Replications, style: Style) -> list[str]:
    width = max((len(text) for text in found.missed), default=0)
    judged = len(found.states)
    return [
        f"  {('CHECKS' if number == 0 else '').ljust(8)}  {style.mark(missed == 0)} {text.ljust(width)}   "
        + (f"missed in {missed} of {judged} runs" if missed else f"held in all {judged} runs")
        for number, (text, missed) in enumerate(found.missed.items())
    ]


def _stuck_seed_lines(found: Replications, command: str, style: Style) -> list[str]:
    """Seeds to look at, and how."""
    seeds = [seed for seed, state in found.states if state == METASTABLE]
    undecided = found.count(UNDECIDED)
    lines = wrapped("  stuck     seeds ", " ".join(map(str, seeds)), style.width) if seeds else []
    if seeds and command:
        lines.append(f"  one of them: {command} --seed {seeds[0]}")
    if undecided:
        lines.append(f"  {undecided} runs could not be decided and are not counted")
    return lines
