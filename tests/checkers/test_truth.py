"""Who was alive when, and which changes there were."""

from __future__ import annotations

from lab.checkers.truth import Interval, truth_of
from lab.history import History
from lab.testing import Tale, ns


def told(tale: Tale) -> list[tuple[str, str, float, float, str]]:
    """(key, kind, instant, end of window, what closed it) of every change."""
    start = ns(0)
    return [
        (c.key, c.kind, round((c.instant_ns - start) / 1e9, 6), round((c.until_ns - start) / 1e9, 6), c.closed_by)
        for c in truth_of(tale.history()).changes
    ]


def test_nothing_is_known_of_an_empty_history() -> None:
    """No plan, no nodes, no changes; and no crash."""
    truth = truth_of(History([]))
    assert (truth.backends, truth.changes, truth.phases, truth.end_ns) == (frozenset(), (), [], 0)


def test_a_crash_and_its_return() -> None:
    """Dead from the strike's interval to the first request it can serve; watched until it is being healed."""
    tale = Tale().strike("crash", "backend2", 6.0, width_s=0.01)
    tale.heal("backend2", 20.0, width_s=0.2).up("backend2", 20.3)
    assert told(tale) == [
        ("1:backend2", "crash", 6.0, 19.9, "return"),
        ("return:backend2", "return", 20.3, 30.0, "end"),
    ]
    life = truth_of(tale.history()).lives["backend2"]
    assert life.deaths == [(Interval(ns(5.995), ns(6.005)), Interval(ns(20.3), ns(20.3)))]
    assert [life.dead_at(ns(t)) for t in (5.99, 6.0, 6.01, 20.29, 20.31)] == [False, False, True, True, False]
    assert [life.serving_at(ns(t)) for t in (5.99, 6.0, 6.01, 20.29, 20.31)] == [True, False, False, False, True]


def test_a_graceful_stop_is_dated_by_its_own_last_word() -> None:
    """The strike's interval is as wide as the drain; instance.down lies inside it and is exact."""
    tale = Tale().strike("graceful_stop", "backend2", 9.0, width_s=6.0).leaving("backend2", 6.1).down("backend2", 11.9)
    assert told(tale) == [
        ("leaving:backend2", "leaving", 6.1, 30.0, "end"),
        ("1:backend2", "graceful_stop", 11.9, 30.0, "end"),
    ]
    life = truth_of(tale.history()).lives["backend2"]
    assert [life.serving_at(ns(t)) for t in (6.0, 6.2, 12.0)] == [True, False, False]
    assert [life.dead_at(ns(t)) for t in (6.0, 6.2, 12.0)] == [False, False, True]


def test_a_graceful_restart_is_a_goodbye_an_end_and_a_return() -> None:
    """The strike leaves it alive; its own words tell the rest."""
    tale = Tale().strike("restart", "backend2", 8.0, width_s=4.0, leaves="alive")
    tale.leaving("backend2", 6.1).down("backend2", 9.9).up("backend2", 10.2)
    assert told(tale) == [
        ("leaving:backend2", "leaving", 6.1, 10.2, "return"),
        ("1:backend2", "restart", 9.9, 10.2, "return"),
        ("return:backend2", "return", 10.2, 30.0, "end"),
    ]


def test_a_restart_by_sigkill_has_no_last_word() -> None:
    """It was alive and comes up again, so the strike's own interval dates its death."""
    tale = Tale().strike("restart", "backend2", 6.0, width_s=0.01, leaves="alive").up("backend2", 6.4)
    assert told(tale) == [
        ("1:backend2", "restart", 6.0, 6.4, "return"),
        ("return:backend2", "return", 6.4, 30.0, "end"),
    ]


def test_a_spare_that_is_started_only_returns() -> None:
    """It was not alive, so nothing died; and its end at heal is the lab's own tidying, not a change."""
    tale = Tale(spare=1).strike("start", "backend4", 6.0, leaves="alive").up("backend4", 6.3, 1)
    tale.leaving("backend4", 20.1).down("backend4", 20.2)
    assert told(tale) == [("return:backend4", "return", 6.3, 20.1, "removal")]
    life = truth_of(tale.history()).lives["backend4"]
    assert [life.dead_at(ns(t)) for t in (1, 6.2, 6.4, 20.3)] == [True, True, False, True]


def test_a_pause_returns_at_its_healing() -> None:
    """No instance comes up: the healing's interval is the return."""
    tale = Tale().strike("pause", "backend2", 6.0).heal("backend2", 9.0, width_s=0.02)
    assert told(tale)[1] == ("return:backend2", "return", 9.0, 30.0, "end")


def test_a_second_change_of_a_kind_gets_a_number() -> None:
    """Keys are unique within a trial."""
    tale = Tale().strike("pause", "backend2", 6.0).heal("backend2", 7.0)
    tale.strike("pause", "backend2", 8.0).heal("backend2", 9.0)
    assert [change[0] for change in told(tale)] == ["1:backend2", "return:backend2", "2:backend2", "return:backend2#2"]
    assert told(tale)[1][3:] == (8.0, "removal")


def test_an_end_without_a_strike_is_a_change_too() -> None:
    """An instance that exits by itself is dead, whoever is to blame."""
    assert told(Tale().down("backend3", 8.0)) == [("down:backend3", "down", 8.0, 30.0, "end")]


def test_what_happened_before_the_baseline_does_not_count() -> None:
    """A reset between trials leaves words of its own; who is expected is alive when the baseline begins."""
    tale = Tale().down("backend2", -0.5).up("backend2", -0.2)
    assert told(tale) == []
    assert truth_of(tale.history()).serving(ns(1)) == {"backend1", "backend2", "backend3", "backend4"}


def test_a_name_server_is_alive_until_it_is_struck() -> None:
    """Its end is a change that may do harm, but it is no instance."""
    truth = truth_of(Tale().strike("crash", "ns1", 6.0).history())
    assert [change.key for change in truth.changes] == ["1:ns1"]
    assert "ns1" not in truth.backends
    assert truth.bound(truth.changes[0]) == {}  # what a crash is promised to cost is an instance's
