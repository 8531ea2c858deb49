"""What a change cost, and to which change it is charged."""

from __future__ import annotations

from lab.checkers import harm
from lab.history import History
from lab.testing import Tale
from lab.verdict import Sample, Valid, Verdict


def crashed(**settings: object) -> Tale:
    """backend2 crashes at 6 s (20 ms wide), is healed at 20 s and serves again at 20.5 s."""
    tale = Tale(**settings).strike("crash", "backend2", 6.0, width_s=0.02)  # type: ignore[arg-type]
    return tale.heal("backend2", 20.0).up("backend2", 20.5)


def counts(tale: Tale) -> dict[tuple[str, str], float]:
    return {(s.measure, s.change): s.value for s in harm.check(tale.history()).samples}


ATTEMPTS, LOST = ("attempts_on_dead", "1:backend2"), ("requests_lost", "1:backend2")


def test_no_change_and_no_request_are_unknown() -> None:
    """A claim about nothing."""
    nothing = Verdict("harm", Valid.UNKNOWN, ("nothing changed: there was nothing to be harmed by",))
    assert harm.check(History([])) == nothing
    assert harm.check(Tale(rate_per_s=5).history()) == nothing
    idle = harm.check(crashed().history())
    assert (idle.valid, idle.reasons) == (Valid.UNKNOWN, ("no request was made: nothing could be lost",))


def test_no_harm_is_a_yes_with_zeros() -> None:
    """Two samples of each change, whether or not anything was lost."""
    history = crashed().request(1, 8.0, "backend1").history()
    effective = (next(history.of("fault.effective")).ref,)
    assert harm.check(history) == Verdict(
        "harm",
        Valid.YES,
        (),
        (
            Sample("attempts_on_dead", "1:backend2", 0.0, evidence=effective),
            Sample("requests_lost", "1:backend2", 0.0, evidence=effective),
        ),
        {"lost_outside_changes": 0, "ended_before_their_deadline": 0, "requests": 1},
    )


def test_an_attempt_counts_only_while_its_node_is_certainly_dead() -> None:
    """After the late edge of its death, before the first request it can serve again."""
    tale = crashed()
    for due_s in (5.98, 6.0, 6.011, 8.0, 20.2, 20.6):
        tale.request(1, due_s, "backend2", "fail" if 6.005 < due_s < 20.4 else "ok", why="refused")
    assert counts(tale)[ATTEMPTS] == 2.0  # 20.2: after the healing began, whoever is asked may already serve


def test_every_attempt_of_a_request_counts() -> None:
    """A retry on another node that answers: one attempt on the dead, nothing lost."""
    tale = crashed().request(1, 8.0, "backend3", tried=[("backend2", 8.0, "refused")])
    assert counts(tale) == {ATTEMPTS: 1.0, LOST: 0.0}


def test_the_last_attempt_is_dated_by_its_own_sending() -> None:
    """The first attempt was before the crash, the last one after it."""
    tale = crashed().request(
        1, 5.9, "backend2", "fail", tried=[("backend3", 5.9, "timeout")], last_sent_s=6.2, took_s=0.4, why="refused"
    )
    assert counts(tale)[ATTEMPTS] == 1.0


def test_requests_that_were_not_answered_are_lost() -> None:
    """fail and info alike, when due in the change's window; an answer in time is not lost."""
    tale = crashed().request(1, 7.0, "backend2", "fail", why="refused")
    tale.request(1, 8.0, "backend2", "info", why="timeout")
    tale.request(1, 9.0, "backend1").request(2, 5.0, "backend1", "fail", why="http_503")
    verdict = harm.check(tale.history())
    assert counts(tale)[LOST] == 2.0
    assert verdict.figures["lost_outside_changes"] == 1


def test_what_was_lost_is_charged_to_the_node_it_last_tried_else_to_the_latest_change() -> None:
    """Two crashes: a refusal by the first one's node is its own, whenever; one that tried nobody is the later one's."""
    tale = Tale().strike("crash", "backend2", 6.0).strike("crash", "backend3", 8.0)
    tale.request(1, 9.0, "backend2", "fail", why="refused").request(1, 9.1, None, "fail", why="no_instance")
    tale.request(1, 9.2, "backend1", "fail", why="timeout").request(1, 7.0, None, "fail", why="no_instance")
    found = counts(tale)
    assert (found["requests_lost", "1:backend2"], found["requests_lost", "2:backend3"]) == (2.0, 2.0)


def test_a_request_that_the_end_cut_off_is_not_lost() -> None:
    """Its deadline had not passed when the load ended: nobody knows. One whose deadline had passed is lost."""
    tale = Tale().strike("crash", "backend2", 6.0)
    tale.request(1, 29.5, "backend1", "info", took_s=0.5, why="ended")
    tale.request(1, 28.5, "backend1", "info", took_s=1.5, why="ended")
    verdict = harm.check(tale.history())
    assert counts(tale)[LOST] == 1.0
    assert verdict.figures["ended_before_their_deadline"] == 1


def test_a_goodbye_belongs_to_its_removal() -> None:
    """What is lost while an instance drains is charged to the strike, so "per change" is one per strike."""
    tale = Tale().strike("restart", "backend2", 8.0, width_s=4.0, leaves="alive")
    tale.leaving("backend2", 6.1).down("backend2", 9.9).up("backend2", 10.2)
    tale.request(1, 7.0, "backend2", "fail", why="reset")
    assert counts(tale) == {ATTEMPTS: 0.0, LOST: 1.0}


def test_a_first_start_can_lose_requests_too() -> None:
    """A scale-out has no dead, but what was lost from then on is charged to it."""
    tale = Tale(spare=1).strike("start", "backend4", 6.0, leaves="alive").up("backend4", 6.3, 1)
    tale.request(1, 7.0, "backend4", "fail", why="reset")
    assert counts(tale) == {("requests_lost", "return:backend4"): 1.0}


def test_a_name_servers_end_can_lose_requests() -> None:
    """No instance is dead, yet nobody finds one. It is in no view: no zero attempts on it are anybody's merit."""
    tale = Tale().strike("crash", "ns1", 6.0).request(1, 7.0, None, "fail", why="no_instance")
    assert counts(tale) == {("requests_lost", "1:ns1"): 1.0}


def test_evidence_cites_the_requests() -> None:
    """The change first, then what was lost in it."""
    history = crashed().request(1, 7.0, "backend2", "fail", why="refused").history()
    effective, request = next(history.of("fault.effective")).ref, next(history.of("request")).ref
    assert [sample.evidence for sample in harm.check(history).samples] == [(effective, request)] * 2
