"""Whether a trial can be judged at all: a valid one, and each way to spoil it, with its sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.checkers import validity
from lab.history import History
from lab.testing import PHASES, Tale, ns
from lab.verdict import Valid


def good(**settings: object) -> Tale:
    """A whole valid trial."""
    tale = Tale(**{"rate_per_s": 50.0, **settings})  # type: ignore[arg-type]
    tale.strike("crash", "backend2", 6.0).everybody(9.0, removed=["backend2"])
    return tale.heal("backend2", 20.1).up("backend2", 20.4).everybody(22.0, added=["backend2"])


def reasons(tale: Tale) -> tuple[str, ...]:
    verdict = validity.check(tale.history())
    assert (verdict.valid is Valid.YES) == (not verdict.reasons)
    assert verdict.valid is not Valid.NO
    return verdict.reasons


def test_an_empty_history_is_unknown() -> None:
    """It is not the history of a trial."""
    verdict = validity.check(History([]))
    assert verdict.valid is Valid.UNKNOWN
    assert verdict.reasons == ("there is no plan event: this is not the history of a whole trial",)


def test_a_whole_trial_is_valid_and_tells_what_the_lab_saw_of_itself() -> None:
    """No reason at all, and the figures."""
    verdict = validity.check(good().history())
    assert (verdict.valid, verdict.reasons, verdict.samples) == (Valid.YES, (), ())
    assert verdict.figures["lab_lag_p99_ms"] == 0.2
    assert verdict.figures["requests_due"] == verdict.figures["requests_done"] == 1500
    assert verdict.figures["stall_limit_s"] == 0.84


def test_a_fault_without_effect_is_unknown_and_repeats_what_is_missing() -> None:
    """Never a pass."""
    assert reasons(Tale().strike("crash", "backend2", 6.0, effective=False)) == (
        "strike 1 (crash of backend2) did not take effect: missing evidence: pids_gone",
    )


def test_evidence_that_was_already_true_proves_nothing() -> None:
    """The look before the strike saw what the look after it was to show."""
    assert reasons(Tale().strike("crash", "backend2", 6.0, holds_before=True)) == (
        "strike 1 (crash of backend2): its evidence was already true before it was commanded, so it proves nothing",
    )


def test_a_strike_that_never_came_is_unknown() -> None:
    """A trial that was stopped half way has not done what was planned."""
    tale = Tale()
    tale.strikes.append({"strike": 1, "fault": "crash", "target": "backend3", "at_s": 0.0, "phase": 0.5})
    assert reasons(tale) == ("strike 1 (crash of backend3) was planned and never proven",)


def test_a_heal_without_effect_is_unknown() -> None:
    """The return would be dated by a healing that did not happen."""
    (reason,) = reasons(Tale().strike("pause", "backend2", 6.0).heal("backend2", 20.0, holds=True))
    assert reason.startswith("strike 1 (pause of backend2) was healed, but it still held")


def test_an_engine_that_gave_up_is_unknown() -> None:
    """In its own words."""
    tale = good().tell("lab", "trial.error", 21.0, text="stopped by a person before it was over")
    assert reasons(tale) == ("the trial did not run to its end: stopped by a person before it was over",)


def test_a_node_that_healed_itself_is_unknown() -> None:
    """A pause that the agent ended is none, and nothing else tells when it ended."""
    assert reasons(good().tell("agent/backend2", "lease.expired", 12.0)) == (
        "agent/backend2 heard nothing from the lab for so long that it healed its node by itself",
    )


def test_missing_lines_are_unknown() -> None:
    """A gap in a writer's seq."""
    assert reasons(good(gaps={"clients": 2})) == ("clients: 2 of its events are missing (its seq skips)",)


def test_two_kernels_are_unknown() -> None:
    """Their clocks cannot be subtracted."""
    tale = good(boot_ids={"agent/backend1": "another"})
    assert reasons(tale) == ("its writers ran on 2 kernels, whose clocks cannot be compared",)


def test_views_that_do_not_add_up_are_unknown() -> None:
    """A view was lost."""
    (reason,) = reasons(good().view(1, 12.0, digest="00000000"))
    assert reason.startswith("1 views differ from what their changes add up to (first: clients ")


@pytest.mark.parametrize(("wrong", "answer"), [(1, 0), (2, 0), (3, 1)])
def test_more_than_half_wrong_before_the_strike_is_unknown(wrong: int, answer: int) -> None:
    """A few are excluded elsewhere; most of them is no steady state."""
    tale = Tale(clients=4)
    for client in range(1, wrong + 1):
        tale.view(client, 3.0, removed=["backend4"])
    said = f"before anything was broken {wrong} of 4 clients were already wrong: no steady state"
    assert reasons(tale) == (said,) * answer


def test_clients_that_never_came_are_unknown() -> None:
    """Nobody was there to be wrong."""
    tale = Tale(clients=3, first_views=False)
    assert reasons(tale) == ("before anything was broken 3 of 3 clients were already wrong: no steady state",)


@pytest.mark.parametrize(
    ("writer", "after_s", "before_s", "spoils"),
    [
        ("clients", 8.0, 10.0, True),
        ("agent/backend3", 8.0, 9.0, True),
        ("observer", 8.0, 9.0, True),
        ("clients", 8.0, 8.8, False),  # below 10 % of 8.4 s
        ("clients", -3.0, -0.5, False),  # before the baseline
        ("clients", 30.5, 33.0, False),  # the load has ended
        ("clients", 29.5, 31.0, True),
    ],
)
def test_a_stall_beyond_a_tenth_of_the_bound_is_unknown(
    writer: str, after_s: float, before_s: float, spoils: bool
) -> None:
    """Of any writer of the lab, between the baseline's start and the settle's end."""
    found = reasons(good().stall(writer, after_s, before_s))
    assert [reason.split(" for ")[0] for reason in found] == [f"{writer} stalled"] * spoils


def test_a_stall_of_a_quick_arm_may_be_50_ms_long() -> None:
    """Where the bound is small, or there is none, the floor counts."""
    assert reasons(Tale(bounds={}).stall("clients", 8.0, 8.055)) == ()
    assert len(reasons(Tale(bounds={}).stall("clients", 8.0, 8.065))) == 1


def spoiled(unwanted: Callable[[str, str, int], bool]) -> tuple[str, ...]:
    return validity.check(good().without(unwanted)).reasons


def test_a_second_that_is_not_accounted_for_is_unknown() -> None:
    """One load.second is missing, so the seconds no longer add up either."""
    found = spoiled(lambda _, kind, t_ns: kind == "load.second" and t_ns == ns(11))
    assert found[0] == "1 of the load's 30 seconds are not accounted for"
    assert found[1] == "the load's seconds add up to 1450 requests due, its end says 1500"


def test_a_load_without_an_end_is_unknown() -> None:
    """Nobody knows what was left open."""
    assert spoiled(lambda _, kind, __: kind == "load.end") == (
        "the load never ended: there is no load.end, so nobody knows what was left open",
    )


def test_a_request_without_a_line_is_unknown() -> None:
    """Counts and lines must agree."""
    gone = next(good().history().of("request")).t_ns
    assert spoiled(lambda _, kind, t_ns: kind == "request" and t_ns == gone) == (
        "the load did 1500 requests, but 1499 are recorded",
    )


def test_a_load_that_never_began_is_unknown() -> None:
    """It was planned."""
    assert spoiled(lambda _, kind, __: kind.startswith("load"))[0] == "the load never began: there is no load.begin"


def test_a_load_that_fell_behind_before_the_strike_is_unknown() -> None:
    """Due far from what was intended, beyond 2 % and four standard deviations."""
    tale = good(rate_per_s=400.0)
    for number in range(250):
        tale.request(1, 2.0 + number * 0.004, "backend1")
    (reason,) = reasons(tale)
    assert reason == "in 4.0 s before the strike 1810 requests were due, where 1560 were intended"


def test_a_load_that_was_silent_is_unknown_however_short_the_baseline() -> None:
    """No whole second lies between the last client's start and the strike; the counts all agree on nothing."""
    tale = Tale(phases={**PHASES, "strike": 2.5}, rate_per_s=50.0)
    tale.strike("crash", "backend2", 6.0).everybody(9.0, removed=["backend2"])
    verdict = validity.check(tale.without(lambda _, kind, __: kind in ("request", "load.second", "load.end")))
    assert verdict.valid is Valid.UNKNOWN
    assert "in 1.5 s before the strike 0 requests were due, where 70 were intended" in verdict.reasons


def test_a_load_that_fell_silent_after_the_strike_is_unknown() -> None:
    """Half of what was intended in the whole trial was never due, and every count agrees."""
    tale = good(rate_per_s=50.0)
    tale.rate_per_s = 0.0
    for number in range(750):
        tale.request(1, (number + 0.5) / 50, "backend1")
    history = tale.history()
    begun = next(history.of("load.begin"))
    begun.fields["rate_per_s"] = 50.0
    assert validity.check(history).reasons == (
        "in 29.0 s from the first to the last 750 requests were due, where 1451 were intended",
    )


def test_poisson_noise_is_not_a_missed_rate() -> None:
    """Four standard deviations of 1,600 are 160."""
    tale = good(rate_per_s=400.0)
    for number in range(150):
        tale.request(1, 2.0 + number * 0.004, "backend1")
    assert reasons(tale) == ()


def test_a_load_that_sent_too_late_is_unknown() -> None:
    """5 % of what was due before the strike was sent after it."""
    tale = good()
    for number in range(12):
        tale.request(1, 4.0 + number * 0.01, "backend1", sent_s=5.5, took_s=1.7)
    (reason,) = reasons(tale)
    assert reason == "12 of 207 requests that were due in 4.0 s before the strike were not sent by then"


def test_what_waits_while_clients_start_may_be_sent_late() -> None:
    """Before every client is there, requests wait for a view; sent before the strike they do no harm."""
    tale = good()
    for number in range(40):
        tale.request(1, 0.5 + number * 0.01, "backend1", sent_s=2.0, took_s=1.6)
    assert reasons(tale) == ()


def test_a_request_sent_before_it_was_due_is_unknown() -> None:
    """A clock that runs backwards."""
    tale = good().request(1, 8.0, "backend1", sent_s=7.9)
    assert reasons(tale) == ("1 requests were sent before they were due, or done before they were sent",)


def test_a_silent_agent_is_unknown() -> None:
    """A node that nobody watched from."""
    assert reasons(good(quiet={"agent/backend3"})) == ("agent/backend3 was silent for 30.0 s: nobody watched there",)
    (reason,) = spoiled(lambda writer, kind, t_ns: writer == "clients" and kind == "lag" and ns(8) < t_ns < ns(11))
    assert reason == "clients was silent for 4.0 s: nobody watched there"


def test_the_agent_of_a_vanished_host_may_be_silent() -> None:
    """From a second before to a while after; not for longer."""

    def silence(end_s: float) -> tuple[str, ...]:
        def of_its_agent(writer: str, kind: str, t_ns: int) -> bool:
            return writer == "agent/backend2" and kind == "lag" and ns(6) < t_ns < ns(end_s)

        tale = Tale().strike("vanish", "backend2", 6.0).heal("backend2", 20.0, width_s=1.0)
        return validity.check(tale.without(of_its_agent)).reasons

    assert silence(21.4) == ()
    assert silence(25.4) == ("agent/backend2 was silent for 20.0 s: nobody watched there",)


def test_every_reason_is_told() -> None:
    """Not only the first one."""
    tale = good(gaps={"lab": 1}).stall("clients", 8.0, 10.0)
    assert len(reasons(tale)) == 2
