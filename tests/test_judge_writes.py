"""From trials about writes to answers: each measure, each reduction, and what reports are given."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from lab import bound, difference, mean, median, total, worst
from lab.history import History
from lab.judge import judge_trial
from lab.measures import (
    lost_s,
    lost_without_warning,
    lost_writes,
    outage_s,
    rejoin_s,
    split_brain_s,
    split_brain_writes,
    unavailable_s,
)
from lab.result import ObjectiveResult, Result, TrialResult
from lab.testing_writes import FAILOVER_BOUND, WritesTale
from tests.made_writes import crashed, judged, run_of_writes, unfenced


def asked(objective: Any, *trials: TrialResult, **changed: Any) -> ObjectiveResult:
    """The one answer about arm async."""
    (answer,) = run_of_writes(*trials, objectives=[objective], **changed).objectives
    return answer


def several(count: int, **settings: Any) -> list[TrialResult]:
    return [judged(crashed(**settings), repeat=repeat) for repeat in range(1, count + 1)]


# -- one trial ---------------------------------------------------------------------------------------------------------


def test_a_trial_has_a_change_for_every_strike_and_route() -> None:
    """With the route's own bound, and everything that reports show."""
    slow = {**FAILOVER_BOUND, "high_s": 9.0}
    bounds = {"crash": {"multi_host": dict(FAILOVER_BOUND), "dns": slow}}
    trial = judged(crashed(routes=("multi_host", "dns"), rate_per_s=200.0, bounds=bounds))
    assert (trial.valid, trial.reasons) == ("yes", [])
    assert [(c.change, c.route, c.kind, c.bound_high_s) for c in trial.changes] == [
        ("1:postgres1@multi_host", "multi_host", "crash", 3.2),
        ("1:postgres1@dns", "dns", "crash", 9.0),
    ]
    assert trial.changes[0].values["outage_s"]["worst"] == pytest.approx(trial.waterfalls[0].outage_s)
    assert [account.route for account in trial.accounts] == ["multi_host", "dns"]
    assert [lane.node for lane in trial.lanes] == ["postgres1", "postgres2", "postgres3"]
    assert trial.phases_s["strike"] == [-1.0, 1.0]
    assert trial.means["rejoin_s"] == pytest.approx(1.0)
    assert not trial.curves


def test_a_trial_that_cannot_be_judged_is_unknown() -> None:
    """Nothing at all, and a checker that breaks on what it reads."""
    assert judge_trial(History([])).valid == "unknown"
    broken = crashed()
    broken.tell("database/postgres2", "database.state", 6.9, node="postgres2")
    trial = judged(broken)
    assert trial.valid == "unknown"
    assert "the checker validity crashed: KeyError: 'state'" in trial.reasons[0]


def test_a_trial_with_no_strike_is_judged() -> None:
    """Nothing was lost, and there is nothing else to say."""
    trial = judged(WritesTale())
    assert (trial.valid, trial.changes, trial.waterfalls, trial.sentences) == ("yes", [], [], [])
    assert trial.means["lost_writes"] == 0.0


# -- objectives --------------------------------------------------------------------------------------------------------


def test_an_outage_inside_its_bound() -> None:
    """Yes, with the worst seen."""
    answer = asked(worst(outage_s) <= bound(), *several(4))
    assert answer.answer == "yes"
    assert answer.sentence == (
        "async: worst seen in 4 changes is 1.20 s (trial 1, crash of postgres1, multi_host), phases covered 1 of 4; "
        "the bound of 3.20 + 0.10 s"
    )


def test_an_outage_beyond_its_bound_names_the_step_and_its_setting() -> None:
    """In the answer and among what lies outside."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 10.0).failover("detected", 9.6, node="postgres1")
    late = judged(tale.promote("postgres2", 9.8))
    result = run_of_writes(late, objectives=[worst(outage_s) <= bound()])
    assert (result.answer, result.exit_code) == ("no", 1)
    assert result.objectives[0].sentence == (
        "async: no write was acknowledged for 4.00 s (trial 1, crash of postgres1, multi_host), beyond the bound of "
        "3.20 + 0.10 s. Detection took 3.60 s where at most 0.80 s are promised; moved by failures (3) x "
        "check_interval_s (0.25)"
    )
    assert result.arms[0].outside == [
        "async: no write was acknowledged for 4.00 s, longer than the bound of 3.20 + 0.10 s (trial 1, crash of "
        "postgres1, multi_host): detection took 3.60 s where at most 0.80 s are promised; moved by failures (3) x "
        "check_interval_s (0.25)"
    ]


def test_writes_that_came_back_too_soon_are_told() -> None:
    """No outage is not too short a one."""
    tale = WritesTale(bounds={"crash": {"multi_host": {**FAILOVER_BOUND, "low_s": 2.0}}})
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 6.5).promote("postgres2", 6.3)
    (told,) = run_of_writes(judged(tale)).arms[0].outside
    assert told.startswith("async: writes came back sooner than the settings allow (0.50 s where at least 2.00 s")
    none = WritesTale(bounds={"crash": {"multi_host": {**FAILOVER_BOUND, "low_s": 2.0}}})
    none.strike("crash", "postgres1", 6.0)
    assert run_of_writes(judged(none)).arms[0].outside == []


def test_a_route_without_a_promise_leaves_a_bound_unknown() -> None:
    """The settings say nothing of that fault."""
    answer = asked(worst(outage_s) <= bound(), judged(crashed(bounds={"pause": {}})))
    assert answer.answer == "unknown"
    assert "the settings promise nothing for trial 1, crash of postgres1, multi_host" in answer.sentence


def test_an_outage_without_an_end() -> None:
    """Beyond the bound for certain: no."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 31.0)
    answer = asked(worst(outage_s) <= bound(), judged(tale))
    assert answer.answer == "no"
    assert "no write was acknowledged for >= 24.00 s" in answer.sentence


def test_none_lost_is_a_yes_with_its_exposure() -> None:
    """Zero of nothing would say nothing."""
    for objective in (total(lost_writes) <= 0, worst(lost_writes) <= 0):
        answer = asked(objective, *several(4))
        assert (answer.answer, answer.sentence) == ("yes", "async: 0 of 11,516 acknowledged writes lost in 4 trials")
    never = judged(crashed(lost_s=0.0).fail(0.0, 5.9))
    assert asked(total(lost_writes) <= 0, never).answer == "unknown"


def test_some_lost_is_a_no_and_says_why() -> None:
    """With the worst trial's sentence and its events."""
    trials = [*several(3), judged(crashed(lost_s=0.1), repeat=4)]
    answer = asked(total(lost_writes) <= 0, *trials)
    assert answer.answer == "no"
    assert answer.sentence.startswith(
        "async: 10 of 11,516 acknowledged writes lost in 4 trials (most: 10 in trial 4, multi_host), "
        "asked was total <= 0. 10 acknowledged writes were lost: postgres1 acknowledged them between 0.093 and 0.003 s "
        "before the crash of postgres1, and postgres2 was promoted without having received them"
    )
    assert answer.evidence[0][:2] == [4, "clients"]


def test_losses_without_a_warning_leave_the_warned_ones_out() -> None:
    """They are a measure of their own."""
    warned = judged(crashed(lost_s=0.1).serve("postgres1", 5.9, until_s=6.0, warned=True))
    assert asked(total(lost_without_warning) <= 0, warned).answer == "yes"
    assert asked(total(lost_writes) <= 0, warned).answer == "no"


def test_seconds_of_lost_writes_have_a_reason_too() -> None:
    """Any measure of a trial can be asked for."""
    answer = asked(worst(lost_s) <= 0.01, judged(crashed(lost_s=0.1)))
    assert answer.answer == "no"
    assert "postgres2 was promoted without having received them" in answer.sentence


def test_never_two_primaries() -> None:
    """No where there were, yes where a promotion made none, unknown where nobody was promoted."""
    objective = total(split_brain_writes) <= 0
    answer = asked(objective, judged(unfenced()))
    assert answer.answer == "no"
    assert answer.sentence == (
        "async: 200 of 2,299 writes after a promotion acknowledged by a losing primary in 1 trial "
        "(most: 200 in trial 1, multi_host), asked was total <= 0. Split brain on multi_host: after postgres2 had been "
        "promoted (1.000 s after the partition of postgres1) it acknowledged 2099 writes, and postgres1 200 beside it, "
        "between 1.007 and 2.997 s after the partition of postgres1"
    )
    assert asked(objective, judged(crashed())).answer == "yes"
    quiet = asked(objective, judged(WritesTale()))
    assert quiet.answer == "unknown"
    assert "nobody was promoted, so there was never a second primary" in quiet.sentence
    assert asked(worst(split_brain_s) <= 1, judged(unfenced())).answer == "no"


def test_a_yes_needs_trials_in_which_it_could_have_been_a_no() -> None:
    """In one of four somebody was promoted: that nobody acknowledged beside it there is not said of all four."""
    quiet = []
    for repeat in range(2, 5):
        tale = WritesTale()
        quiet.append(judged(tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.0), repeat=repeat))
    never = total(split_brain_writes) <= 0
    answer = asked(never, judged(crashed(), repeat=1), *quiet)
    assert answer.answer == "unknown"
    assert answer.sentence == (
        "only 1 of 4 trials count, too few for a yes; async: in 3 of 4 valid trials nothing was measured: "
        "nobody was promoted, so there was never a second primary"
    )
    three = [judged(crashed(), repeat=repeat) for repeat in range(1, 4)]
    answer = asked(never, *three, quiet[-1])
    assert (answer.answer, answer.sentence.endswith("in 3 trials")) == ("yes", True)


def test_means_medians_and_differences() -> None:
    """The unit is the trial."""
    trials = [judged(crashed(back_s=7.0 + n / 10), repeat=n) for n in range(1, 5)]
    assert asked(mean(outage_s) < 2, *trials).answer == "yes"
    assert asked(median(unavailable_s) < 1, *trials).answer == "no"
    assert asked(worst(rejoin_s) < 2, *trials).answer == "yes"
    others = [judged(crashed(back_s=8.0 + n / 9), arm="sync", repeat=n) for n in range(1, 5)]
    result = run_of_writes(*trials, *others, objectives=[difference(outage_s, "sync", "async") > 0])
    (answer,) = result.objectives
    assert answer.answer == "yes"
    assert "paired over 4 trials of 1 crash" in answer.sentence
    assert "async is faster here" in answer.sentence


def test_less_is_not_faster_where_seconds_are_a_loss() -> None:
    """The words of a comparison fit what is compared."""
    trials = [judged(crashed(lost_s=n / 20), repeat=n) for n in range(1, 5)]
    others = [judged(crashed(lost_s=1 + n / 20), arm="sync", repeat=n) for n in range(1, 5)]
    (answer,) = run_of_writes(*trials, *others, objectives=[difference(lost_s, "sync", "async") > 0]).objectives
    assert answer.sentence.endswith("async comes to less here.")


def test_a_difference_says_that_it_is_of_the_mean_of_routes() -> None:
    """Ten lost on each of two routes are ten, not twenty: whoever reads it must know."""
    two = ("multi_host", "haproxy")
    trials = [judged(crashed(lost_s=0.2, routes=two), repeat=n) for n in range(1, 3)]
    others = [judged(crashed(routes=two), arm="sync", repeat=n) for n in range(1, 3)]
    result = run_of_writes(*trials, *others, objectives=[difference(lost_writes, "sync", "async") < 0])
    (answer,) = result.objectives
    assert answer.sentence.startswith("sync - async: -10 writes, paired over 2 trials. Each trial counts by the mean")
    assert result.differences[0].words.startswith("Each trial counts by the mean of its 2 routes.")


# -- what reports are given --------------------------------------------------------------------------------------------


def test_the_waterfall_of_a_route_adds_up_to_its_mean_outage() -> None:
    """Over trials, also over one without an outage."""
    trials = [judged(crashed(back_s=7.0 + n / 10), repeat=n) for n in range(1, 4)]
    calm = WritesTale()
    calm.strike("crash", "postgres1", 6.0)
    result = run_of_writes(*trials, judged(calm, repeat=4))
    (route,) = result.routes
    assert (route.arm, route.route, route.fault, route.outage.n) == ("async", "multi_host", "crash", 4)
    assert route.outage.mean is not None
    assert sum(step.mean_s for step in route.steps) == pytest.approx(route.outage.mean)
    assert [step.name for step in route.steps] == ["detection", "promotion", "writable", "client"]
    assert len(route.steps[0].each) == 4
    assert (route.bound_high_s, route.resolution_s) == (3.2, pytest.approx(0.01))
    assert route.kinds == {"failover": 3, "no failover": 1}
    assert route.largest == "detection, moved by check_interval_s (0.25)"
    assert route.first_failure_s == pytest.approx(0.006)
    assert Result.from_json(orjson.loads(orjson.dumps(result.to_json()))) == result


def test_losses_are_added_up_over_trials() -> None:
    """By arm and route, with what both primaries acknowledged."""
    trials = [judged(unfenced(), repeat=1), judged(crashed(lost_s=0.1), repeat=2)]
    (loss,) = run_of_writes(*trials).losses
    assert (loss.arm, loss.route, loss.trials) == ("async", "multi_host", 2)
    assert (loss.lost_each, loss.split_brain_each) == ([300, 10], [200, 0])
    assert loss.account.lost == {"writes": 310, "warned": 0, "read_then_gone": 0}
    assert loss.account.writes == 2 * 2999
    assert loss.split_brain_by_node["postgres1"] == 200
    assert loss.lost_s_worst == pytest.approx(2.99)
    assert loss.lost_wal_bytes_worst > 0
    assert loss.rejoin is not None and loss.rejoin.mean == pytest.approx(1.0)


def test_what_another_route_lost_does_not_stand_beside_a_route() -> None:
    """WAL and seconds of a split brain belong to the route whose writes they were."""
    tale = unfenced(routes=("multi_host", "haproxy"), route="multi_host")
    tale._lost = [lost for lost in tale._lost if lost[2] == "multi_host"]
    first, second = run_of_writes(judged(tale)).losses
    assert (first.route, first.lost_wal_bytes_worst > 0, first.split_brain_s_worst > 1.9) == ("multi_host", True, True)
    assert (second.route, second.lost_each, second.split_brain_each) == ("haproxy", [0], [0])
    assert (second.lost_wal_bytes_worst, second.split_brain_s_worst) == (0, 0.0)


def test_an_arm_without_a_valid_trial_has_neither() -> None:
    """And no objective is a pass."""
    spoiled = judged(crashed().stall("clients", 8.0, 9.0))
    result = run_of_writes(spoiled)
    assert (result.routes, result.losses, result.answer) == ([], [], "unknown")


def test_bounds_are_those_of_change_and_route() -> None:
    """From the plan's arm: the real settings' promise."""
    bounds = run_of_writes(judged(crashed())).arms[0].bounds
    assert list(bounds) == ["crash@multi_host"]
    assert next(phase["name"] for phase in bounds["crash@multi_host"]["phases"]) == "detection"
