"""Where a client's wrong time went."""

from __future__ import annotations

import pytest

from lab.checkers import staleness
from lab.testing import DNS_BOUND, Tale

ZOOKEEPER = {
    "low_s": 1.3,
    "high_s": 2.9,
    "phases": [
        {"name": "detection", "low_s": 1.3, "high_s": 2.8, "moved_by": "session_timeout_s (2)"},
        {"name": "propagation", "low_s": 0.0, "high_s": 0.1, "moved_by": ""},
    ],
}


def phases(tale: Tale) -> dict[str, float]:
    (sample,) = staleness.check(tale.history()).samples
    assert not sample.phases or sum(sample.phases.values()) == pytest.approx(sample.value)
    return {name: round(value, 6) for name, value in sample.phases.items()}


def crashed(**bounds: object) -> Tale:
    tale = Tale(clients=1, bounds=bounds or {"crash": DNS_BOUND})
    return tale.strike("crash", "backend2", 6.0)


def test_zookeeper_detects_and_publishes_in_one_step() -> None:
    """Detection ends at the first server that shows it; the rest is propagation; there is no publication."""
    tale = crashed(crash=ZOOKEEPER).view(1, 8.012, removed=["backend2"])
    tale.registry("published", "backend2", 8.003, server="zookeeper2")
    tale.registry("published", "backend2", 8.001, server="zookeeper1")
    assert phases(tale) == {"detection": 2.001, "propagation": 0.011}


def test_a_milestone_that_comes_early_counts_as_the_one_before() -> None:
    """Each is max(previous, own): what was propagated before it was said to be published took no time there."""
    tale = crashed().view(1, 10.0, removed=["backend2"]).registry("detected", "backend2", 7.0)
    tale.registry("published", "backend2", 7.2).registry("propagated", "backend2", 7.1)
    assert phases(tale) == {"detection": 1.0, "publication": 0.2, "propagation": 0.0, "client cache": 2.8}


def test_a_client_that_was_quicker_than_the_secondary() -> None:
    """It asked the primary: no phase reaches beyond its own end, so the parts still add up."""
    tale = crashed().view(1, 7.3, removed=["backend2"]).registry("detected", "backend2", 7.0)
    tale.registry("published", "backend2", 7.2).registry("propagated", "backend2", 9.0)
    assert phases(tale) == {"detection": 1.0, "publication": 0.2, "propagation": 0.1, "client cache": 0.0}


def test_a_missing_milestone_leaves_the_sample_whole() -> None:
    """The client is right although nobody published: nobody can say where the time went."""
    tale = crashed().view(1, 10.0, removed=["backend2"]).registry("detected", "backend2", 7.0)
    assert phases(tale) == {}


def test_a_censored_sample_is_stuck_where_its_milestone_never_came() -> None:
    """Detected and never published: the rest of the time is publication."""
    tale = crashed().registry("detected", "backend2", 7.0).registry("published", "backend3", 8.0)
    assert phases(tale) == {"detection": 1.0, "publication": 23.0, "propagation": 0.0, "client cache": 0.0}


def test_a_goodbye_may_be_published_before_the_end_it_announces() -> None:
    """Milestones are looked for from the goodbye on, and none counts as later than the end itself."""
    tale = Tale(clients=1, bounds={"graceful_stop": DNS_BOUND}).strike("graceful_stop", "backend2", 9.0, width_s=6.0)
    tale.leaving("backend2", 6.1).down("backend2", 11.0).view(1, 13.0, removed=["backend2"])
    for step, at_s in (("detected", 7.0), ("published", 7.1), ("propagated", 7.2)):
        tale.registry(step, "backend2", at_s)
    leaving, dead = staleness.check(tale.history()).samples
    assert {name: round(value, 6) for name, value in leaving.phases.items()} == {
        "detection": 0.9,
        "publication": 0.1,
        "propagation": 0.1,
        "client cache": 5.8,
    }
    assert dead.phases == {"detection": 0.0, "publication": 0.0, "propagation": 0.0, "client cache": 2.0}


def test_a_return_has_its_own_milestones() -> None:
    """What was published on the way out does not count on the way back."""
    tale = Tale(clients=1, bounds={"return": ZOOKEEPER}).strike("crash", "backend2", 6.0)
    tale.registry("published", "backend2", 8.0).view(1, 8.1, removed=["backend2"])
    tale.heal("backend2", 20.0).up("backend2", 20.5)
    tale.registry("published", "backend2", 20.9, present=True).view(1, 21.0, added=["backend2"])
    back = staleness.check(tale.history()).samples[1]
    assert {name: round(value, 6) for name, value in back.phases.items()} == {"detection": 0.4, "propagation": 0.1}
