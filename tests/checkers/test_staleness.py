"""How long clients were wrong: every rule of the definition, one made-up trial each."""

from __future__ import annotations

import pytest

from lab.checkers import staleness
from lab.history import History
from lab.testing import Tale
from lab.verdict import Sample, Valid, Verdict

COUNTS = {
    "excluded_wrong_at_baseline": 0,
    "excluded_wrong_before_change": 0,
    "excluded_closed": 0,
    "closed_while_watched": 0,
    "relapses": 0,
    "unconfirmed": 0,
    "clamped_to_zero": 0,
    "forgot_everybody": 0,
    "clients_wrong_at_baseline": 0,
}


def crashed(**settings: object) -> Tale:
    """One crash at 6 s that is never healed, so every window closes with the load at 30 s."""
    return Tale(**settings).strike("crash", "backend2", 6.0)  # type: ignore[arg-type]


def values(tale: Tale, measure: str = "dead_but_listed_s") -> list[float]:
    samples = staleness.check(tale.history()).samples
    return [sample.value for sample in samples if sample.measure == measure]


def test_an_empty_history_is_unknown() -> None:
    """Nothing happened: the checker says that it found nothing to look at."""
    nothing = Verdict("staleness", Valid.UNKNOWN, ("no instance changed: there is nothing to be late about",))
    assert staleness.check(History([])) == nothing
    assert staleness.check(Tale().history()) == nothing


def test_the_whole_verdict_of_one_crash() -> None:
    """Two clients, one crash, DNS milestones: values, phases that add up, width and evidence, exactly."""
    tale = Tale().strike("crash", "backend2", 6.0, width_s=0.004)
    tale.registry("detected", "backend2", 7.5).registry("published", "backend2", 7.51, server="ns1")
    tale.registry("propagated", "backend2", 7.53, server="ns2")
    tale.view(1, 9.0, removed=["backend2"]).view(2, 11.0, removed=["backend2"])
    history = tale.history()
    effective = next(history.of("fault.effective")).ref
    right = [event.ref for event in history.of("view") if event.fields["removed"]]

    def sample(client: int, value: float, cache: float) -> Sample:
        phases = {"detection": 1.5, "publication": 0.01, "propagation": 0.02, "client cache": cache}
        ref = (effective, right[client - 1])
        return Sample("dead_but_listed_s", "1:backend2", value, client, False, 0.004, phases, ref)

    assert staleness.check(history) == Verdict(
        "staleness", Valid.YES, (), (sample(1, 3.0, 1.47), sample(2, 5.0, 3.47)), COUNTS
    )


def test_a_client_that_never_learns_is_censored_and_kept() -> None:
    """Not right when the window closes: the value is how long it was watched, and it says that it is a least value."""
    tale = crashed().view(1, 9.0, removed=["backend2"])
    one, other = staleness.check(tale.history()).samples
    assert (one.value, one.censored) == (3.0, False)
    assert (other.value, other.censored) == (24.0, True)
    assert other.evidence == (one.evidence[0],)


def test_the_return_closes_the_window() -> None:
    """A client that never learns is watched until its node heals: after that, listing it is right."""
    tale = crashed().heal("backend2", 20.0).up("backend2", 20.4)
    assert [(s.value, s.censored) for s in staleness.check(tale.history()).samples[:2]] == [(14.0, True)] * 2


def test_a_client_that_is_right_just_before_the_return_is_not_censored() -> None:
    """What happens after the return no longer bears on the question, so being right needs no second to be believed."""
    tale = crashed().everybody(19.9, removed=["backend2"]).heal("backend2", 20.0).up("backend2", 20.4)
    samples = staleness.check(tale.history()).samples[:2]
    assert [(round(s.value, 6), s.censored) for s in samples] == [(13.9, False)] * 2


def test_right_for_less_than_a_second_when_the_load_ends_is_not_believed() -> None:
    """Nobody saw whether it stayed so: the value is a least value, and is counted."""
    tale = crashed().view(1, 28.9, removed=["backend2"]).view(2, 29.1, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [sample.censored for sample in verdict.samples] == [False, True]
    assert verdict.figures["unconfirmed"] == 1


def test_a_relapse_counts_until_the_last_instant() -> None:
    """Right, wrong and right again: the time ends at the last instant, and the relapse is counted."""
    tale = crashed(clients=1).view(1, 8.0, removed=["backend2"])
    tale.view(1, 12.0, added=["backend2"]).view(1, 13.0, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [sample.value for sample in verdict.samples] == [7.0]
    assert verdict.figures["relapses"] == 1


def test_another_nodes_change_is_no_relapse() -> None:
    """Views that change for another reason do not end, or begin, being wrong about this node."""
    tale = crashed(clients=1).view(1, 7.0, removed=["backend3"]).view(1, 8.0, added=["backend3"])
    tale.view(1, 9.0, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [sample.value for sample in verdict.samples] == [3.0]
    assert verdict.figures["relapses"] == 0


def test_a_view_ends_at_its_expiry_not_at_the_next_one() -> None:
    """A request due in the gap waits and chooses from the next view: that one holds from the expiry on."""
    tale = crashed(clients=1).view(1, 5.5, expires_s=9.5).view(1, 9.8, removed=["backend2"])
    assert values(tale) == [3.5]


def test_a_view_with_no_successor_is_empty_from_its_expiry() -> None:
    """An expired view lists nobody, so it does not list the dead."""
    tale = crashed(clients=1).view(1, 5.5, expires_s=9.5)
    assert values(tale) == [3.5]


def test_a_client_that_knows_nobody_any_more_has_not_learned_of_a_removal() -> None:
    """The resolver died behind the crash: an empty view does not list the dead, but that is nobody's merit."""
    tale = crashed(clients=2).view(1, 9.0, removed=["backend2"])
    tale.view(2, 8.0, removed=tale.expected)
    verdict = staleness.check(tale.history())
    assert [(sample.value, sample.censored) for sample in verdict.samples] == [(3.0, False), (2.0, True)]
    assert verdict.figures == COUNTS | {"forgot_everybody": 1}
    back = crashed(clients=1).view(1, 8.0, removed=tale.expected).view(1, 8.5, added=["backend1", "backend3"])
    assert [(s.value, s.censored) for s in staleness.check(back.history()).samples] == [(2.0, False)]


def test_where_nobody_serves_any_more_an_empty_view_is_right() -> None:
    """The only instance crashed."""
    tale = crashed(clients=1, instances=2, spare=0).strike("crash", "backend1", 6.0)
    tale.everybody(9.0, removed=["backend1", "backend2"])
    assert [sample.censored for sample in staleness.check(tale.history()).samples] == [False, False]


def test_a_client_that_was_wrong_at_the_baseline_is_excluded_and_counted() -> None:
    """It lacks another node before anything was broken: nothing it says counts."""
    tale = crashed(clients=3).view(3, 3.0, removed=["backend4"]).everybody(9.0, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [sample.client for sample in verdict.samples] == [1, 2]
    assert verdict.figures == COUNTS | {"excluded_wrong_at_baseline": 1, "clients_wrong_at_baseline": 1}


def test_a_client_that_was_wrong_just_before_the_change_is_excluded_and_counted() -> None:
    """It had dropped the node, which was alive, before the crash: it has nothing to learn."""
    tale = crashed().view(1, 5.9, removed=["backend2"]).view(2, 9.0, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [sample.client for sample in verdict.samples] == [2]
    assert verdict.figures == COUNTS | {"excluded_wrong_before_change": 1}


def test_nobody_to_watch_is_unknown() -> None:
    """Every client was wrong before: a claim about nobody."""
    tale = crashed(clients=1).view(1, 3.0, removed=["backend4"])
    verdict = staleness.check(tale.history())
    assert (verdict.valid, verdict.samples) == (Valid.UNKNOWN, ())
    assert verdict.reasons == ("no client was right before any change: nobody to watch",)


def test_a_client_that_stops_to_exist_is_censored_there() -> None:
    """Its view was closed while it still listed the dead: watched for 2 s, and counted."""
    tale = crashed().tell("clients", "view.closed", 8.0, client=1).view(2, 9.0, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [(sample.value, sample.censored) for sample in verdict.samples] == [(2.0, True), (3.0, False)]
    assert verdict.figures["closed_while_watched"] == 1


def test_a_value_inside_the_changes_own_width_is_zero_not_negative() -> None:
    """The view changed before the middle of the interval in which the crash happened: nobody can be early."""
    tale = Tale(clients=1).strike("crash", "backend2", 6.0, width_s=0.2).view(1, 5.95, removed=["backend2"])
    verdict = staleness.check(tale.history())
    assert [(sample.value, sample.width_s) for sample in verdict.samples] == [(0.0, 0.2)]
    assert verdict.figures["clamped_to_zero"] == 1


def test_stalls_that_overlap_widen_a_sample() -> None:
    """Those of the clients and of the node's agent, in full; not another agent's, not one before the change."""
    tale = crashed(clients=1).view(1, 9.0, removed=["backend2"])
    tale.stall("clients", 7.0, 7.03).stall("agent/backend2", 5.98, 6.02)
    tale.stall("agent/backend3", 7.0, 7.04).stall("clients", 5.5, 5.53).stall("clients", 9.5, 9.53)
    (sample,) = staleness.check(tale.history()).samples
    assert sample.width_s == pytest.approx(0.07)


def test_alive_but_missing_runs_from_the_first_request_it_can_serve() -> None:
    """From instance.up, not from the command to start it, to the last instant it was missing."""
    tale = crashed().everybody(9.0, removed=["backend2"]).heal("backend2", 20.0).up("backend2", 20.5)
    tale.view(1, 22.0, added=["backend2"]).view(2, 23.0, added=["backend2"])
    assert values(tale, "alive_but_missing_s") == [1.5, 2.5]


def test_a_pause_returns_where_it_was_healed() -> None:
    """No instance comes up after SIGCONT: the healing's own interval dates the return."""
    tale = Tale(clients=1).strike("pause", "backend2", 6.0).view(1, 9.0, removed=["backend2"])
    tale.heal("backend2", 20.0, width_s=0.02).view(1, 21.0, added=["backend2"])
    sample = staleness.check(tale.history()).samples[1]
    assert (sample.measure, sample.change, sample.value) == ("alive_but_missing_s", "return:backend2", 1.0)
    assert sample.width_s == pytest.approx(0.02)


def test_one_that_never_dropped_the_node_is_not_asked_about_its_return() -> None:
    """It listed a dead one just before: wrong before the change, excluded and counted."""
    tale = crashed(clients=1).heal("backend2", 20.0).up("backend2", 20.5)
    verdict = staleness.check(tale.history())
    assert [sample.measure for sample in verdict.samples] == ["dead_but_listed_s"]
    assert verdict.figures["excluded_wrong_before_change"] == 1


def test_a_graceful_stop_is_asked_twice() -> None:
    """From the goodbye: leaving but listed. From the end: dead but listed, and 0 for who knew by then."""
    tale = Tale().strike("graceful_stop", "backend2", 9.0, width_s=6.0)
    tale.leaving("backend2", 6.1).down("backend2", 11.9)
    tale.view(1, 7.1, removed=["backend2"]).view(2, 13.9, removed=["backend2"])
    verdict = staleness.check(tale.history())
    found = [(s.measure, s.change, s.client, round(s.value, 6), s.width_s) for s in verdict.samples]
    assert found == [
        ("leaving_but_listed_s", "leaving:backend2", 1, 1.0, 0.0),
        ("leaving_but_listed_s", "leaving:backend2", 2, 7.8, 0.0),
        ("dead_but_listed_s", "1:backend2", 1, 0.0, 0.0),
        ("dead_but_listed_s", "1:backend2", 2, 2.0, 0.0),
    ]
    assert verdict.figures == COUNTS


def test_a_new_instance_is_missing_until_it_is_listed() -> None:
    """Scale-out: a spare node has no removal, only a return."""
    tale = Tale(clients=1, spare=1).strike("start", "backend4", 6.0, leaves="alive").up("backend4", 6.3, 1)
    tale.view(1, 8.3, added=["backend4"])
    samples = staleness.check(tale.history()).samples
    assert [(s.measure, s.change, s.value) for s in samples] == [("alive_but_missing_s", "return:backend4", 2.0)]


def test_a_node_that_is_no_instance_has_no_samples() -> None:
    """A name server's crash is a change, but no view ever listed it."""
    tale = Tale().strike("crash", "ns1", 6.0)
    assert staleness.check(tale.history()).samples == ()
