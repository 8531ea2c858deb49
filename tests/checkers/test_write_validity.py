"""Whether a trial about writes can be judged at all: a valid one, and each way to spoil it, with its sentence."""

from __future__ import annotations

from lab.checkers import write_validity
from lab.history import History
from lab.testing_writes import WritesTale
from lab.verdict import Valid
from tests.made_writes import crashed


def reasons(tale: WritesTale) -> tuple[str, ...]:
    verdict = write_validity.check(tale.history())
    assert (verdict.valid is Valid.YES) == (not verdict.reasons)
    assert verdict.valid is not Valid.NO
    return verdict.reasons


def test_an_empty_history_is_unknown() -> None:
    """It is not the history of a trial."""
    assert write_validity.check(History([])).reasons == (
        "there is no plan event: this is not the history of a whole trial",
    )


def test_a_whole_trial_is_valid() -> None:
    """With what the lab saw of itself."""
    verdict = write_validity.check(crashed().history())
    assert (verdict.valid, verdict.reasons) == (Valid.YES, ())
    assert verdict.figures["in_time_before_strike"] == {"multi_host": 1.0}
    assert verdict.figures["stall_limit_s"] == 0.32


def test_what_all_trials_have_in_common_is_asked_here_too() -> None:
    """Unproven, gone, uncounted."""
    unproven = WritesTale()
    unproven.strike("crash", "postgres1", 6.0, effective=False)
    assert reasons(unproven) == ("strike 1 (crash of postgres1) did not take effect: missing evidence: pids_gone",)
    gone = crashed()
    gone.gaps["clients"] = 2
    assert reasons(gone) == ("clients: 2 of its events are missing (its seq skips)",)
    few = crashed().history()
    fewer = History([e for e in few if not (e.kind == "write" and e.fields["id"] < 90)], few.sources)
    found = write_validity.check(fewer).reasons
    assert "the load did 2999 writes, but 2910 are recorded" in found


def test_before_the_strike_every_route_must_work() -> None:
    """99 of 100 is enough, 98 is not; nothing at all is not."""
    good, bad = crashed().fail(1.0, 1.05), crashed().fail(1.0, 1.1)
    assert reasons(good) == ()
    assert reasons(bad) == (
        "multi_host: before anything was broken only 580 of 590 writes were acknowledged in time: no steady state",
    )
    late = crashed(phases={"ready": -1.0, "baseline": 0.0, "strike": 0.5, "heal": 20.0, "settle": 21.0, "final": 30.0})
    assert reasons(late) == ()


def test_rows_that_nobody_could_read_leave_everything_open() -> None:
    """Nobody knows what was lost."""
    tale = crashed(final_rows=False)
    tale.tell("lab", "rows", 30.1, node="postgres2", when="final", reached=False, why="timeout")
    assert reasons(tale) == (
        "the surviving rows could not be read at the end: postgres2 (timeout): nobody knows what was lost",
    )


def test_a_write_that_ran_backwards_in_time() -> None:
    """Sent before it was due."""
    tale = crashed().serve("postgres1", 2.0, until_s=2.01, sent_ns=0)
    assert "1 writes were sent before they were due, or done before they were sent" in reasons(tale)


def test_a_promotion_that_is_not_known_well() -> None:
    """Its steps would be guesses."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2).promote("postgres2", 6.8, width_s=0.08)
    assert reasons(tale) == ("the promotion of postgres2 is known to 0.080 s only, more than 0.050 s",)


def test_who_acknowledges_must_have_been_seen_to_lead() -> None:
    """Its supervisor said nothing of it."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2).serve("postgres2", 7.2, 2)
    assert reasons(tale) == ("postgres2 acknowledged writes, but nobody saw it lead",)


def test_a_stall_makes_a_trial_unknown_unless_the_strike_is_the_stall() -> None:
    """A paused supervisor stands still with its server; an agent, or another one, must not."""
    paused = crashed(fault="pause").stall("database/postgres1", 6.0, 20.0)
    assert reasons(paused) == ()
    assert reasons(crashed().stall("clients", 8.0, 8.5)) == (
        "clients stalled for 0.490 s, more than 0.320 s: what it measured then is not known",
    )
    assert reasons(crashed(fault="pause").stall("database/postgres2", 8.0, 9.0)) != ()
    assert reasons(crashed(fault="pause").stall("agent/postgres1", 8.0, 9.0)) != ()
    assert reasons(crashed(fault="pause").stall("database/postgres1", 2.0, 3.0)) != ()


def test_a_supervisor_that_a_strike_killed_may_be_silent() -> None:
    """One that nothing struck may not."""

    def ticking(node: str, until: int) -> WritesTale:
        tale = crashed()
        for second in range(until):
            tale.tell(f"database/{node}", "lag", second + 0.5, ticks=100, buckets=[100] + [0] * 24)
        return tale

    assert reasons(ticking("postgres1", 6)) == ()
    assert reasons(ticking("postgres2", 6)) == ("database/postgres2 was silent for 24.5 s: nobody watched there",)


def test_a_strike_at_the_leader_that_hit_another_one_shows_nothing() -> None:
    """There was no outage, for nobody wrote there."""
    tale = WritesTale()
    tale.strike("crash", "postgres2", 6.0)
    assert reasons(tale) == ()
    tale.strikes[0]["target"] = "leader(postgres)"
    assert reasons(tale) == ("strike 1 was to hit the server that leads, but postgres2 was standby then",)
    right = WritesTale()
    right.strike("crash", "postgres1", 6.0)
    right.strikes[0]["target"] = "leader(postgres)"
    assert reasons(right) == ()
