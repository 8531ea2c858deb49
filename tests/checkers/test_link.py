"""The replication link: what it delayed by must be what was set."""

from __future__ import annotations

import pytest

from lab.checkers import link, story, write_validity
from lab.testing_writes import WritesTale
from tests.made_writes import crashed


def over(lag_s: float | None, wanted_ms: float | None = 100) -> WritesTale:
    """A crash over a link on which a commit was so late."""
    tale = crashed()
    tale.settings["postgres"]["lag_ms"] = wanted_ms
    told = {"why": "timeout"} if lag_s is None else {"lags_s": [lag_s], "median_s": lag_s}
    return tale.tell("lab", "replication.lag", -0.5, node="postgres2", primary="postgres1", **told)


def test_a_link_that_does_what_was_set_is_told_and_nothing_else() -> None:
    """In the figures and in a sentence."""
    history = over(0.1013).history()
    assert not list(link.off(history))
    assert write_validity.check(history).figures["replication_lag_ms"] == {"postgres2": pytest.approx(101.3)}
    assert "replication over the link was late by 101.3 ms to postgres2, before the load; 100 ms were set" in (
        story.sentences(history)
    )


@pytest.mark.parametrize(
    ("lag_s", "why"),
    [
        (0.112, "replication to postgres2 was 112.0 ms late, where 100 ms were set"),
        (0.0004, "replication to postgres2 was 0.4 ms late, where 100 ms were set"),
        (None, "the lag of replication to postgres2 could not be measured: timeout"),
    ],
)
def test_another_link_than_was_asked_about_is_unknown(lag_s: float | None, why: str) -> None:
    """Off by more than 5 %, or nobody knows by how much."""
    assert why in write_validity.check(over(lag_s).history()).reasons


def test_no_link_no_words() -> None:
    """Most arms have none."""
    history = crashed().history()
    assert (list(link.off(history)), link.figures(history), list(link.words(history))) == ([], {}, [])
