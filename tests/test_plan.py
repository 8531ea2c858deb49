"""The plan: every choice from the seed, shared by arms, and each choice by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lab import Arm, Strike, every, named, some, total
from lab.errors import BadInput
from lab.faults import Crash, Pause
from lab.measures import false_removals
from lab.plan import Plan, Trial, make_plan, spread_s
from lab.schedule import about_text, bound_text, plan_text
from tests.stand_in import Backends, Names, scenario

GOLDEN = Path(__file__).parent / "golden"


def draws(plan: Plan, arm: str) -> list[list[tuple[str, str, float]]]:
    """What strikes whom when, of each trial of an arm."""
    return [[(s.fault.name, s.target, s.at_s) for s in t.strikes] for t in plan.trials if t.arm == arm]


@pytest.mark.parametrize("name", ["plan", "plan_without_strikes", "bound"])
def test_golden_text(name: str) -> None:
    """A plan and a bound table look like this, letter for letter."""
    quiet = scenario(strikes=[], objectives=[total(false_removals) <= 0], repeats=1)
    texts = {
        "plan": plan_text(make_plan(scenario(repeats=2), 7, name="backend_crash")),
        "plan_without_strikes": plan_text(make_plan(quiet, 7, name="no_fault")),
        "bound": bound_text(scenario()),
    }
    assert texts[name] == (GOLDEN / f"{name}.txt").read_text()


def test_same_seed_same_text() -> None:
    """Two plans of one seed are the same text and have the same fingerprint; another seed differs."""
    first, second = make_plan(scenario(), 7), make_plan(scenario(), "7")
    assert plan_text(first) == plan_text(second) and first.fingerprint == second.fingerprint
    assert make_plan(scenario(), 8).fingerprint != first.fingerprint


def test_the_fingerprint_covers_the_settings() -> None:
    """Another setting is another experiment, although nothing is struck differently."""
    other = scenario(arms=[Arm("slow", Backends(), Names(ttl_s=4)), scenario().arms[1]])
    assert make_plan(other, 7).fingerprint != make_plan(scenario(), 7).fingerprint


def test_trials_go_a_b_b_a() -> None:
    """Arms are interleaved, so that a drift of the machine falls on both."""
    plan = make_plan(scenario(), 7)
    assert [t.arm for t in plan.trials] == ["slow", "quick", "quick", "slow"] * 2
    assert [t.repeat for t in plan.trials] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [t.number for t in plan.trials] == list(range(1, 9))


def test_returns_are_spread_over_the_beat() -> None:
    """A hold ends when the caches were refreshed: healed at once, every return would meet the same phase of the TTL."""
    plan = make_plan(scenario(repeats=8), 7)
    arm = plan.arm("slow")
    shares = sorted(spread_s(arm, trial) / arm.beat_s for trial in plan.trials if trial.arm == "slow")
    assert {int(4 * share) for share in shares} == {0, 1, 2, 3}
    assert all(0.02 < late - early < 0.3 for early, late in pairwise(shares))
    healed = make_plan(scenario(strikes=[Strike(Crash(), target=some("backend", 1), for_s=20.0)]), 7).trials[0]
    assert spread_s(arm, healed) == 0.0  # the strike itself says when it ends


def test_arms_share_their_draws() -> None:
    """Both arms of a repeat are struck at the same nodes, at the same times, in the same first phase."""
    plan = make_plan(scenario(), 7)
    assert draws(plan, "slow") == draws(plan, "quick")
    firsts = {(t.repeat, t.strikes[0].phase) for t in plan.trials}
    assert len(firsts) == plan.repeats


def test_taking_an_arm_away_changes_no_draw() -> None:
    """--arm slow plans exactly what the whole plan does to that arm."""
    whole, part = make_plan(scenario(), 7), make_plan(scenario(), 7, arms=["slow"])
    assert [t.strikes for t in part.trials] == [t.strikes for t in whole.trials if t.arm == "slow"]
    assert [arm.name for arm in part.arms] == ["slow"]
    assert [str(o) for o in part.objectives] == ["worst(dead_but_listed_s) <= bound()"]


def test_taking_a_strike_away_changes_no_other_draw() -> None:
    """The first or the last strike gone, the others hit whom they hit before."""
    crash = Strike(Crash(), some("backend", 2), for_s=3)
    pause = Strike(Pause(), some("backend", 2), at_s=20)
    both = draws(make_plan(scenario(strikes=[crash, pause]), 7), "slow")
    for kept in (crash, pause):
        alone = draws(make_plan(scenario(strikes=[kept]), 7), "slow")
        name = kept.fault.name
        assert [[t for f, t, _ in trial] for trial in alone] == [
            [t for f, t, _ in trial if f == name] for trial in both
        ]


def test_fewer_targets_are_the_beginning_of_more() -> None:
    """some(role, 2) hits the first two of some(role, 4)."""
    two = scenario(strikes=[Strike(Crash(), some("backend", 2), every_s=1.25)])
    more = draws(make_plan(scenario(), 7), "slow")
    assert draws(make_plan(two, 7), "slow") == [trial[:2] for trial in more]


def test_more_repeats_change_no_earlier_draw() -> None:
    """A run of two repeats is the beginning of a run of four."""
    assert make_plan(scenario(), 7, repeats=2).trials == make_plan(scenario(), 7, repeats=4).trials[:4]


def test_phases_cover_the_beat() -> None:
    """The strikes of four repeats fall into all quarters of the beat, and first strikes too."""
    plan = make_plan(scenario(), 7, arms=["slow"])
    assert {int(4 * s.phase) for s in plan.trials[0].strikes} == {0, 1, 2, 3}
    firsts = [t.strikes[0].phase for t in make_plan(scenario(), 7, arms=["slow"], repeats=8).trials]
    assert {int(4 * phase) for phase in firsts} == {0, 1, 2, 3}


def test_every_hits_all_in_order() -> None:
    """every() is not drawn; staggered strikes follow the numbers of the nodes."""
    plan = make_plan(scenario(strikes=[Strike(Crash(), every("nameserver"), every_s=2)]), 7)
    assert draws(plan, "slow")[0] == [("crash", "ns1", 0.0), ("crash", "ns2", 2.0)]


def test_times_count_from_the_first_strike() -> None:
    """at_s of the first planned strike is 0, whatever the script says."""
    strikes = [Strike(Crash(), named("backend1"), at_s=5), Strike(Pause(), named("backend2"), at_s=2)]
    assert draws(make_plan(scenario(strikes=strikes), 7), "slow")[0] == [
        ("pause", "backend2", 0.0),
        ("crash", "backend1", 3.0),
    ]


def test_a_replacement_is_the_same_trial() -> None:
    """Another number, the same draws."""
    trial = make_plan(scenario(), 7).trials[2]
    assert trial.replacement(9) == Trial(9, trial.arm, trial.repeat, trial.strikes)


def test_plan_json_loads_back() -> None:
    """With its classes it is the same plan; as a record it shows and asks the same."""
    plan = make_plan(scenario(), 7, name="x", claim="It holds.", sets={"ttl_s": "5"})
    data = json.loads(json.dumps(plan.to_json()))
    assert Plan.from_json(data, runnable=True) == plan
    record = Plan.from_json(data)
    assert plan_text(record) == plan_text(plan)
    assert record.to_json() == data
    assert record.objectives == plan.objectives and record.claim == "It holds."
    assert record.arm("slow").bounds("crash") == plan.arm("slow").bounds("crash")
    assert record.arm("slow").alive_at_start == plan.arm("slow").alive_at_start


def test_a_record_needs_no_classes() -> None:
    """A class that is gone does not make an old run folder unreadable; running it again is refused by name."""
    data = make_plan(scenario(), 7).to_json()
    text = json.dumps(data).replace("lab.faults.crash:Crash", "lab.faults.gone:Gone")
    assert Plan.from_json(json.loads(text)).trials[0].strikes[0].fault.name == "crash"
    with pytest.raises(BadInput, match=r"lab\.faults\.gone:Gone cannot be found"):
        Plan.from_json(json.loads(text), runnable=True)


@pytest.mark.parametrize(
    "damaged", [{}, {"schema": 1}, {"schema": 99}, {"schema": 1, "scenario": {}, "source": ""}, {"trials": 3}]
)
def test_what_is_not_a_plan_is_bad_input(damaged: dict[str, object]) -> None:
    """No traceback for a file that is no plan, or a newer lab's."""
    with pytest.raises(BadInput, match="plan:"):
        Plan.from_json(damaged)


def test_unknown_arm_and_no_repeats_are_bad_input() -> None:
    """Both are one sentence."""
    with pytest.raises(BadInput, match="no arm 'x'; arms are slow, quick"):
        make_plan(scenario(), 7, arms=["x"])
    with pytest.raises(BadInput, match="repeats=0"):
        make_plan(scenario(), 7, repeats=0)


def test_making_a_plan_changes_nothing() -> None:
    """make_plan is pure: the scenario is as it was, and global randomness is untouched."""
    made = scenario()
    copy = replace(made)
    make_plan(made, 7, repeats=2)
    assert made == copy


def test_times_in_words() -> None:
    """Rounded to ten seconds, never nothing."""
    assert [about_text(s) for s in (3, 20, 60, 140)] == ["about 10 s", "about 20 s", "about 1 min", "about 2 min 20 s"]
