"""From trials to answers: each rule of section 6 of the design, on trials whose figures are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
import pytest

from lab import bound, difference, mean, median, total, worst
from lab.judge import judge_trial, summarise
from lab.measures import (
    alive_but_missing_s,
    attempts_on_dead,
    dead_but_listed_s,
    false_removals,
    requests_lost,
    wrong_view_s,
)
from lab.plan import make_plan
from lab.report import words as report_words
from lab.result import ObjectiveResult, Result, TrialResult
from lab.testing import Tale
from tests.made_runs import run_of, trial_of
from tests.stand_in import scenario


def only(result: Result) -> ObjectiveResult:
    (answer,) = result.objectives
    return answer


def asked(objective: object, *trials: TrialResult) -> ObjectiveResult:
    """The one answer about arm slow."""
    return only(run_of(trials, objectives=[objective]))


WORST = worst(dead_but_listed_s) <= bound()


def test_a_claim_that_holds() -> None:
    """Two arms inside their bounds and a clear difference: yes, exit 0, and the sentence a person reads."""
    slow = [trial_of("slow", n, [4.0 + n / 10, 4.4 + n / 10], phase=n / 4 - 0.1) for n in range(1, 5)]
    quick = [trial_of("quick", n, [1.9 + n / 10, 1.7 + n / 10], phase=n / 4 - 0.1) for n in range(1, 5)]
    result = run_of(slow, quick)
    assert [(a.arm, a.answer) for a in result.objectives] == [("slow", "yes"), ("quick", "yes"), ("", "yes")]
    assert (result.answer, result.exit_code, result.sentence) == ("yes", 0, "The claim holds: 3 of 3 objectives.")
    assert result.objectives[0].sentence == (
        "slow: worst seen in 4 changes is 4.80 s (trial 8, crash of backend2, client 2), phases covered 4 of 4; "
        "the bound of 8.00 + 0.10 s"
    )
    assert result.objectives[2].sentence == (
        "quick - slow: -2.40 s [-2.40, -2.40], paired over 4 trials of 1 crash, phases covered 4 of 4. "
        "quick is faster here."
    )
    assert (result.planned_trials, result.valid_trials, result.partial) == (8, 8, False)
    assert Result.from_json(orjson.loads(orjson.dumps(result.to_json()))) == result


def test_one_sample_beyond_the_bound_is_a_no() -> None:
    """One refuting trial among valid ones: no, with trial, change, client, phase, setting and evidence."""
    trials = [trial_of("slow", n, [4.0, 4.2]) for n in (1, 2, 3)] + [trial_of("slow", 4, [4.0, 9.5])]
    result = run_of(trials, objectives=[WORST])
    answer = only(result)
    assert (answer.answer, result.exit_code) == ("no", 1)
    assert answer.sentence == (
        "slow: dead but listed 9.50 s (trial 4, crash of backend2, client 2), beyond the bound of 8.00 + 0.10 s "
        "(1 of 8 samples). Client cache took 8.00 s where at most 6.00 s are promised; moved by ttl_s (5)"
    )
    assert answer.evidence[0][:2] == [4, "lab"]
    assert result.sentence.startswith("The claim does not hold: slow: dead but listed 9.50 s")
    assert result.arms[0].outside == [
        "slow: 1 of 2 clients were dead but listed for longer than the bound of 8.00 + 0.10 s (worst: 9.50 s, "
        "trial 4, crash of backend2, client 2): client cache took 8.00 s where at most 6.00 s are promised; "
        "moved by ttl_s (5)"
    ]


@pytest.mark.parametrize(
    ("late_s", "width_s", "answer"),
    [
        (8.1, 0.0, "yes"),
        (8.101, 0.0, "no"),
        (8.15, 0.12, "unknown"),  # 8.15 - 0.06 is inside 8.1, 8.15 is not: nobody can say
        (8.15, 0.08, "no"),
    ],
)
def test_the_edge_of_the_bound(late_s: float, width_s: float, answer: str) -> None:
    """Beyond its bound is what is beyond bound and allowance by more than half its own width; never a pass by width."""
    assert asked(WORST, trial_of("slow", 1, [late_s], width_s=width_s)).answer == answer


def test_the_allowance_grows_with_the_labs_own_lag() -> None:
    """max(0.1 s, 3 x p99): a lab that lags 100 ms allows 0.3 s, and says so."""
    trial = trial_of("slow", 1, [8.25])
    trial.figures["lab_lag_p99_ms"] = 100.0
    result = run_of([trial], objectives=[WORST])
    assert (only(result).answer, result.arms[0].allowance_s) == ("yes", pytest.approx(0.3))
    assert result.lab_lag_p99_ms == 100.0


def test_a_censored_value_beyond_the_bound_is_a_no() -> None:
    """At least 24 s is more than 8.1 s, whatever came later."""
    answer = asked(WORST, trial_of("slow", 1, [3.0, None]))
    assert answer.answer == "no"
    assert "dead but listed >= 24.00 s (trial 1, crash of backend2, client 2)" in answer.sentence


def healed_early(tale: Tale) -> object:
    return tale.heal("backend2", 11.0).up("backend2", 11.3)


def test_a_censored_value_inside_the_bound_is_unknown() -> None:
    """It was healed after 5 s: it might have been right in time."""
    answer = asked(WORST, trial_of("slow", 1, [3.0, None], spoil=healed_early))
    assert answer.answer == "unknown"
    assert answer.sentence == (
        "slow: still dead but listed >= 5.00 s when watched last (trial 1, crash of backend2, client 2); that is not "
        "beyond the bound of 8.00 + 0.10 s, but nobody saw its end: hold longer"
    )


def test_an_unknown_trial_is_never_a_pass_and_repeats_what_is_missing() -> None:
    """No valid trial: unknown, exit 2, and the evidence that is missing."""
    tale = Tale(arm="slow", rate_per_s=5).strike("crash", "backend2", 6.0, effective=False)
    result = run_of([judge_trial(tale.history())], objectives=[WORST], expects={WORST: "unknown"})
    answer = only(result)
    assert (answer.answer, answer.expected, result.exit_code) == ("unknown", "unknown", 2)
    assert answer.sentence == (
        "slow: 0 of 1 trial valid. Trial 1: strike 1 (crash of backend2) did not take effect: "
        "missing evidence: pids_gone"
    )
    assert result.demonstration
    assert result.arms[0].measures["dead_but_listed_s"].note == "no valid trial"


def test_what_an_unknown_trial_measured_refutes_nothing() -> None:
    """A client seemed wrong for long, but the lab itself had stalled."""
    stalled = trial_of("slow", 1, [20.0], spoil=lambda t: t.stall("clients", 8.0, 11.0))
    assert asked(WORST, stalled).answer == "unknown"
    assert asked(WORST, stalled, *(trial_of("slow", n, [4.0]) for n in (2, 3))).answer == "yes"


def test_half_of_the_trials_are_too_few_for_a_yes_and_one_is_enough_for_a_no() -> None:
    """2 of 4 valid: nobody can say that it holds; one of them refutes it all the same."""
    spoiled = [trial_of("slow", n, [4.0], spoil=lambda t: t.stall("clients", 8.0, 11.0)) for n in (1, 2)]
    good = [trial_of("slow", n, [4.0]) for n in (3, 4)]
    answer = asked(WORST, *spoiled, *good)
    assert answer.answer == "unknown"
    assert answer.sentence.startswith("only 2 of 4 trials count, too few for a yes; slow: 2 of 4 trials valid. ")
    assert asked(WORST, *spoiled, good[0], trial_of("slow", 4, [9.0])).answer == "no"


def test_a_replaced_trial_counts_once() -> None:
    """The unknown one and its replacement have one repeat; the valid one stands for it."""
    spoiled = trial_of("slow", 1, [4.0], spoil=lambda t: t.stall("clients", 8.0, 11.0))
    again = trial_of("slow", 1, [4.5], number=99)
    result = run_of([spoiled, trial_of("slow", 2, [4.0]), again], objectives=[WORST], repeats=2)
    assert only(result).answer == "yes"
    assert (result.planned_trials, len(result.trials), result.valid_trials, result.partial) == (2, 3, 2, False)
    assert result.arms[0].measures["dead_but_listed_s"].each == [4.5, 4.0]


def test_a_replaced_trial_that_is_valid_when_judged_again_still_counts_once() -> None:
    """In the figures, in the page, and a note says which one counts."""
    first, again = trial_of("slow", 1, [4.0]), trial_of("slow", 1, [4.5], number=99)
    result = run_of([first, trial_of("slow", 2, [4.0]), again], objectives=[WORST], repeats=2)
    assert result.arms[0].measures["dead_but_listed_s"].each == [4.5, 4.0]
    assert [trial.trial for trial in report_words.valid_trials(result, "slow")] == [2, 99]
    assert result.notes == ["trial 1 (slow, repeat 1) is valid, but trial 99 stands for it"]


def test_who_is_left_out_of_the_figures_is_told() -> None:
    """A client that was wrong before the strike, and one that came to know nobody."""

    def spoil(tale: Tale) -> object:
        return tale.view(3, 3.0, removed=["backend4"]).view(2, 7.0, removed=tale.expected)

    result = run_of([trial_of("slow", 1, [4.0, None, None], spoil=spoil)], objectives=[WORST])
    assert result.notes == [
        "slow: 1 of 3 pairs of a client and a change are left out: the client was wrong before the change",
        "slow: 1 of 2 times a client did not learn of a change but knew nobody any more; this counts as not over",
    ]
    assert only(result).answer == "unknown"


def test_a_run_cut_short_holds_nothing_but_can_be_refuted() -> None:
    """Ctrl-C after one of four trials."""
    good = run_of([trial_of("slow", 1, [4.0])], objectives=[WORST], repeats=4)
    assert (good.answer, good.exit_code, good.partial) == ("unknown", 2, True)
    assert good.sentence.startswith("Unknown: the run was cut short after 1 of 4 trials")
    assert run_of([trial_of("slow", 1, [9.0])], objectives=[WORST], repeats=4).answer == "no"


def test_nothing_at_all() -> None:
    """Not one trial: unknown, and no crash."""
    plan = make_plan(scenario(repeats=2), 7)
    result = summarise(plan, [], {})
    assert (result.answer, result.exit_code, result.partial) == ("unknown", 2, True)
    assert result.objectives[0].sentence == "slow: no trial was finished"
    assert result.objectives[2].sentence.startswith("quick - slow: no pair of valid trials.")


def test_an_objective_whose_arm_was_not_run_is_not_asked() -> None:
    """`--arm slow`: the comparison and the other arm are left out, and a note says so."""
    result = run_of([trial_of("slow", 1, [4.0])])
    assert [(item.objective, item.arm) for item in result.objectives] == [(str(WORST), "slow")]
    assert result.answer == "yes"
    assert result.notes == [
        "not asked, because not all of its arms were run: difference(dead_but_listed_s, quick, slow) < 0"
    ]


# -- comparisons -------------------------------------------------------------------------------------------------------

FASTER = difference(dead_but_listed_s, "quick", "slow") < 0


def compared(slow: Sequence[float], quick: Sequence[float], *objectives: object) -> Result:
    return run_of(
        [trial_of("slow", n, [value]) for n, value in enumerate(slow, 1)],
        [trial_of("quick", n, [value]) for n, value in enumerate(quick, 1)],
        objectives=list(objectives) or [FASTER],
    )


def healed(tale: Tale) -> object:
    tale.heal("backend2", 20.0).up("backend2", 20.3)
    return tale.everybody(22.0 + tale.repeat / 10, added=["backend2"])


def test_phases_are_covered_by_strikes_not_by_returns() -> None:
    """A return is healed when it is healed: that strikes met every phase of the TTL says nothing of it."""
    slow = [trial_of("slow", n, [4.0, 4.1], phase=n / 4 - 0.1, spoil=healed) for n in range(1, 5)]
    quick = [trial_of("quick", n, [2.0 + n / 9, 2.0], phase=n / 4 - 0.1, spoil=healed) for n in range(1, 5)]
    back = [worst(alive_but_missing_s) <= 5, difference(alive_but_missing_s, "quick", "slow") < 1]
    result = run_of(slow, quick, objectives=[*back, worst(dead_but_listed_s) <= 5, FASTER])
    said = {item.objective: item.sentence for item in result.objectives}
    assert [("phases covered" in sentence) for sentence in said.values()] == [False, False, True, True]
    shown = {item.measure: report_words.difference(result, item) for item in result.differences}
    assert "phases covered" not in shown["alive_but_missing_s"]
    assert shown["dead_but_listed_s"].endswith(", phases covered 4 of 4")


def test_phases_that_one_arm_alone_covers_are_its_own() -> None:
    """Nobody sees when a session's heartbeat comes."""
    slow = [trial_of("slow", n, [4.0 + n / 9], phase=0.1) for n in range(1, 4)]
    quick = [trial_of("quick", n, [2.0]) for n in range(1, 4)]
    for trial in quick:
        trial.changes[0].phase_achieved = None
    assert ", phases covered 1 of 4 in slow. quick is faster" in only(run_of(slow, quick, objectives=[FASTER])).sentence


def test_a_clear_difference_the_other_way_is_a_no() -> None:
    """The whole interval lies above 0."""
    answer = only(compared([2.0, 2.1, 2.2, 2.3], [4.0, 4.2, 4.1, 4.4]))
    assert answer.answer == "no"
    assert answer.sentence.endswith("slow is faster here.")


def test_an_inconclusive_difference_is_unknown_and_says_what_would_settle_it() -> None:
    """The interval holds 0."""
    result = compared([4.0, 2.0, 5.0, 3.0], [2.0, 3.5, 2.5, 3.2])
    answer = only(result)
    assert answer.answer == "unknown"
    assert "The difference is not settled at 4 repeats: about " in answer.sentence
    assert result.differences[0].words == answer.sentence[answer.sentence.index("The difference") :]


def test_two_pairs_give_no_interval() -> None:
    """And so no verdict."""
    result = compared([4.0, 4.1], [2.0, 2.1])
    assert only(result).answer == "unknown"
    assert result.differences[0].words == "Not settled: 2 pairs give no interval; at least 3 are needed."
    assert result.differences[0].estimate.low is None


def test_unpaired_trials_are_left_out() -> None:
    """Repeat 2 of slow is unknown, so repeat 2 of quick has no partner."""
    slow = [trial_of("slow", n, [4.0 + n / 10]) for n in range(1, 5)]
    slow[1] = trial_of("slow", 2, [9.0], spoil=lambda t: t.stall("clients", 8.0, 11.0))
    quick = [trial_of("quick", n, [2.0 + n / 7]) for n in range(1, 5)]
    result = run_of(slow, quick, objectives=[FASTER])
    assert result.differences[0].pairs == 3
    assert "paired over 3 trials" in only(result).sentence


def test_several_comparisons_are_corrected() -> None:
    """A difference that would just pass alone does not pass beside another that does not (Holm)."""
    slow, quick = [4.0, 4.6, 4.1, 4.7], [3.8, 3.6, 3.7, 4.0]
    alone = compared(slow, quick)
    assert only(alone).answer == "yes"
    both = compared(slow, quick, FASTER, difference(attempts_on_dead, "quick", "slow") < 0)
    assert [item.answer for item in both.objectives] == ["unknown", "unknown"]
    assert both.differences[0].words == (
        "Not settled: one of 2 comparisons, and not clear enough beside the others (Holm)."
    )


def test_a_number_other_than_zero() -> None:
    """difference < -1: faster by more than a second."""
    more = difference(dead_but_listed_s, "quick", "slow") < -1
    assert only(compared([5.0, 5.1, 5.2, 5.3], [2.0, 2.2, 2.1, 2.4], more)).answer == "yes"
    assert only(compared([2.4, 2.5, 2.6, 2.7], [2.0, 2.2, 2.1, 2.4], more)).answer == "no"


def test_censored_means_only_decide_one_way() -> None:
    """Some clients of the quicker arm never became right: its mean is a least value, so it may not be quicker."""
    slow = [trial_of("slow", n, [4.5 + n / 50, 4.5], spoil=healed_early) for n in range(1, 5)]
    quick = [trial_of("quick", n, [1.5 + n / 30, None], spoil=healed_early) for n in range(1, 5)]
    assert only(run_of(slow, quick, objectives=[FASTER])).answer == "unknown"
    slow = [trial_of("slow", n, [4.5 + n / 50, None], spoil=healed_early) for n in range(1, 5)]
    quick = [trial_of("quick", n, [1.5 + n / 30, 1.5], spoil=healed_early) for n in range(1, 5)]
    assert only(run_of(slow, quick, objectives=[FASTER])).answer == "yes"


# -- numbers, means, totals --------------------------------------------------------------------------------------------


def test_a_number_instead_of_the_bound_has_no_allowance_but_the_width_counts() -> None:
    """5.02 +- 0.05 cannot be told from 5; 5.1 +- 0.05 is beyond it."""
    assert asked(worst(dead_but_listed_s) <= 5, trial_of("slow", 1, [5.02], width_s=0.1)).answer == "unknown"
    assert asked(worst(dead_but_listed_s) <= 5, trial_of("slow", 1, [5.1], width_s=0.1)).answer == "no"
    assert asked(worst(dead_but_listed_s) < 5, trial_of("slow", 1, [5.0])).answer == "no"
    assert asked(worst(dead_but_listed_s) >= 5, trial_of("slow", 1, [4.0, 5.0])).answer == "yes"


@pytest.mark.parametrize("reduce", [mean, median])
def test_means_and_medians_are_of_trials_with_their_interval(reduce: Callable[..., object]) -> None:
    """Wholly below: yes. Wholly above: no. Across: unknown. Two trials only refute, and only together."""

    def answer(values: Sequence[float]) -> str:
        left = reduce(dead_but_listed_s)
        return asked(left < 4, *(trial_of("slow", n, [v, v + 0.2]) for n, v in enumerate(values, 1))).answer  # type: ignore[operator]

    assert answer([3.0, 3.1, 3.2, 3.1]) == "yes"
    assert answer([4.5, 4.6, 4.7, 4.6]) == "no"
    assert answer([3.0, 5.0, 3.5, 4.5]) == "unknown"
    assert answer([3.0, 3.1]) == "unknown"
    assert answer([5.0, 5.1]) == "no"
    assert answer([5.0, 3.1]) == "unknown"


def test_the_median_of_eight_trials() -> None:
    """From eight trials on by the studentised bootstrap, the same every time."""
    trials = [trial_of("slow", n, [3.0 + n / 10]) for n in range(1, 9)]
    answers = {asked(median(dead_but_listed_s) < 4.2, *trials).answer for _ in range(2)}
    assert answers == {"yes"}


def test_totals_are_over_all_trials() -> None:
    """One lost request in one of three trials refutes `<= 0`."""

    def lose(tale: Tale) -> object:
        return tale.request(1, 7.0, "backend2", "fail", why="refused")

    none = [trial_of("slow", n, [4.0]) for n in (1, 2, 3)]
    assert asked(total(requests_lost) <= 0, *none).answer == "yes"
    answer = asked(total(requests_lost) <= 0, *none[:2], trial_of("slow", 3, [4.0], spoil=lose))
    assert (answer.answer, answer.sentence) == ("no", "slow: 1 request in 3 trials, asked was <= 0")
    unseen = trial_of("slow", 3, [4.0], spoil=lambda t: t.stall("clients", 8.0, 11.0))
    assert asked(total(requests_lost) <= 5, *none).answer == "yes"
    assert asked(total(requests_lost) <= 5, *none[:2], unseen).answer == "unknown"  # it may have lost six


def quiet_trial(repeat: int, **settings: object) -> TrialResult:
    return judge_trial(Tale(arm="slow", trial=repeat, repeat=repeat, **settings).history())  # type: ignore[arg-type]


def test_zero_findings_pass_only_over_client_seconds() -> None:
    """Two trials of two clients each: yes, over so many client-seconds. Nobody watched: unknown."""
    objectives = [total(false_removals) <= 0, total(wrong_view_s) <= 0]
    result = run_of([quiet_trial(1), quiet_trial(2)], strikes=[], objectives=objectives)
    assert [item.answer for item in result.objectives] == ["yes", "yes"]
    assert result.objectives[0].sentence == "slow: 0 removals of the living in 119.6 client-seconds"
    assert result.objectives[1].sentence == "slow: 0.000 client-seconds of wrong views in 119.6 client-seconds"
    nobody = run_of([quiet_trial(1, clients=0)], strikes=[], objectives=objectives)
    assert [item.answer for item in nobody.objectives] == ["unknown", "unknown"]
    assert nobody.objectives[0].sentence == (
        "slow: nothing was measured in 1 valid trial: zero client-seconds were watched"
    )


def test_what_cannot_be_measured_is_unknown() -> None:
    """Nothing came back in these trials, so nobody was late about it."""
    answer = asked(worst(alive_but_missing_s) <= bound(), trial_of("slow", 1, [4.0]))
    assert answer.answer == "unknown"
    assert "nothing was measured" in answer.sentence
