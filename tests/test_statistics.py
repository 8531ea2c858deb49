"""Intervals and verdicts: known values, simulated coverage, and how often equals are called different."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from lab.judge.compared import compare, correct
from lab.measures import dead_but_listed_s
from lab.result import TrialResult
from lab.statistics import (
    bootstrap_interval,
    holm,
    mean_interval,
    more_repeats,
    noise_floor,
    p_value,
    paired,
    supports,
)


def test_students_interval_of_known_values() -> None:
    """t(0.975, 3) = 3.182: 4.2 4.3 4.3 4.4 is 4.3 +- 0.130."""
    interval = mean_interval([4.2, 4.3, 4.3, 4.4])
    assert (interval.mean, interval.n) == (pytest.approx(4.3), 4)
    assert (interval.low, interval.high) == (pytest.approx(4.170, abs=1e-3), pytest.approx(4.430, abs=1e-3))


@pytest.mark.parametrize("n", [1, 2])
def test_below_three_trials_there_is_no_interval(n: int) -> None:
    """One or two trials say nothing of their spread that could be relied on."""
    interval = mean_interval([1.0] * n)
    assert (interval.mean, interval.low, interval.high) == (1.0, None, None)
    assert paired([1.0] * n, [2.0] * n).p is None


def test_nothing_has_no_mean() -> None:
    """It is an error, not a 0."""
    with pytest.raises(ValueError, match="no trials"):
        mean_interval([])
    with pytest.raises(ValueError, match="two values"):
        paired([1.0], [])


def test_values_that_are_all_alike() -> None:
    """No spread: the interval is a point, and a difference from it is either none or certain."""
    interval = mean_interval([0.1] * 7)
    assert interval.low == interval.high == pytest.approx(0.1)
    assert (p_value([0.3] * 5, 0.3), p_value([0.3] * 5, 0.0)) == (1.0, 0.0)
    assert (more_repeats([0.3] * 5, 0.0), more_repeats([0.0] * 5, 0.0)) == (0, None)


def test_a_paired_comparison_takes_what_pairs_share_away() -> None:
    """Repeats differ by seconds, arms by a little in each: the difference is clear."""
    first, second = [1.0, 5.0, 9.0, 3.0], [1.5, 5.4, 9.6, 3.5]
    found = paired(first, second)
    assert found.interval.mean == pytest.approx(-0.5)
    assert found.interval.high is not None and found.interval.high < -0.3
    assert found.p is not None and found.p < 0.01
    assert found.more == 0


def test_p_agrees_with_the_interval() -> None:
    """Below 0.05 exactly where the interval does not hold 0."""
    rng = random.Random(1)
    for _ in range(200):
        values = [rng.gauss(0.8, 1.0) for _ in range(rng.randint(3, 9))]
        interval = mean_interval(values)
        assert interval.low is not None and interval.high is not None
        assert (p_value(values) < 0.05) == (not interval.low <= 0 <= interval.high)


def test_how_many_more_repeats_would_settle_it() -> None:
    """With so many more of the same mean and spread, the interval no longer holds 0; with one fewer it does."""
    values = [-1.0, 0.5, -1.5, 0.2]
    more = more_repeats(values)
    assert more is not None and more > 0
    spread = (sum((v + 0.45) ** 2 for v in values) / 3) ** 0.5

    def high(n: int) -> float:
        alike = [-0.45 + (spread * ((n - 1) / n) ** 0.5 if i % 2 else -spread * ((n - 1) / n) ** 0.5) for i in range(n)]
        found = mean_interval(alike).high
        assert found is not None
        return found

    even = len(values) + more + (len(values) + more) % 2
    assert high(even) < 0 < high(even - 2 if even - 2 > 3 else 3)
    assert more_repeats([0.001, -0.001, 0.5, -0.5]) is None


def test_holm_by_hand() -> None:
    """0.01 of 4 passes 0.0125, 0.015 passes 0.0167, 0.03 fails 0.025 and stops the rest."""
    assert holm([0.03, 0.01, 0.04, 0.015]) == [False, True, False, True]
    assert holm([0.04]) == [True]
    assert holm([]) == []


def test_holm_keeps_twenty_equal_comparisons_quiet() -> None:
    """Uncorrected, 64 % of runs would colour something."""
    rng = random.Random(2)
    runs = [[rng.random() for _ in range(20)] for _ in range(2000)]
    assert sum(any(holm(run)) for run in runs) / len(runs) < 0.065


def test_quantiles_need_repeats() -> None:
    """repeats >= 3 / (1 - q): 60 for the p95, 300 for the p99."""
    assert [supports(0.95, n) for n in (59, 60)] == [False, True]
    assert [supports(0.99, n) for n in (299, 300)] == [False, True]
    assert not supports(1.0, 10**9)


def test_a_noise_floor_needs_an_aa_run() -> None:
    """Without pairs of equals there is none to show."""
    assert noise_floor([]) is None
    assert noise_floor([0.1, -0.1]) is None
    assert noise_floor([0.2, -0.1, 0.1, -0.2]) == pytest.approx(3.182 * 0.18257 / 2, abs=1e-3)


@pytest.mark.parametrize("n", [3, 4, 8, 20])
@pytest.mark.parametrize("shape", ["normal", "uniform"])
def test_students_interval_covers(n: int, shape: str) -> None:
    """Of trial means the true mean lies inside in about 95 %, at every number of repeats."""
    rng = random.Random(f"{n}/{shape}")

    def draw() -> float:
        return rng.gauss(0, 1) if shape == "normal" else rng.random() - 0.5

    inside = 0
    for _ in range(2000):
        interval = mean_interval([draw() for _ in range(n)])
        assert interval.low is not None and interval.high is not None
        inside += interval.low <= 0 <= interval.high
    assert 0.925 <= inside / 2000 <= 0.975


def test_the_bootstrap_is_studentised_and_needs_eight() -> None:
    """None below 8 trials; from there it covers the mean of skewed figures about as often as it says."""
    assert bootstrap_interval([1.0, 2, 3, 4, 5, 6, 7]).low is None
    assert bootstrap_interval([2.0] * 8).low == 2.0
    rng = random.Random(3)
    inside = 0
    for seed in range(500):
        interval = bootstrap_interval([rng.expovariate(1) for _ in range(8)], seed=seed, draws=1000)
        assert interval.low is not None and interval.high is not None
        inside += interval.low <= 1 <= interval.high
    assert inside / 500 >= 0.92
    values = [1.0, 4, 2, 8, 5, 7, 1, 9]
    assert bootstrap_interval(values) == bootstrap_interval(values)


def trial_mean(phase: float, own: random.Random, crashes: int) -> float:
    """A trial of the DNS arm: staggered crashes cover the TTL of 5 s from a phase that the arms share."""
    return sum(own.uniform(1, 2) + 5 * ((phase + i / crashes) % 1) for i in range(crashes)) / crashes


@pytest.mark.parametrize("crashes", [1, 4])
@pytest.mark.parametrize("n", [4, 8])
def test_equals_are_called_different_in_at_most_seven_percent(n: int, crashes: int) -> None:
    """Simulated A/A pairs through the judge's own comparison and words: "faster" of either arm in at most 7 %."""
    runs, false, rng = 2000, 0, random.Random(f"{n}/{crashes}")
    for _ in range(runs):
        arms: dict[str, list[TrialResult]] = {"a": [], "b": []}
        for repeat in range(n):
            phase = rng.random()
            for arm, trials in arms.items():
                # With one crash a trial each arm meets a phase of its own: nothing is shared, the hardest case.
                value = trial_mean(phase if crashes > 1 else rng.random(), rng, crashes)
                trials.append(TrialResult(0, arm, repeat, "yes", means={dead_but_listed_s.name: value}))
        comparison = compare(dead_but_listed_s, "a", "b", arms)
        correct([comparison])
        false += "faster" in comparison.words
    assert false / runs <= 0.07


def test_a_true_difference_is_found() -> None:
    """DNS (TTL 5 s) against a session of 2 s with four staggered crashes: at 4 repeats it is seen nearly always."""
    found = 0
    for run in range(200):
        rng = random.Random(run)
        dns = [trial_mean(rng.random(), rng, 4) for _ in range(4)]
        zookeeper = [sum(rng.uniform(1.4, 2.5) for _ in range(4)) / 4 for _ in range(4)]
        high = paired(zookeeper, dns).interval.high
        found += high is not None and high < 0
    assert found >= 195


def test_more_pairs_make_it_narrower() -> None:
    """On the whole, as one would expect of an interval."""
    rng = random.Random(5)
    values = [rng.gauss(0, 1) for _ in range(400)]
    widths = []
    for n in (5, 20, 80, 400):
        interval = mean_interval(values[:n])
        assert interval.low is not None and interval.high is not None
        widths.append(interval.high - interval.low)
    assert all(wide > narrow for wide, narrow in pairwise(widths))
