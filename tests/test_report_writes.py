"""What a person reads of a run about writes: the terminal's tables and the page, made of results alone."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.report import accounts, terminal, words
from lab.result import Result
from tests import make_failovers

GOLDEN = Path(__file__).parent / "golden"
REPORT = "reports/latest/report.html"
MADE = {name: make() for name, make in make_failovers.ALL.items()}
made = pytest.mark.parametrize("result", MADE.values(), ids=list(MADE))


@made
@pytest.mark.parametrize("width", [100, 80])
def test_terminal_text_is_as_agreed(result: Result, width: int, request: pytest.FixtureRequest) -> None:
    """The plain text of each result, letter for letter; LAB_GOLDEN=write makes the files again, to be read then."""
    name = request.node.callspec.id.partition("-")[2]
    path = GOLDEN / f"terminal_writes_{name}_{width}.txt"
    text = terminal.text(result, report=REPORT, width=width)
    if os.environ.get("LAB_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text


@made
@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_number_is_lost_at_any_width(result: Result, width: int) -> None:
    """Every outage, bound, step and loss is in the text, however narrow the window."""
    text = terminal.text(result, width=width)
    for route in result.routes:
        shown = [route.outage.worst, route.bound_high_s, *(step.mean_s for step in route.steps)]
        for value in shown:
            assert words.bare(value, "s") in text
    for of in result.losses:
        assert accounts.lost(of) in text


def test_nothing_lost_is_a_finding_and_not_asked_is_not() -> None:
    """Zero says of how many; without a valid trial it is unknown, never zero."""
    assert re.search(r"sync +dns +0 of 1\d,\d{3} +0 +0 +0 0 0 0", terminal.text(MADE["crash"]))
    unknown = terminal.text(MADE["nothing_valid"])
    assert re.search(r"async +dns +unknown", unknown)
    assert not re.search(r"\b0 of \d", unknown.partition("lost (RPO)")[2].partition("Unknown:")[0])


def test_what_never_came_back_is_at_least() -> None:
    """A censored outage reads ">=" in its mean, its trial and the worst seen."""
    text = terminal.text(MADE["in_place"], width=120)
    assert re.search(r"haproxy +>= 3.50 s +1.53 1.53 1.53 >=9.42 +>= 9.42 s", text)


def test_a_restart_in_place_is_not_called_a_failover() -> None:
    """Trials that were something else than a failover are named with what they were."""
    text = terminal.text(MADE["in_place"])
    assert "patroni (haproxy): 3 restart in place (trials 1, 2, 3), 1 failover" in text
    assert "restart in place, moved by loop_wait_s (1)" in text


def test_a_split_brain_says_who_acknowledged() -> None:
    """Counts per server where there was one, and the sentence of a zero where there was none."""
    text = terminal.text(MADE["split_brain"])
    assert "postgres1 185, postgres2 1,600" in text
    assert "No write of fenced (multi_host reconnecting) was acknowledged by a losing primary: 0 in 2 trials." in text


def test_many_sentences_are_shortened_and_counted() -> None:
    """A few sentences, every arm having its turn, and how many more there are."""
    shown, left = accounts.few(MADE["crash"], 3)
    assert (len(shown), left) == (3, 5)
    assert [trial.trial for trial, _ in shown] == sorted(trial.trial for trial, _ in shown)


def test_unavailability_that_came_and_went_has_its_column() -> None:
    """Where writes were unavailable longer than the outage, both are there; else one is enough."""
    result = make_failovers.crash()
    assert "came and went" not in terminal.text(result)
    route = result.routes[0]
    route.unavailable = replace(route.unavailable, mean=2.5)
    assert re.search(r"came and went\n(.*\n)?async +multi_host .* 2\.50 s\n", terminal.text(result, width=120))


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 B"), (812, "812 B"), (16_400, "16.4 kB"), (999_960, "1.0 MB"), (3.1e9, "3.1 GB")],
)
def test_bytes_are_worded(value: float, said: str) -> None:
    """A kB is 1000 bytes; a unit never has more than three digits before the point."""
    assert words.size(value) == said
