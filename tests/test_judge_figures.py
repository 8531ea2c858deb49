"""What a report shows of a trial and of an arm: means, phases, curves, and what lies outside its bound."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from lab import bound, worst
from lab.history import History
from lab.judge import judge_trial
from lab.judge.arms import UNSPLIT
from lab.judge.trial import CHECKERS
from lab.measures import dead_but_listed_s
from lab.testing import Tale
from lab.verdict import Verdict
from tests.made_runs import run_of, trial_of

WORST = worst(dead_but_listed_s) <= bound()


def test_an_arms_figures() -> None:
    """Mean of the trials' means with Student's interval, each trial, the worst single value and where it was seen."""
    trials = [trial_of("slow", n, [4.0 + n / 10, 4.2 + n / 10]) for n in (1, 2, 3)]
    estimate = run_of(trials, objectives=[WORST]).arms[0].measures["dead_but_listed_s"]
    assert estimate.mean == pytest.approx(4.3)
    assert estimate.each == pytest.approx([4.2, 4.3, 4.4])
    assert estimate.low == pytest.approx(4.3 - 4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert (estimate.n, estimate.samples, estimate.changes, estimate.censored) == (3, 6, 3, 0)
    assert (estimate.worst, estimate.worst_where) == (pytest.approx(4.5), "trial 3, crash of backend2, client 2")
    assert estimate.evidence[0][:2] == [3, "lab"]


def test_two_trials_have_no_interval_and_say_so() -> None:
    """A mean, and a note."""
    result = run_of([trial_of("slow", n, [4.0]) for n in (1, 2)], objectives=[WORST])
    estimate = result.arms[0].measures["dead_but_listed_s"]
    assert (estimate.mean, estimate.low, estimate.note) == (4.0, None, "no interval below 3 trials")


def test_phases_add_up_to_the_mean_and_the_largest_is_named() -> None:
    """Means of phases beside what is promised of each."""
    arm = run_of([trial_of("slow", n, [4.0 + n, 5.0]) for n in (1, 2)], objectives=[WORST]).arms[0]
    phases = arm.phases["dead_but_listed_s"]
    assert [phase.name for phase in phases] == ["detection", "client cache"]
    assert sum(phase.mean_s or 0 for phase in phases) == pytest.approx(arm.measures["dead_but_listed_s"].mean)
    assert (phases[1].low_s, phases[1].high_s, phases[1].moved_by) == (0.0, 6.0, "ttl_s (5)")
    assert arm.most == "client cache, moved by ttl_s (5)"


def test_what_cannot_be_split_has_its_own_part() -> None:
    """Milestones of one trial are missing: its time is not put into any phase, and the parts still add up."""
    lost = trial_of("slow", 2, [4.0])
    for sample in lost.samples:
        if sample["client"] is not None:
            sample["phases"] = {}
    arm = run_of([trial_of("slow", 1, [4.0]), lost], objectives=[WORST]).arms[0]
    means = {phase.name: phase.mean_s for phase in arm.phases["dead_but_listed_s"]}
    assert means == {"detection": pytest.approx(0.75), "client cache": pytest.approx(1.25), UNSPLIT: pytest.approx(2.0)}


def test_too_quick_is_outside_the_bound_as_well() -> None:
    """Nobody can be right before the least that the settings allow; the claim `<= bound` still holds."""
    result = run_of([trial_of("slow", 1, [0.5], detected_s=0.4)], objectives=[WORST])
    assert result.answer == "yes"
    assert result.arms[0].outside == [
        "slow: 1 of 1 clients were right sooner than the settings allow (0.50 s where at least 1.00 s are expected, "
        "trial 1, crash of backend2, client 1)"
    ]


def test_a_trial_as_a_report_needs_it() -> None:
    """Changes relative to the first strike, curves as steps, engine phases, figures."""
    trial = trial_of("slow", 1, [3.0, None, 2.0, 2.0], spoil=lambda t: t.heal("backend2", 20.0).up("backend2", 20.5))
    crash, back = trial.changes
    assert (crash.change, crash.kind, crash.at_s) == ("1:backend2", "crash", 0.0)
    assert (crash.commanded_s, crash.effective_s, crash.healed_s) == (-0.001, 0.0, 14.0)
    assert (crash.phase_planned, crash.bound_high_s) == (0.5, 8.0)
    assert crash.values["dead_but_listed_s"] == {"mean": 5.25, "worst": 14.0, "n": 4, "censored": 1}
    assert (back.kind, back.at_s) == ("return", 14.5)
    assert trial.curves["dead_but_listed_s"] == [[0.0, 0.0], [2.0, 0.5], [3.0, 0.75]]
    assert trial.phases_s["baseline"] == [-6.0, -1.0]
    assert trial.seconds["baseline"] == 5.0
    assert trial.figures["checkers"] == {"validity": "yes", "staleness": "yes", "harm": "yes", "quiet": "no"}


def test_a_trials_mean_is_the_mean_of_its_changes() -> None:
    """A change with fewer clients (one was excluded) counts no less."""
    tale = Tale(arm="slow", bounds={}, rate_per_s=5).strike("crash", "backend2", 6.0).strike("crash", "backend3", 7.0)
    tale.view(1, 6.5, removed=["backend3"]).everybody(10.0, removed=["backend2"]).view(2, 9.0, removed=["backend3"])
    assert judge_trial(tale.history()).means["dead_but_listed_s"] == pytest.approx((4.0 + 2.0) / 2)


def test_a_checker_that_crashes_makes_the_trial_unknown_and_is_named() -> None:
    """The others still speak."""

    def broken(history: History) -> Verdict:
        raise KeyError("node")

    trial = judge_trial(Tale(arm="slow", rate_per_s=5).history(), {**CHECKERS, "harm": broken})
    assert trial.valid == "unknown"
    assert len(trial.reasons) == 1
    assert trial.reasons[0].startswith("the checker harm crashed: KeyError: 'node' (in broken, line ")
    assert trial.figures["checkers"]["quiet"] == "yes"


def test_a_history_of_nothing_is_unknown() -> None:
    """Not even a plan."""
    trial = judge_trial(History([]))
    assert (trial.trial, trial.arm, trial.valid) == (0, "", "unknown")
    assert trial.reasons == ["there is no plan event: this is not the history of a whole trial"]
    assert asdict(trial)["samples"] == []
