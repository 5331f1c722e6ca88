"""Queueing theory in a few lines each. Rates per s, times in s."""

import math
from collections.abc import Sequence


def erlang_b(servers: int, offered: float) -> float:
    """Share of calls lost by M/M/c/c with `offered` erlangs (the usual recursion)."""
    lost = 1.0
    for n in range(1, servers + 1):
        lost = offered * lost / (n + offered * lost)
    return lost


def erlang_c(servers: int, offered: float) -> float:
    """Share of customers of M/M/c that wait."""
    lost = erlang_b(servers, offered)
    return lost / (1.0 - offered / servers * (1.0 - lost))


def mmc_sojourn_s(servers: int, rate_per_s: float, service_s: float) -> float:
    """Mean time in M/M/c."""
    offered = rate_per_s * service_s
    return service_s + erlang_c(servers, offered) * service_s / (servers - offered)


def mmc_sojourn_quantile_s(servers: int, rate_per_s: float, service_s: float, share: float) -> float:
    """Quantile of the time in M/M/c: wait (0, or exponential with c mu - lambda) plus exponential service."""
    offered = rate_per_s * service_s
    waits, mu = erlang_c(servers, offered), 1.0 / service_s
    spare = servers * mu - rate_per_s

    def tail(t: float) -> float:
        after_wait = (mu * math.exp(-spare * t) - spare * math.exp(-mu * t)) / (mu - spare)
        return (1.0 - waits) * math.exp(-mu * t) + waits * after_wait

    low, high = 0.0, 1000.0 * service_s
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > 1.0 - share else (low, middle)
    return high


def mm1k(rho: float, room: int) -> tuple[float, float]:
    """M/M/1/K: share refused and mean number present, `room` places in all."""
    weights = [rho**n for n in range(room + 1)]
    total = sum(weights)
    return weights[-1] / total, sum(n * w for n, w in enumerate(weights)) / total


def mg1_wait_s(rho: float, service_s: float, cv: float) -> float:
    """Mean wait in M/G/1 (Pollaczek and Khinchine)."""
    return rho * service_s * (1.0 + cv * cv) / (2.0 * (1.0 - rho))


def supermarket_s(rho: float, choices: int, service_s: float) -> float:
    """Mean time with the shortest of `choices` queues among many (Mitzenmacher; Vvedenskaya and others, 1996)."""
    exponents = [(choices**i - choices) / (choices - 1) for i in range(1, 40) if choices**i < 1e6]
    return service_s * math.fsum(rho**exponent for exponent in exponents)


def harmonic(k: int) -> float:
    """1 + 1/2 + ... + 1/k: the mean of the largest of k exponentials with mean 1."""
    return sum(1.0 / i for i in range(1, k + 1))


def zipf(keys: int, exponent: float) -> list[float]:
    """Probabilities of the keys."""
    weights = [(i + 1.0) ** -exponent for i in range(keys)]
    total = sum(weights)
    return [w / total for w in weights]


def ttl_hit_ratio(shares: Sequence[float], rate_per_s: float, ttl_s: float) -> float:
    """Hit ratio of a cache whose entries live for `ttl_s` from their load."""
    return sum(p * p * rate_per_s * ttl_s / (1.0 + p * rate_per_s * ttl_s) for p in shares)


def che_hit_ratio(shares: Sequence[float], capacity: int) -> float:
    """Hit ratio of LRU with room for `capacity` entries (Che, Tung and Wang, 2002)."""
    low, high = 0.0, 1e12
    for _ in range(200):
        middle = (low + high) / 2
        present = sum(1.0 - math.exp(-p * middle) for p in shares)
        low, high = (middle, high) if present < capacity else (low, middle)
    return sum(p * (1.0 - math.exp(-p * high)) for p in shares)


def attempts_mean(failing: float, retries: int) -> float:
    """Mean attempts when each fails with this probability and `retries` more may follow the first."""
    return math.fsum(failing**n for n in range(retries + 1))
