"""What happened, in sentences and in lanes."""

from __future__ import annotations

from lab.checkers.lanes import lanes
from lab.checkers.story import sentences
from lab.history import History
from lab.testing_writes import WritesTale
from tests.made_writes import crashed, unfenced


def test_nothing_to_tell() -> None:
    """An empty history, a quiet trial, a failover in which nothing was lost."""
    assert (sentences(History([])), lanes(History([]))) == ([], [])
    assert sentences(WritesTale().history()) == []
    assert sentences(crashed().history()) == []


def test_the_route_with_no_outage_lost_the_most() -> None:
    """Clients that stayed with the old primary noticed nothing."""
    tale = unfenced(routes=("multi_host", "haproxy"), rate_per_s=200.0)
    tale.fail(6.0, 9.0, route="haproxy", node=None)
    told = sentences(tale.history())
    assert told[0].startswith("300 acknowledged writes of multi_host were lost: postgres1 acknowledged 100 of them ")
    assert told[1] == (
        "the route with no outage lost the most: multi_host lost 300 acknowledged writes, "
        "haproxy was without service for 3.00 s and lost 0"
    )
    assert told[2] == (
        "Split brain on multi_host: after postgres2 had been promoted (1.000 s after the partition of postgres1) it "
        "acknowledged 2099 writes, and postgres1 200 beside it, between 1.005 and 2.995 s after the partition of "
        "postgres1"
    )


def test_two_primaries_that_the_registrar_saw() -> None:
    """It takes the one on the highest timeline."""
    tale = crashed()
    tale.tell("registrar", "registrar.saw", 6.5, primaries=[])
    tale.tell("registrar", "registrar.saw", 7.0, primaries=[["postgres2", 2], ["postgres1", 1]])
    assert sentences(tale.history()) == [
        "the registrar saw 2 primaries 1.000 s after the crash of postgres1, postgres1 (timeline 1) and postgres2 "
        "(timeline 2), and kept to postgres2"
    ]


def test_warned_acknowledgements_are_told() -> None:
    """Also where none of them was lost."""
    tale = crashed().serve("postgres1", 2.0, until_s=2.1, warned=True)
    assert sentences(tale.history()) == [
        "multi_host: 10 writes were acknowledged with the warning that they might not have been replicated (the wait "
        "for a standby was cancelled); 0 of them were lost"
    ]


def test_a_restart_in_place_says_so() -> None:
    """Instead of being called a failover; once, whatever the number of routes."""
    tale = WritesTale(routes=("multi_host", "dns"))
    tale.strike("crash_postmaster", "postgres1", 6.0).fail(6.0, 7.4)
    tale.state("postgres1", 6.01, "down").state("postgres1", 7.3, "primary")
    assert sentences(tale.history()) == ["no failover: postgres1 was restarted in place after 1.30 s"]


def test_a_failover_after_the_heal_is_told() -> None:
    """Nothing held that would have asked for it."""
    tale = crashed()
    tale.promote("postgres3", 25.0, 3)
    assert sentences(tale.history())[-1] == (
        "postgres3 was promoted 19.000 s after the crash of postgres1, when everything was being healed or had been"
    )


def test_an_end_that_nobody_saw() -> None:
    """And where it is stuck."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 31.0)
    tale.failover("stuck", 8.0, why="no standby answers")
    assert sentences(tale.history()) == [
        "multi_host: no write was acknowledged again for as long as was watched; it was stuck in detection",
        "the failover was stuck 2.000 s after the crash of postgres1: no standby answers",
    ]


def test_lanes_show_who_acknowledged_what_and_what_happened_to_whom() -> None:
    """Seconds count from the strike."""
    tale = crashed()
    tale.key("postgres1", -0.2)
    tale.key(None, 6.5)
    first, second, third = lanes(tale.history())
    assert first.spans == [[-6.0, 0.0, "primary", 1], [0.0, 15.0, "down", 1], [15.0, 24.0, "standby", 2]]
    assert first.marks == [[0.0, "crash"], [0.5, "lease over"], [0.6, "detected"], [14.0, "healed"]]
    assert first.acknowledged == [[float(second), 100.0] for second in range(-6, 0)]
    assert second.spans == [[-6.0, 0.8, "standby", 1], [0.8, 24.0, "primary", 2]]
    assert second.marks == [[0.61, "chosen"], [0.8, "promoted"]]
    assert sum(count for _, count in second.acknowledged) == 2279
    assert [span[2:] for span in third.spans] == [["standby", 1], ["standby", 2]]


def test_a_paused_server_has_no_span_while_nobody_knows() -> None:
    """It is what it was when it goes on."""
    tale = WritesTale()
    tale.strike("pause", "postgres1", 6.0).heal("postgres1", 8.0)
    assert lanes(tale.history())[0].spans == [[-6.0, 0.0, "primary", 1], [2.0, 24.0, "primary", 1]]
