"""Choosing an instance follows RFC 2782, with numbers from a key."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from scipy import stats

from lab.inside.pick import Instance, RandomRule, SrvRule

DRAWS = 20_000


def instances(*weights: int, priority: int = 0) -> list[Instance]:
    """backend1.. with these weights."""
    return [Instance(f"backend{n}", "10.0.0.1", 8080, priority, weight) for n, weight in enumerate(weights, 1)]


def drawn(rule: SrvRule | RandomRule, key: str) -> Counter[str]:
    """How often each node was chosen."""
    rng = Random(key)
    return Counter(rule.choose(rng).node for _ in range(DRAWS))


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((1, 1, 1, 1, 1, 1, 1, 1), [1 / 8] * 8),
        # The RFC's number runs from 0 to the sum, inclusive: of 61 numbers, 0 goes to whichever record stands first.
        ((10, 20, 30), [(w + 1 / 3) / 61 for w in (10, 20, 30)]),
        ((0, 20, 30), [1 / 51, 20 / 51, 30 / 51]),
        ((0, 0, 10), [1 / 22, 1 / 22, 10 / 11]),
        ((0, 0, 0), [1 / 3] * 3),
    ],
)
def test_weights_decide_as_the_rfc_says(weights: tuple[int, ...], shares: list[float]) -> None:
    """Chi-square against the RFC's probabilities does not reject at 0.1 % (the key is fixed: no flake)."""
    counts = drawn(SrvRule(instances(*weights)), f"7/pick/{weights}")
    seen = [counts[f"backend{n}"] for n in range(1, len(weights) + 1)]
    assert stats.chisquare(seen, [DRAWS * share for share in shares]).pvalue > 0.001


def test_the_same_test_would_notice_a_favoured_first_record() -> None:
    """The naive rule (number 0 always picks the first of a fixed order) is rejected by the same chi-square."""
    first = [2 / 9] + [1 / 9] * 7
    counts = drawn(SrvRule(instances(*[1] * 8)), "7/pick/naive")
    seen = [counts[f"backend{n}"] for n in range(1, 9)]
    assert stats.chisquare(seen, [DRAWS * share for share in first]).pvalue < 1e-6


def test_a_higher_number_is_a_lower_priority_and_is_not_used() -> None:
    """Only the lowest priority is chosen from while it is there."""
    reserve = [Instance("reserve", "10.0.0.2", 8080, 10, 1000)]
    assert "reserve" not in drawn(SrvRule(instances(1, 0) + reserve), "7/pick/priority")


def test_random_ignores_weights() -> None:
    """Every instance alike."""
    counts = drawn(RandomRule(instances(1, 1000)), "7/pick/random")
    assert stats.chisquare([counts["backend1"], counts["backend2"]]).pvalue > 0.001


def test_the_same_key_chooses_the_same() -> None:
    """A run is repeated by its seed."""
    rule = SrvRule(instances(3, 4, 5))
    first, second = Random("7/pick/1/1"), Random("7/pick/1/1")
    assert [rule.choose(first) for _ in range(50)] == [rule.choose(second) for _ in range(50)]
