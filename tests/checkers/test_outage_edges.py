"""Outages at the edges of strikes: failures just before one, one that falls into another's outage, what never ended."""

from __future__ import annotations

import pytest

from lab.checkers import outage
from lab.testing_writes import WritesTale
from lab.verdict import Sample

S2 = pytest.approx


def outages(tale: WritesTale) -> dict[str, Sample]:
    return {s.change: s for s in outage.check(tale.history()).samples if s.measure == "outage_s"}


FIRST, SECOND = "1:postgres1@multi_host", "2:postgres2@multi_host"


@pytest.mark.parametrize("between_s", [0.0, 0.05])
def test_a_failure_just_before_the_strike_hides_no_outage(between_s: float) -> None:
    """A write that had failed before it, with fewer than ten in time between, or none at all: the strike's own
    outage begins with the first write due after it."""
    tale = WritesTale()
    tale.fail(5.98 - between_s, 6.0 - between_s, outcome="fail", took_s=0.001)
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2)
    found = outages(tale)[FIRST]
    assert (found.value, found.censored) == (S2(7.207 - 6.005), False)
    figures = outage.check(tale.history()).figures
    assert (figures["outages_before_strikes"], figures["outages"]) == (1, 1)


def test_a_failure_after_the_heal_hides_nothing_of_the_next_strike() -> None:
    """A crash that has long healed, a hiccup, and five writes later the power loss of the new leader."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.0).heal("postgres1", 9.0)
    tale.fail(11.93, 11.95, outcome="fail", took_s=0.001)
    tale.strike("power_loss", "postgres2", 12.0).fail(12.0, 14.0).heal("postgres2", 20.0)
    found = outages(tale)
    assert (found[FIRST].value, found[SECOND].value) == (S2(7.007 - 6.005), S2(14.007 - 12.005))


def test_who_had_just_come_back_is_struck_anew() -> None:
    """Five writes in time between: the first outage ended with them, and the second strike has its own."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.95)
    tale.strike("power_loss", "postgres2", 8.0).fail(8.0, 10.0)
    found = outages(tale)
    assert (found[FIRST].value, found[SECOND].value) == (S2(7.957 - 6.005), S2(10.007 - 8.005))
    unavailable = [s.value for s in outage.check(tale.history()).samples if s.measure == "unavailable_s"]
    assert unavailable == [S2(7.957 - 6.005), S2(10.007 - 8.005)]


def test_a_strike_that_fell_into_an_outage_is_not_one_without_an_outage() -> None:
    """Nobody could write when it came: that it made no outage of its own says nothing, so there is no sample."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 9.0)
    tale.strike("power_loss", "postgres2", 8.0)
    found = outages(tale)
    assert list(found) == [FIRST]
    assert found[FIRST].value == S2(9.007 - 6.005)
    relapsed = outages(tale.fail(10.0, 11.0))
    assert relapsed[SECOND].value == S2(11.007 - 10.005)


def test_the_longest_is_not_known_where_another_never_ended() -> None:
    """It lasted at least as long as the longest that was seen, not as long as what was seen of the last one."""
    tale = WritesTale()
    tale.strike("partition", "postgres1", 6.0, leaves="alive").fail(6.0, 11.0).fail(28.0, 31.0)
    found = outages(tale)[FIRST]
    assert (found.value, found.censored) == (S2(11.007 - 6.005), False)  # begun after the heal: not the strike's
    tale.phases["heal"] = 28.5
    found = outages(tale)[FIRST]
    assert (found.value, found.censored) == (S2(11.007 - 6.005), True)


def test_a_route_that_came_back_with_the_heal_only_says_so() -> None:
    """Another one had been promoted long before; these clients stayed with the old one until it went on."""
    tale = WritesTale()
    tale.strike("pause", "postgres1", 6.0, leaves="alive").fail(6.0, 20.3)
    tale.failover("detected", 6.6, node="postgres1").promote("postgres2", 7.0, serves=False)
    tale.heal("postgres1", 20.0)
    (made,) = outage.waterfalls(tale.history())
    assert (made.kind, made.served_after) == ("failover", "postgres1")
    steps = [(step.name, round(step.lasts_s, 3)) for step in made.steps]
    assert steps == [
        ("detection", 0.595),
        ("promotion", 0.4),
        ("writable", 0.0),
        ("until healed", 13.0),
        ("client", 0.307),
    ]


def test_a_heal_that_took_a_while_ended_it_too() -> None:
    """Clients were let go of while it was going on, before it was over."""
    tale = WritesTale()
    tale.strike("crash_manager", "postgres1", 6.0, leaves="alive").fail(6.0, 20.3)
    tale.failover("detected", 6.6, node="postgres1").promote("postgres2", 7.0)
    tale.heal("postgres1", 20.4, width_s=0.8)
    (made,) = outage.waterfalls(tale.history())
    assert [step.name for step in made.steps] == ["detection", "promotion", "writable", "until healed", "client"]
    assert made.steps[-2].lasts_s + made.steps[-1].lasts_s == S2(20.307 - 7.0)


def test_patroni_promotes_without_waiting_for_standbys() -> None:
    """In sync, too: it is writable at once, and what it waits for comes later."""
    sync = {"replication": "sync", "sync_standbys": 1}
    for settings, step_s in (({"postgres": sync}, 1.0), ({"postgres": sync, "patroni": {"ttl_s": 20}}, 0.0)):
        tale = WritesTale(settings=settings)
        tale.strike("crash", "postgres1", 6.0).fail(6.0, 9.0)
        tale.promote("postgres2", 7.0).state("postgres2", 8.0, "primary", 2, sync=1)
        (made,) = outage.waterfalls(tale.history())
        assert {step.name: step.lasts_s for step in made.steps}["writable"] == S2(step_s)


def test_a_write_may_be_acknowledged_before_the_promotion_has_been_seen() -> None:
    """The look that finds the new primary takes its time; the write that came between is of a failover all the same."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.0)
    tale.failover("detected", 6.6, node="postgres1").promote("postgres2", 7.01, width_s=0.04)
    (made,) = outage.waterfalls(tale.history())
    assert (made.kind, made.outage_s) == ("failover", S2(7.007 - 6.005))
    assert [step.name for step in made.steps] == ["detection", "promotion", "writable", "client"]


def test_nor_need_a_restart_in_place_have_been_seen() -> None:
    """The same for a server that was started again."""
    tale = WritesTale()
    tale.strike("crash_postmaster", "postgres1", 6.0).fail(6.0, 7.0)
    tale.state("postgres1", 6.01, "down").state("postgres1", 7.01, "primary", width_s=0.04)
    (made,) = outage.waterfalls(tale.history())
    assert made.kind == "restart in place"
    assert [step.name for step in made.steps] == ["restart in place", "client"]
