"""What should not happen, and in how much watching it did not."""

from __future__ import annotations

import pytest

from lab.checkers import quiet
from lab.history import History
from lab.testing import Tale
from lab.verdict import Sample, Valid, Verdict


def figures(exposure_s: float, watched_s: float, views: int = 0, registry: int = 0) -> dict[str, object]:
    return {
        "exposure_client_s": exposure_s,
        "watched_client_s": watched_s,
        "false_removals_from_views": views,
        "false_removals_from_registry": registry,
    }


def found(tale: Tale) -> dict[str, float]:
    return {sample.measure: round(sample.value, 6) for sample in quiet.check(tale.history()).samples}


def test_zero_exposure_never_passes() -> None:
    """No history, or no client with a view: zero findings in zero client-seconds is unknown."""
    nothing = ("zero client-seconds were watched: a claim about nothing",)
    assert quiet.check(History([])) == Verdict("quiet", Valid.UNKNOWN, nothing, (), figures(0.0, 0.0))
    assert quiet.check(Tale(first_views=False).history()).valid is Valid.UNKNOWN


def test_zero_findings_over_client_seconds_pass() -> None:
    """Two clients, each with a view from 0.1 s to 30 s, and nothing wrong."""
    samples = (Sample("false_removals", "", 0.0), Sample("wrong_view_s", "", 0.0))
    assert quiet.check(Tale().history()) == Verdict("quiet", Valid.YES, (), samples, figures(59.8, 59.8))


def test_a_living_node_that_leaves_a_view_is_found_twice() -> None:
    """Once as a removal, and for as long as the view was wrong."""
    history = Tale().view(1, 10.0, removed=["backend3"]).view(1, 12.5, added=["backend3"]).history()
    ref = (next(event.ref for event in history.of("view") if event.fields["removed"]),)
    assert quiet.check(history) == Verdict(
        "quiet",
        Valid.NO,
        (
            "0 removals of the living from the registry, 1 from views of clients",
            "2.500 client-seconds of wrong views in 59.8 quiet client-seconds",
        ),
        (Sample("false_removals", "", 1.0, evidence=ref), Sample("wrong_view_s", "", 2.5, evidence=ref)),
        figures(59.8, 59.8, views=1),
    )


def test_a_registry_with_three_servers_removes_once() -> None:
    """All of them show the same removal; another one later is another."""
    tale = Tale()
    for at_s in (10.0, 15.0):
        for server in ("zookeeper1", "zookeeper2", "zookeeper3"):
            tale.registry("published", "backend3", at_s, server=server, incarnation=1)
            tale.registry("published", "backend3", at_s + 1, present=True, server=server, incarnation=1)
    assert found(tale) == {"false_removals": 2.0, "wrong_view_s": 0.0}


def test_the_old_incarnations_end_removes_nobody() -> None:
    """After a fast restart the old session expires while the new one is there: the node never left."""
    tale = Tale().strike("restart", "backend2", 6.0, leaves="alive").up("backend2", 6.4)
    tale.registry("published", "backend2", 6.6, present=True, server="zookeeper1", incarnation=2)
    tale.registry("published", "backend2", 8.0, server="zookeeper1", incarnation=1)
    assert found(tale)["false_removals"] == 0.0


def test_the_dead_and_the_leaving_may_be_removed() -> None:
    """That is what a registry is for."""
    tale = Tale().strike("crash", "backend2", 6.0).registry("published", "backend2", 8.0)
    tale.everybody(9.0, removed=["backend2"])
    tale.strike("graceful_stop", "backend3", 14.0, width_s=6.0).leaving("backend3", 11.1).down("backend3", 16.9)
    tale.registry("published", "backend3", 11.2).everybody(12.0, removed=["backend3"])
    assert found(tale) == {"false_removals": 0.0, "wrong_view_s": 0.0}


def test_one_that_returned_is_alive_again() -> None:
    """A removal that comes after the return removes the living."""
    tale = Tale(clients=1).strike("pause", "backend2", 6.0).heal("backend2", 7.0)
    tale.view(1, 7.5, removed=["backend2"]).view(1, 8.0, added=["backend2"])
    assert found(tale)["false_removals"] == 1.0


def test_windows_of_changes_are_not_quiet_but_end_with_their_bound() -> None:
    """Wrong within 1.25 x the bound of 8.4 s is staleness; wrong after that is wrong in quiet times, too."""
    verdict = quiet.check(Tale(clients=1).strike("crash", "backend2", 6.0).history())
    values = {sample.measure: sample.value for sample in verdict.samples}
    assert values["wrong_view_s"] == pytest.approx(30.0 - 6.0 - 10.5)
    assert verdict.figures["exposure_client_s"] == pytest.approx(29.9 - 10.5)


def test_without_a_bound_the_whole_window_is_not_quiet() -> None:
    """Nobody said when it has to be over."""
    assert found(Tale(clients=1, bounds={}).strike("crash", "backend2", 6.0))["wrong_view_s"] == 0.0


def test_a_client_that_was_wrong_from_the_start_is_wrong_in_quiet_times() -> None:
    """Staleness excludes it; here it counts."""
    assert found(Tale(clients=1).view(1, 3.0, removed=["backend4"]))["wrong_view_s"] == 27.0


def test_a_stranger_in_a_view_is_wrong() -> None:
    """A node that does not exist, or a spare that was not started, serves nobody."""
    assert found(Tale(clients=1).view(1, 20.0, added=["backend9"]))["wrong_view_s"] == 10.0
    assert found(Tale(clients=1, spare=1).view(1, 20.0, added=["backend4"]))["wrong_view_s"] == 10.0


def test_complement_of_overlapping_windows() -> None:
    """What no window covers."""
    assert quiet.complement([(2, 5), (3, 4), (8, 20)], 0, 10) == [(0, 2), (5, 8)]
    assert quiet.complement([], 0, 10) == [(0, 10)]
    assert quiet.complement([(0, 10)], 0, 10) == []
