"""Faults: what goes wrong, at its time."""

from numba import njit

from tenfold.engine import caches, speed
from tenfold.engine.heap import push
from tenfold.engine.nodes import kill
from tenfold.program.program import EXPIRE, KILL, LEAVE, LOSS, REJOIN, REVIVE, SLOW

FAULT_ID = 1


@njit
def schedule_next(w):
    """Put the next fault, if there is one, into the heap."""
    clock = w.clock[0]
    if clock.fault < clock.fault_count:
        push(w.heap, clock, w.faults[clock.fault].at_ns, FAULT_ID)


@njit
def strike(w):
    """The next fault happens."""
    clock = w.clock[0]
    fault = w.faults[clock.fault]
    clock.fault += 1
    if fault.action == EXPIRE:
        caches.expire_all(w, fault.target)
    elif fault.action == LOSS:
        w.switches[fault.target] = fault.value
    else:
        _to_nodes(w, fault)
    schedule_next(w)


@njit
def _to_nodes(w, fault):
    if fault.action == SLOW:
        speed.change(w, fault.target, fault.size, fault.value)
        return
    if fault.action == KILL:
        speed.clear_lines(w, fault.target, fault.size)
    for number in range(fault.target, fault.target + fault.size):
        node = w.nodes[number]
        if fault.action == KILL:
            kill(w, number)
        elif fault.action == REVIVE:
            node.down_count -= 1
        elif fault.action == LEAVE:
            node.hidden_count += 1
        elif fault.action == REJOIN:
            node.hidden_count -= 1
    if fault.action == KILL:
        _lose_entries(w, fault)


@njit
def _lose_entries(w, fault):
    """A cache node that dies forgets its entries."""
    for number in range(len(w.caches)):
        cache = w.caches[number]
        for group in range(len(w.groups)):
            g = w.groups[group]
            is_there = g.component == cache.component and g.first <= fault.target < g.first + g.size
            if is_there and cache.rows > 0:
                caches.lose_nodes(w, number, fault.target - g.first, fault.size)
