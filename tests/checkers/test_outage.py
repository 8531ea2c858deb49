"""How long nobody could write, and where that time went."""

from __future__ import annotations

import random

import pytest

from lab.checkers import outage
from lab.history import History
from lab.result import Waterfall
from lab.testing_writes import WritesTale
from lab.verdict import Sample, Valid
from tests.made_writes import crashed

S2 = pytest.approx


def samples(tale: WritesTale) -> dict[tuple[str, str], Sample]:
    return {(s.measure, s.change): s for s in outage.check(tale.history()).samples}


def fall(tale: WritesTale, index: int = 0) -> Waterfall:
    return outage.waterfalls(tale.history())[index]


OUTAGE, UNAVAILABLE = ("outage_s", "1:postgres1@multi_host"), ("unavailable_s", "1:postgres1@multi_host")


def test_nothing_struck_and_nothing_written_are_unknown() -> None:
    """A claim about nothing."""
    assert outage.check(History([])).valid is Valid.UNKNOWN
    assert outage.check(WritesTale().history()).reasons == ("nothing was struck: there is no outage to measure",)
    silent = crashed()
    verdict = outage.check(silent.without(lambda *line: line[1] == "write"))
    assert verdict.reasons == ("no write was due while a strike held: nobody to miss it",)


def test_an_outage_runs_from_the_first_failure_to_the_first_acknowledged_write() -> None:
    """Due at 6.005, back at 7.205 + 2 ms; the resolution is one over the rate."""
    found = samples(crashed())[OUTAGE]
    assert found.value == S2(7.205 + 0.002 - 6.005)
    assert (found.route, found.censored, found.width_s) == ("multi_host", False, S2(0.01))
    assert samples(crashed())[UNAVAILABLE].value == S2(found.value)
    assert found.evidence[0][0] == "lab"


def test_no_outage_is_zero_and_has_no_first_failure() -> None:
    """A value all the same: somebody wrote all the time."""
    tale = WritesTale()
    tale.strike("crash_manager", "postgres1", 6.0)
    effective = next(tale.history().of("fault.effective")).ref
    assert samples(tale)[OUTAGE] == Sample("outage_s", OUTAGE[1], 0.0, evidence=(effective,), route="multi_host")
    made = fall(tale)
    assert (made.first_failure_s, made.outage_s, made.steps, made.kind) == (None, 0.0, [], "no failover")
    assert (made.served_before, made.served_after) == ("postgres1", "postgres1")


def test_a_write_that_hung_and_came_late_was_unavailable() -> None:
    """Acknowledged, but not within its deadline of its intended start."""
    tale = WritesTale()
    tale.strike("pause", "postgres1", 6.0).hang(6.0, 8.0, done_s=8.0)
    # 6.005 to 6.995 came too late; what was due from 7.005 on was in time.
    assert samples(tale)[OUTAGE].value == S2(8.0 - 6.005)


def test_nine_acknowledged_writes_do_not_end_an_outage_and_ten_do() -> None:
    """Back for nine writes, gone for one, back for good."""
    nine = WritesTale()
    nine.strike("crash", "postgres1", 6.0).fail(6.0, 7.0).fail(7.09, 7.1)
    assert samples(nine)[OUTAGE].value == S2(7.107 - 6.005)
    assert samples(nine)[UNAVAILABLE].value == S2((7.007 - 6.005) + (7.107 - 7.095))
    ten = WritesTale()
    ten.strike("crash", "postgres1", 6.0).fail(6.0, 7.0).fail(7.1, 7.11)
    assert samples(ten)[OUTAGE].value == S2(7.007 - 6.005)


def test_of_several_outages_the_longest_counts() -> None:
    """A first hiccup hides no outage."""
    tale = WritesTale()
    tale.strike("crash_manager", "postgres1", 6.0).fail(6.0, 6.05).fail(8.0, 10.0)
    found = samples(tale)
    assert found[OUTAGE].value == S2(10.007 - 8.005)
    assert found[UNAVAILABLE].value == S2((10.007 - 8.005) + (6.057 - 6.005))


def test_what_begins_after_the_heal_is_not_the_strikes() -> None:
    """It is counted apart."""
    tale = WritesTale()
    tale.strike("crash_manager", "postgres1", 6.0).heal("postgres1", 20.0).fail(20.5, 22.0)
    assert samples(tale)[OUTAGE].value == 0.0
    assert outage.check(tale.history()).figures["outages_after_heal"] == 1


def test_a_write_that_was_under_way_counts_from_the_strike() -> None:
    """Due before it, struck in flight: not before the strike."""
    tale = WritesTale(rate_per_s=1.0, deadline_s=1.0)
    tale.strike("crash", "postgres1", 6.2).fail(5.0, 6.1)
    (found,) = [s for s in outage.check(tale.history()).samples if s.measure == "outage_s"]
    # Due at 5.5, given up at 6.5; the next one was due at 6.5 and done at 6.502.
    assert found.value == S2(6.502 - 6.2)


def test_an_outage_that_never_ended_is_censored_and_stuck_where_its_milestone_is_missing() -> None:
    """At least until the load ended."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 31.0)
    tale.failover("detected", 6.6, node="postgres1")
    found = samples(tale)[OUTAGE]
    assert (found.value, found.censored) == (S2(30.0 - 6.005), True)
    assert list(found.phases) == ["detection", "promotion"]
    assert fall(tale).kind == "no failover"


def test_what_the_load_left_open_is_neither() -> None:
    """Due within the deadline of the end: nobody knows."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(29.5, 31.0)
    assert samples(tale)[OUTAGE].value == 0.0


def test_each_strike_has_its_outage() -> None:
    """Charged to the last strike before; one that fell into another's outage has none of its own."""
    tale = WritesTale()
    tale.strike("partition", "postgres2", 6.0, leaves="alive").strike("crash", "postgres1", 7.0)
    tale.fail(7.0, 8.0)
    found = samples(tale)
    assert found["outage_s", "1:postgres2@multi_host"].value == 0.0
    assert found["outage_s", "2:postgres1@multi_host"].value == S2(8.007 - 7.005)
    covered = WritesTale()
    covered.strike("crash", "postgres1", 6.0).strike("crash", "postgres2", 6.5).fail(6.0, 21.0)
    assert [key for key in samples(covered) if key[0] == "outage_s"] == [("outage_s", "1:postgres1@multi_host")]


def test_a_stall_of_the_clients_widens_what_they_measured() -> None:
    """By all of it."""
    tale = crashed()
    tale.stall("clients", 6.2, 6.3)
    assert samples(tale)[OUTAGE].width_s == S2(0.01 + 0.1)


# -- where it went -----------------------------------------------------------------------------------------------------


def test_the_steps_of_a_failover() -> None:
    """Each is what it took after the one before, beside what is promised for it."""
    made = fall(crashed())
    assert [(step.name, round(step.at_s, 3), round(step.lasts_s, 3)) for step in made.steps] == [
        ("detection", 0.6, 0.595),
        ("promotion", 0.8, 0.2),
        ("writable", 0.8, 0.0),
        ("client", 1.207, 0.407),
    ]
    assert (made.kind, made.served_before, made.served_after) == ("failover", "postgres1", "postgres2")
    assert (made.first_failure_s, made.struck_s, made.bound_high_s) == (S2(0.005), -0.001, 3.2)
    assert (made.steps[0].high_s, made.steps[0].moved_by) == (1.0, "check_interval_s (0.25)")


def test_routes_that_are_told_have_steps_of_their_own() -> None:
    """Published by the registrar, spread to the second name server or the watchers; a proxy's check publishes."""
    tale = crashed(routes=("dns", "zookeeper", "haproxy", "multi_host"), rate_per_s=400.0)
    tale.published("postgres2", 6.9).published("postgres2", 6.91, "zookeeper")
    tale.tell("registrar", "registry.propagated", 6.95, service="primary", node="postgres2", present=True, server="ns2")
    tale.learned("zookeeper", "postgres2", 6.92).proxied("postgres2", 7.0)
    names = [[step.name for step in made.steps[3:]] for made in outage.waterfalls(tale.history())]
    assert names == [
        ["publication", "propagation", "client"],
        ["publication", "propagation", "client"],
        ["publication", "client"],
        ["client"],
    ]
    dns, zookeeper = outage.waterfalls(tale.history())[:2]
    assert [round(step.at_s, 3) for step in dns.steps[3:5]] == [0.9, 0.95]
    assert [round(step.at_s, 3) for step in zookeeper.steps[3:5]] == [0.91, 0.92]


def test_a_missing_milestone_is_not_invented() -> None:
    """Its time falls into the next one that is known."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2)
    tale.promote("postgres2", 6.8)
    assert [(s.name, round(s.lasts_s, 3)) for s in fall(tale).steps] == [
        ("promotion", 0.795),
        ("writable", 0.0),
        ("client", 0.407),
    ]


def test_patronis_detection_is_the_end_of_the_lease() -> None:
    """Nobody else says that it was detected."""
    tale = WritesTale()
    tale.key("postgres1", -0.2)
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2)
    tale.key(None, 6.5)
    tale.key("postgres2", 6.6)
    tale.promote("postgres2", 6.8)
    assert next((s.name, round(s.at_s, 3)) for s in fall(tale).steps) == ("detection", 0.5)


def test_a_fence_is_a_step() -> None:
    """Between the decision and the promotion."""
    tale = crashed()
    tale.failover("fenced", 6.7, node="postgres1", how="stop")
    assert [step.name for step in fall(tale).steps] == ["detection", "fencing", "promotion", "writable", "client"]


def test_in_sync_a_primary_is_writable_when_enough_standbys_are_attached() -> None:
    """Or as many as the controller asks for by then."""
    sync = {"postgres": {"replication": "sync", "sync_standbys": 1}}
    tale = crashed(settings=sync)
    tale.state("postgres2", 7.0, "primary", 2, sync=1)
    assert [(s.name, round(s.at_s, 3)) for s in fall(tale).steps][2] == ("writable", 1.0)
    degraded = crashed(settings=sync)
    degraded.failover("degraded", 6.7, sync_standbys=0)
    assert [(s.name, round(s.at_s, 3)) for s in fall(degraded).steps][2] == ("writable", 0.8)


def test_a_restart_in_place_is_not_called_a_failover() -> None:
    """The same server serves again without a promotion of another one, even on a timeline of its own."""
    for timeline in (1, 2):
        tale = WritesTale()
        tale.strike("crash_postmaster", "postgres1", 6.0).fail(6.0, 7.4)
        tale.state("postgres1", 6.01, "down")
        if timeline == 2:
            tale.state("postgres1", 7.1, "standby")
        tale.state("postgres1", 7.3, "primary", timeline)
        made = fall(tale)
        assert made.kind == "restart in place"
        assert [(s.name, round(s.at_s, 3)) for s in made.steps] == [("restart in place", 1.3), ("client", 1.407)]


def test_a_switchover_is_called_one() -> None:
    """It was asked for."""
    tale = WritesTale()
    tale.strike("switchover", "postgres1", 6.0, leaves="alive").fail(6.0, 6.4)
    tale.promote("postgres2", 6.3)
    assert fall(tale).kind == "switchover"


@pytest.mark.parametrize(("fault", "last"), [("reject", "client"), ("partition", "client: TCP retransmission")])
def test_after_dropped_packets_the_rest_is_tcps(fault: str, last: str) -> None:
    """The path was whole again at 8 s; a REJECT leaves nobody waiting."""
    tale = WritesTale()
    tale.strike(fault, "postgres1", 6.0, leaves="alive").heal("postgres1", 8.0).fail(6.0, 8.5)
    made = fall(tale)
    assert made.kind == "no failover"
    assert [(s.name, round(s.lasts_s, 3)) for s in made.steps] == [("until healed", 1.995), (last, 0.507)]


def test_the_rest_after_a_power_loss_is_tcps_and_keeps_the_clients_promise() -> None:
    """The new primary could be written to, and clients still waited for the old one."""
    made = fall(crashed(fault="power_loss"))
    assert made.steps[-1].name == "client: TCP retransmission"
    assert (made.steps[-1].high_s, made.steps[-1].moved_by) == (2.0, "connect_timeout_s (2)")


def test_steps_always_add_up() -> None:
    """Whatever comes in which order, or not at all."""
    draw = random.Random(7)
    for _ in range(60):
        back_s = draw.uniform(6.1, 9.0)
        tale = WritesTale(routes=("dns", "multi_host"), rate_per_s=60.0)
        fault = draw.choice(["crash", "power_loss", "partition", "switchover", "crash_postmaster"])
        tale.strike(fault, "postgres1", 6.0).fail(6.0, back_s)
        for step in ("detected", "fenced", "chosen"):
            if draw.random() < 0.6:
                tale.failover(step, draw.uniform(5.9, 9.0), node="postgres1")
        if draw.random() < 0.7:
            tale.promote("postgres2", draw.uniform(6.0, 9.0), serves=draw.random() < 0.5)
        if draw.random() < 0.6:
            tale.published("postgres2", draw.uniform(6.0, 9.5))
        tale.heal("postgres1", draw.choice([7.0, 20.0]))
        for sample in outage.check(tale.history()).samples:
            if sample.measure == "outage_s" and sample.value:
                assert sum(sample.phases.values()) == S2(sample.value)
                assert min(sample.phases.values()) >= 0
