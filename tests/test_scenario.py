"""What a person writes: it reads as meant, and nonsense is refused in one sentence that names the field."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab import (
    Arm,
    HttpClients,
    Strike,
    bound,
    difference,
    every,
    mean,
    median,
    named,
    one,
    some,
    total,
    worst,
)
from lab.errors import BadInput
from lab.faults import Crash, GracefulStop, Pause, Start
from lab.measures import (
    alive_but_missing_s,
    attempts_on_dead,
    dead_but_listed_s,
    false_removals,
    leaving_but_listed_s,
    requests_lost,
)
from tests.stand_in import Backends, Names, Silent, scenario


def test_objectives_read_as_they_were_written() -> None:
    """str() of an objective is what stands in the script; its parts can be read by name."""
    dns = Arm("dns", Backends(), Names())
    texts = {
        "worst(dead_but_listed_s) <= bound()": worst(dead_but_listed_s) <= bound(),
        "median(dead_but_listed_s, arm=dns) < 5": median(dead_but_listed_s, arm=dns) < 5,
        "mean(attempts_on_dead) > 0.5": mean(attempts_on_dead) > 0.5,
        "total(requests_lost) >= 1": total(requests_lost) >= 1,
        "difference(dead_but_listed_s, zk, dns) < 0": difference(dead_but_listed_s, "zk", dns) < 0,
    }
    for text, objective in texts.items():
        assert str(objective) == text
    objective = difference(dead_but_listed_s, "zk", dns) < 0
    assert (objective.reduction, objective.first, objective.second, objective.operator) == (
        "difference",
        "zk",
        "dns",
        "<",
    )
    assert (objective.measure, objective.right, objective.arms) == (dead_but_listed_s, 0, ("zk", "dns"))
    assert getattr((worst(dead_but_listed_s) <= bound()).right, "is_bound", False) is True


def test_a_number_may_stand_on_the_left() -> None:
    """5 > worst(...) is worst(...) < 5."""
    assert (5 > worst(dead_but_listed_s)) == (worst(dead_but_listed_s) < 5)  # noqa: SIM300


def test_a_comparison_has_no_truth() -> None:
    """0 < x < 5, `and`, `not` and `if` cannot pass silently."""
    with pytest.raises(BadInput, match="by itself"):
        0 < worst(dead_but_listed_s) < 5  # noqa: B015
    with pytest.raises(BadInput, match="by itself"):
        bool(worst(dead_but_listed_s) < 5)
    with pytest.raises(BadInput, match="compare it"):
        bool(worst(dead_but_listed_s))


def test_selectors_read_as_they_were_written() -> None:
    """str() of a selector is what stands in the script."""
    assert [str(s) for s in (one("backend"), some("backend", 4), every("zookeeper"), named("ns1", "ns2"))] == [
        "one('backend')",
        "some('backend', 4)",
        "every('zookeeper')",
        "named('ns1', 'ns2')",
    ]


def test_an_arm_is_the_union_of_its_systems() -> None:
    """Nodes, files and settings of all systems; spare backends are not alive at the start."""
    arm = Arm("dns", Backends(instances=3, spare=1), Names(ttl_s=2))
    assert arm.compose_files == ("service.yaml",)
    assert [node for node, _ in arm.nodes] == ["backend1", "backend2", "backend3", "ns1", "ns2", "resolver"]
    assert arm.alive_at_start == ("backend1", "backend2")
    assert arm.beat_s == 2 and arm.route().kind == "dns"
    bounds = arm.bounds("crash")
    assert bounds is not None and (bounds.low_s, bounds.high_s) == (1.0, 5.0)
    assert arm.bounds("start") == arm.bounds("return")


def test_changes_follow_from_the_faults() -> None:
    """Each fault's name, and a return where something comes back."""
    assert scenario().changes == ("crash", "return")
    assert scenario().changes_of(dead_but_listed_s) == ("crash",)
    spare = Arm("slow", Backends(spare=1), Names())
    started = scenario(
        arms=[spare],
        strikes=[Strike(Start(), named("backend8"))],
        objectives=[worst(alive_but_missing_s) <= bound()],
    )
    assert started.changes_of(alive_but_missing_s) == ("return",)


Wrong = Callable[[], object]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: scenario(arms=[]), "arms are missing"),
        (
            lambda: scenario(arms=[Arm("a", Backends(), Names()), Arm("a", Backends(), Names())]),
            "two of them are named",
        ),
        (lambda: scenario(arms=[Arm("a", Names())]), "no backend"),
        (lambda: Arm("a", Backends(), Backends()), "two of its systems bring a node 'backend1'"),
        (lambda: Arm("a b"), "letters, digits"),
        (lambda: scenario(arms=[Arm("a", Backends())]), "gives clients a way"),
        (lambda: Arm("a", Backends(), Names(ttl_s=-1)), "ttl_s=-1"),
        (lambda: scenario(objectives=[]), "objectives are missing"),
        (lambda: scenario(objectives=[True]), "is not a comparison"),
        (
            lambda: scenario(objectives=[worst(dead_but_listed_s, arm="nobody") < 5]),
            "no arm 'nobody'; arms are quick, slow",
        ),
        (lambda: scenario(objectives=[worst(leaving_but_listed_s) <= 1]), "no arm can produce leaving_but_listed_s"),
        (lambda: scenario(strikes=[]), "no arm can produce dead_but_listed_s"),
        (
            lambda: scenario(arms=[Arm("a", Backends(), Silent())], objectives=[worst(dead_but_listed_s) <= bound()]),
            "arm a promises no bound for crash",
        ),
        (lambda: worst(attempts_on_dead) <= bound(), "no setting bounds attempts_on_dead"),
        (lambda: worst(dead_but_listed_s) < "5", "neither a number nor bound"),  # type: ignore[operator]
        (lambda: difference(dead_but_listed_s, "a", "b") < bound(), "a difference has no bound"),
        (lambda: total(dead_but_listed_s) <= bound(), "a total has no bound"),
        (lambda: difference(dead_but_listed_s, "a", "a"), "two different arms"),
        (lambda: worst("dead_but_listed_s"), "not a measure"),  # type: ignore[arg-type]
        (lambda: scenario(strikes=[Strike(Crash(), some("backend", 9))]), "asks for 9 nodes, but there are 8"),
        (
            lambda: scenario(strikes=[Strike(Crash(), one("frontend"))]),
            "strike 1: arm slow: target: one('frontend') matches",
        ),
        (lambda: scenario(strikes=[Strike(Crash(), named("ns9"))]), "named('ns9') matches nothing"),
        (lambda: some("backend", 0), "at least 1"),
        (lambda: named("a", "a"), "names a node twice"),
        (lambda: Strike(Crash, one("backend")), "fault=Crash is a class; write Crash()"),  # type: ignore[arg-type]
        (lambda: Strike(Crash(), "backend"), "is not a selector"),  # type: ignore[arg-type]
        (lambda: Strike(Crash(), one("backend"), at_s=-1), "at_s=-1 must be at least 0"),
        (lambda: Strike(Crash(), one("backend"), for_s=0), "for_s=0 must be above 0"),
        (
            lambda: scenario(strikes=[Strike(Crash(), one("backend")), Strike(Pause(), named("backend3"), at_s=2)]),
            "may overlap on backend3",
        ),
        (lambda: scenario(hold_s=5.0), "hold_s=5 is shorter than 1.25 x the bound of arm slow for crash (8.00 s)"),
        (lambda: scenario(repeats=0), "repeats=0 must be a whole number, at least 1"),
        (lambda: scenario(quiet_s=0), "quiet_s=0 must be above 0"),
        (lambda: scenario(load=30), "is not a load"),
        (lambda: scenario(expects={worst(dead_but_listed_s) < 1: "no"}), "not among the objectives"),
        (lambda: scenario(expects={worst(dead_but_listed_s) <= bound(): "maybe"}), "neither 'no' nor 'unknown'"),
        (lambda: HttpClients(count=0, rate_per_s=1), "count=0 must be a whole number, at least 1"),
        (lambda: HttpClients(count=1, rate_per_s=-3), "rate_per_s=-3 must be above 0"),
        (
            lambda: HttpClients(count=1, rate_per_s=1, deadline_s=0.1),
            "deadline_s=0.1 is shorter than connect_timeout_s",
        ),
        (lambda: HttpClients(count=1, rate_per_s=1, pick="best"), "neither 'srv' nor 'random'"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_one_sentence(wrong: Wrong, message: str) -> None:
    """Every nonsense value raises BadInput, early, in one line that names the field."""
    with pytest.raises(BadInput) as caught:
        wrong()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strikes_that_end_or_miss_each_other_may_follow() -> None:
    """A later strike on the same node is fine once the first has ended; other nodes are always fine."""
    first = Strike(Crash(), named("backend1"), for_s=3)
    assert scenario(strikes=[first, Strike(Pause(), named("backend1"), at_s=10)])
    assert scenario(strikes=[Strike(Crash(), named("backend1")), Strike(Pause(), named("backend2"), at_s=1)])


def test_measures_without_strikes_need_none() -> None:
    """A scenario in which nothing happens can ask for false removals."""
    assert scenario(strikes=[], objectives=[total(false_removals) <= 0]).changes == ()


def test_a_graceful_stop_makes_leavings() -> None:
    """Goodbyes are measured where somebody says goodbye."""
    strikes = [Strike(GracefulStop(), one("backend"))]
    assert scenario(strikes=strikes, objectives=[worst(leaving_but_listed_s) <= bound(), total(requests_lost) <= 0])
