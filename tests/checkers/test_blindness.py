"""When the lab itself could not see."""

from __future__ import annotations

import pytest

from lab.checkers.blindness import blind_s, lateness_of, lateness_p99_ms, stalls_of
from lab.testing import Tale, ns


def test_the_p99_of_lateness_is_an_upper_edge_of_its_bucket() -> None:
    """Bucket i is below 0.1 ms * 2**(i / 2); of no ticks nothing is said."""
    assert lateness_p99_ms([0] * 25) is None
    assert lateness_p99_ms([100] + [0] * 24) == pytest.approx(0.1)
    assert lateness_p99_ms([98, 0, 0, 0, 2] + [0] * 20) == pytest.approx(0.4)
    assert lateness_p99_ms([99, 0, 0, 0, 1] + [0] * 20) == pytest.approx(0.1)
    assert lateness_p99_ms([0] * 24 + [1]) == pytest.approx(409.6)


def test_agents_are_counted_together_and_clients_apart() -> None:
    """A hundred quiet agents must not hide a load generator that lags."""
    late = lateness_of(Tale(instances=4).history(), ns(0), ns(10))
    assert {writer: sum(buckets) for writer, buckets in late.items()} == {"agent": 5 * 10 * 100, "clients": 10 * 100}


def test_stalls_count_in_full_where_they_overlap() -> None:
    """A tenth of a second inside is a whole stall's doubt."""
    stalls = stalls_of(Tale().stall("clients", 5.0, 6.0).stall("agent/backend1", 8.0, 8.5).history())
    assert blind_s(stalls, frozenset({"clients", "agent/backend1"}), ns(5.9), ns(8.1)) == 1.5
    assert blind_s(stalls, frozenset({"clients"}), ns(6.0), ns(8.1)) == 0.0
