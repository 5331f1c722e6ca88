"""Sums over Zipf keys against sums written out."""

import math
import time

import pytest

from tenfold.sizing.popularity import key_classes, top_share

FORMS = {
    "time to live": lambda rt: rt / (1 + rt),
    "least recently used": lambda rt: -math.expm1(-rt),
}


def by_hand(keys: int, exponent: float, asked: float, form: str) -> float:
    weights = [i**-exponent for i in range(1, keys + 1)]
    total = sum(weights)
    return sum(w / total * FORMS[form](asked * w / total) for w in weights)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.9, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("keys", [1, 2, 127, 128, 129, 130, 1_000, 60_000])
def test_the_quadrature_agrees_with_the_sum_over_every_key(keys: int, exponent: float, form: str) -> None:
    for asked in (0.01, 10.0, 1e4, 1e8):
        quick = sum(p * n * FORMS[form](asked * p) for p, n in key_classes(keys, exponent))
        assert quick == pytest.approx(by_hand(keys, exponent, asked, form), rel=1e-5)


@pytest.mark.parametrize("keys", [1, 1_000, 10**6, 10**9])
def test_classes_hold_every_key_once_and_all_of_the_probability(keys: int) -> None:
    classes = key_classes(keys, 0.9)
    assert sum(n for _, n in classes) == pytest.approx(keys, rel=1e-6)
    assert sum(p * n for p, n in classes) == pytest.approx(1.0, rel=1e-9)


def test_a_billion_keys_take_milliseconds() -> None:
    key_classes.cache_clear()
    start = time.process_time()
    key_classes(10**9, 0.99)
    assert time.process_time() - start < 0.05


def test_the_total_weight_of_a_billion_keys_is_the_harmonic_number() -> None:
    harmonic = math.log(1e9) + 0.5772156649015329 + 0.5e-9
    assert 1 / top_share(10**9, 1.0) == pytest.approx(harmonic, rel=1e-6)
