"""Nonsense about databases, with the real systems, routes and faults: one sentence with the mend, while planning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from lab import Arm, HttpClients, Scenario, SqlWriters, Strike, bound, every, leader, named, some, total, worst
from lab.errors import BadInput
from lab.faults import (
    Crash,
    GracefulStop,
    ManagerCrash,
    Partition,
    Pause,
    PostmasterCrash,
    PowerLoss,
    Reject,
    ReplicationLag,
    Restart,
    SiteLoss,
    Start,
    Switchover,
)
from lab.measures import lost_writes, outage_s
from lab.protocols import Fault
from lab.routes import MultiHost
from lab.selectors import Selector
from lab.systems import (
    Controller,
    Dns,
    HaProxy,
    Manual,
    Patroni,
    Postgres,
    PrimaryRegistrar,
    Service,
    ZooKeeper,
)

POSTGRES, CONTROLLER = Postgres(standbys=2), Controller()
LINKED = Postgres(standbys=2, lag_ms=0)
ZOOKEEPER = ZooKeeper(servers=1, session_timeout_s=10, tick_s=1)
PRIMARY = leader("postgres")
STRAIGHT = (MultiHost(),)


def scenario(*systems: Any, routes: Any = STRAIGHT, load: Any = None, **fields: Any) -> Scenario:
    """One arm of these systems, struck by a crash; with some fields changed."""
    about: dict[str, Any] = {
        "arms": [Arm("a", *systems, routes=routes)],
        "load": SqlWriters() if load is None else load,
        "strikes": [Strike(Crash(), target=PRIMARY)],
        "objectives": [total(lost_writes) <= 0],
    }
    return Scenario(**(about | fields))


def struck(fault: Fault, target: Selector = PRIMARY, systems: tuple[Any, ...] = (POSTGRES, CONTROLLER)) -> Scenario:
    """The same, struck otherwise."""
    return scenario(*systems, strikes=[Strike(fault, target=target)])


@pytest.mark.parametrize(
    ("fault", "target", "systems", "sentence"),
    [
        (
            Partition(away_from=("nosuch",)),
            PRIMARY,
            (),
            r"no node and no role 'nosuch'; roles are clients, controller, po",
        ),
        (Partition(away_from=("haproxy",)), PRIMARY, (), r"no node and no role 'haproxy'"),
        (Partition(away_from=("postgres1",)), named("postgres1"), (), r"postgres1 is not cut off from itself"),
        (Partition(away_from=("postgres1",)), PRIMARY, (), r"may be leader\(postgres\) itself; .* role 'postgres'"),
        (Reject(away_from=("nosuch",)), PRIMARY, (), r"Reject: away_from: there is no node and no role 'nosuch'"),
        (SiteLoss(), PRIMARY, (), r"SiteLoss: there is no link; write Postgres\(lag_ms=\.\.\.\)"),
        (SiteLoss(), named("controller"), (LINKED, CONTROLLER), r"controller is no database server"),
        (ReplicationLag(ms=9), PRIMARY, (), r"ReplicationLag: there is no link"),
        (ReplicationLag(ms=9), PRIMARY, (LINKED, CONTROLLER), r"is not a link; its target is every\('link'\)"),
        (ManagerCrash(), PRIMARY, (), r"no Patroni runs beside the databases; add Patroni\(\.\.\.\)"),
        (
            ManagerCrash(),
            named("haproxy"),
            (POSTGRES, ZOOKEEPER, Patroni(), HaProxy()),
            r"haproxy is no database server",
        ),
        (PostmasterCrash(), named("controller"), (), r"its target is one, e\.g\. leader\('postgres'\)"),
        (Switchover(), named("postgres2"), (), r"only a primary hands over; its target is leader\('postgres'\)"),
        (Switchover(), every("postgres"), (), r"only a primary hands over"),
        (Switchover(), PRIMARY, (POSTGRES,), r"nobody is there who could be asked; add Controller\(\)"),
        (Start(), PRIMARY, (), r"it is for spare instances of Service\(spares=\.\.\.\)"),
        (Crash(), leader("controller"), (), r"of controller none leads; leader\(\) is for postgres"),
        (Crash(), leader("clients"), (POSTGRES, ZOOKEEPER, Patroni()), r"leader\(\) is for postgres, zookeeper"),
        (Crash(), leader("backend"), (), r"leader\(backend\) matches nothing; roles are"),
        (Crash(), some("postgres", 5), (), r"asks for 5 nodes, but there are 3"),
        (Pause(), named("clients"), (), r"clients is how the lab sees what happens, and pause would blind it"),
        (Crash(), named("watcher"), (POSTGRES, ZOOKEEPER, Patroni()), r"watcher is how the lab sees"),
    ],
)
def test_a_fault_must_fit_the_arm(fault: Fault, target: Selector, systems: tuple[Any, ...], sentence: str) -> None:
    """Found while planning: strike, arm, what is wrong and what would do."""
    with pytest.raises(BadInput, match=rf"^strike 1: arm a: .*{sentence}"):
        struck(fault, target, systems or (POSTGRES, CONTROLLER))


@pytest.mark.parametrize(
    ("fault", "target", "systems"),
    [
        (Partition(), PRIMARY, ()),
        (Partition(away_from=("postgres", "controller")), PRIMARY, ()),
        (Partition(away_from=("clients",)), PRIMARY, ()),
        (Partition(away_from=("postgres",)), named("clients"), ()),
        (Partition(away_from=("postgres1", "postgres2")), PRIMARY, ()),
        (ReplicationLag(ms=9), every("link"), (LINKED, CONTROLLER)),
        (SiteLoss(), PRIMARY, (LINKED, CONTROLLER)),
        (Switchover(), PRIMARY, (POSTGRES, Manual())),
        (Switchover(), named("postgres1"), ()),
        (ManagerCrash(), named("postgres2"), (POSTGRES, ZOOKEEPER, Patroni())),
        (Crash(), leader("zookeeper"), (POSTGRES, ZOOKEEPER, Patroni())),
        (Restart(), PRIMARY, (POSTGRES,)),
    ],
)
def test_what_makes_sense_is_not_refused(fault: Fault, target: Selector, systems: tuple[Any, ...]) -> None:
    """A database without a failover system too: somebody may ask what happens where nobody does anything."""
    struck(fault, target, systems or (POSTGRES, CONTROLLER))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Partition(away_from=cast(Any, "controller")),
            r"away_from='controller' must be a list of names or roles",
        ),
        (lambda: Partition(direction=cast(Any, ["in"])), r"direction=\['in'\] must be one of both, in, out"),
        (lambda: Reject(ports=cast(Any, 5432)), r"ports=5432 is not a list of ports"),
        (lambda: Reject(ports=(70000,)), r"ports=70000 must be a whole number, 1 to 65535"),
        (lambda: Reject(ports=tuple(range(1, 30))), r"ports has 29 of them; at most 15"),
        (lambda: ReplicationLag(ms=0.4), r"ms=0\.4 must be whole milliseconds"),
        (lambda: Postgres(lag_ms=0.4), r"lag_ms=0\.4 must be whole milliseconds"),
        (lambda: Postgres(lag_ms=1e9), r"lag_ms=1000000000\.0 must be at most 60000"),
        (lambda: Controller(check_interval_s=float("nan")), r"check_interval_s=nan is not a number"),
        (lambda: GracefulStop(patience_s=0), r"patience_s=0 must be above 0"),
        (lambda: Restart(graceful=cast(Any, "yes")), r"graceful='yes' must be True or False"),
        (lambda: SqlWriters(rate_per_s=1e9), r"rate_per_s=1000000000\.0 must be at most 10000"),
        (lambda: SqlWriters(rate_per_s=-(10**400)), r"rate_per_s=-1000\d*\.\.\. must be above 0"),
        (lambda: SqlWriters(pool=5000), r"pool=5000 must be a whole number, 1 to 1000"),
        (lambda: MultiHost(tcp_user_timeout_s=1e11), r"must be at most 86400"),
        (lambda: MultiHost(name=" "), r"name=' ' must be letters"),
        (lambda: PrimaryRegistrar(publish=cast(Any, (["dns"],))), r"must be \(\"dns\", \"zookeeper\"\)"),
        (lambda: cast(Any, outage_s) <= 5, r"outage_s must be reduced .* e\.g\. worst\(outage_s\) <= 5"),
    ],
)
def test_a_setting_must_make_sense(make: Callable[[], object], sentence: str) -> None:
    """Whatever somebody types into one field."""
    with pytest.raises(BadInput, match=sentence):
        make()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: scenario(cast(Any, Postgres), CONTROLLER), r"Arm a: Postgres is a class; write Postgres\(\)"),
        (
            lambda: scenario(CONTROLLER, POSTGRES),
            r"Controller stands before postgres: .* name it after Postgres\(\.\.\.\)",
        ),
        (lambda: scenario(POSTGRES, CONTROLLER, Manual()), r"Manual and Controller would both promote"),
        (lambda: scenario(POSTGRES, CONTROLLER, Dns()), r"Dns is about instances of a service, not about a database"),
        (lambda: scenario(POSTGRES, CONTROLLER, Service()), r"Service is about instances of a service"),
        (lambda: scenario(POSTGRES, CONTROLLER, routes=[MultiHost]), r"MultiHost is a class; write MultiHost\(\)"),
        (
            lambda: scenario(POSTGRES, CONTROLLER, routes=["multi_host"]),
            r"'multi_host' is not a route; see lab\.routes",
        ),
        (lambda: scenario(POSTGRES, CONTROLLER, routes=MultiHost()), r"routes=MultiHost\(\.\.\.\) is not a list"),
        (lambda: scenario(POSTGRES, CONTROLLER, load="x"), r"load='x' is not a load"),
        (lambda: scenario(POSTGRES, CONTROLLER, load=SqlWriters), r"load=SqlWriters, a class, is not a load"),
        (
            lambda: scenario(POSTGRES, CONTROLLER, routes=(), load=HttpClients(count=1, rate_per_s=1)),
            r"arm a has a database; its load must be SqlWriters",
        ),
        (
            lambda: scenario(Service(), Dns(), routes=()),
            r"arm a has no database, .* add Postgres\(\.\.\.\), or use HttpCl",
        ),
        (
            lambda: scenario(Postgres(replication="sync", lag_ms=300), CONTROLLER),
            r"lag_ms=300 delays every commit in sync, and multi_host gives a write deadline_s=0\.3",
        ),
        (
            lambda: scenario(Postgres(replication="sync", lag_ms=100), CONTROLLER, load=SqlWriters(rate_per_s=300)),
            r"commits take lag_ms=100, so at rate_per_s=300 some 30 are under way, and pool=16; raise pool",
        ),
        (lambda: scenario(POSTGRES, CONTROLLER, expects=[1]), r"expects=\[1\] is no mapping"),
        (lambda: scenario(POSTGRES, CONTROLLER, demonstration="yes"), r"demonstration='yes' must be True or False"),
        (
            lambda: scenario(POSTGRES, CONTROLLER, objectives=[outage_s]),
            r"objectives: outage_s is not a comparison with",
        ),
        (
            lambda: scenario(POSTGRES, CONTROLLER, strikes=2 * [Strike(Crash(), target=PRIMARY)]),
            r"strikes 1 .* and 2 .* hit the same leader at once",
        ),
    ],
)
def test_a_scenario_must_make_sense(make: Callable[[], object], sentence: str) -> None:
    """Whatever does not go together."""
    with pytest.raises(BadInput, match=sentence):
        make()


@pytest.mark.parametrize(
    ("systems", "route", "fault", "why"),
    [
        ((POSTGRES,), MultiHost(), Crash(), r"none of its systems fails over \(Controller\(\), Manual\(\) and Patroni"),
        ((POSTGRES, Controller(fence="stop")), MultiHost(), PowerLoss(), r"fence='stop' cannot be done then"),
        (
            (POSTGRES, CONTROLLER),
            MultiHost(),
            Partition(away_from=("clients",)),
            r"its controller still sees the primary",
        ),
        (
            (POSTGRES, ZOOKEEPER, Patroni()),
            MultiHost(),
            Partition(away_from=("postgres",)),
            r"its zookeeper still sees",
        ),
        ((POSTGRES, CONTROLLER), MultiHost(), GracefulStop(), r"controller does not answer it with a failover"),
        (
            (POSTGRES, CONTROLLER),
            MultiHost(hold="reconnecting"),
            PowerLoss(),
            r"past the silent first host again, 1\.55 s, and",
        ),
    ],
)
def test_why_nothing_is_promised(systems: tuple[Any, ...], route: MultiHost, fault: Fault, why: str) -> None:
    """bound() needs a promise; where there is none the sentence says why."""
    strikes = [Strike(fault, target=PRIMARY)]
    with pytest.raises(
        BadInput, match=rf"arm a promises no bound for {fault.name}, for .*{why}.*; compare it with a n"
    ):
        scenario(*systems, routes=[route], strikes=strikes, objectives=[worst(outage_s) <= bound()])


def test_a_standby_that_is_struck_makes_no_failover() -> None:
    """Nothing is promised for it; after a strike at the leader anybody may be the primary."""
    standby = Strike(Crash(), target=named("postgres2"))
    with pytest.raises(
        BadInput, match=r"arm a promises no bound for crash, for it strikes no primary, so nothing fails"
    ):
        scenario(POSTGRES, CONTROLLER, strikes=[standby], objectives=[worst(outage_s) <= bound()])
    later = Strike(PowerLoss(), target=named("postgres2"), at_s=9)
    both = [Strike(Crash(), target=PRIMARY), later]
    made = scenario(POSTGRES, CONTROLLER, strikes=both, objectives=[worst(outage_s) <= bound()])
    assert made.unbounded(made.arms[0], "power_loss") == ""


def test_who_strikes_the_failover_system_too_is_promised_nothing() -> None:
    """Nobody is left who would see the primary go."""
    strikes = [Strike(Crash(), target=named("controller")), Strike(PowerLoss(), target=PRIMARY, at_s=1)]
    with pytest.raises(BadInput, match=r"for controller is struck too, so nobody sees the primary; compare it with"):
        scenario(POSTGRES, CONTROLLER, strikes=strikes, objectives=[worst(outage_s) <= bound()])
    one_of_three = [Strike(Crash(), target=named("zookeeper1")), Strike(PowerLoss(), target=PRIMARY, at_s=1)]
    three = ZooKeeper(servers=3, session_timeout_s=10, tick_s=1)
    scenario(POSTGRES, three, Patroni(), strikes=one_of_three, objectives=[worst(outage_s) <= bound()])


def test_a_hold_that_is_called_long_enough_is() -> None:
    """The number that the sentence names is not refused in turn."""
    with pytest.raises(BadInput, match=r"raise it to 1\.9 or leave it out"):
        scenario(POSTGRES, CONTROLLER, hold_s=1)
    assert scenario(POSTGRES, CONTROLLER, hold_s=1.9).hold_s == 1.9


def test_strikes_race_against_the_clock_of_what_fails_over() -> None:
    """Not against ZooKeeper's heartbeats, which nobody in such an arm sends."""
    arm = scenario(POSTGRES, ZOOKEEPER, Patroni(loop_wait_s=2), PrimaryRegistrar(ttl_s=7)).arms[0]
    assert (arm.beat_name, arm.beat_s) == ("loop_wait", 2.0)
