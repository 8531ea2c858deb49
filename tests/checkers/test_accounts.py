"""What became of every write: the classes, on the surviving timeline, and what was lost."""

from __future__ import annotations

import random

import pytest

from lab.checkers import accounts
from lab.checkers.books import READ, UNREAD, Book, books_of, fork_of, lost_bytes, unsettled
from lab.checkers.database import database_of
from lab.checkers.losses import loss_words
from lab.checkers.rows import reads_of
from lab.history import History
from lab.testing_writes import WritesTale, lsn_at
from lab.verdict import Valid
from tests.made_writes import crashed, unfenced


def books(tale: WritesTale) -> dict[str, Book]:
    history = tale.history()
    return {book.ledger.label: book for book in books_of(history, database_of(history), reads_of(history))}


def values(tale: WritesTale) -> dict[tuple[str, str], float]:
    return {(s.measure, s.route): s.value for s in accounts.check(tale.history()).samples}


def words(tale: WritesTale, route: str = "multi_host") -> str:
    history = tale.history()
    return loss_words(history, database_of(history), books(tale)[route])


def test_without_rows_nobody_knows() -> None:
    """Empty, unread, unreadable, or two that both led at the end."""
    assert accounts.check(History([])).reasons == ("nobody read the surviving rows at the end",)
    unread = WritesTale(final_rows=False).history()
    assert unsettled(reads_of(unread), database_of(unread)) == "nobody read the surviving rows at the end"
    lost = WritesTale(final_rows=False)
    lost.tell("lab", "rows", 30.1, node="postgres1", when="final", reached=False, why="refused")
    assert accounts.check(lost.history()).reasons == (
        "the surviving rows could not be read at the end: postgres1 (refused)",
    )
    two = WritesTale()
    two.rows("postgres2", "final", 30.1)
    assert accounts.check(two.history()).reasons == (
        "postgres1 and postgres2 both led on timeline 1 at the end: nobody can say whose rows survived",
    )


def test_the_old_primary_alone_is_no_survivor() -> None:
    """Who was promoted could not be read at the end; that the other one still led on a lower timeline says nothing."""
    tale = unfenced()
    tale.final_rows = False
    tale.rows("postgres1", "final", 30.1)
    tale.tell("lab", "rows", 30.1, node="postgres2", when="final", reached=False, why="timeout")
    verdict = accounts.check(tale.history())
    assert (verdict.valid, verdict.samples) == (Valid.UNKNOWN, ())
    assert verdict.reasons == (
        "postgres2 was promoted on timeline 2, but the highest that could be read at the end was 1 of postgres1 "
        "(postgres2: timeout)",
    )


def test_zero_exposure_is_not_a_pass() -> None:
    """Nothing was acknowledged before the strike, so nothing could be lost."""
    verdict = accounts.check(crashed().fail(0.0, 31.0).history())
    assert verdict.valid is Valid.UNKNOWN
    assert verdict.reasons == ("no write was acknowledged before the strike: a claim about nothing",)
    assert verdict.samples == ()


def test_nothing_lost_is_a_yes_with_its_exposure() -> None:
    """Zeros, and how many could have been lost."""
    verdict = accounts.check(crashed().history())
    assert (verdict.valid, verdict.reasons) == (Valid.YES, ())
    assert values(crashed()) == {
        ("lost_writes", "multi_host"): 0.0,
        ("lost_without_warning", "multi_host"): 0.0,
        ("lost_s", "multi_host"): 0.0,
        ("duplicated_writes", "multi_host"): 0.0,
        ("lost_wal_bytes", ""): 0.0,
    }
    assert verdict.figures["acknowledged_writes"] == 2999 - 120
    account = books(crashed())["multi_host"].account
    assert (account.survivor, account.loser, account.source, account.diverged) == ("postgres2", "postgres1", READ, 0)


def test_acknowledged_writes_that_the_survivor_lacks_are_lost() -> None:
    """Ten writes in 0.1 s, all before the promotion, and as much WAL as lay behind the fork."""
    tale = crashed(lost_s=0.1)
    found = values(tale)
    assert found["lost_writes", "multi_host"] == found["lost_without_warning", "multi_host"] == 10
    assert found["lost_s", "multi_host"] == pytest.approx(0.09)
    assert found["lost_wal_bytes", ""] == lsn_at(5.995) - lsn_at(5.9)
    account = books(tale)["multi_host"].account
    assert account.lost == {"writes": 10, "warned": 0, "read_then_gone": 0}
    assert (account.lost_first_s, account.lost_last_s) == (pytest.approx(-0.093), pytest.approx(-0.003))
    assert (account.lost_before_promotion, account.lost_after_promotion) == (10, 0)
    assert (account.diverged, account.source) == (10, READ)
    assert accounts.check(tale.history()).valid is Valid.NO


def test_the_sentence_says_who_acknowledged_and_why_it_is_gone() -> None:
    """With times, and places in the WAL."""
    assert words(crashed(lost_s=0.1)) == (
        "10 acknowledged writes were lost: postgres1 acknowledged them between 0.093 and 0.003 s before the crash of "
        "postgres1, and postgres2 was promoted without having received them (it had WAL up to 0/300170C, they go on "
        "to 0/300176B, 95 bytes further). postgres1 had 10 rows that nobody else has (read before it was rewound)"
    )
    assert words(crashed()) == ""
    one = crashed().lose("multi_host", 5.99, 6.0)
    assert words(one).startswith(
        "1 acknowledged write was lost: postgres1 acknowledged it 0.003 s before the crash of postgres1, and postgres2 "
        "was promoted without having received it"
    )


def test_the_wrong_standby_is_named() -> None:
    """Another one had more."""
    tale = crashed(lost_s=0.1)
    more = {"postgres2": lsn_at(5.9), "postgres3": lsn_at(5.99)}
    tale.failover("chosen", 6.62, node="postgres2", rule="first", candidates=more)
    assert "postgres3 had WAL up to 0/3001766, 90 bytes more, but postgres2 was promoted: the rule was first" in words(
        tale
    )


def test_where_nobody_chose_the_fork_is_where_the_new_primary_stood() -> None:
    """Patroni says nothing of candidates."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0)
    tale.promote("postgres2", 6.8, lsn=lsn_at(5.5))
    tale.lose("multi_host", 5.9, 6.0)
    history = tale.history()
    database = database_of(history)
    assert fork_of(history, database.promotions[0]) == lsn_at(5.5)
    assert lost_bytes(history, database, books(tale)["multi_host"].lost) == lsn_at(5.995) - lsn_at(5.5)


def test_what_was_lost_after_the_promotion_was_acknowledged_by_two() -> None:
    """Before and after are counted apart, in the sentence too."""
    account = books(unfenced())["multi_host"].account
    assert (account.lost["writes"], account.lost_before_promotion, account.lost_after_promotion) == (300, 100, 200)
    assert "though postgres2 had been promoted 1.000 s after the partition of postgres1: there were two primaries" in (
        words(unfenced())
    )


def test_with_two_promotions_each_loss_has_its_own_reason() -> None:
    """Lost with the first failover, as the second one finds nothing amiss; nothing came after a promotion."""
    tale = crashed(lost_s=0.1)
    tale.strike("power_loss", "postgres2", 12.0).fail(12.0, 14.0, node=None)
    tale.failover("chosen", 13.5, node="postgres3", rule="most_advanced", candidates={"postgres3": lsn_at(12.0)})
    tale.promote("postgres3", 13.7, 3)
    account = books(tale)["multi_host"].account
    assert (account.lost["writes"], account.lost_before_promotion, account.lost_after_promotion) == (10, 10, 0)
    assert "and postgres2 was promoted without having received them (it had WAL up to" in words(tale)
    split = unfenced(seconds=1.0)
    split.strike("power_loss", "postgres2", 12.0).fail(12.0, 14.0, node=None).promote("postgres3", 13.7, 3)
    account = books(split)["multi_host"].account
    assert (account.lost_before_promotion, account.lost_after_promotion) == (100, 100)
    assert "though postgres2 had been promoted 1.000 s after the partition of postgres1: there were two" in words(split)


def test_of_two_losers_the_one_with_most_rows_of_its_own_is_named() -> None:
    """With the number that are its own, not those of both."""
    tale = unfenced(seconds=1.0)
    tale.strike("power_loss", "postgres2", 12.0).fail(12.0, 14.0, node=None).promote("postgres3", 13.7, 3)
    tale.lose("multi_host", 11.9, 12.0).rows("postgres2", "boot", 21.0, 8.0, 12.0, timeline=2)
    account = books(tale)["multi_host"].account
    assert (account.loser, account.source, account.diverged) == ("postgres1", READ, 200)
    assert account.lost["writes"] == 210


def test_rows_of_a_loser_that_nobody_read() -> None:
    """Then what is known is from acknowledgements only."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2).promote("postgres2", 6.8).lose("multi_host", 5.9, 6.0)
    account = books(tale)["multi_host"].account
    assert (account.loser, account.source, account.diverged) == ("postgres1", UNREAD, 10)
    assert "this is from acknowledgements only" in words(tale)


def test_warnings_are_counted_apart() -> None:
    """Acknowledged with a warning: lost, but not without one."""
    tale = unfenced().serve("postgres1", 8.0, until_s=8.5, warned=True)
    found = values(tale)
    assert (found["lost_writes", "multi_host"], found["lost_without_warning", "multi_host"]) == (300, 250)
    assert books(tale)["multi_host"].account.lost["warned"] == 50
    assert "50 of them came with the warning" in words(tale)


def test_unacknowledged_writes() -> None:
    """There or absent; on the loser only; read and then gone."""
    tale = WritesTale()
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.0).keep("multi_host", 6.0, 6.2)
    tale.promote("postgres2", 6.8)
    tale.rows("postgres1", "boot", 20.3, 6.0, 6.5)
    tale.read("multi_host", 6.3, tale.ids("multi_host", 6.3, 6.35))
    account = books(tale)["multi_host"].account
    assert account.unacknowledged_kept == 20
    assert account.unacknowledged_absent == {"writes": 80, "read_then_gone": 5, "only_on_loser": 30}


def test_read_by_somebody_and_then_gone() -> None:
    """Of what was lost."""
    tale = crashed(lost_s=0.1)
    tale.read("multi_host", 5.99, tale.ids("multi_host", 5.85, 5.95))
    assert books(tale)["multi_host"].account.lost["read_then_gone"] == 5
    assert "5 of them had been read by somebody before they were gone" in words(tale)


def test_what_is_there_twice_is_duplicated_and_kept() -> None:
    """The table has no unique constraint, so that this can be seen."""
    tale = crashed().repeat_rows("multi_host", 5, 6)
    assert values(tale)["duplicated_writes", "multi_host"] == 2
    assert books(tale)["multi_host"].account.kept["writes"] == 2879


def test_a_planted_lie_is_named() -> None:
    """The application believes in a write before COMMIT has returned."""
    route = {"label": "hasty", "kind": "multi_host", "settings": {"acknowledge": "statement"}}
    assert "hasty counts a write as acknowledged before its COMMIT has returned" in words(
        crashed(lost_s=0.02, routes=(route,)), "hasty"
    )


def test_a_lost_site_is_named() -> None:
    """What was on its way died with the link."""
    tale = crashed(fault="site_loss", lost_s=0.1)
    for _, kind, _, fields in tale.said:
        if kind == "fault.effective":
            fields["evidence"] = {"also": ["toxiproxy"]}
    assert "What was under way to the standbys died with toxiproxy" in words(tale)


def test_a_server_that_lost_its_own_writes() -> None:
    """Restarted in place, without a promotion."""
    tale = WritesTale()
    tale.strike("crash_postmaster", "postgres1", 6.0).lose("multi_host", 5.98, 6.0)
    assert words(tale).endswith("of the postmaster on postgres1, and does not have them any more")
    assert books(tale)["multi_host"].account.loser == ""


def test_classes_always_add_up() -> None:
    """Whatever failed, was lost or kept."""
    draw = random.Random(7)
    for _ in range(20):
        tale = crashed(routes=("dns", "multi_host"), rate_per_s=40.0)
        for label in tale.labels:
            for verb in (tale.lose, tale.keep):
                start_s = draw.uniform(0.0, 29.0)
                verb(label, start_s, start_s + draw.uniform(0.0, 5.0))
        tale.fail(draw.uniform(0.0, 20.0), draw.uniform(0.0, 30.0), outcome=draw.choice(["fail", "info"]))
        for book in books(tale).values():
            a = book.account
            known = a.kept["writes"] + a.lost["writes"] + a.unacknowledged_kept + a.unacknowledged_absent["writes"]
            assert known == a.writes == len(book.ledger.writes)
            assert a.lost["writes"] == a.lost_before_promotion + a.lost_after_promotion
