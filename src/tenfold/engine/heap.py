"""The event list: a 4-ary min-heap of (time, tag) rows, tag = sequence << 24 | id, so equal times keep their order.

Taking the first event leaves a hole at the root which the next insertion fills: most events are followed by one, and
one sift does for both. A d-ary heap suits caches better than a binary one (LaMarca and Ladner, 1996).
"""

from numba import njit

ID_BITS = 24
ID_MASK = (1 << ID_BITS) - 1


@njit(forceinline=True)
def _is_before(ns, tag, other_ns, other_tag):
    """Whether one event comes before another. No branch: which of two is first is not to be foreseen."""
    return (ns < other_ns) | ((ns == other_ns) & (tag < other_tag))


@njit(forceinline=True)
def _sift_down(heap, size, i, at_ns, tag):
    """Put (at_ns, tag) into the hole at `i` and restore order below it."""
    while True:
        child = 4 * i + 1
        if child + 3 < size:  # the first of four
            ns_0, tag_0 = heap[child, 0], heap[child, 1]
            ns_1, tag_1 = heap[child + 1, 0], heap[child + 1, 1]
            ns_2, tag_2 = heap[child + 2, 0], heap[child + 2, 1]
            ns_3, tag_3 = heap[child + 3, 0], heap[child + 3, 1]
            is_1 = _is_before(ns_1, tag_1, ns_0, tag_0)
            is_3 = _is_before(ns_3, tag_3, ns_2, tag_2)
            ns_a, tag_a = (ns_1, tag_1) if is_1 else (ns_0, tag_0)
            ns_b, tag_b = (ns_3, tag_3) if is_3 else (ns_2, tag_2)
            is_b = _is_before(ns_b, tag_b, ns_a, tag_a)
            best_ns, best_tag = (ns_b, tag_b) if is_b else (ns_a, tag_a)
            if _is_before(at_ns, tag, best_ns, best_tag):
                break
            heap[i, 0], heap[i, 1] = best_ns, best_tag
            i = child + (2 + is_3 if is_b else 0 + is_1)
            continue
        if child >= size:
            break
        best = child
        best_ns, best_tag = heap[child, 0], heap[child, 1]
        last = min(child + 4, size)
        for k in range(child + 1, last):
            k_ns = heap[k, 0]
            if _is_before(k_ns, heap[k, 1], best_ns, best_tag):
                best, best_ns, best_tag = k, k_ns, heap[k, 1]
        if _is_before(at_ns, tag, best_ns, best_tag):
            break
        heap[i, 0], heap[i, 1] = best_ns, best_tag
        i = best
    heap[i, 0], heap[i, 1] = at_ns, tag


@njit(forceinline=True)
def _sift_up(heap, i, at_ns, tag):
    """Put (at_ns, tag) at the end's hole `i` and restore order."""
    while i > 0:
        parent = (i - 1) >> 2
        parent_ns = heap[parent, 0]
        if parent_ns < at_ns or (parent_ns == at_ns and heap[parent, 1] < tag):
            break
        heap[i, 0], heap[i, 1] = parent_ns, heap[parent, 1]
        i = parent
    heap[i, 0], heap[i, 1] = at_ns, tag


@njit
def push(heap, clock, at_ns, identity):
    """Schedule `identity` at `at_ns`."""
    clock.sequence += 1
    tag = (clock.sequence << ID_BITS) | identity
    if clock.has_hole:
        clock.has_hole = 0
        _sift_down(heap, clock.heap_size, 0, at_ns, tag)
        return
    clock.heap_size += 1
    _sift_up(heap, clock.heap_size - 1, at_ns, tag)


@njit(forceinline=True)
def pop(heap, clock):
    """Take the first event: its time and identity. The heap must hold one."""
    if clock.has_hole:
        clock.heap_size -= 1
        last = clock.heap_size
        if last > 0:
            _sift_down(heap, last, 0, heap[last, 0], heap[last, 1])
    clock.has_hole = 1
    return heap[0, 0], heap[0, 1] & ID_MASK


@njit
def restore(heap, clock):
    """Restore order after times were changed in place (Floyd, 1964). A hole at the root stays one."""
    size = clock.heap_size
    for i in range((size - 2) >> 2, -1 + clock.has_hole, -1):
        _sift_down(heap, size, i, heap[i, 0], heap[i, 1])


@njit
def replace_least(free_ns, first, size, at_ns):
    """Replace the least of a binary heap of `size` times at `free_ns[first:]` by the later `at_ns`."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and free_ns[first + child + 1] < free_ns[first + child]:
            child += 1
        if at_ns <= free_ns[first + child]:
            break
        free_ns[first + i] = free_ns[first + child]
        i = child
    free_ns[first + i] = at_ns
