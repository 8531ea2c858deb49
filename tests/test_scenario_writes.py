"""What a person writes about a database: routes, leaders, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import HttpClients, Strike, leader, named, total, worst
from lab.catalogue import load, shipped
from lab.errors import BadInput
from lab.faults import Crash, Partition, Pause
from lab.measures import dead_but_listed_s, lost_writes, outage_s
from lab.overrides import apply_sets
from lab.plan import Plan, bound_s, make_plan
from lab.schedule import bound_text, plan_text
from tests import stand_in
from tests.stand_in_writes import Way, Writers, arm, scenario


def test_each_route_has_its_own_promise() -> None:
    """What the failover promises, and on top of it what the route needs; an arm's bound is its slowest route's."""
    promises = arm().promises("crash")
    assert {label: (found.low_s, found.high_s) for label, found in promises.items()} == {
        "straight": (1.0, 2.6),
        "slow": (1.0, 5.1),
    }
    assert [phase.name for phase in promises["slow"].phases] == ["detection", "promotion", "client"]
    assert bound_s(scenario(), arm()) == pytest.approx(5.1)


def test_a_leader_is_asked_for_when_it_is_struck() -> None:
    """The plan says "leader(postgres)": who that is may change before the strike is due."""
    plan = make_plan(scenario(), 7)
    assert {planned.target for trial in plan.trials for planned in trial.strikes} == {"leader(postgres)"}
    assert "crash leader(postgres)" in plan_text(plan)


def test_a_leader_may_be_anybody_so_strikes_beside_it_are_allowed() -> None:
    """A standby is cut off first, then whoever leads crashes."""
    strikes = [
        Strike(Pause(), target=named("postgres2")),
        Strike(Crash(), target=leader("postgres"), at_s=1.0),
    ]
    assert len(make_plan(scenario(strikes=strikes), 7).trials[0].strikes) == 2


def test_a_plan_of_writes_comes_back_from_its_json() -> None:
    """To be run again with real classes, and to be read where these are gone."""
    plan = make_plan(scenario(), 7, name="x")
    data = json.loads(json.dumps(plan.to_json()))
    assert Plan.from_json(data, runnable=True) == plan
    recorded = Plan.from_json(data)
    assert recorded.scenario.kind == "writes"
    assert recorded.arms[0].promises("crash") == plan.arms[0].promises("crash")
    assert recorded.fingerprint == plan.fingerprint


def test_bounds_of_routes_in_text() -> None:
    """Best, mean and worst of every phase, a column for each route, and the settings that move them."""
    assert bound_text(scenario()).splitlines() == [
        "From the first write that fails until writes are acknowledged again: best / mean / worst, in seconds",
        "",
        "crash of leader(postgres)",
        "",
        "           only            only",
        "           straight        slow",
        "detection  1 / 1.2 / 2     1 / 1.2 / 2",
        "promotion  0 / 0.05 / 0.1  0 / 0.05 / 0.1",
        "client     0 / 0.25 / 0.5  0 / 1.5 / 3",
        "in all     1 / 1.5 / 2.6   1 / 2.75 / 5.1",
        "moved by",
        "  detection_s (2)  detection; moves most of straight",
        "  client_s (0.5)   client of straight",
        "  client_s (3)     client of slow; moves most of slow",
    ]


def test_bounds_keep_to_100_columns_without_losing_a_number() -> None:
    """Arms that do not fit side by side come one below the other."""
    names = ("short", "one_that_is_rather_long", "another_that_is_long", "a_fourth_one_of_these")
    text = bound_text(scenario(arms=[arm(name) for name in names]))
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("1 / 2.75 / 5.1") == len(names)
    assert text.count("in all") == 2


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_shipped_scenarios_of_writes_fit_100_columns(path: Path) -> None:
    """Their plans and their bounds."""
    made = load(str(path)).scenario
    if made.kind == "writes":
        text = bound_text(made) + plan_text(make_plan(made, 7, name=path.stem))
        assert max(map(len, text.splitlines())) <= 100


def test_bounds_say_why_there_are_none() -> None:
    """In a sentence for all whom it concerns."""
    paused = scenario(strikes=[Strike(Pause(), target=leader("postgres"))], objectives=[total(lost_writes) <= 0])
    assert bound_text(paused).splitlines()[2:] == [
        "pause of leader(postgres)",
        "",
        "nothing is promised to only straight, only slow: promoter does not answer it with a failover",
    ]


def test_a_plan_tells_what_its_faults_were_told() -> None:
    """And the arms' routes, once."""
    cut = Strike(Partition(away_from=("postgres1", "promoter")), target=named("postgres2"))
    lines = plan_text(make_plan(scenario(strikes=[cut], objectives=[total(lost_writes) <= 0]), 7)).splitlines()
    assert "routes   only: straight, slow" in lines
    assert any("partition postgres2 (away_from=postgres1 promoter)" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_routes_and_loads_can_be_set_from_outside() -> None:
    """By the route's label, or in all of them."""
    changed = apply_sets(scenario(), {"slow.client_s": "2", "rate_per_s": "50"})
    assert [route.settings["client_s"] for route in changed.arms[0].routes] == [0.5, 2.0]
    assert changed.load.rate_per_s == 50


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"load": HttpClients(count=1, rate_per_s=1)},
            r"arm only has routes to a database; its load must be SqlWriters",
        ),
        ({"load": Writers(pool=60)}, r"arm only: pool=60 .* need 134 connections, Postgres grants max_connections=100"),
        ({"objectives": [worst(dead_but_listed_s) <= 5]}, r"this scenario is about writes"),
        ({"strikes": [], "objectives": [worst(outage_s) <= 5]}, r"outage_s here: there is no strike"),
        ({"strikes": [Strike(Pause(), target=leader("postgres"))]}, r"arm only promises no bound for pause"),
        ({"strikes": [Strike(Crash(), target=leader("redis"))]}, r"leader\(redis\) matches nothing; roles are"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(change: dict[str, object], sentence: str) -> None:
    """Each names the field and the mend."""
    with pytest.raises(BadInput, match=sentence):
        scenario(**change)


def test_arms_without_routes_or_with_two_of_a_name() -> None:
    """A database that nobody writes to says nothing."""
    with pytest.raises(BadInput, match=r"arm only: routes are missing, e\.g\. routes=\[MultiHost\(\)\]"):
        scenario(arms=[arm(routes=())])
    with pytest.raises(BadInput, match=r"two of its routes are called 'straight'; give one of them a name="):
        arm(routes=(Way(), Way()))
    with pytest.raises(BadInput, match=r"Arm only: Way: proxied goes through haproxy, which the arm does not have"):
        arm(routes=(Way("proxied", through="haproxy"),))


def test_writes_cannot_be_asked_of_views() -> None:
    """A scenario is about one of the two."""
    with pytest.raises(BadInput, match=r"lost_writes here: this scenario is about views"):
        stand_in.scenario(objectives=[total(lost_writes) <= 0])
