"""How long a step takes: every way of writing it, against the textbook's mean and percentiles."""

import math
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import SMALL, changed, mistakes_in, read

from tenfold.design.load import load
from tenfold.design.schema import Range, Timing
from tenfold.errors import DesignError
from tenfold.kinds import KINDS

MS = 1_000_000


def takes(written: str) -> Timing:
    query = read(changed("takes: 2 ms", f"takes: {written}")).flows["read"].steps[1].on_miss[0]
    assert query.takes is not None
    return query.takes


def test_a_bare_duration_is_the_mean_of_an_exponential() -> None:
    assert takes("2 ms") == Timing("exponential", Range.exactly(2 * MS))
    cpu = read(SMALL).flows["read"].steps[0].cpu
    assert cpu == Timing("exponential", Range.exactly(1 * MS))
    assert takes("1 ms..3 ms") == Timing("exponential", Range(1 * MS, 2 * MS, 3 * MS))


def test_nothing_is_a_constant() -> None:
    assert takes("0") == Timing("constant", Range.exactly(0.0))


@settings(derandomize=True)
@given(st.integers(1, 10**6), st.floats(1.001, 1000.0))
def test_percentiles_give_the_lognormal_that_has_them(p50_us: int, spread: float) -> None:
    p99_us = max(p50_us + 1, round(p50_us * spread))
    timing = takes(f"{{p50: {p50_us} us, p99: {p99_us} us}}")
    mu, sigma = timing.params
    assert timing.shape == "lognormal"
    assert math.exp(mu) == pytest.approx(p50_us * 1000)
    assert math.exp(mu + NormalDist().inv_cdf(0.99) * sigma) == pytest.approx(p99_us * 1000)
    assert timing.mean_ns.likely == pytest.approx(math.exp(mu + sigma**2 / 2))


def test_equal_percentiles_are_a_constant() -> None:
    assert takes("{p50: 5 ms, p99: 5 ms}").shape == "constant"


def test_ranges_of_percentiles_give_a_range_of_means() -> None:
    mean = takes("{p50: 2..4 ms, p99: 20..30 ms}").mean_ns
    assert 2 * MS < mean.low < mean.likely < mean.high < 30 * MS


def test_named_distributions() -> None:
    assert takes("{constant: 5 ms}") == Timing("constant", Range.exactly(5 * MS))
    assert takes("{exponential: 5 ms}") == Timing("exponential", Range.exactly(5 * MS))
    assert takes("{uniform: 1 ms..5 ms}") == Timing("uniform", Range.exactly(3 * MS), (1 * MS, 5 * MS))
    pareto = takes("{pareto: {mean: 5 ms, alpha: 2.5}}")
    scale, alpha = pareto.params
    assert (pareto.shape, alpha * scale / (alpha - 1)) == ("pareto", pytest.approx(5 * MS))
    lognormal = takes("{lognormal: {mean: 5 ms, cv: 1.5}}")
    mu, sigma = lognormal.params
    assert math.exp(mu + sigma**2 / 2) == pytest.approx(5 * MS)
    assert math.sqrt(math.expm1(sigma**2)) == pytest.approx(1.5)


def with_samples(folder: Path, content: bytes, name: str = "samples.csv") -> Path:
    (folder / name).write_bytes(content)
    path = folder / "design.yaml"
    path.write_text(changed("takes: 2 ms", f"takes: {{empirical: {name}}}"))
    return path


def test_samples_are_read_from_a_file_beside_the_design(tmp_path: Path) -> None:
    path = with_samples(tmp_path, b"# measured on a Tuesday\n3\n1.5\n\n250 us\n2 s\n")
    timing = load(path, KINDS).flows["read"].steps[1].on_miss[0].takes
    assert timing is not None
    assert timing.params == (250_000, 1.5 * MS, 3 * MS, 2000 * MS)
    assert timing.mean_ns.likely == sum(timing.params) / 4


def test_samples_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    before = load(with_samples(tmp_path, b"1\n2\n"), KINDS).fingerprint
    assert before != load(with_samples(tmp_path, b"1\n3\n"), KINDS).fingerprint


def test_a_bad_sample_is_told_with_its_own_file_and_line(tmp_path: Path) -> None:
    path = with_samples(tmp_path, b"1\nmany\n-3\n")
    with pytest.raises(DesignError) as refused:
        load(path, KINDS)
    first, second = refused.value.mistakes
    assert (first.path, first.line, first.source_line) == (str(tmp_path / "samples.csv"), 2, "many")
    assert (second.line, "negative" in second.message) == (3, True)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "samples.csv", "has no samples"),
        (b"# nothing\n", "samples.csv", "has no samples"),
        (b"\xff\xfe\x00", "samples.csv", "cannot be read as text"),
        (b"1\n" * 100_002, "samples.csv", "more than 100,000 samples"),
        (b"1" * 2_000_001, "samples.csv", "larger than 2 MB"),
    ],
)
def test_files_that_are_no_samples(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    with pytest.raises(DesignError) as refused:
        load(with_samples(tmp_path, content, name), KINDS)
    assert message in refused.value.mistakes[0].message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "there is no file"),
        ("../../../../etc/passwd", "not in the design's folder"),
        ("/etc/passwd", "not in the design's folder"),
        ('"a\\0b"', "cannot be read as text"),
        (".", "there is no file"),
    ],
)
def test_only_files_beside_the_design_are_read(name: str, message: str) -> None:
    (mistake,) = mistakes_in(changed("takes: 2 ms", f"takes: {{empirical: {name}}}"))
    assert message in mistake.message
    assert mistake.line == 19
