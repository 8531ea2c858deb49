"""What is shown while a run goes on."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from lab import clock
from lab.report.progress import Lines, LiveLine, done, progress, words_of

PHASE = {
    "what": "phase",
    "name": "hold",
    "limit_s": 11.0,
    "detail": "4 crashed, 23 of 30 clients right",
    "left_s": 58.0,
    "trial": 5,
    "of": 8,
    "arm": "zookeeper",
    "repeat": 3,
}


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.t_ns = 0
        monkeypatch.setattr(clock, "now_ns", lambda: self.t_ns)

    def at(self, seconds: float) -> None:
        self.t_ns = int(seconds * clock.S)


def lines(reports: list[tuple[float, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    time = Clock(monkeypatch)
    file = io.StringIO()
    shown = Lines(Console(file=file, width=60))
    for at_s, report in reports:
        time.at(at_s)
        shown(report)
    return file.getvalue().splitlines()


def live(report: dict[str, Any], width: int, after_s: float, monkeypatch: pytest.MonkeyPatch) -> str:
    time = Clock(monkeypatch)
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    line = LiveLine(console)
    line(report)
    time.at(after_s)
    console.print(line.render())
    return file.getvalue().rstrip("\n")


def test_a_phase_that_is_told_again_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets a line a phase with the seconds since the start, however often the engine tells it."""
    told = [(0.0, PHASE), (1.0, {**PHASE, "detail": "30 of 30 clients right"}), (2.5, {**PHASE, "name": "heal"})]
    said = lines(told, monkeypatch)
    assert len(said) == 2
    assert said[0] == (
        "     0.0 s  trial 5/8  zookeeper repeat 3  hold (4 crashed, 23 of 30 clients right)"
        "  at most 11 s  <= 00:58 left"
    )
    assert said[1].startswith("     2.5 s  trial 5/8  zookeeper repeat 3  heal")


def test_a_long_phase_says_what_changed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 15 s a changed detail is worth a line; an unchanged one never is."""
    later = [(21.0, {**PHASE, "detail": "24 of 30"}), (22.0, {**PHASE, "detail": "25 of 30"})]
    told = [(0.0, PHASE), (20.0, PHASE), *later]
    assert len(lines(told, monkeypatch)) == 2


def test_phases_need_not_repeat_their_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine says once which trial goes on; a replacement counts in order, not by its number in the plan."""
    trial = {"what": "trial", "number": 5, "of": 8, "arm": "dns", "repeat": 3}
    phase = {"what": "phase", "name": "up", "limit_s": 60.0, "left_s": 60.0, "trial": 9, "arm": "dns", "repeat": 3}
    assert lines([(0, trial), (0, phase)], monkeypatch) == ["     0.0 s  trial 5/8  dns repeat 3  up  at most 60 s"]


def test_the_live_line_counts_down_and_says_the_most_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bar, trial, arm, repeat, phase and detail, and a bound on the time that falls between reports."""
    said = live(PHASE, 120, 10.0, monkeypatch)
    assert "trial 5/8  zookeeper repeat 3  hold (4 crashed, 23 of 30 clients right)" in said
    assert "<= 00:48 left" in said


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_live_line_is_one_line_in_a_narrow_window(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words give way, never the time left."""
    said = live(PHASE, width, 0.0, monkeypatch)
    assert "\n" not in said
    assert "<= 00:58 left" in said


def test_time_left_never_goes_below_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that was passed reads 00:00."""
    assert "<= 00:00 left" in live(PHASE, 120, 100.0, monkeypatch)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"what": "building", "image": "dns", "step": 2, "of": 5, "most_s": 9}, "building dns  step 2/5  at most 9 s"),
        ({"what": "note", "text": "no engine [yet]"}, "no engine [yet]"),
        ({"what": "up", "arm": "dns", "pods": 13, "limit_s": 60.0}, "starting 13 pods of dns  at most 60 s"),
        ({"what": "waiting", "text": "another lab measures"}, "waiting  another lab measures"),
        ({"what": "judged", "trial": 5, "valid": "yes", "reasons": []}, "trial 5 valid"),
        (
            {"what": "judged", "trial": 5, "valid": "unknown", "reasons": ["stall"]},
            "trial 5 not valid (unknown): stall",
        ),
        ({"what": "moon", "phase": "full"}, "moon  phase full"),
        ({}, "starting"),
    ],
)
def test_every_report_has_words(report: dict[str, Any], said: str) -> None:
    """Also one of a kind that this version does not know: a newer engine is never silent."""
    assert words_of(report) == said


def test_the_share_done_grows_with_every_phase_and_trial() -> None:
    """A bar that goes back would be a lie."""
    names = ("up", "ready", "baseline", "strike", "hold", "heal", "settle", "final", "collect")
    shares = [done({"trial": trial, "of": 3, "name": name}) for trial in (1, 2, 3) for name in names]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1] < 1, done({})) == (0, True, 0)


def test_without_a_terminal_progress_is_lines_and_with_one_it_is_live() -> None:
    """The same reports, chosen by where they go."""
    with progress(Console(file=io.StringIO())) as tell:
        assert isinstance(tell, Lines)
    with progress(Console(file=io.StringIO(), force_terminal=True)) as tell:
        assert isinstance(tell, LiveLine)
        tell(PHASE)
