"""Random numbers: one independent stream per source and step, so that two designs can see the same arrivals.

A stream is a SplitMix64 generator (Steele, Lea, Flood, OOPSLA 2014: passes BigCrush) started at a hash of the seed and
the stream's name. Names, not numbers: adding a step to a design leaves the other streams as they were.
"""

import hashlib
import math

import numpy as np
from numba import njit

from tenfold.engine.state import FAR_NS
from tenfold.program.program import CONSTANT, EMPIRICAL, EXPONENTIAL, LOGNORMAL, PARETO, UNIFORM

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53
_TWO_PI = 2.0 * math.pi
_FAR = float(FAR_NS)


def streams(names: tuple[str, ...], seed: int) -> np.ndarray:
    """The first state of each named stream, shape (len(names),), uint64."""
    states = np.zeros(max(1, len(names)), np.uint64)
    for number, name in enumerate(names):
        digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
        states[number] = int.from_bytes(digest, "little")
    return states


@njit(forceinline=True)
def mixed(z):
    """SplitMix64's finaliser: a good hash of a 64-bit number."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(forceinline=True)
def draw(states, stream):
    """A number in [0, 1) with 53 random bits."""
    states[stream] += _GAMMA
    return np.float64(mixed(states[stream]) >> _S11) * _UNIT


@njit(forceinline=True)
def exponential(states, stream):
    """An exponential number with mean 1."""
    return -math.log(1.0 - draw(states, stream))


@njit
def _normal(states, stream):
    """A standard normal number (Box and Muller, 1958)."""
    radius = math.sqrt(2.0 * exponential(states, stream))
    return radius * math.cos(_TWO_PI * draw(states, stream))


@njit
def _rare_shape(row, samples, states, stream):
    """Shapes that are not worth inlining."""
    if row.shape == LOGNORMAL:
        return math.exp(row.a + row.b * _normal(states, stream))
    if row.shape == UNIFORM:
        return row.a + (row.b - row.a) * draw(states, stream)
    if row.shape == PARETO:
        return row.a * math.exp(exponential(states, stream) / row.b)
    if row.shape == EMPIRICAL:
        return samples[row.first + int(draw(states, stream) * row.size)]
    return row.a


@njit(forceinline=True)
def duration_ns(row, samples, states, stream, scale):
    """A service time in ns, at most FAR_NS."""
    if row.shape == EXPONENTIAL:
        return np.int64(min(row.a * scale * exponential(states, stream), _FAR))
    if row.shape == CONSTANT:
        return np.int64(min(row.a * scale, _FAR))
    return np.int64(min(_rare_shape(row, samples, states, stream) * scale, _FAR))


# Zipf keys: rejection-inversion (Hoermann and Derflinger, ACM TOMACS 1996). Constant time for any number of keys.


@njit(forceinline=True)
def _area(x, exponent):
    """Integral of t^-exponent from 1 to x."""
    log_x = math.log(x)
    t = (1.0 - exponent) * log_x
    return log_x * (math.expm1(t) / t if abs(t) > 1e-8 else 1.0 + t * 0.5)


@njit(forceinline=True)
def _area_inverse(y, exponent):
    """The x whose area is y."""
    t = max(-1.0, y * (1.0 - exponent))
    return math.exp(y * (math.log1p(t) / t if abs(t) > 1e-8 else 1.0 - t * 0.5))


@njit
def prepare_law(law):
    """Fill in the constants that depend only on size and exponent."""
    law.area_first = _area(1.5, law.exponent) - 1.0
    law.area_last = _area(law.size + 0.5, law.exponent)
    law.squeeze = 2.0 - _area_inverse(_area(2.5, law.exponent) - 2.0 ** (-law.exponent), law.exponent)


@njit
def key(law, states, stream):
    """A key 0..size-1, the more popular the smaller."""
    if law.exponent == 0.0:
        return np.int64(draw(states, stream) * law.size)
    while True:
        y = law.area_last + draw(states, stream) * (law.area_first - law.area_last)
        x = _area_inverse(y, law.exponent)
        k = np.int64(x + 0.5)
        k = max(np.int64(1), min(k, law.size))
        if k - x <= law.squeeze or y >= _area(k + 0.5, law.exponent) - math.exp(-law.exponent * math.log(k)):
            return k - 1


@njit(forceinline=True)
def node_of_key(key_number, nodes):
    """The node a key lives on: an even hash."""
    return np.int64(mixed(np.uint64(key_number) + _GAMMA) % np.uint64(nodes))
