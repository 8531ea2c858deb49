"""Two primaries that acknowledge; and how long until everybody is behind one again."""

from __future__ import annotations

import pytest

from lab.checkers import rejoin, split_brain
from lab.history import History
from lab.testing_writes import WritesTale
from lab.verdict import Valid
from tests.made_writes import crashed, unfenced


def values(tale: WritesTale) -> dict[tuple[str, str], float]:
    return {(s.measure, s.route): s.value for s in split_brain.check(tale.history()).samples}


def test_without_a_promotion_there_was_no_second_primary() -> None:
    """Unknown, not a pass."""
    for history in (History([]), WritesTale().history()):
        verdict = split_brain.check(history)
        assert (verdict.valid, verdict.samples) == (Valid.UNKNOWN, ())
        assert verdict.reasons == ("nobody was promoted: there was never a second primary",)


def test_a_clean_failover_has_none() -> None:
    """And says how many writes could have gone wrong."""
    verdict = split_brain.check(crashed().history())
    assert verdict.valid is Valid.YES
    assert values(crashed()) == {("split_brain_writes", "multi_host"): 0.0, ("split_brain_s", ""): 0.0}
    assert verdict.figures["acknowledged_after_promotion"] == {"postgres2": 2279}


def test_nobody_wrote_after_a_promotion_that_came_too_late() -> None:
    """Somebody was promoted when the load was over: that nothing was acknowledged beside it says nothing."""
    verdict = split_brain.check(WritesTale().promote("postgres2", 30.5, serves=False).history())
    assert (verdict.valid, verdict.samples) == (Valid.UNKNOWN, ())
    assert verdict.reasons == ("no write was due after a promotion: a claim about nothing",)


def test_writes_of_the_old_primary_after_the_promotion() -> None:
    """Counted by route and server, with the length of the window."""
    tale = unfenced(routes=("stays", "moves"), route="stays", rate_per_s=200.0)
    verdict = split_brain.check(tale.history())
    assert verdict.valid is Valid.NO
    assert verdict.reasons == ("200 writes were acknowledged by a losing primary",)
    found = values(tale)
    assert found["split_brain_writes", "stays"] == 200
    # Nobody was promoted for sure until 7.0025 s, when one more acknowledgement of the old primary had come.
    assert found["split_brain_writes", "moves"] == 0
    assert found["split_brain_s", ""] == pytest.approx(2.0 - 0.0025, abs=0.01)
    by_route = verdict.figures["acknowledged_after_promotion_by_route"]
    assert by_route["stays"] == {"postgres1": 200, "postgres2": 2099}
    assert set(by_route["moves"]) == {"postgres2"}


def test_acknowledged_inside_the_promotions_own_interval_is_not_after_it() -> None:
    """Nobody can say which came first."""
    tale = WritesTale()
    tale.promote("postgres2", 7.0, width_s=0.04, serves=False)
    tale.serve("postgres2", 7.01, 2)  # the last one by the old primary is due at 7.005 and done at 7.007
    assert values(tale)["split_brain_writes", "multi_host"] == 0


def test_a_fenced_server_acknowledges_nothing() -> None:
    """Where it does, that is told apart; after the heal the fence is gone."""
    held = unfenced(seconds=0.0)
    held.failover("fenced", 6.998, node="postgres1", how="cut_clients")
    assert split_brain.check(held.history()).figures["acknowledged_by_fenced"] == 0
    leaky = unfenced(seconds=1.0)
    leaky.failover("fenced", 7.5, node="postgres1", how="cut_clients")
    verdict = split_brain.check(leaky.history())
    assert verdict.figures["acknowledged_by_fenced"] == 50
    assert "50 writes were acknowledged by a server that had been fenced" in verdict.reasons
    after = unfenced(seconds=0.0).serve("postgres1", 22.0, until_s=23.0)
    after.failover("fenced", 6.998, node="postgres1", how="cut_clients")
    verdict = split_brain.check(after.history())
    assert (verdict.figures["acknowledged_by_fenced"], verdict.valid) == (0, Valid.NO)
    early = unfenced(seconds=0.0).failover("fenced", 6.8, node="postgres1", how="cut_clients")
    assert split_brain.check(early.history()).figures["acknowledged_by_fenced"] == 20  # nobody was promoted yet


# -- rejoin ------------------------------------------------------------------------------------------------------------


def test_from_the_heal_until_everybody_streams() -> None:
    """The heal is at 20 s, and the old primary streams at 21 s."""
    (sample,) = rejoin.check(crashed().history()).samples
    assert (sample.value, sample.censored) == (pytest.approx(1.0), False)


def test_who_never_comes_back_is_censored() -> None:
    """At least for as long as anybody looked."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).promote("postgres2", 6.8).standby("postgres3", 6.9, "postgres2")
    tale.heal("postgres1", 20.0)
    verdict = rejoin.check(tale.history())
    assert verdict.samples[0].censored
    assert verdict.samples[0].value > 10.0
    assert verdict.figures["never_streamed_again"] == ["postgres1"]


def test_nobody_had_to_come_back() -> None:
    """Nothing struck, or everybody streamed all the time."""
    assert rejoin.check(History([])).valid is Valid.UNKNOWN
    assert rejoin.check(WritesTale().history()).valid is Valid.UNKNOWN
    tale = WritesTale()
    tale.strike("crash_manager", "postgres1", 6.0)
    assert rejoin.check(tale.history()).reasons == ("every server streamed all the time: nobody had to come back",)
