"""Bytes per second: what reaches a component and what leaves it, and what passes the edge between clients and us.

A component takes in the requests sent to it and the answers of those it calls; it gives out its answers and its own
requests. Frames, retransmissions and the header of every further packet of a large payload are left out.
"""

from collections.abc import Callable, Iterable

from tenfold.design.schema import CLIENT, Design, Range
from tenfold.sizing import interval, words
from tenfold.sizing.answer import BYTES_PER_S, Line
from tenfold.sizing.places import where
from tenfold.sizing.traffic import Traffic
from tenfold.sizing.walk import Visit

_Bytes = Callable[[Visit], Range]


def lines_of(design: Design, traffic: Traffic, component: str) -> tuple[Line, Line]:
    """Bandwidth into and out of a component, in bytes per s.

    Args:
        design: for places.
        traffic: at peak.
        component: its name.
    """
    asked = traffic.visits[component]
    asks = [visit for visits in traffic.visits.values() for visit in visits if visit.visits.caller == component]
    place = where(design.source, *(v.visits.path for v in asked))
    return (
        _line("in", ((asked, _request, "asked"), (asks, _answer, "answers it gets")), place),
        _line("out", ((asked, _answer, "answered"), (asks, _request, "asked of others")), place),
    )


def edge_lines(design: Design, traffic: Traffic) -> tuple[Line, ...]:
    """Bandwidth between the clients and the system, in bytes per s."""
    first = [v for visits in traffic.visits.values() for v in visits if v.visits.caller == CLIENT]
    if not first:
        return ()
    place = where(design.source, *(v.visits.path for v in first))
    return _line("in", ((first, _request, ""),), place), _line("out", ((first, _answer, ""),), place)


def _request(visit: Visit) -> Range:
    return visit.request_bytes


def _answer(visit: Visit) -> Range:
    return visit.answer_bytes


def _line(name: str, parts: Iterable[tuple[Iterable[Visit], _Bytes, str]], place: str) -> Line:
    """The sum of some directions, each written as rate x mean size."""
    total, texts = interval.ZERO, []
    for visits, size_of, what in parts:
        listed = list(visits)
        rate = interval.add(*(v.visits.rate_per_s for v in listed))
        flow = interval.add(*(interval.times(v.visits.rate_per_s, size_of(v)) for v in listed))
        total = interval.add(total, flow)
        if rate.likely and flow.likely:
            texts.append(f"{words.rate(rate.likely)} x {words.size(flow.likely / rate.likely)} {what}".rstrip())
    return Line(name, total, BYTES_PER_S, " + ".join(texts), place)
