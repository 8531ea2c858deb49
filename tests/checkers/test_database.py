"""Who led when, who was promoted, and what struck whom: from servers' own words and the lab's."""

from __future__ import annotations

import pytest

from lab.checkers.database import UNKNOWN, Database, database_of
from lab.history import History
from lab.testing import ns
from lab.testing_writes import WritesTale
from tests.made_writes import crashed, unfenced


def states(database: Database, node: str) -> list[str]:
    return [condition.state for condition in database.conditions[node]]


def test_nothing_is_known_of_an_empty_history() -> None:
    """No plan, no servers, no promotions."""
    database = database_of(History([]))
    assert (database.servers, database.promotions, database.blows, database.first_leader) == ((), (), (), "")


def test_a_quiet_trial_has_one_primary() -> None:
    """Nothing is counted from but the end of the baseline."""
    database = database_of(WritesTale().history())
    assert database.first_leader == "postgres1"
    assert (database.promotions, database.t0_ns) == ((), ns(5.0))


def test_a_crash_ends_a_server_and_a_standby_is_promoted() -> None:
    """The strike's evidence speaks for the supervisor that died with its server."""
    database = database_of(crashed().history())
    assert states(database, "postgres1") == ["primary", "down", "standby"]
    (promotion,) = database.promotions
    assert (promotion.node, promotion.timeline, promotion.at.middle_ns) == ("postgres2", 2, ns(6.8))
    assert promotion.width_s == pytest.approx(0.005)
    assert database.promoted_by(ns(6.8)) is None  # it may have been a moment later
    assert database.promoted_by(ns(6.81)) == promotion
    (blow,) = database.blows
    assert (blow.key, blow.words, blow.heal.middle_ns) == ("1:postgres1", "the crash of postgres1", ns(20.0))


def test_the_last_words_of_a_server_do_not_bring_it_back() -> None:
    """A power loss cuts the network first: that its standbys are gone is noticed before the processes are killed."""
    tale = WritesTale()
    tale.strike("power_loss", "postgres1", 6.0).state("postgres1", 6.01, "primary", 1, sync=0).heal("postgres1", 20.0)
    tale.state("postgres1", 20.4, "down").standby("postgres1", 21.0, "postgres2")
    database = database_of(tale.history())
    assert states(database, "postgres1") == ["primary", "down", "down", "standby"]
    assert database.leads_again("postgres1", ns(6.0), ns(20.0)) is None


def test_a_paused_supervisor_says_nothing() -> None:
    """Unknown while it stands still; then it is what it was, until it says otherwise."""
    tale = WritesTale()
    tale.strike("pause", "postgres1", 6.0).heal("postgres1", 8.0)
    assert states(database_of(tale.history()), "postgres1") == ["primary", UNKNOWN, "primary"]


def test_a_server_that_was_stopped_while_paused_does_not_come_back_by_the_heal() -> None:
    """The fence killed it."""
    tale = WritesTale()
    tale.strike("pause", "postgres1", 6.0)
    tale.failover("fenced", 7.0, node="postgres1", how="stop").heal("postgres1", 8.0)
    assert states(database_of(tale.history()), "postgres1") == ["primary", UNKNOWN, "down"]


def test_a_postmaster_that_is_started_again_on_its_timeline_is_no_promotion() -> None:
    """Its supervisor lives and tells."""
    tale = WritesTale()
    tale.strike("crash_postmaster", "postgres1", 6.0)
    tale.state("postgres1", 6.01, "down").state("postgres1", 7.3, "primary")
    database = database_of(tale.history())
    assert database.promotions == ()
    again = database.leads_again("postgres1", ns(6.0), ns(20.0))
    assert again is not None and again.middle_ns == ns(7.3)
    assert database.leads_again("postgres1", ns(6.0), ns(7.0)) is None


def test_what_was_promoted_before_the_baseline_belongs_to_the_reset() -> None:
    """A stack is used again and again."""
    tale = WritesTale(states=False)
    tale.state("postgres2", -0.9, "standby").state("postgres2", -0.8, "primary", 2)
    tale.state("postgres2", -0.5, "standby", 1).state("postgres1", -0.4, "primary", 1)
    database = database_of(tale.history())
    assert (database.promotions, database.first_leader) == ((), "postgres1")


def test_a_timeline_that_is_told_late_is_the_promotions() -> None:
    """The control file may lag behind the promotion."""
    tale = WritesTale()
    tale.state("postgres2", 6.8, "read_only", 1).state("postgres2", 6.9, "primary", 2)
    (promotion,) = database_of(tale.history()).promotions
    assert (promotion.timeline, promotion.at.middle_ns) == (2, ns(6.8))


def test_a_switchover_strikes_when_it_is_asked_for() -> None:
    """Patroni answers when it is over."""
    tale = WritesTale()
    tale.strike("switchover", "postgres1", 7.0, leaves="alive", width_s=2.0)
    assert database_of(tale.history()).t0_ns == ns(6.0)


def test_a_cut_from_standbys_drops_nothing_of_the_clients() -> None:
    """Its evidence names whom it is cut off from."""
    tale = unfenced()
    assert database_of(tale.history()).blows[0].drops
    for _, kind, _, fields in tale.said:
        if kind == "fault.effective":
            fields["evidence"] = {"away_from": ["postgres2", "postgres3"]}
    assert not database_of(tale.history()).blows[0].drops
