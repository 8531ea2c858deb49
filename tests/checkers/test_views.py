"""What clients believed when."""

from __future__ import annotations

from lab.checkers import quiet
from lab.checkers.truth import truth_of
from lab.checkers.views import ClientViews, digest_of, views_of
from lab.testing import Tale, ns

ALL = frozenset({"backend1", "backend2", "backend3", "backend4"})
LESS = ALL - {"backend2"}


def client(tale: Tale) -> ClientViews:
    history = tale.history()
    return views_of(history, truth_of(history).end_ns).clients[1]


def test_a_client_believes_nothing_before_its_first_view_and_after_its_end() -> None:
    """None is not an empty view."""
    its = client(Tale(clients=1))
    assert [its.at(ns(t)) for t in (0.07, 0.2, 29.9, 31.0)] == [None, ALL, ALL, None]


def test_a_view_that_comes_before_its_predecessor_expires_holds_at_once() -> None:
    """An early replacement needs no expiry."""
    its = client(Tale(clients=1).view(1, 2.0, expires_s=7.0).view(1, 6.0, removed=["backend2"], expires_s=11.0))
    assert [its.at(ns(t)) for t in (5.9, 6.1, 10.9, 11.1)] == [ALL, LESS, LESS, frozenset()]


def test_a_refresh_keeps_a_view_alive() -> None:
    """The same nodes again move the expiry, and make no new span."""
    its = client(Tale(clients=1).view(1, 2.0, expires_s=7.0).view(1, 7.1, expires_s=40.0))
    assert [(span.start_ns, span.end_ns, span.nodes) for span in its.spans(ns(1), ns(20))] == [(ns(1), ns(20), ALL)]


def test_spans_are_cut_to_what_is_asked() -> None:
    """From inside one view to inside another."""
    its = client(Tale(clients=1).view(1, 6.0, removed=["backend2"]))
    spans = [(span.start_ns, span.end_ns, span.nodes) for span in its.spans(ns(5), ns(8))]
    assert spans == [(ns(5), ns(6), ALL), (ns(6), ns(8), LESS)]


def test_a_full_view_wins_over_changes() -> None:
    """It is stated now and then so that a reader can begin anywhere."""
    its = client(Tale(clients=1).view(1, 6.0, removed=["backend2"], full=sorted(LESS)))
    assert its.at(ns(7)) == LESS


def test_a_view_that_does_not_add_up_is_damaged() -> None:
    """The digest says four, the changes say three: a view was lost in between."""
    history = Tale(clients=1).view(1, 6.0, removed=["backend2"], digest=digest_of(ALL)).history()
    damaged = views_of(history, truth_of(history).end_ns).damaged
    assert damaged == [next(e.ref for e in history.of("view") if e.fields["removed"])]


def test_a_client_that_is_ended_while_it_asks_again_is_watched_until_its_expiry() -> None:
    """It had 10 ms for the answer when the load ended: no view of it was empty, and nobody was removed."""
    tale = Tale(clients=1).view(1, 25.0, expires_s=29.999)
    its = client(tale)
    assert [its.at(ns(t)) for t in (29.9, 29.9995)] == [ALL, None]
    assert quiet.check(tale.history()).figures["false_removals_from_views"] == 0
    assert client(Tale(clients=1).view(1, 20.0, expires_s=28.9)).at(ns(28.95)) == frozenset()
